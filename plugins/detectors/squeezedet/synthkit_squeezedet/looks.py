# SPDX-License-Identifier: Apache-2.0
"""Several looks at one image, each a quarter turn on: what they saw in the image's own pixels, and what they agree on.

A ceiling has no up, so a detector that learned from images turned any way sees a turned image as well as the image, and
errs elsewhere in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.deployment.overlaps import iou_table
from synthkit.sample import normalized_rotated

Floats = npt.NDArray[np.float64]

SAME_IOU = 0.4
"""Of boxes of two looks: from here on they may be of one person."""


@attrs.frozen(eq=False)
class Found:
    """What one look found, best first.

    Args:
        boxes: (N, 4) edges or (N, 5) rotated boxes (cx, cy, w, h, degrees clockwise), in pixels. scores: (N,).
            labels: (N,) int64.
    """

    boxes: Floats
    scores: Floats
    labels: npt.NDArray[np.int64]

    def __getitem__(self, rows: npt.NDArray[np.intp]) -> Found:
        return Found(self.boxes[rows], self.scores[rows], self.labels[rows])


def turned_back(found: Found, quarters: int, size_px: tuple[int, int]) -> Found:
    """Return what was found in ``numpy.rot90(image, quarters)`` in pixels of the image, which has this size."""
    if not quarters:
        return found
    boxes = found.boxes
    for turn in range(quarters, 0, -1):
        width_px = size_px[(turn - 1) % 2]  # of the image before this turn
        x, y, *rest = boxes.T
        if boxes.shape[1] == 4:
            right, bottom = rest
            boxes = np.stack([width_px - bottom, x, width_px - y, right], axis=1)
        else:
            w, h, degrees = rest
            boxes = np.stack([width_px - y, x, w, h, degrees + 90.0], axis=1)
    return attrs.evolve(found, boxes=_as_told(boxes))


def agreed(looks: Sequence[Found], *, overlap: float) -> Found:
    """Return what several looks at one image found together.

    The surest box left takes, of each other look, the box of its label that overlaps it most, by at least
    ``SAME_IOU``. Together they are one find: the mean of their boxes, weighed by score, and the mean of the scores,
    where a look that missed it counts 0. Of finds that overlap more than ``overlap`` the best remains.
    """
    everything = Found(*(np.concatenate(parts) for parts in zip(*map(_parts, looks), strict=True)))
    look = np.repeat(np.arange(len(looks)), [len(found.scores) for found in looks])
    finds = list(_finds(everything, look, len(looks)))
    if not finds:
        return everything
    merged = Found(*(np.array(parts) for parts in zip(*finds, strict=True)))
    merged = merged[np.argsort(-merged.scores, kind="stable")]
    clash = iou_table(merged.boxes, merged.boxes) > overlap
    clash &= merged.labels[:, None] == merged.labels[None]
    return merged[np.flatnonzero(~np.tril(clash, -1).any(axis=1))]


def _parts(found: Found) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    return found.boxes, found.scores, found.labels


def _finds(found: Found, look: npt.NDArray[np.intp], looks: int) -> Iterator[tuple[Floats, float, np.int64]]:
    """Yield box, score and label of each find, the surest box's first."""
    ious = iou_table(found.boxes, found.boxes)
    ious[(ious < SAME_IOU) | (found.labels[:, None] != found.labels[None])] = -1.0
    left = np.ones(len(look), dtype=bool)
    for surest in np.argsort(-found.scores, kind="stable"):
        if not left[surest]:
            continue
        members = [surest]
        for other in range(looks):
            near = np.where(left & (look == other) & (look[surest] != other), ious[surest], -1.0)
            if near.max(initial=-1.0) > 0:
                members.append(near.argmax())
        left[members] = False
        yield (
            _mean(found.boxes[members], found.scores[members]),
            found.scores[members].sum() / looks,
            found.labels[surest],
        )


def _mean(boxes: Floats, scores: Floats) -> Floats:
    """Return the mean of boxes, weighed by their scores."""
    weights = scores / scores.sum()
    mean: Floats = weights @ boxes
    if boxes.shape[1] == 4:
        return mean
    # A box is the same with its sides changed and a quarter turn, and with half a turn.
    apart = boxes[:, 4] - boxes[0, 4]
    across = np.round(apart / 90.0).astype(int) % 2 == 1
    sides = np.where(across[:, None], boxes[:, [3, 2]], boxes[:, [2, 3]])
    mean[2:4] = weights @ sides
    mean[4] = boxes[0, 4] + weights @ (apart - 90.0 * np.round(apart / 90.0))
    told: Floats = _as_told(mean[None])[0]
    return told


def _as_told(boxes: Floats) -> Floats:
    """Return rotated boxes as they are told everywhere, w at most h; others as they are."""
    return boxes if boxes.shape[1] == 4 else normalized_rotated(boxes)
