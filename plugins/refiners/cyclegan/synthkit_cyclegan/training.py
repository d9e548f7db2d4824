# SPDX-License-Identifier: Apache-2.0
"""Training two generators against two discriminators (thesis 000, algorithm 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, pictures
from synthkit_cyclegan import losses
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import CropLearner, descend, numbers, sheet_of
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import Discriminator, Generator


class Training(CropLearner):
    """All that changes while a CycleGAN learns.

    G translates X to Y and F back; each domain has its discriminator.

    Args:
        config: the settings. source, target: crops (N, h, w, 3) uint8.
        terms: the generators' objective beyond nothing, with the adversarial loss among them.
        seeds: the training's own streams. device: where to compute.
    """

    def __init__(
        self, config: CycleGANConfig, source: Crops, target: Crops, terms: Sequence[losses.Term],
        seeds: Seeds, device: torch.device,
    ) -> None:  # fmt: skip
        super().__init__(config, source, target, seeds, device)
        self._config, self._terms = config, terms
        self.networks = _networks(config, seeds, device)
        self.g, self.f = self.networks["G"], self.networks["F"]
        self._d_x, self._d_y = _discriminators(self.networks)
        self.optimizers = {
            "adam generators": self.adam("G", "F"),
            "adam discriminators": self.adam("D X", "D Y"),
        }

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses by name (unweighted sums over both directions)."""
        self.set_rate()
        x, y = self.batch("X"), self.batch("Y")
        with devices.autocast(self.device, self._config.precision):
            real_x, real_y = self._d_x.features(x), self._d_y.features(y)
            there = self._direction(x, self.g, self.f, real_x, self._d_x, self._d_y)
            back = self._direction(y, self.f, self.g, real_y, self._d_y, self._d_x)
            parts = {term.name: term.loss(there) + term.loss(back) for term in self._terms}
        objective = torch.stack([term.weight * parts[term.name] for term in self._terms]).sum()
        descend([self.optimizers["adam generators"]], objective)
        # The discriminators have not changed since they saw the real images: those passes serve twice.
        parts["discriminator_x"] = self._judge(self._d_x, real_x, "X", back.fake)
        parts["discriminator_y"] = self._judge(self._d_y, real_y, "Y", there.fake)
        descend([self.optimizers["adam discriminators"]], parts["discriminator_x"] + parts["discriminator_y"])
        self.step += 1
        return numbers(parts)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the generator's weights: the checkpoint needs no other network."""
        return dict(self.g.state_dict())

    def picture(self) -> pictures.Pixels:
        """Return a picture: source crops, the same refined, and target crops, a row each."""
        return sheet_of(self.g, self.crops["X"], self.crops["Y"], self.device)

    def _direction(
        self, real: torch.Tensor, to: torch.nn.Module, fro: torch.nn.Module,
        real_features: list[torch.Tensor], own: Discriminator, other: Discriminator,
    ) -> losses.Direction:  # fmt: skip
        fake = to(real)
        return losses.Direction(
            real=real,
            fake=fake,
            cycled=fro(fake),
            fake_answers=other(fake),
            real_features=[value.detach() for value in real_features],
            features=own.features,
        )

    def _judge(self, judge: Discriminator, real: list[torch.Tensor], domain: str, fake: torch.Tensor) -> torch.Tensor:
        images = self.from_pool(domain, fake)
        with devices.autocast(self.device, self._config.precision):
            return losses.discriminator(judge.judge(real), judge(images))


def _networks(config: CycleGANConfig, seeds: Seeds, device: torch.device) -> dict[str, torch.nn.Module]:
    result: dict[str, torch.nn.Module] = {}
    for name in ("G", "F"):
        start = devices.generator(seeds, "initial weights", ord(name))
        result[name] = Generator(config.generator_filters, skip=config.skip, generator=start).to(device)
    for name in ("X", "Y"):
        start = devices.generator(seeds, "initial weights", ord(name))
        result[f"D {name}"] = Discriminator(config.discriminator_filters, generator=start).to(device)
    return result


def _discriminators(networks: dict[str, torch.nn.Module]) -> tuple[Discriminator, Discriminator]:
    d_x, d_y = networks["D X"], networks["D Y"]
    assert isinstance(d_x, Discriminator)
    assert isinstance(d_y, Discriminator)
    return d_x, d_y
