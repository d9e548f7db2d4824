# SPDX-License-Identifier: Apache-2.0
"""Training generators and attention networks against discriminators (thesis 000, section 2.5, algorithm 9).

As in algorithm 9, G and F (and A_X and A_Y) are updated together and then D_X and D_Y, from one pass through the
generators. The paper's released code alternates between the directions, with a pass for each.

As in that code, a generated image is judged with the attention of the image that it was made from, also when it comes
from the pool: that is where equation 2.14 cuts it, whatever the other attention network would make of it.
"""

from __future__ import annotations

import attrs
import numpy as np
import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, pictures
from synthkit_aggan.attention import attended, blend
from synthkit_aggan.config import AGGANConfig
from synthkit_aggan.networks import AttentionNetwork
from synthkit_cyclegan import losses
from synthkit_cyclegan.crop_learner import CropLearner, as_crops, as_images, descend, numbers
from synthkit_cyclegan.crop_store import Crops


@attrs.frozen(eq=False)
class Cycle:
    """One direction of the cycle: x, its attention a, x' and x''; images (N, 3, h, w), a (N, 1, h, w)."""

    real: torch.Tensor
    attention: torch.Tensor
    fake: torch.Tensor
    cycled: torch.Tensor


class AttentionTraining(CropLearner):
    """All that changes while an AGGAN learns.

    G translates X to Y and F back; each domain has its discriminator and its attention network. With
    ``attention="instances"`` the people's masks take the place of A_X. A mask is not known for what F makes of y: there
    attention is that of y, which is where F changed it.

    Args:
        config: the settings. source, target: crops (N, h, w, 3) uint8, the source's with masks as a fourth channel
            where these stand for attention.
        seeds: the training's own streams. device: where to compute.
    """

    def __init__(self, config: AGGANConfig, source: Crops, target: Crops, seeds: Seeds, device: torch.device) -> None:
        super().__init__(config, source, target, seeds, device)
        self._config = config
        self.switch = round(config.switch * self.steps)
        """The step from which attention is fixed and only what is attended is judged."""
        self._translators = {"X": self.new_generator("G"), "Y": self.new_generator("F", back=True)}
        self._judges = {domain: self.new_discriminator(domain) for domain in "XY"}
        learned = "XY" if config.attention == "learned" else "Y"
        self._attention = {domain: self._attention_network(domain) for domain in learned}
        self.networks = {
            "G": self._translators["X"],
            "F": self._translators["Y"],
            **{f"D {domain}": network for domain, network in self._judges.items()},
            **{f"A {domain}": network for domain, network in self._attention.items()},
        }
        self.optimizers = {
            "adam generators": self.adam("G", "F"),
            "adam attention": self.adam(*(f"A {domain}" for domain in learned)),
            "adam discriminators": self.adam("D X", "D Y"),
        }

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses by name (unweighted sums over both directions), and the mean attention."""
        self.set_rate()
        with devices.autocast(self.device, self._config.precision):
            there, back = self._cycle("X", "Y"), self._cycle("Y", "X")
            parts = {
                "adversarial": self._deceit(there, "Y") + self._deceit(back, "X"),
                "cyclic_pixels": cyclic_pixels(there) + cyclic_pixels(back),
            }
        learning = ["adam generators", *(["adam attention"] if self.step < self.switch else [])]
        objective = parts["adversarial"] + self._config.cyclic_pixel_weight * parts["cyclic_pixels"]
        descend([self.optimizers[name] for name in learning], objective)
        parts["discriminator_x"] = self._judgement("X", real=there, fake=back)
        parts["discriminator_y"] = self._judgement("Y", real=back, fake=there)
        judged = parts["discriminator_x"] + parts["discriminator_y"]
        descend([self.optimizers["adam discriminators"]], judged)
        self.step += 1
        return numbers({**parts, "attention_x": there.attention.mean(), "attention_y": back.attention.mean()})

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of G and, where it is learned, A_X: prediction needs no other network."""
        return {
            f"{name}.{key}": value
            for name in ("G", "A X")
            if name in self.networks
            for key, value in self.networks[name].state_dict().items()
        }

    @torch.no_grad()
    def picture(self) -> pictures.Pixels:
        """Return a picture: source crops, their attention, the same refined, and target crops, a row each."""
        source, target = (pictures.spread(self.crops[domain]) for domain in "XY")
        attention, refined = [], []
        for crop in source:
            image, mask = _apart(as_images(crop[None]).to(self.device))
            seen = self._attended("X", image, mask)
            attention.append(as_crops(2 * seen.expand(-1, 3, -1, -1) - 1))
            refined.append(as_crops(blend(self._translators["X"](image), image, seen)))
        return pictures.sheet([source[..., :3], np.concatenate(attention), np.concatenate(refined), target])

    def _cycle(self, domain: str, other: str) -> Cycle:
        images, mask = _apart(self.batch(domain))
        attention = self._attended(domain, images, mask)
        fake = blend(self._translators[domain](images), images, attention)
        back = self._attended(other, fake, attention)
        return Cycle(images, attention, fake, blend(self._translators[other](fake), fake, back))

    def _attended(self, domain: str, images: torch.Tensor, given: torch.Tensor | None) -> torch.Tensor:
        """Return the attention of images of a domain; ``given`` where no network learns it."""
        if domain in self._attention:
            given = self._attention[domain](images)
        assert given is not None
        return given

    def _deceit(self, cycle: Cycle, target: str) -> torch.Tensor:
        """Return a generator's adversarial loss (equations 2.11 and 2.16, by least squares as CycleGAN's)."""
        answers: torch.Tensor = self._judges[target](self._judged(cycle.fake, cycle.attention))
        return losses.least_squares(answers, True)

    def _judgement(self, domain: str, real: Cycle, fake: Cycle) -> torch.Tensor:
        """Return the loss of a domain's discriminator, of its images and those generated for it."""
        kept = self.from_pool(domain, torch.cat([fake.fake, fake.attention], dim=1))
        with devices.autocast(self.device, self._config.precision):
            genuine = self._judges[domain](self._judged(real.real, real.attention.detach()))
            return losses.discriminator(genuine, self._judges[domain](self._judged(kept[:, :3], kept[:, 3:])))

    def _judged(self, images: torch.Tensor, attention: torch.Tensor) -> torch.Tensor:
        return images if self.step < self.switch else attended(images, attention, self._config.threshold)

    def _attention_network(self, domain: str) -> AttentionNetwork:
        start = devices.generator(self.seeds, "initial attention", ord(domain))
        return AttentionNetwork(self._config.attention_filters, generator=start).to(self.device)


def cyclic_pixels(cycle: Cycle) -> torch.Tensor:
    """Return the mean absolute difference of x'' to x (equation 2.12)."""
    return (cycle.cycled - cycle.real).abs().mean()


def _apart(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return images (N, 3, h, w) and, where there is a fourth channel, masks (N, 1, h, w) in 0..1."""
    return images[:, :3], (images[:, 3:] + 1) / 2 if images.shape[1] > 3 else None
