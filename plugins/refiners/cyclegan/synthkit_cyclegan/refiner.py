# SPDX-License-Identifier: Apache-2.0
"""The refiner: crops people, translates the crops, and puts them back (thesis 000, algorithm 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from synthkit import crops
from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import Runtime, SampleSet
from synthkit.sample import Sample, Skipped, evolve
from synthkit.training import checkpoints, devices
from synthkit_cyclegan import fitting
from synthkit_cyclegan.config import LEAST_CROP_PX, MOST_CROP_PX, MOST_FILTERS, CycleGANConfig
from synthkit_cyclegan.networks import RESIDUAL_BLOCKS, Generator
from synthkit_cyclegan.training import as_crops, as_images


class CycleGANRefiner:
    """Refines people with a trained generator; the background and the truth stay as they are.

    Args:
        config: the settings; what the checkpoint's network looks like is read from its card instead.
        checkpoint: of this family, or None when it is to be fitted.
        runtime: device, threads, seeds and progress.
    """

    def __init__(self, config: CycleGANConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._checkpoint = checkpoint
        self._runtime = runtime
        self._loaded: _Loaded | None = None

    def __enter__(self) -> Self:
        if self._checkpoint is not None:
            self._loaded = _Loaded(self._checkpoint, devices.set_up(self._runtime))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on crops of ``data["source"]`` and ``data["target"]``; see ``fitting.fit``."""
        return fitting.fit(self._config, data, workdir, self._runtime)

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample | Skipped]:
        """Yield each sample with its people refined; keys, people and layers are kept.

        Raises:
            WeightsError: when there is no checkpoint. DatasetError: when a sample has no instance layer.
        """
        if self._loaded is None:
            raise WeightsError(
                "the CycleGAN refiner has no weights: train it with 'synthkit fit', or name a checkpoint"
            )
        for sample in samples:
            yield self._refined(sample, self._loaded)

    def _refined(self, sample: Sample, loaded: _Loaded) -> Sample:
        plans = [
            plan
            for plan in crops.plan_crops(sample, (loaded.crop_px, loaded.crop_px), head_at=loaded.head_at)
            if plan.instance is not None
        ]
        note = {"name": fitting.FAMILY, "checkpoint_sha256": loaded.sha256, "people": len(plans)}
        meta = {**sample.meta, "refined_by": [*sample.meta.get("refined_by", ()), note]}
        if not plans:
            return evolve(sample, meta=meta)
        cut = np.stack([crops.extract(sample.image, plan) for plan in plans])
        pairs = zip(plans, loaded.translate(cut), strict=True)
        return evolve(sample, image=crops.reinsert(sample, pairs, feather_px=self._config.feather_px), meta=meta)


class _Loaded:
    """A checkpoint's generator on a device, and how the crops it learned from were cut."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        checkpoint.require("refiner", fitting.FAMILY)
        filters, skip, self.crop_px, self.head_at = _architecture(checkpoint)
        self.sha256 = checkpoint.sha256
        self._device = device
        self._generator = Generator(filters, skip=skip, generator=torch.Generator())
        checkpoints.load_into(self._generator, checkpoints.load_tensors(checkpoint), checkpoint.path)
        self._generator.to(device).eval().requires_grad_(False)

    def translate(self, cut: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return crops (N, h, w, 3) uint8 translated, float32 in 0..255.

        One at a time: the others in an image must not change a person's last bits.
        """
        with torch.inference_mode():
            done = [as_crops(self._generator(as_images(crop[None]).to(self._device))) for crop in cut]
        return np.concatenate(done)


def _architecture(checkpoint: Checkpoint) -> tuple[int, bool, int, tuple[float, float]]:
    """Return filters, skip, crop size and head's place from a card, each checked before it is used."""
    card = checkpoint.card.get("architecture")
    try:
        generator = card["generator"]  # type: ignore[index]
        filters, skip, blocks = generator["filters"], generator["skip"], generator["blocks"]
        crop_px, (across, down) = card["crop_px"], card["head_at"]  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe a CycleGAN") from None
    sound = (
        type(filters) is int and 1 <= filters <= MOST_FILTERS and type(skip) is bool and blocks == RESIDUAL_BLOCKS
        and type(crop_px) is int and LEAST_CROP_PX <= crop_px <= MOST_CROP_PX and crop_px % 4 == 0
        and all(isinstance(place, float) and 0 < place < 1 for place in (across, down))
    )  # fmt: skip
    if not sound:
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no network that could be built")
    return filters, skip, crop_px, (across, down)
