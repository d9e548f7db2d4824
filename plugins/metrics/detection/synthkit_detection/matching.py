# SPDX-License-Identifier: Apache-2.0
"""Pairing detections with the truth, and the numbers that follow from the pairs."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

RECALL_POINTS: Floats = np.linspace(0.0, 1.0, 101)


def iou_matrix(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of (N, 4) and (M, 4) boxes (left, top, right, bottom): (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    overlaps: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps


def match(overlaps: Floats, iou: float) -> Bools:
    """Tell which detections are right: each takes the free truth it overlaps most, best score first.

    Args:
        overlaps: (detections, truths) intersection over union, detections sorted by falling score.
        iou: the least overlap. Of equal overlaps the last truth is taken, as pycocotools does.
    """
    free = np.ones(overlaps.shape[1], dtype=bool)
    right = np.zeros(overlaps.shape[0], dtype=bool)
    if not free.size:
        return right
    for row, values in enumerate(overlaps):
        candidates = np.where(free, values, -1.0)
        best = candidates.size - 1 - int(np.argmax(candidates[::-1]))
        if candidates[best] >= min(iou, 1.0 - 1e-10):
            right[row], free[best] = True, False
    return right


@attrs.frozen(eq=False)
class Ranked:
    """All detections of a set at one overlap, best score first.

    Args:
        scores, right, image: (D,) score, whether right, index of the image.
        truths: (images,) boxes to be found in each image.
    """

    scores: Floats
    right: Bools
    image: Ints
    truths: Ints

    def best_score(self) -> float:
        """Return the score threshold with the best F1; of equal ones the highest; 1 when nothing is right."""
        if not self.right.any():
            return 1.0
        hits = np.cumsum(self.right)
        f1 = 2.0 * hits / (np.arange(1, len(hits) + 1) + self.truths.sum())
        # A threshold admits all detections of equal score, so only the last of each run can be one.
        last = np.append(self.scores[1:] != self.scores[:-1], True)
        return float(self.scores[int(np.argmax(np.where(last, f1, -1.0)))])

    def counts(self, score: float) -> npt.NDArray[np.int64]:
        """Return (images, 3): right, wrong and missed at a score threshold."""
        kept = self.scores >= score
        images = len(self.truths)
        hits = np.bincount(self.image[kept & self.right], minlength=images)
        wrong = np.bincount(self.image[kept & ~self.right], minlength=images)
        return np.stack([hits, wrong, self.truths - hits], axis=1)

    def average_precision(self, weights: Ints | None = None) -> float:
        """Return the mean precision at 101 recalls (COCO); nan when there is nothing to be found.

        Args:
            weights: (images,) how often each image counts; once when None.
        """
        times = np.ones(len(self.truths), dtype=np.int64) if weights is None else weights
        total = int((times * self.truths).sum())
        if total == 0:
            return float("nan")
        weight = times[self.image]
        seen = np.cumsum(weight)
        hits = np.cumsum(weight * self.right)
        recall = hits / total
        precision = np.divide(hits, seen, out=np.zeros(len(seen)), where=seen > 0)
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        return float(envelope[np.searchsorted(recall, RECALL_POINTS, side="left")].mean())


def precision_recall_f1(counts: Floats | Ints) -> Floats:
    """Return precision, recall and F1 (equations 2.23 to 2.25 of the thesis) of (..., 3) counts.

    Counts are right, wrong and missed. Precision of no detections and recall of no truth are 0, except that
    all three are 1 when there is nothing to be found and nothing was.
    """
    hits, wrong, missed = (np.asarray(counts)[..., part].astype(np.float64) for part in range(3))
    empty = (hits + wrong + missed) == 0
    ratios = []
    for top, bottom in ((hits, hits + wrong), (hits, hits + missed), (2 * hits, 2 * hits + wrong + missed)):
        ratio = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
        ratios.append(np.where(empty, 1.0, ratio))
    return np.stack(ratios, axis=-1)
