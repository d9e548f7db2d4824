# SPDX-License-Identifier: Apache-2.0
"""The refiner of the CycleGAN family: its generator, and how it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import SampleSet
from synthkit.training import checkpoints
from synthkit_cyclegan import fitting
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_refiner import CropRefiner, Translated, one_by_one
from synthkit_cyclegan.crop_settings import MOST_FILTERS
from synthkit_cyclegan.crop_store import Crops
from synthkit_cyclegan.networks import RESIDUAL_BLOCKS, Generator


class CycleGANRefiner(CropRefiner[CycleGANConfig]):
    """Refines people with the generator from the source to the target domain."""

    family = fitting.FAMILY

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on crops of ``data["source"]`` and ``data["target"]``; see ``fitting.fit``."""
        return fitting.fit(self.config, data, workdir, self.runtime)

    def load(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Build the generator."""
        filters, skip = _architecture(checkpoint)
        generator = Generator(filters, skip=skip, generator=torch.Generator())
        checkpoints.load_into(generator, checkpoints.load_tensors(checkpoint), checkpoint.path)
        self._generator, self._device = generator.to(device).eval().requires_grad_(False), device

    def translate(self, cut: Crops) -> Translated:
        """Return the crops as the generator makes them."""
        return one_by_one(self._generator, cut, self._device)


def _architecture(checkpoint: Checkpoint) -> tuple[int, bool]:
    """Return filters and skip from a card, each checked before it is used."""
    try:
        generator = checkpoint.card["architecture"]["generator"]
        filters, skip, blocks = generator["filters"], generator["skip"], generator["blocks"]
    except (KeyError, TypeError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe a CycleGAN") from None
    sound = type(filters) is int and 1 <= filters <= MOST_FILTERS and type(skip) is bool and blocks == RESIDUAL_BLOCKS
    if not sound:
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no network that could be built")
    return filters, skip
