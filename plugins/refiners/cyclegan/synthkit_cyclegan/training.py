# SPDX-License-Identifier: Apache-2.0
"""Training two generators against two discriminators (thesis 000, algorithm 8)."""

from __future__ import annotations

from functools import cached_property

import attrs
import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, distributed, pictures
from synthkit_cyclegan import losses
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import CropLearner, descend, numbers, sheet_of
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import Discriminator
from synthkit_cyclegan.objective import mean_of, objective


@attrs.frozen(eq=False)
class Shown:
    """What the discriminator of a domain gets to see in a step.

    Args:
        real: images of the domain, (N, 3, h, w) in -1..1. features: its own, of these. fake: images made for it.
    """

    real: torch.Tensor
    features: list[torch.Tensor]
    fake: torch.Tensor


class Training(CropLearner):
    """All that changes while a CycleGAN learns.

    G translates X to Y and F back; each domain has its discriminator. As in CycleGAN's code, and other than
    algorithm 8 prints, G and F are updated together from one objective, and then both discriminators. Wasserstein's
    have done more steps before, each on images of its own (Gulrajani et al. 2017, algorithm 1).

    Args:
        config: the settings. source, target: crops (N, h, w, 3) uint8.
        space: the perceptual network's, on the device; None when no loss needs it.
        seeds: the training's own streams. device: where to compute.
    """

    def __init__(
        self, config: CycleGANConfig, source: Crops, target: Crops, space: losses.FeatureSpace | None,
        seeds: Seeds, device: torch.device,
    ) -> None:  # fmt: skip
        super().__init__(config, source, target, seeds, device)
        self._config, self._space, self._terms = config, space, objective(config)
        self._kind = losses.ADVERSARIAL[config.adversarial]
        self.g, self.f = self.new_generator("G"), self.new_generator("F", back=True)
        self._d_x, self._d_y = self.new_discriminator("X"), self.new_discriminator("Y")
        self.networks = {"G": self.g, "F": self.f, "D X": self._d_x, "D Y": self._d_y}
        self.optimizers = {
            "adam generators": self.adam("G", "F"),
            "adam discriminators": self.adam("D X", "D Y"),
        }

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses by name (unweighted sums over both directions)."""
        self.set_rate()
        first, last = self.step * self._config.judgements, (self.step + 1) * self._config.judgements - 1
        for draw in range(first, last):
            self._judge_alone(draw)
        x, y = self.batch("X", last), self.batch("Y", last)
        with devices.autocast(self.device, self._config.precision):
            real_x, real_y = self._d_x.features(x), self._d_y.features(y)
            there = self._direction(x, "Y", self.g, self.f, real_x, self._d_x, self._d_y)
            back = self._direction(y, "X", self.f, self.g, real_y, self._d_y, self._d_x)
            parts = {term.name: term.loss(there) + term.loss(back) for term in self._terms}
        total = torch.stack([term.weight * parts[term.name] for term in self._terms]).sum()
        descend([self.optimizers["adam generators"]], total)
        # The discriminators have not changed since they saw the real images: those passes serve twice.
        parts |= self._judge(Shown(x, real_x, back.fake), Shown(y, real_y, there.fake), last)
        self.step += 1
        return numbers(parts)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the generator's weights: the checkpoint needs no other network."""
        return dict(self.g.state_dict())

    def picture(self) -> pictures.Pixels:
        """Return a picture: source crops, the same refined, and target crops, a row each."""
        return sheet_of(self.g, self.crops["X"], self.crops["Y"], self.device)

    def _direction(
        self, real: torch.Tensor, target: str, to: torch.nn.Module, fro: torch.nn.Module,
        real_features: list[torch.Tensor], own: Discriminator, other: Discriminator,
    ) -> losses.Direction:  # fmt: skip
        mean = self._means[target] if self._config.mean_feature_weight else None
        return losses.Direction(real, to, fro, own, other, real_features, self._space, mean)

    @cached_property
    def _means(self) -> dict[str, losses.Features]:
        """The mean features of each domain."""
        assert self._space is not None
        flip = self._config.flip
        return {name: mean_of(self._space, kept, flip=flip, device=self.device) for name, kept in self.crops.items()}

    def _judge_alone(self, draw: int) -> None:
        """Let the discriminators do a step while the generators stay as they are."""
        x, y = self.batch("X", draw), self.batch("Y", draw)
        with devices.autocast(self.device, self._config.precision):
            with torch.no_grad():
                fake_x, fake_y = self.f(y), self.g(x)
            shown_x, shown_y = Shown(x, self._d_x.features(x), fake_x), Shown(y, self._d_y.features(y), fake_y)
        self._judge(shown_x, shown_y, draw)

    def _judge(self, x: Shown, y: Shown, draw: int) -> dict[str, torch.Tensor]:
        """Let the discriminators do a step, and return their losses."""
        parts = self._judgement(self._d_x, "X", x, draw) | self._judgement(self._d_y, "Y", y, draw)
        judged = torch.stack([parts[f"discriminator_{name}"] for name in "xy"]).sum()
        descend([self.optimizers["adam discriminators"]], judged)
        return parts

    def _judgement(self, judge: Discriminator, domain: str, shown: Shown, draw: int) -> dict[str, torch.Tensor]:
        """Return a discriminator's loss, and its gradient penalty, which is part of it."""
        images = self.from_pool(domain, shown.fake, draw)
        with devices.autocast(self.device, self._config.precision):
            loss = losses.discriminator(judge.judge(shown.features), judge(images), self._kind)
        name = f"discriminator_{domain.lower()}"
        if self._kind is not losses.wasserstein or not self._config.gradient_penalty_weight:
            return {name: loss}
        draws = self.seeds.child("penalty", domain).stream("step", draw).random((self._config.batch, 1, 1, 1))
        share = torch.from_numpy(distributed.share(draws)).to(shown.real)
        penalty = losses.gradient_penalty(judge, shown.real, images, share)
        return {name: loss + self._config.gradient_penalty_weight * penalty, f"penalty_{domain.lower()}": penalty}
