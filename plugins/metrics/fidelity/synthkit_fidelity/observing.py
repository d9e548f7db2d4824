# SPDX-License-Identifier: Apache-2.0
"""What all metrics of feature vectors share: they observe the same, so that one set of features serves them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, cast

import attrs
import torch
from torch import nn

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError, WeightsError
from synthkit.interfaces import Items, MetricResult, Runtime, State
from synthkit.sample import Sample
from synthkit.training.devices import set_up
from synthkit.weights import Wanted
from synthkit_fidelity import extractors
from synthkit_fidelity.config import FeatureConfig, RegionConfig
from synthkit_fidelity.extractors import Space
from synthkit_fidelity.features import Features, drawn, from_state, gathered, joined, to_state
from synthkit_fidelity.regions import REVISION, Pixels, described, regions, told

C = TypeVar("C", bound=RegionConfig)


class FeatureMetric(Generic[C]):
    """A metric that compares feature vectors of a candidate with those of a reference."""

    roles: Mapping[str, Literal["samples", "detections", "pairs"]] = {"reference": "samples", "candidate": "samples"}

    def __init__(self, config: C, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self.config = config
        self.runtime = runtime
        self._space: Space | None = None
        self._loaded: tuple[nn.Module, torch.device] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._space, self._loaded = None, None

    @property
    def features(self) -> FeatureConfig:
        """The settings of the space in which sets are compared."""
        return cast("FeatureConfig", self.config)

    def make_space(self) -> Space:
        """Return the space that the settings name."""
        return extractors.space_of(self.features)

    def weights(self) -> Sequence[Wanted]:
        """Return the weights that the space needs."""
        return extractors.weights_of(self.features)

    @property
    def least(self) -> int:
        """Vectors that each set must have."""
        return 2

    @property
    def most(self) -> int | None:
        """At most so many vectors of each set are looked at; None for all."""
        return self.config.max_items

    @property
    def space(self) -> Space:
        """The space in which sets are compared."""
        if self._space is None:
            self._space = self.make_space()
        return self._space

    def network(self) -> tuple[nn.Module, torch.device]:
        """Return the network on its device.

        Raises:
            WeightsError: when its weights cannot be had.
        """
        if self._loaded is None:
            device = set_up(self.runtime)
            self._loaded = self.space.load(self.runtime.progress).to(device), device
        return self._loaded

    def observed(self, role: str) -> Mapping[str, Any]:
        """Return what the features depend on; the same for all metrics of one space."""
        config = self.config
        return {
            "features": attrs.asdict(self.space.about),
            "region": told(config.region, config.crop_px),
            "most": self.most,
            "keep": config.keep,
            "revisions": [extractors.REVISION, REVISION],
        }

    def observe(self, role: str, items: Items) -> State:
        """Return the features of some samples, or of the people in them.

        Raises:
            WeightsError: when the extractor's weights cannot be had.
        """
        found = regions(cast("Iterator[Sample]", items), self.config.region, self.config.crop_px)
        if self.most is not None:
            found = drawn(found, self.most)
        keep, only = self._kept
        return to_state(gathered(self._batches(found), keep, only=only))

    def merge(self, states: Sequence[State]) -> State:
        """Return the features of all; order never matters."""
        keep, only = self._kept
        return to_state(joined([from_state(state) for state in states], keep, only=only))

    def gather(self, states: Mapping[str, State]) -> dict[str, Features]:
        """Return the features by role.

        Raises:
            DatasetError: when a set has too few.
        """
        found = {role: from_state(state) for role, state in states.items()}
        for role, features in found.items():
            if features.count < self.least:
                crops = self.config.region != "image"
                raise DatasetError(
                    f"the {role} has {features.count} {'people that can be cropped' if crops else 'images'}, and this"
                    f" metric needs at least {self.least}"
                    + ("; set metric.region=image to compare whole images" if crops else "")
                )
        return found

    def result(
        self, name: str, value: float, better: Literal["higher", "lower"], found: Mapping[str, Features], **more: Any
    ) -> MetricResult:
        """Return a result with all that is known of how it came about."""
        definition = {"region": described(self.config.region, self.config.crop_px), **more.pop("definition", {})}
        if self.most is not None:
            definition["drawn"] = f"at most {self.most} of each set, evenly by the digest of their keys"
        counts = {role: features.count for role, features in found.items()}
        return MetricResult(
            name, value, better, min(counts.values()), definition, extractor=self.space.about, counts=counts, **more
        )

    @property
    def _kept(self) -> tuple[int, bool]:
        return (self.config.keep, False) if self.most is None else (self.most, True)

    def _batches(self, found: Iterator[tuple[str, Pixels]]) -> Iterator[tuple[list[str], Any]]:
        length = None
        while batch := list(islice(found, self.config.batch)):
            network, device = self.network()
            vectors = self.space.vectors(network, [pixels for _, pixels in batch], device)
            length = length or vectors.shape[1]
            if vectors.shape[1] != length:
                raise WeightsError(
                    f"extractor {self.space.about.name}: gives {length} numbers for some images and"
                    f" {vectors.shape[1]} for others"
                )
            yield [key for key, _ in batch], vectors


def named(known: Mapping[tuple[str, str], str], other: str, config: FeatureConfig, space: Space) -> str:
    """Return a result's name: a published one only for the extractor and preprocessing that it stands for.

    Args:
        known: published names by extractor and resizing. other: how it is called in any other space.
    """
    region = "" if config.region == "image" else told(config.region, config.crop_px)
    name = known.get((config.extractor, config.resizing))
    if name is not None:
        return with_parts(name, region)
    resized = "" if config.resizing == attrs.evolve(config, preprocessing="own").resizing else f" {config.resizing}"
    return with_parts(other, space.about.name, f"{config.side_px} px{resized}", told(config.region, config.crop_px))


def with_parts(name: str, *parts: str) -> str:
    """Return a name with parts in its brackets, new ones last."""
    stem, _, inside = name.partition("[")
    told_parts = [part for part in (inside.removesuffix("]"), *parts) if part]
    return f"{stem}[{', '.join(told_parts)}]" if told_parts else stem
