# SPDX-License-Identifier: Apache-2.0
"""Refiners that crop people, translate the crops, and put them back (thesis 000, algorithm 7)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

import attrs
import numpy as np
import numpy.typing as npt
import torch

from synthkit import crops
from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import Runtime, SampleSet
from synthkit.sample import Sample, Skipped, evolve
from synthkit.training import devices
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.crop_settings import LEAST_CROP_PX, MOST_CROP_PX, CropSettings
from synthkit_cyclegan.crop_store import Crops

C = TypeVar("C", bound=CropSettings)
Translated = npt.NDArray[np.float32]


@attrs.frozen
class Cut:
    """How the crops were cut that a checkpoint learned from: their size, and where the head lies in them."""

    crop_px: int
    head_at: tuple[float, float]


class CropRefiner(ABC, Generic[C]):
    """Refines people with a trained network; the background and the truth stay as they are.

    A subclass says how its checkpoints are called and loaded, how crops are translated, and how it learns.

    Args:
        config: the settings; what the checkpoint's network looks like is read from its card instead.
        checkpoint: of this family, or None when it is to be fitted.
        runtime: device, threads, seeds and progress.
    """

    family: ClassVar[str]
    """The name in the cards of its checkpoints: any preset can apply what any other has learned."""

    def __init__(self, config: C, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self.config = config
        self.runtime = runtime
        self._checkpoint = checkpoint
        self._entered = False

    @abstractmethod
    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on crops of ``data["source"]`` and ``data["target"]``."""

    @abstractmethod
    def load(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Build the network from a checkpoint of this family, on a device, and keep it for ``translate``.

        Raises:
            WeightsError: when the card describes no network of this family, or the weights do not fit it.
        """

    @abstractmethod
    def translate(self, cut: Crops) -> Translated:
        """Return crops (N, h, w, 3) uint8 translated, float32 in 0..255.

        Each one alone decides about its result, to the last bit; ``one_by_one`` sees to that.
        """

    def layers(self, sample: Sample, plans: list[crops.CropPlan], cut: Crops) -> Mapping[str, npt.NDArray[Any]]:
        """Return layers to be added to a refined sample, each (H, W, ...): none, unless a subclass has some.

        Args:
            sample, plans, cut: whose people were refined, their plans and crops (N, h, w, 3); where nobody is, N = 0.
        """
        return {}

    def __enter__(self) -> Self:
        if self._checkpoint is not None:
            self._checkpoint.require("refiner", self.family)
            cut_of(self._checkpoint)
            self.load(self._checkpoint, devices.set_up(self.runtime))
            self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False

    def refine(self, samples: Iterable[Sample]) -> Iterator[Sample | Skipped]:
        """Yield each sample with its people refined; keys, people and layers are kept.

        Raises:
            WeightsError: when there is no checkpoint. DatasetError: when a sample has no instance layer.
        """
        how = cut_of(self.ready())
        for sample in samples:
            yield self.refined(sample, how)

    def ready(self) -> Checkpoint:
        """Return the checkpoint that is applied.

        Raises:
            WeightsError: when there is none, or the refiner was not entered.
        """
        if self._checkpoint is None or not self._entered:
            raise WeightsError(
                f"the refiner {self.family!r} has no weights: train it with 'synthkit fit', or name a checkpoint"
            )
        return self._checkpoint

    def refined(self, sample: Sample, how: Cut) -> Sample:
        """Return a sample with its people refined.

        Args:
            sample: with the layer ``instances``. how: the checkpoint's crops were cut.
        """
        plans = [
            plan
            for plan in crops.plan_crops(sample, (how.crop_px, how.crop_px), head_at=how.head_at)
            if plan.instance is not None
        ]
        meta = self.noted(sample, {"people": len(plans)})
        if not plans:
            nothing = np.zeros((0, how.crop_px, how.crop_px, 3), np.uint8)
            return evolve(sample, layers={**sample.layers, **self.layers(sample, plans, nothing)}, meta=meta)
        cut = np.stack([crops.extract(sample.image, plan) for plan in plans])
        pairs = zip(plans, self.translate(cut), strict=True)
        image = crops.reinsert(sample, pairs, feather_px=self.config.feather_px)
        layers = {**sample.layers, **self.layers(sample, plans, cut)}
        return evolve(sample, image=image, layers=layers, meta=meta)

    def noted(self, sample: Sample, what: Mapping[str, Any]) -> dict[str, Any]:
        """Return a sample's meta with a note of who refined what."""
        assert self._checkpoint is not None
        note = {"name": self.family, "checkpoint_sha256": self._checkpoint.sha256, **what}
        return {**sample.meta, "refined_by": [*sample.meta.get("refined_by", ()), note]}


def one_by_one(network: Callable[[torch.Tensor], torch.Tensor], cut: Crops, device: torch.device) -> Translated:
    """Apply a network from (1, 3, h, w) to the same, both in -1..1, to crops (N, h, w, 3) uint8.

    One at a time: the others in an image must not change a person's last bits.

    Returns:
        (N, h, w, 3) float32 in 0..255.
    """
    with torch.inference_mode():
        return np.concatenate([as_crops(network(as_images(crop[None]).to(device))) for crop in cut])


def cut_of(checkpoint: Checkpoint) -> Cut:
    """Return how a checkpoint's crops were cut, from its card, checked before it is used.

    Raises:
        WeightsError: when the card does not say, or says what cannot be.
    """
    card = checkpoint.card.get("architecture")
    try:
        crop_px, (across, down) = card["crop_px"], card["head_at"]  # type: ignore[index]
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card does not describe a refiner of crops") from None
    sound = type(crop_px) is int and LEAST_CROP_PX <= crop_px <= MOST_CROP_PX and crop_px % 4 == 0
    if not sound or not all(isinstance(place, float) and 0 < place < 1 for place in (across, down)):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card describes no crops that could be cut")
    return Cut(crop_px, (across, down))
