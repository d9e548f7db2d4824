# SPDX-License-Identifier: Apache-2.0
"""Refining crops with a ResNet generator: what CycleGAN has in common with other ways to train one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.sample import Sample, evolve
from synthkit.training import checkpoints
from synthkit_cyclegan import whole_images, winograd
from synthkit_cyclegan.crop_refiner import CropRefiner, Cut, Translated, cut_of, one_by_one
from synthkit_cyclegan.crop_settings import MOST_FILTERS, AdversarialSettings, ResnetSettings
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import RESIDUAL_BLOCKS, Generator

C = TypeVar("C", bound=ResnetSettings)


class ResnetRefiner(CropRefiner[C], Generic[C]):
    """Refines people, or whole images, with a ``Generator``; a subclass names its family and says how it learns."""

    def load(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Build the generator."""
        generator = _generator(checkpoint).to(device)
        crop_px = cut_of(checkpoint).crop_px
        quick = self.config.region == "people" and device.type == "cpu" and winograd.fits(crop_px, crop_px)
        self._generator, self._device = winograd.quickened(generator) if quick else generator, device

    def export_onnx(self, path: Path) -> Mapping[str, Any]:
        """Write the generator as one ONNX file and return its card; see ``export.export_onnx``."""
        from synthkit_cyclegan.export import export_onnx  # what it imports takes a second

        checkpoint = self.ready()
        return export_onnx(_generator(checkpoint), cut_of(checkpoint), path, checkpoint, self.runtime.seeds)

    def translate(self, cut: Crops) -> Translated:
        """Return the crops as the generator makes them."""
        return one_by_one(self._generator, cut, self._device)

    def refined(self, sample: Sample, how: Cut) -> Sample:
        """Return a sample with its people refined, or all of its image, as the settings say."""
        if self.config.region == "people":
            return super().refined(sample, how)
        image = whole_images.translate(self._generator, sample.image, self.config.tile_px, self._device)
        return evolve(sample, image=image, meta=self.noted(sample, {"region": "image"}))


def _generator(checkpoint: Checkpoint) -> Generator:
    """Return a checkpoint's generator, on the CPU, to be applied."""
    filters, skip = described_generator(checkpoint)
    generator = Generator(filters, skip=skip, generator=torch.Generator())
    checkpoints.load_into(generator, checkpoints.load_tensors(checkpoint), checkpoint.path)
    return generator.eval().requires_grad_(False)


def architecture_of(config: AdversarialSettings) -> dict[str, Any]:
    """Return what a card says of the generator that is trained."""
    return {"generator": {"filters": config.generator_filters, "blocks": RESIDUAL_BLOCKS, "skip": config.skip}}


def described_generator(checkpoint: Checkpoint) -> tuple[int, bool]:
    """Return filters and skip of the generator that a card describes, each checked before it is used.

    Raises:
        WeightsError: when it describes none, or none that could be built.
    """
    try:
        generator = checkpoint.card["architecture"]["generator"]
        filters, skip, blocks = generator["filters"], generator["skip"], generator["blocks"]
    except (KeyError, TypeError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe a ResNet generator") from None
    sound = type(filters) is int and 1 <= filters <= MOST_FILTERS and type(skip) is bool and blocks == RESIDUAL_BLOCKS
    if not sound:
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no network that could be built")
    return filters, skip
