# SPDX-License-Identifier: Apache-2.0
"""Numbers that follow from judged detections: counts at a score, precision over recall, average precision."""

from __future__ import annotations

import attrs
import numpy as np

from synthkit.resampling import Draws
from synthkit_detection.geometry import Bools, Floats, Ints

RECALL_POINTS: Floats = np.linspace(0.0, 1.0, 101)

_CELLS_AT_ONCE = 1 << 21
_EPSILON = float(np.spacing(1.0))  # pycocotools adds it to the detections seen


@attrs.frozen(eq=False)
class Ranked:
    """All detections of a set that count at one agreement, best score first.

    Args:
        scores, right, image: (D,) score, whether right, index of the image.
        truths: (images,) how many are to be found in each image.
    """

    scores: Floats
    right: Bools
    image: Ints
    truths: Ints

    def best_score(self) -> float:
        """Return the score threshold with the best F1; of equal ones the highest; 1 when nothing is right."""
        if not self.right.any():
            return 1.0
        scores, values = self.sweep()
        return float(scores[int(np.argmax(values[:, 2]))])

    def sweep(self) -> tuple[Floats, Floats]:
        """Return every score (S,) as a threshold, falling, and (S, 3) precision, recall and F1 at it."""
        # A threshold admits all detections of equal score, so only the last of each run can be one.
        last = np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True)[: len(self.scores)])
        hits = np.cumsum(self.right)[last]
        counts = np.stack([hits, last + 1 - hits, self.truths.sum() - hits], axis=1)
        return self.scores[last], precision_recall_f1(counts)

    def counts(self, score: float) -> Ints:
        """Return (images, 3): right, wrong and missed at a score threshold."""
        kept = self.scores >= score
        images = len(self.truths)
        hits = np.bincount(self.image[kept & self.right], minlength=images)
        wrong = np.bincount(self.image[kept & ~self.right], minlength=images)
        return np.stack([hits, wrong, self.truths - hits], axis=1)

    def precision_at_recalls(self) -> Floats:
        """Return the best precision at each of COCO's 101 recalls or beyond, (101,); 0 where none is reached."""
        hits = np.cumsum(self.right)
        recall = hits / self.truths.sum()
        precision = hits / (np.arange(1, len(hits) + 1) + _EPSILON)
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        return np.asarray(envelope[np.searchsorted(recall, RECALL_POINTS, side="left")])

    def resampled_precision(self, draws: Draws) -> Floats:
        """Return the average precision of resampled sets, (R,); nan where there is nothing to be found.

        Args:
            draws: (R, images) how often each image counts.
        """
        step = max(1, _CELLS_AT_ONCE // max(len(self.scores), 1))
        blocks = [self._resampled(draws[start : start + step]) for start in range(0, len(draws), step)]
        return np.concatenate([np.zeros(0), *blocks])

    def _resampled(self, draws: Draws) -> Floats:
        """Return what ``resampled_precision`` does of a few resamples; precision only peaks where a find is right."""
        totals = draws @ self.truths
        right = np.flatnonzero(self.right)
        weights = draws.take(self.image, axis=1)
        hits = np.cumsum(weights.take(right, axis=1), axis=1, dtype=np.int32)
        seen = np.cumsum(weights, axis=1, dtype=np.int32).take(right, axis=1)
        precision = np.divide(hits, seen, out=np.zeros(hits.shape), where=seen > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        envelope = np.concatenate([envelope, np.zeros((len(draws), 1))], axis=1)
        # Rows laid end to end: each is shifted beyond the one before, so that one search serves all.
        shift = np.arange(len(draws))[:, None] * (int(totals.max(initial=0)) + 1)
        wanted = _least_hits(totals)
        found = np.searchsorted((hits + shift).ravel(), (wanted + shift).ravel(), side="left").reshape(wanted.shape)
        place = np.clip(found - np.arange(len(draws))[:, None] * hits.shape[1], 0, hits.shape[1])
        means = np.take_along_axis(envelope, place, axis=1).mean(axis=1)
        return np.where(totals > 0, means, np.nan)


def _least_hits(totals: Ints) -> Ints:
    """Return for each total the fewest finds that reach each of the 101 recalls: (R, 101)."""
    total = np.maximum(totals, 1)[:, None]
    guess = np.ceil(RECALL_POINTS * total).astype(np.int64)
    # Rounding may put the product one off; the quotient, as it is compared elsewhere, decides.
    guess -= (guess > 0) & ((guess - 1) / total >= RECALL_POINTS)
    return np.asarray(guess + (guess / total < RECALL_POINTS))


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
