# SPDX-License-Identifier: Apache-2.0
"""The metric ``frechet``: how far apart two sets of images are in the feature space of a network that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from synthkit import crops, weights
from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import MetricResult, Runtime, Scored, State
from synthkit.sample import Sample
from synthkit.training.devices import set_up
from synthkit.training.perceptual import FeatureNet, load_features
from synthkit.training.taps import TAPS, tap
from synthkit_fidelity.config import FrechetConfig
from synthkit_fidelity.moments import add_features, empty_state, frechet_distance, gaussian, merge_states

Pixels = npt.NDArray[np.uint8]


class FrechetMetric:
    """The Frechet distance between two sets in a named feature space (thesis 000, equation 2.26).

    It is the formula of the Frechet Inception Distance, but only with Inception's own weights and preprocessing
    might the number carry that name. Numbers compare only when their names and definitions are equal, and
    fewer items give larger ones.
    """

    roles: Mapping[str, Literal["samples", "detections"]] = {"reference": "samples", "candidate": "samples"}

    def __init__(self, config: FrechetConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self._layer = config.layer or list(TAPS[config.extractor])[-1]
        self._tap = tap(config.extractor, self._layer)
        self._loaded: tuple[FeatureNet, torch.device] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loaded = None

    def observe(self, role: str, items: Iterable[Sample] | Iterable[Scored]) -> State:
        """Return the moments of the features of some samples, or of the people in them.

        Raises:
            WeightsError: when the extractor's weights cannot be had.
        """
        network, device = self._extractor()
        regions = islice(self._regions(cast("Iterable[Sample]", items)), self._config.max_items)
        state: State = empty_state(self._tap.channels)
        while batch := list(islice(regions, self._config.batch)):
            state = add_features(state, self._features(network, device, batch))
        return state

    def merge(self, states: Sequence[State]) -> State:
        """Return the moments of all features; order never matters."""
        return merge_states(states)

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return the distance between ``candidate`` and ``reference``.

        Raises:
            DatasetError: when a set has fewer than two items.
        """
        for role, state in states.items():
            if state["count"][0] < 2:
                raise DatasetError(
                    f"frechet: the {role} has {state['count'][0]} {self._what}, and a distance needs at least 2"
                    + ("; set metric.region=image to compare whole images" if self._config.region == "crops" else "")
                )
        reference, candidate = gaussian(states["reference"]), gaussian(states["candidate"])
        config = self._config
        space = f"{config.extractor}.features.{self._tap.last}"
        return [
            MetricResult(
                name=f"frechet_distance[{space}, {config.input_px} px, {config.region}]",
                value=frechet_distance(reference, candidate),
                better="lower",
                count=min(reference.count, candidate.count),
                definition=self._definition(reference.count, candidate.count),
            )
        ]

    @property
    def _what(self) -> str:
        return "images" if self._config.region == "image" else "people that can be cropped"

    def _extractor(self) -> tuple[FeatureNet, torch.device]:
        if self._loaded is None:
            device = set_up(self._runtime)
            config, progress = self._config, self._runtime.progress
            network, _ = load_features(config.extractor, [self._layer], config.weights, progress)
            self._loaded = network.to(device), device
        return self._loaded

    def _regions(self, samples: Iterable[Sample]) -> Iterator[Pixels]:
        side = self._config.input_px
        for sample in samples:
            image = np.asarray(sample.image)
            if self._config.region == "image":
                yield _resized(image, side)
                continue
            for plan in crops.plan_crops(sample, (self._config.crop_px, self._config.crop_px)):
                yield _resized(crops.extract(image, plan), side)

    def _features(self, network: FeatureNet, device: torch.device, batch: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """Return (N, d): activations averaged over the image."""
        images = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2).float() / 255.0
        with torch.inference_mode():
            features = network(images)[self._layer].mean(dim=(2, 3))
        return np.asarray(features.cpu().numpy(), dtype=np.float32)

    def _definition(self, reference: int, candidate: int) -> dict[str, Any]:
        config, known = self._config, weights.entry(self._config.extractor)
        few = min(reference, candidate) <= self._tap.channels
        return {
            "formula": "|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), unbiased covariances",
            "extractor": known.architecture,
            "weights_file": known.file,
            "weights_sha256": known.sha256,
            "layer": f"features.{self._tap.last}, averaged over the image",
            "dimensions": self._tap.channels,
            "region": config.region if config.region == "image" else f"head-aligned crops, {config.crop_px} px",
            "preprocessing": f"Pillow bicubic (antialiased) to {config.input_px} x {config.input_px}, ImageNet mean"
            " and deviation",
            "reference_count": reference,
            "candidate_count": candidate,
            "warning": "fewer items than dimensions: the distance is biased upwards; compare equal counts only"
            if few
            else "",
        }


def _resized(image: Pixels, side: int) -> Pixels:
    if image.shape[:2] == (side, side):
        return image
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), dtype=np.uint8)
