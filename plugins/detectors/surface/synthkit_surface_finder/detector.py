# SPDX-License-Identifier: Apache-2.0
"""The components ``surface`` and ``surface-ceiling``: train, and find people with masks and surfaces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs
import torch

from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.detection import DEFAULT_SCORE
from synthkit.errors import ConfigError, WeightsError
from synthkit.finds import HEAD
from synthkit.interfaces import Runtime, SampleSet
from synthkit.sample import Detections, Sample
from synthkit.training.devices import set_up
from synthkit_squeezedet.config import SHIPPED as SHIPPED_BOXES
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector
from synthkit_surface_finder import training
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.finding import with_layers
from synthkit_surface_finder.model import Finder
from synthkit_surface_finder.surface import base_surface


@attrs.frozen(eq=False)
class _Loaded:
    finder: Finder
    boxes: SqueezeDetector


class SurfaceFinder:
    """People as SqueezeDet finds them, each with a mask, and of each pixel of it the vertex of the body that it shows.

    Thesis 002, section 7.2.3, proposes a detector of surfaces that learns from rendered truth, one person at a time.
    ``Detections.layers`` has ``instances`` and ``surface``, which is of the space ``surface.SPACE``.
    """

    def __init__(self, config: SurfaceFinderConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._checkpoint = checkpoint
        self._runtime = runtime
        self._device = torch.device("cpu")
        self._entered = ExitStack()
        self._loaded: _Loaded | None = None

    def __enter__(self) -> Self:
        self._device = set_up(self._runtime)
        if self._checkpoint is not None:
            finder = Finder.open(self._checkpoint, self._device)
            boxes = self._entered.enter_context(_boxes(self._config, self._runtime))
            self._loaded = _Loaded(finder, boxes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None
        self._entered.close()

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the labels: those of the detector of boxes."""
        return self._loaded.boxes.class_names if self._loaded else ["person"]

    @property
    def operating_score(self) -> float | None:
        """The score at which the detector of boxes did best on its validation set."""
        return self._loaded.boxes.operating_score if self._loaded else None

    def fit(self, data: Mapping[str, SampleSet], workdir: Path) -> Checkpoint:
        """Train on ``data["train"]``; see ``training.fit``."""
        return training.fit(self._config, self._runtime, self._device, base_surface(), data, workdir)

    def detect(self, samples: Iterable[Sample]) -> Iterator[Detections]:
        """Yield what is found in each image; each is looked at alone, so its neighbours never matter."""
        if self._loaded is None:
            raise WeightsError(
                "surface has no weights: give a checkpoint ('synthkit train' makes one) and enter the detector"
            )
        finder, boxes, config = self._loaded.finder, self._loaded.boxes, self._config
        believed = boxes.operating_score or DEFAULT_SCORE
        for sample in samples:
            (found,) = boxes.detect([sample])
            yield with_layers(
                finder, sample, found, config.score_threshold, config.mask_threshold, believed, unboxed=config.unboxed
            )


def _boxes(config: SurfaceFinderConfig, runtime: Runtime) -> SqueezeDetector:
    """Return the detector of boxes, not yet entered.

    Raises:
        WeightsError: when its checkpoint cannot be read, or is of another detector. ConfigError: when it finds heads.
    """
    if config.boxes is not None:
        return _squeezedet(Checkpoint.open(config.boxes), runtime)
    package, _, name = SHIPPED_BOXES.partition(":")
    with resources.as_file(resources.files(package) / name) as path:
        return _squeezedet(Checkpoint.open(path), runtime)


def _squeezedet(checkpoint: Checkpoint, runtime: Runtime) -> SqueezeDetector:
    checkpoint.require("detector", "squeezedet")
    given = checkpoint.card.get("config")
    if not isinstance(given, Mapping):
        raise WeightsError(f"checkpoint {checkpoint.path}: its card lacks the detector's config")
    settings = configs.structure(SqueezeDetConfig, configs.told(SqueezeDetConfig, given), path="detector.boxes")
    if any(item.name == HEAD for item in settings.object_classes):
        raise ConfigError([f"detector.boxes: {checkpoint.path} finds heads, expected one of people (target=person)"])
    return SqueezeDetector(settings, checkpoint, runtime)
