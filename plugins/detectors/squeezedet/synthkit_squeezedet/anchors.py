# SPDX-License-Identifier: Apache-2.0
"""Anchors: the boxes that predictions are measured from, and which of them stands for which truth.

Boxes here are (cx, cy, w, h) in pixels of the network's input, as in the released code, but with edges
between pixels (see ``synthkit.sample``), so that w = right - left without the released code's extra pixel. The truth
of rotated boxes has a fifth column, see ``rotated.py``.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Centres = Literal["cells", "published"]

_KMEANS_STEPS = 300
_MOST_SHAPES = 9
_REGION_SHARE = 0.5
_AS_GOOD = 0.5
_GOOD_OVERLAP = 0.65
_SIZE_DECIMALS = 2  # sizes nearer than this are one: rounding alone tells them apart


def anchor_grid(size_px: tuple[int, int], stride: int, shapes: Floats, centres: Centres) -> Floats:
    """Return all anchors of an input, (rows * columns * shapes, 4) float64: cx, cy, w, h.

    Args:
        size_px: (width, height) of the input, multiples of ``stride``.
        shapes: (K, 2) widths and heights.
        centres: ``cells``: the middle of each cell. ``published``: i * W / (columns + 1), i = 1 ... columns,
            which drifts from the cells by up to half a stride from the middle to the edges.
    """
    width, height = size_px
    columns, rows = width // stride, height // stride
    if centres == "published":
        x = np.arange(1, columns + 1) * width / (columns + 1)
        y = np.arange(1, rows + 1) * height / (rows + 1)
    else:
        x = (np.arange(columns) + 0.5) * stride
        y = (np.arange(rows) + 0.5) * stride
    grid = np.zeros((rows, columns, len(shapes), 4))
    grid[..., 0] = x[None, :, None]
    grid[..., 1] = y[:, None, None]
    grid[..., 2:] = shapes
    return grid.reshape(-1, 4)


def fit_shapes(sizes: Floats, count: int, generator: np.random.Generator) -> Floats:
    """Return the (count, 2) widths and heights that cover some boxes best: k-means with 1 - IoU as distance.

    The distance is that of YOLO9000 (Redmon and Farhadi, 2017), boxes compared as if they had one centre;
    centres are medians. Sorted by area. With fewer different sizes than ``count``, scaled copies fill up.

    Args:
        sizes: (N, 2) widths and heights in pixels, N >= 1.
    """
    different = np.unique(sizes.round(_SIZE_DECIMALS), axis=0)
    if len(different) < count:
        factors = np.geomspace(0.5, 2.0, count)
        return _by_area(np.median(sizes, axis=0) * factors[:, None])
    shapes = _spread_start(different, count, generator)
    owner = np.full(len(sizes), -1)
    for _ in range(_KMEANS_STEPS):
        nearest = np.argmax(shape_iou(sizes, shapes), axis=1)
        if np.array_equal(nearest, owner):
            break
        owner = nearest
        members = [sizes[owner == index] for index in range(count)]
        shapes = np.array(
            [np.median(group, axis=0) if len(group) else shape for group, shape in zip(members, shapes, strict=True)]
        )
    return _by_area(shapes)


def fit_fewest(sizes: Floats, generator: np.random.Generator) -> Floats:
    """Return as few fitted shapes, at most 9, as overlap the boxes by 0.65 in the mean."""
    for count in range(1, _MOST_SHAPES):
        shapes = fit_shapes(sizes, count, generator)
        if shape_iou(sizes, shapes).max(axis=1).mean() >= _GOOD_OVERLAP:
            return shapes
    return fit_shapes(sizes, _MOST_SHAPES, generator)


def shape_iou(first: Floats, second: Floats) -> Floats:
    """Return the overlap of (N, 2) and (M, 2) sizes at one centre: (N, M)."""
    shared = np.minimum(first[:, None], second[None]).prod(axis=2)
    overlaps: Floats = shared / (first.prod(axis=1)[:, None] + second.prod(axis=1)[None] - shared)
    return overlaps


def assign(truth: Floats, anchors: Floats, positives: int = 1) -> tuple[Ints, Ints]:
    """Return which anchors stand for true boxes: the rows of ``truth`` (M,) and their anchors (M,), all different.

    Each box in turn takes the anchor it overlaps most among those still free and, when all free overlaps are
    zero, the one nearest by squared distance in (cx, cy, w, h): the released assignment, which comes first. With more
    ``positives`` it gets up to so many: of those that overlap no other box more, the best that reach half of what its
    first one does. Anchors have no angle: to a rotated box they are turned as it is.

    Args:
        truth: (N, 4), anchors: (A, 4), cx, cy, w, h; truth of rotated boxes: (N, 5). N <= A.
    """
    overlaps = np.array([_overlap_with(box, anchors) for box in truth]).reshape(len(truth), len(anchors))
    free = np.ones(len(anchors), dtype=bool)
    chosen = np.zeros(len(truth), dtype=np.int64)
    for row, box in enumerate(truth):
        best = int(np.argmax(np.where(free, overlaps[row], -1.0)))
        if overlaps[row, best] <= 0.0:
            distances = ((anchors - box[:4]) ** 2).sum(axis=1)
            best = int(np.argmin(np.where(free, distances, np.inf)))
        chosen[row] = best
        free[best] = False
    rows = np.arange(len(truth))
    if positives == 1 or not len(truth):
        return rows, chosen
    least = _AS_GOOD * overlaps[rows, chosen]
    owner = overlaps.argmax(axis=0)
    more = [rows], [chosen]
    for row in rows:
        mine = np.flatnonzero(free & (owner == row) & (overlaps[row] > 0.0) & (overlaps[row] >= least[row]))
        mine = mine[np.argsort(-overlaps[row, mine], kind="stable")][: positives - 1]
        more[0].append(np.full(len(mine), row))
        more[1].append(mine)
    return np.concatenate(more[0]), np.concatenate(more[1])


def within_regions(regions: Floats, anchors: Floats) -> Ints:
    """Return the indices (I,) of the anchors that lie in regions, where nobody is looked for, nor nobody expected.

    An anchor does with half of its area inside, as COCO judges finds in crowds: what both share, over the area of the
    one that is no crowd. So it does when it holds half of the region: of somebody cut off only an edge may be left.

    Args:
        regions: (R, 4), anchors: (A, 4), cx, cy, w, h; areas above 0.
    """
    inside = np.zeros(len(anchors), dtype=bool)
    for region in regions:
        least = np.minimum(region[2:].prod(), anchors[:, 2:].prod(axis=1))
        inside |= _shared(region[2:], anchors, anchors[:, :2] - region[:2]) >= _REGION_SHARE * least
    return np.flatnonzero(inside)


def encode(truth: Floats, anchors: Floats) -> Floats:
    """Return the deltas (dx, dy, dw, dh) that take (N, 4) anchors to (N, 4) true boxes, cx, cy, w, h.

    As in the paper, what decoding undoes; the released code divided the shift by the truth's sides instead.
    """
    shift = (truth[:, :2] - anchors[:, :2]) / anchors[:, 2:]
    return np.concatenate([shift, np.log(truth[:, 2:] / anchors[:, 2:])], axis=1)


def _overlap_with(box: Floats, anchors: Floats) -> Floats:
    """Return the overlap of a box, (4,) or (5,), with (A, 4) anchors that are turned as it is: (A,)."""
    away = anchors[:, :2] - box[:2]
    if len(box) == 5:
        angle = math.radians(box[4])
        cos, sin = math.cos(angle), math.sin(angle)
        away = away @ np.array([[cos, -sin], [sin, cos]])
    shared = _shared(box[2:4], anchors, away)
    union: Floats = box[2] * box[3] + anchors[:, 2] * anchors[:, 3] - shared
    overlaps: Floats = shared / np.maximum(union, 1e-12)
    return overlaps


def _shared(size: Floats, anchors: Floats, away: Floats) -> Floats:
    """Return the area (A,) that a box of a size (2,) shares with anchors whose centres are ``away`` from its own."""
    sides = np.minimum((size + anchors[:, 2:]) / 2 - np.abs(away), np.minimum(size, anchors[:, 2:]))
    shared: Floats = np.clip(sides, 0.0, None).prod(axis=1)
    return shared


def _spread_start(sizes: Floats, count: int, generator: np.random.Generator) -> Floats:
    """Return starting shapes far from each other (k-means++, Arthur and Vassilvitskii 2007)."""
    chosen = [sizes[generator.integers(len(sizes))]]
    while len(chosen) < count:
        distance = (1.0 - shape_iou(sizes, np.array(chosen)).max(axis=1)) ** 2
        chosen.append(sizes[generator.choice(len(sizes), p=distance / distance.sum())])
    return np.array(chosen)


def _by_area(shapes: Floats) -> Floats:
    return shapes[np.argsort(shapes.prod(axis=1), kind="stable")]
