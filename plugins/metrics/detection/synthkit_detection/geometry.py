# SPDX-License-Identifier: Apache-2.0
"""How the outlines that are compared are written as rows of numbers, and how far two of them agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt

Boxes = Literal["upright", "rotated", "radial", "points"]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@attrs.frozen
class Geometry:
    """One kind of outline, K numbers a row.

    Args:
        columns: K.
        agreement: of P pairs, (P, K) found and (P, K) true outlines, and (P,) whether the truth is a region in which
            others may be: how far each pair agrees, (P,) in 0..1.
        centres: of (N, K) outlines, (N, 2) pixels. areas: of the same, (N,) square pixels.
    """

    columns: int
    agreement: Callable[[Floats, Floats, Bools], Floats]
    centres: Callable[[Floats], Floats]
    areas: Callable[[Floats], Floats]


def upright_agreement(found: Floats, truth: Floats, region: Bools) -> Floats:
    """Return intersection over union of (P, 4) boxes (left, top, right, bottom); over the found box for regions.

    The latter is COCO's rule for crowds.
    """
    low, high = np.maximum(found[:, :2], truth[:, :2]), np.minimum(found[:, 2:], truth[:, 2:])
    return _over(np.clip(high - low, 0.0, None).prod(axis=1), _upright_areas(found), _upright_areas(truth), region)


def rotated_agreement(found: Floats, truth: Floats, region: Bools) -> Floats:
    """Return intersection over union of (P, 5) rotated boxes (cx, cy, w, h, degrees); over the found for regions."""
    shared = np.zeros(len(found))
    reach = np.hypot(*found[:, 2:4].T) + np.hypot(*truth[:, 2:4].T)
    near = np.hypot(*(found[:, :2] - truth[:, :2]).T) * 2.0 < reach
    shared[near] = shared_area(found[near], truth[near])
    return _over(shared, _rotated_areas(found), _rotated_areas(truth), region)


def point_agreement(found: Floats, truth: Floats, _: Bools) -> Floats:
    """Return 1 - distance / size of (P, 3) points (x, y, size), the size being the truth's; at least 0.

    With a head's diagonal for its size, 0.5 is the tolerance "sigma_l" of Wang et al., NWPU-Crowd (TPAMI 2020).
    """
    distance = np.hypot(*(found[:, :2] - truth[:, :2]).T)
    return np.clip(1.0 - np.divide(distance, truth[:, 2], out=np.ones(len(found)), where=truth[:, 2] > 0), 0.0, 1.0)


def shared_area(first: Floats, second: Floats) -> Floats:
    """Return the area that (P, 5) rotated boxes share, pair by pair: (P,) square pixels.

    In the first box's own axes the second is a convex polygon, and what both share is the integral over x of its upper
    less its lower border, both clamped to the first box's height. Along an edge the clamped border has three straight
    pieces at most, so the integral is exact, and no case is special: boxes may touch, coincide, or hold one another.
    """
    half = first[:, None, 2:4] / 2.0
    turn, own = np.radians(second[:, 4] - first[:, 4]), np.radians(first[:, 4])
    offset = second[:, :2] - first[:, :2]
    centre = np.stack([np.cos(own) * offset[:, 0] + np.sin(own) * offset[:, 1],
                       np.cos(own) * offset[:, 1] - np.sin(own) * offset[:, 0]], axis=1)  # fmt: skip
    across = np.stack([np.cos(turn), np.sin(turn)], axis=1) * second[:, 2:3] / 2.0
    along = np.stack([-np.sin(turn), np.cos(turn)], axis=1) * second[:, 3:4] / 2.0
    sides = np.stack([-across - along, across - along, across + along, along - across], axis=1)
    start = centre[:, None] + sides
    return np.asarray(np.clip(-_below_edges(start, np.roll(start, -1, axis=1), half).sum(axis=1), 0.0, None))


def _below_edges(start: Floats, end: Floats, half: Floats) -> Floats:
    """Return the integral of y over x along each edge, x and y kept within +-half: (P, 4).

    Args:
        start, end: (P, 4, 2). half: (P, 1, 2).
    """
    run, rise = np.moveaxis(end - start, -1, 0)
    kept = np.clip(np.stack([start[..., 0], end[..., 0]]), -half[..., 0], half[..., 0])
    progress = np.divide(kept - start[..., 0], run, out=np.zeros_like(kept), where=run != 0)
    y_start, y_end = start[..., 1] + np.clip(progress, 0.0, 1.0) * rise
    low, high = np.clip(np.stack([y_start, y_end]), -half[..., 1], half[..., 1])
    climb = y_end - y_start
    level = climb == 0
    parts = np.stack([low - y_start, high - low, y_end - high])
    shares = np.divide(parts, climb, out=np.zeros_like(parts), where=~level)
    before, sloped, after = np.clip(shares, 0.0, 1.0)
    mean = np.where(level, low, before * low + sloped * (low + high) / 2.0 + after * high)
    return np.asarray((kept[1] - kept[0]) * mean)


def _over(shared: Floats, found: Floats, truth: Floats, region: Bools) -> Floats:
    whole = np.where(region, found, found + truth - shared)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def _upright_areas(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _rotated_areas(boxes: Floats) -> Floats:
    return np.asarray(boxes[:, 2] * boxes[:, 3])


_ROTATED = Geometry(5, rotated_agreement, lambda boxes: boxes[:, :2], _rotated_areas)

GEOMETRIES: Mapping[Boxes, Geometry] = MappingProxyType(
    {
        "upright": Geometry(4, upright_agreement, lambda boxes: (boxes[:, :2] + boxes[:, 2:]) / 2.0, _upright_areas),
        "rotated": _ROTATED,
        "radial": _ROTATED,
        "points": Geometry(3, point_agreement, lambda points: points[:, :2], lambda points: points[:, 2] ** 2 / 2.0),
    }
)
"""By name: boxes (left, top, right, bottom), rotated boxes (cx, cy, w, h, degrees), points (x, y, size)."""
