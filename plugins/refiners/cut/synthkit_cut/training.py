# SPDX-License-Identifier: Apache-2.0
"""Training one generator against one discriminator, with contrast in the place of a cycle (Park et al. 2020)."""

from __future__ import annotations

import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, pictures
from synthkit_cut import contrast
from synthkit_cut.config import CUTConfig
from synthkit_cyclegan import losses
from synthkit_cyclegan.crop_learner import CropLearner, descend, numbers, sheet_of
from synthkit_cyclegan.crop_store import Crops


class CUTLearner(CropLearner):
    """All that changes while CUT learns: the generator G, the discriminator D of the target, the heads H.

    The objective is that of the release, which takes the mean of the contrastive losses of source and target where
    equation 5 adds them. Its order of steps is kept too: first the discriminator, then generator and heads.

    Args:
        config: the settings. source, target: crops (N, h, w, 3) uint8.
        seeds: the training's own streams. device: where to compute.
    """

    def __init__(self, config: CUTConfig, source: Crops, target: Crops, seeds: Seeds, device: torch.device) -> None:
        super().__init__(config, source, target, seeds, device)
        self._config = config
        self.g, self.d = self.new_generator("G"), self.new_discriminator("D")
        start = devices.generator(seeds, "initial weights", ord("H"))
        self.h = contrast.Heads(config.generator_filters, config.head_width, generator=start).to(device)
        self.networks = {"G": self.g, "D": self.d, "H": self.h}
        self.optimizers = {"adam generator": self.adam("G", "H"), "adam discriminator": self.adam("D")}

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses by name, unweighted."""
        self.set_rate()
        x, y = self.batch("X"), self.batch("Y")
        real = {"x": x, "y": y} if self._config.identity_nce else {"x": x}
        turned = self._is_turned()
        with devices.autocast(self.device, self._config.precision):
            translated = self.g(_turned(torch.cat(list(real.values())), turned))
        made = dict(zip(real, translated.chunk(len(real)), strict=True))
        judged = self._judge(y, made["x"])
        descend([self.optimizers["adam discriminator"]], judged)
        parts = {"adversarial": self._adversarial(made["x"])}
        contrasts = {f"nce_{name}": self._contrast(name, real[name], made[name], turned) for name in real}
        mean_contrast = torch.stack(list(contrasts.values())).mean()
        descend([self.optimizers["adam generator"]], parts["adversarial"] + self._config.nce_weight * mean_contrast)
        self.step += 1
        return numbers({**parts, **contrasts, "discriminator": judged})

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the generator's weights: the checkpoint needs no other network."""
        return dict(self.g.state_dict())

    def picture(self) -> pictures.Pixels:
        """Return a picture: source crops, the same refined, and target crops, a row each."""
        return sheet_of(self.g, self.crops["X"], self.crops["Y"], self.device)

    def _judge(self, real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        remembered = self.from_pool("Y", made)
        with devices.autocast(self.device, self._config.precision):
            return losses.discriminator(self.d(real), self.d(remembered))

    def _adversarial(self, made: torch.Tensor) -> torch.Tensor:
        with devices.autocast(self.device, self._config.precision):
            return losses.least_squares(self.d(made), True)

    def _contrast(self, name: str, real: torch.Tensor, made: torch.Tensor, turned: bool) -> torch.Tensor:
        """Return the contrastive loss between images and their translations, a mean over the taps (equation 3)."""
        with devices.autocast(self.device, self._config.precision):
            after = [_turned(feature, turned) for feature in contrast.tapped(self.g, made)]
            with torch.no_grad():
                before = contrast.tapped(self.g, real)
                places = self._places(name, before)
                keys = self.h(before, places)
            queries = self.h(after, places)
        pairs = zip(queries, keys, strict=True)
        return torch.stack([contrast.patch_nce(q, k, self._config.temperature) for q, k in pairs]).mean()

    def _places(self, name: str, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the places (P,) of each tap that the current step compares, the same in all images of a batch."""
        streams = self.seeds.child("places", name)
        found = []
        for tap, feature in enumerate(features):
            order = streams.stream("step", self.step, tap).permutation(feature.shape[2] * feature.shape[3])
            found.append(torch.from_numpy(order[: self._config.patches]).to(self.device))
        return found

    def _is_turned(self) -> bool:
        return self._config.flip_equivariance and bool(self.seeds.stream("turned", self.step).random() < 0.5)


def _turned(images: torch.Tensor, turned: bool) -> torch.Tensor:
    """Return images (N, c, h, w) mirrored left to right, if so."""
    return images.flip(3) if turned else images
