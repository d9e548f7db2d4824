# SPDX-License-Identifier: Apache-2.0
"""The metric ``detection``: how many people (or heads) are found, and how many finds are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import MetricResult, Runtime, Scored, State
from synthkit.sample import Detections, Sample
from synthkit_detection.config import DetectionConfig
from synthkit_detection.matching import Floats, Ints, Ranked, precision_recall_f1
from synthkit_detection.state import Image, pack, rank, unpack
from synthkit_detection.truth import truth_boxes

COCO_IOUS = tuple(float(value) for value in np.linspace(0.5, 0.95, 10))


class DetectionMetric:
    """Precision, recall, F1 (thesis 000, equations 2.23 to 2.25) and average precision (COCO's, 101 recalls).

    Each detection, best score first, takes the truth it overlaps most among those still free; it is right
    when the overlap is at least ``iou``. Boxes are axis-aligned. Intervals are 95 % percentile bootstrap
    intervals over images, at the score threshold of the whole set.
    """

    roles: Mapping[str, Literal["samples", "detections"]] = {"scored": "detections"}

    def __init__(self, config: DetectionConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def observe(self, role: str, items: Iterable[Sample] | Iterable[Scored]) -> State:
        """Return the state of some scored samples; those with unknown people are left out."""
        images: list[Image] = []
        unlabelled = 0
        for item in cast("Iterable[Scored]", items):
            if item.sample.people is None:
                unlabelled += 1
                continue
            truth = truth_boxes(item.sample, self._config.target, min_box_px=self._config.min_box_px)
            images.append(Image.of(item.sample.key, truth, self._detected(item.detections)))
        return pack(images, unlabelled)

    def merge(self, states: Sequence[State]) -> State:
        """Return the state of all images; their order never matters."""
        images = [image for state in states for image in unpack(state)]
        return pack(images, sum(int(state["unlabelled"][0]) for state in states))

    def compute(self, states: Mapping[str, State]) -> Sequence[MetricResult]:
        """Return precision, recall, F1 and AP (unless nothing was to be found), each with its definition.

        Raises:
            DatasetError: when no image has known people.
        """
        images = unpack(states["scored"])
        if not images:
            raise DatasetError("detection: no sample says who is in it, so there is nothing to judge against")
        ranked = rank(images, self._config.iou)
        score = ranked.best_score() if self._config.score is None else self._config.score
        definition = self._definition(ranked, score, int(states["scored"]["unlabelled"][0]))
        draws = self._draws(len(images))
        results = self._threshold_results(ranked, score, definition, draws)
        if not ranked.truths.any():  # average precision is not defined
            return results
        results.append(self._precision_result([ranked], f"{self._config.iou:.2f}", definition, draws))
        if self._config.coco:
            rankings = [rank(images, iou) for iou in COCO_IOUS]
            results.append(self._precision_result(rankings, "0.50:0.95", definition, draws))
        return results

    def _detected(self, found: Detections) -> Floats:
        rows = np.column_stack([found.boxes_xyxy_px, found.scores]).astype(np.float64).reshape(-1, 5)
        if self._config.label is not None:
            rows = rows[np.asarray(found.labels) == self._config.label]
        return rows[np.argsort(-rows[:, 4], kind="stable")][: self._config.max_detections]

    def _draws(self, images: int) -> Ints:
        """Return (resamples, images): how often each image is drawn in each resample."""
        generator = self._runtime.seeds.stream("bootstrap")
        return generator.multinomial(images, np.full(images, 1.0 / images), size=self._config.bootstrap)

    def _threshold_results(
        self, ranked: Ranked, score: float, definition: Mapping[str, Any], draws: Ints
    ) -> list[MetricResult]:
        counts = ranked.counts(score)
        values = precision_recall_f1(counts.sum(axis=0))
        spread = precision_recall_f1(draws @ counts)
        where = f"[{self._config.target}, iou={self._config.iou:.2f}]"
        return [
            MetricResult(
                name=f"{name}{where}",
                value=float(values[column]),
                better="higher",
                count=len(ranked.truths),
                definition=definition,
                interval=_interval(spread[:, column]),
            )
            for column, name in enumerate(("precision", "recall", "f1"))
        ]

    def _precision_result(
        self, rankings: Sequence[Ranked], label: str, definition: Mapping[str, Any], draws: Ints
    ) -> MetricResult:
        spread = np.array([_mean_precision(rankings, times) for times in draws])
        return MetricResult(
            name=f"ap[{self._config.target}, iou={label}]",
            value=_mean_precision(rankings),
            better="higher",
            count=len(rankings[0].truths),
            definition={**definition, "iou": label, "interpolation": "101 recall points (COCO)"},
            interval=_interval(spread),
        )

    def _definition(self, ranked: Ranked, score: float, unlabelled: int) -> dict[str, Any]:
        chosen = "best F1 on the judged set" if self._config.score is None else "given"
        return {
            "target": self._config.target,
            "label": "all" if self._config.label is None else self._config.label,
            "boxes": "axis-aligned",
            "iou": self._config.iou,
            "score_threshold": score,
            "score_threshold_chosen_by": chosen,
            "max_detections": self._config.max_detections,
            "min_box_px": self._config.min_box_px,
            "images": len(ranked.truths),
            "truths": int(ranked.truths.sum()),
            "unlabelled_images_left_out": unlabelled,
            "interval": f"95 % percentile bootstrap over images, {self._config.bootstrap} resamples",
        }


def _mean_precision(rankings: Sequence[Ranked], times: Ints | None = None) -> float:
    return float(np.mean([ranked.average_precision(times) for ranked in rankings]))


def _interval(values: Floats) -> tuple[float, float] | None:
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
