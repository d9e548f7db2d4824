# SPDX-License-Identifier: Apache-2.0
"""Training two generators against two discriminators (thesis 000, algorithm 8)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, pictures
from synthkit.training.feed import Feed
from synthkit.training.loop import Learner
from synthkit.training.pool import ReplayPool
from synthkit.training.schedule import constant_then_linear
from synthkit_cyclegan import losses
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.crop_training import steps_of
from synthkit_cyclegan.networks import Discriminator, Generator

_ADAM_BETA2 = 0.999


class Training(Learner):
    """All that changes while a CycleGAN learns.

    X is the source domain, Y the target; G translates X to Y and F back; each has its discriminator. Every
    draw is addressed by its step, so the tensors and the step are the whole state.

    Args:
        config: the settings. source, target: crops (N, h, w, 3) uint8.
        terms: the generators' objective beyond nothing, with the adversarial loss among them.
        seeds: the training's own streams. device: where to compute.
    """

    def __init__(
        self, config: CycleGANConfig, source: Crops, target: Crops, terms: Sequence[losses.Term],
        seeds: Seeds, device: torch.device,
    ) -> None:  # fmt: skip
        self.step = 0
        self.steps = steps_of(config, len(source), len(target))
        self._config, self._terms, self._seeds, self._device = config, terms, seeds, device
        self.crops = {"X": source, "Y": target}
        self._feeds = {name: Feed(len(kept), seeds.child("feed", name)) for name, kept in self.crops.items()}
        self._pools = {name: ReplayPool(config.pool, seeds.child("pool", name)) for name in "XY"}
        self.networks: dict[str, torch.nn.Module] = _networks(config, seeds, device)
        self.g, self.f = self.networks["G"], self.networks["F"]
        self._d_x, self._d_y = _discriminators(self.networks)
        self._generators = _adam(config, [self.g, self.f], device)
        self._discriminators = _adam(config, [self._d_x, self._d_y], device)

    def advance(self) -> dict[str, float]:
        """Do one step and return its losses by name (unweighted sums over both directions)."""
        self._set_rate()
        x, y = self.batch("X"), self.batch("Y")
        with devices.autocast(self._device, self._config.precision):
            real_x, real_y = self._d_x.features(x), self._d_y.features(y)
            there = self._direction(x, self.g, self.f, real_x, self._d_x, self._d_y)
            back = self._direction(y, self.f, self.g, real_y, self._d_y, self._d_x)
            parts = {term.name: term.loss(there) + term.loss(back) for term in self._terms}
        objective = torch.stack([term.weight * parts[term.name] for term in self._terms]).sum()
        _descend(self._generators, objective)
        # The discriminators have not changed since they saw the real images: those passes serve twice.
        parts["discriminator_x"] = self._judge(self._d_x, real_x, "X", back.fake)
        parts["discriminator_y"] = self._judge(self._d_y, real_y, "Y", there.fake)
        _descend(self._discriminators, parts["discriminator_x"] + parts["discriminator_y"])
        self.step += 1
        return self._values(parts)

    def batch(self, domain: str) -> torch.Tensor:
        """Return the current step's images of a domain, (N, 3, h, w) in -1..1."""
        crops = self.crops[domain][self._feeds[domain].indices(self.step, self._config.batch)]
        if self._config.flip:
            mirrored = self._seeds.child("flip", domain).stream("step", self.step).random(len(crops)) < 0.5
            crops = np.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)
        return as_images(crops).to(self._device)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all tensors of the state, by name."""
        result: dict[str, torch.Tensor] = {}
        for name, network in self.networks.items():
            result |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        for name, pool in self._pools.items():
            result |= {f"pool {name}/{key}": value for key, value in pool.tensors().items()}
        for name, adam in self._optimizers():
            for index, values in adam.state_dict()["state"].items():
                result |= {f"{name}/{index}/{key}": value for key, value in values.items()}
        return result

    def restore(self, tensors: dict[str, torch.Tensor], step: int) -> None:
        """Take back the state after ``step`` steps."""
        groups: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            group, _, key = name.partition("/")
            groups.setdefault(group, {})[key] = value
        for name, network in self.networks.items():
            network.load_state_dict(groups[name])
        for name, pool in self._pools.items():
            pool.restore(groups.get(f"pool {name}", {}), self._device)
        for name, adam in self._optimizers():
            adam.load_state_dict({**adam.state_dict(), "state": _unflattened(groups.get(name, {}))})
        self.step = step

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the generator's weights: the checkpoint needs no other network."""
        return dict(self.g.state_dict())

    @torch.no_grad()
    def picture(self) -> pictures.Pixels:
        """Return a picture: source crops, the same refined, and target crops, a row each."""
        source, target = (pictures.spread(self.crops[domain]) for domain in "XY")
        refined = [as_crops(self.g(as_images(crop[None]).to(self._device))) for crop in source]
        return pictures.sheet([source, np.concatenate(refined), target])

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
        first = self.step * self._config.batch
        images = [self._pools[domain].exchange(image, first + n) for n, image in enumerate(fake.detach())]
        with devices.autocast(self._device, self._config.precision):
            return losses.discriminator(judge.judge(real), judge(torch.stack(images)))

    def _set_rate(self) -> None:
        rate = self._config.learning_rate * constant_then_linear(self.step, self.steps)
        for _, adam in self._optimizers():
            for group in adam.param_groups:
                group["lr"] = rate

    def _optimizers(self) -> Iterable[tuple[str, torch.optim.Adam]]:
        return ("adam generators", self._generators), ("adam discriminators", self._discriminators)

    def _values(self, parts: dict[str, torch.Tensor]) -> dict[str, float]:
        names = list(parts)
        numbers = torch.stack([parts[name].detach().float() for name in names]).tolist()
        return dict(zip(names, numbers, strict=True))


def as_images(crops: Crops) -> torch.Tensor:
    """Return crops (N, h, w, 3) uint8 as (N, 3, h, w) float32 in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def as_crops(images: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return images (N, 3, h, w) in -1..1 as crops (N, h, w, 3) float32 in 0..255."""
    return ((images.detach().float().cpu() + 1) * 127.5).permute(0, 2, 3, 1).contiguous().numpy()


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


def _adam(config: CycleGANConfig, networks: list[torch.nn.Module], device: torch.device) -> torch.optim.Adam:
    parameters = list(itertools.chain.from_iterable(network.parameters() for network in networks))
    betas = (config.beta1, _ADAM_BETA2)
    return torch.optim.Adam(parameters, lr=config.learning_rate, betas=betas, fused=device.type != "mps")


def _descend(adam: torch.optim.Adam, loss: torch.Tensor) -> None:
    """Step down a loss's gradient; only the optimizer's own parameters get gradients."""
    adam.zero_grad(set_to_none=True)
    torch.autograd.backward(loss, inputs=[p for group in adam.param_groups for p in group["params"]])
    adam.step()


def _unflattened(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    result: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        result.setdefault(int(index), {})[key] = value
    return result
