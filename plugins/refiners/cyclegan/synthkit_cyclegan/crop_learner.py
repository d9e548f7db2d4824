# SPDX-License-Identifier: Apache-2.0
"""What adversarial trainings on crops of two domains share: batches, optimizers, and the whole of their state."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from synthkit.seeds import Seeds
from synthkit.training import devices, distributed, pictures
from synthkit.training.feed import Feed
from synthkit.training.loop import Learner
from synthkit.training.pool import ReplayPool
from synthkit.training.schedule import constant_then_linear
from synthkit_cyclegan import colours
from synthkit_cyclegan.crop_settings import AdversarialSettings
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.crop_training import steps_of
from synthkit_cyclegan.networks import Discriminator, Generator

_ADAM_BETA2 = 0.999


class CropLearner(Learner):
    """Knows its networks, pools and optimizers by name; with the step they are the whole state.

    X is the source domain, Y the target. Every draw is addressed by its step. A subclass fills ``networks`` and
    ``optimizers``, and says what a step is.

    Args:
        settings: how to train. source, target: crops (N, h, w, 3) uint8.
        seeds: the training's own streams. device: where to compute.

    Raises:
        ConfigError: when the batch cannot be shared by the processes, or the device has no such precision.
    """

    parallel = True

    def __init__(
        self, settings: AdversarialSettings, source: Crops, target: Crops, seeds: Seeds, device: torch.device
    ) -> None:
        devices.use(device, settings.precision)
        distributed.check_batch(settings.batch)
        self.step = 0
        self.steps = steps_of(settings, len(source), len(target))
        self.seeds, self.device = seeds, device
        self.crops = {"X": source, "Y": target}
        self.networks: dict[str, torch.nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.pools = {name: ReplayPool(settings.pool, seeds.child("pool", name)) for name in "XY"}
        self._settings = settings
        matched = settings.skip and settings.match_colours
        self._colours = colours.between(source, target, whole=settings.windows) if matched else None
        self._feeds = {name: Feed(len(kept), seeds.child("feed", name)) for name, kept in self.crops.items()}

    def new_generator(self, letter: str, *, back: bool = False) -> Generator:
        """Return a generator as the settings say; its initial weights are those of the seed and its letter.

        Args:
            back: whether it leads from Y to X.
        """
        start, settings = devices.generator(self.seeds, "initial weights", ord(letter)), self._settings
        translator = Generator(
            settings.generator_filters, skip=settings.skip, colours=self._colours is not None,
            antialias=settings.antialias, generator=start,
        )  # fmt: skip
        if self._colours is not None:
            found = self._colours.inverse if back else self._colours
            translator.recolour(found.matrix, found.offset)
        return translator.to(self.device)

    def new_discriminator(self, letter: str) -> Discriminator:
        """Return a discriminator as the settings say; its initial weights are those of the seed and its letter."""
        start, settings = devices.generator(self.seeds, "initial weights", ord(letter)), self._settings
        judge = Discriminator(settings.discriminator_filters, antialias=settings.antialias, generator=start)
        return judge.to(self.device)

    def batch(self, domain: str, draw: int | None = None) -> torch.Tensor:
        """Return images of a domain, (N, 3, h, w) in -1..1: this process's part of a batch.

        Masks are a fourth channel, where the crops have them.

        Args:
            draw: the number of the batch; the current step's, unless steps have several.
        """
        batch, draw = self._settings.batch, self.step if draw is None else draw
        crops = self.crops[domain][distributed.share(self._feeds[domain].indices(draw, batch))]
        if self._settings.flip:
            draws = self.seeds.child("flip", domain).stream("step", draw).random(batch)
            mirrored = distributed.share(draws) < 0.5
            crops = np.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)
        return as_images(crops).to(self.device)

    def from_pool(self, domain: str, fakes: torch.Tensor, draw: int | None = None) -> torch.Tensor:
        """Take generated images of a domain, and return as many of the history; ``draw`` as in ``batch``."""
        first, pool = (self.step if draw is None else draw) * self._settings.batch, self.pools[domain]
        # Every process has the whole pool, and so all have the same.
        images = [pool.exchange(image, first + n) for n, image in enumerate(distributed.gathered(fakes.detach()))]
        return torch.stack(distributed.share(images))

    def adam(self, *names: str) -> torch.optim.Adam:
        """Return an optimizer of the networks of those names."""
        parameters = list(itertools.chain.from_iterable(self.networks[name].parameters() for name in names))
        betas = (self._settings.beta1, _ADAM_BETA2)
        return torch.optim.Adam(
            parameters, lr=self._settings.learning_rate, betas=betas, fused=self.device.type != "mps"
        )

    def set_rate(self) -> None:
        """Give the optimizers the current step's learning rate."""
        rate = self._settings.learning_rate * constant_then_linear(self.step, self.steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = rate

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all tensors of the state, by name."""
        result: dict[str, torch.Tensor] = {}
        for name, network in self.networks.items():
            result |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        for name, pool in self.pools.items():
            result |= {f"pool {name}/{key}": value for key, value in pool.tensors().items()}
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
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
        for name, pool in self.pools.items():
            pool.restore(groups.get(f"pool {name}", {}), self.device)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict({**optimizer.state_dict(), "state": _unflattened(groups.get(name, {}))})
        self.step = step


def descend(optimizers: Iterable[torch.optim.Optimizer], loss: torch.Tensor) -> None:
    """Step down a loss's gradient; only the optimizers' own parameters get gradients."""
    chosen = list(optimizers)
    for optimizer in chosen:
        optimizer.zero_grad(set_to_none=True)
    parameters = [p for o in chosen for group in o.param_groups for p in group["params"]]
    torch.autograd.backward(loss, inputs=parameters)
    distributed.average_gradients(parameters)
    for optimizer in chosen:
        optimizer.step()


def numbers(parts: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Return losses as numbers, means over all processes, fetched from the device at once."""
    values = distributed.mean(torch.stack([part.detach().float() for part in parts.values()])).tolist()
    return dict(zip(parts, values, strict=True))


def sheet_of(generator: torch.nn.Module, source: Crops, target: Crops, device: torch.device) -> pictures.Pixels:
    """Return a picture: source crops, the same as a generator makes them, and target crops, a row each."""
    shown = pictures.spread(source)
    with torch.no_grad():
        refined = [as_crops(generator(as_images(crop[None]).to(device))) for crop in shown]
    return pictures.sheet([shown, np.concatenate(refined), pictures.spread(target)])


def as_images(crops: Crops) -> torch.Tensor:
    """Return crops (N, h, w, 3) uint8 as (N, 3, h, w) float32 in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def as_crops(images: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return images (N, 3, h, w) in -1..1 as crops (N, h, w, 3) float32 in 0..255."""
    return ((images.detach().float().cpu() + 1) * 127.5).permute(0, 2, 3, 1).contiguous().numpy()


def _unflattened(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    result: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition("/")
        result.setdefault(int(index), {})[key] = value
    return result
