# SPDX-License-Identifier: Apache-2.0
"""How good a detector's answers are, by the measure that chooses the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from synthkit.interfaces import Runtime, Scored, State
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_squeezedet.config import ObjectClass
from synthkit_squeezedet.objects import Boxes, judged_boxes, of_class

VALIDATION_IOU = 0.5
"""Overlap at which a find counts."""


def judge(
    classes: Sequence[ObjectClass],
    boxes: Boxes,
    scored: Iterable[Scored],
    runtime: Runtime,
    score: float | None = None,
) -> dict[str, float]:
    """Return precision, recall and F1, and the score threshold with the best F1.

    With several classes each number is their mean, and the threshold that of the first.

    Args:
        classes, boxes: what each label stands for. score: take this threshold instead of the best.
        scored: judged one by one, as the images of a whole set may not fit in memory.

    Raises:
        DatasetError: when no sample says who is in it.
    """
    metrics = [
        DetectionMetric(
            DetectionConfig(
                target=item.target, boxes=judged_boxes(item, boxes), label=label, iou=VALIDATION_IOU, score=score,
                ap_ious=(), coco=False, size_edges_px=(), distance_edges=(), bootstrap=0,
            ), None, runtime,
        )
        for label, item in enumerate(classes)
    ]  # fmt: skip
    states: list[list[State]] = [[] for _ in metrics]
    for one in scored:
        for item, metric, kept in zip(classes, metrics, states, strict=True):
            kept.append(metric.observe("scored", [Scored(of_class(one.sample, item), one.detections)]))
    rows = []
    for metric, kept in zip(metrics, states, strict=True):
        results = metric.compute({"scored": metric.merge(kept)})
        rows.append([*(r.value for r in results[:3]), results[0].definition["score_threshold"]])
    precision, recall, f1, _ = np.mean(rows, axis=0).tolist()
    return {"precision": precision, "recall": recall, "f1": f1, "score": rows[0][3]}
