# SPDX-License-Identifier: Apache-2.0
"""Whether two runs of a detector find the same: before and after export, before and after quantisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.deployment.overlaps import iou_table
from synthkit.sample import Detections

LIKE_IOU = 0.5
"""Overlap from which on two boxes are the same find."""

_DECIMALS = 6


@attrs.frozen
class Parity:
    """How alike the finds are.

    Args:
        images: that were looked at. score: a box counts from it on; its like in the other run may have half of it.
        boxes: that counted, of both runs. matched: share of them with a like (IoU at least 0.5, same label).
        mean_iou, least_iou: of those. mean_score_difference, largest_score_difference: of those.
    """

    images: int
    score: float
    boxes: int
    matched: float
    mean_iou: float
    least_iou: float
    mean_score_difference: float
    largest_score_difference: float


def compare(first: Sequence[Detections], second: Sequence[Detections], score: float) -> Parity:
    """Return how alike the finds of two runs on the same images are."""
    boxes, pairs = 0, []
    for one, other in zip(first, second, strict=True):
        for these, those in ((one, other), (other, one)):
            boxes += int((these.scores >= score).sum())
            pairs += list(_likes(these, those, score))
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    ious, differences = table.T if len(table) else np.array([[1.0], [0.0]])
    values = (len(pairs) / boxes if boxes else 1.0, ious.mean(), ious.min(), differences.mean(), differences.max())
    return Parity(len(first), score, boxes, *(round(float(value), _DECIMALS) for value in values))


def _likes(these: Detections, those: Detections, score: float) -> Iterator[tuple[float, float]]:
    """Yield overlap and difference of scores of each box that counts and its like, best boxes first."""
    overlaps = _overlaps(these, those)
    free = np.asarray(those.scores) >= score / 2
    for row in np.flatnonzero(these.scores >= score):
        fits = np.where(free & (those.labels == these.labels[row]), overlaps[row], -1.0)
        best = int(np.argmax(fits)) if len(fits) else -1
        if best >= 0 and fits[best] >= LIKE_IOU:
            free[best] = False
            yield float(fits[best]), abs(float(these.scores[row]) - float(those.scores[best]))


def _overlaps(these: Detections, those: Detections) -> npt.NDArray[np.float64]:
    pair = (these.rotated_boxes, those.rotated_boxes)
    if pair[0] is None or pair[1] is None:
        pair = (these.boxes_xyxy_px, those.boxes_xyxy_px)
    return iou_table(*(np.asarray(boxes, np.float64) for boxes in pair))
