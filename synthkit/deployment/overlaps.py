# SPDX-License-Identifier: Apache-2.0
"""How much boxes overlap: upright ones, and rotated ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LEAST_AREA = 1e-6
_MOST_PAIRS = 1 << 18  # at once: of rotated boxes each takes a kilobyte
_TINY = 1e-9
_MARGIN_PX = 1e-3  # edges nearer than this lie on one another


def iou_table(first: Floats, second: Floats) -> Floats:
    """Return the overlap of each two boxes (N, M): edges (N, 4), or rotated boxes (N, 5) cx, cy, w, h, degrees."""
    shared = _shared_table(first, second)
    return np.asarray(shared / np.maximum(_areas(first)[:, None] + _areas(second)[None] - shared, _LEAST_AREA))


def inside_table(first: Floats, second: Floats) -> Floats:
    """Return which share of each first box lies in each second one (N, M), both as in ``iou_table``."""
    return np.asarray(_shared_table(first, second) / np.maximum(_areas(first)[:, None], _LEAST_AREA))


def _shared_table(first: Floats, second: Floats) -> Floats:
    shared = _shared_rotated if first.shape[1] == 5 else _shared_upright
    rows = max(1, _MOST_PAIRS // max(len(second), 1))
    parts = [shared(first[start : start + rows], second) for start in range(0, max(len(first), 1), rows)]
    return np.concatenate(parts)


def _areas(boxes: Floats) -> Floats:
    sides = boxes[:, 2:4] if boxes.shape[1] == 5 else boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides.prod(axis=1))


def around(rotated: Floats, size_px: tuple[int, int]) -> Floats:
    """Return the upright boxes (N, 4) around rotated ones (N, 5), clipped to an image."""
    angle = np.radians(rotated[:, 4])
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    w, h = rotated[:, 2], rotated[:, 3]
    half = np.stack([w * cos + h * sin, w * sin + h * cos], axis=1) / 2
    edges = np.concatenate([rotated[:, :2] - half, rotated[:, :2] + half], axis=1)
    return np.asarray(np.clip(edges, 0.0, np.array(size_px * 2)))


def _shared_upright(first: Floats, second: Floats) -> Floats:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: Floats = np.clip(high - low, 0.0, None).prod(axis=2)
    return shared


def _shared_rotated(first: Floats, second: Floats) -> Floats:
    """Return the areas that rotated boxes share.

    By Green's theorem an area is half the sum of p x q over the pieces p to q of its border, and the border of what two
    boxes share is made of the pieces of each one's edges within the other. Edges that lie on one another count for
    the first box only.
    """
    one, other = np.broadcast_arrays(first[:, None], second[None])
    border = _border_within(one, other, other[..., :2], _MARGIN_PX)
    border = border + _border_within(other, one, other[..., :2], -_MARGIN_PX)
    return np.clip(border / 2.0, 0.0, None)


def _border_within(box: Floats, other: Floats, origin: Floats, margin_px: float) -> Floats:
    """Return the sum of p x q over the pieces of a box's edges within another; p and q are seen from ``origin``.

    In the other's own axes its inside is |x| <= w / 2, |y| <= h / 2, which cuts one piece out of each edge (Liang and
    Barsky 1984).
    """
    across, along = _axes(box)
    across, along = across * box[..., 2:3] / 2.0, along * box[..., 3:4] / 2.0
    corners = np.stack([-across - along, across - along, across + along, along - across], axis=-2)
    starts = corners + (box[..., :2] - origin)[..., None, :]
    edges = np.stack([2.0 * across, 2.0 * along, -2.0 * across, -2.0 * along], axis=-2)
    axes = np.stack(_axes(other), axis=-1)
    start = (starts - (other[..., :2] - origin)[..., None, :]) @ axes
    edge = edges @ axes
    edge = np.where(np.abs(edge) < _TINY, _TINY, edge)
    half = other[..., None, 2:4] / 2.0 + margin_px
    enter, leave = (-half - start) / edge, (half - start) / edge
    low = np.clip(np.minimum(enter, leave).max(axis=-1), 0.0, None)
    high = np.clip(np.maximum(enter, leave).min(axis=-1), None, 1.0)
    crossed = starts[..., 0] * edges[..., 1] - starts[..., 1] * edges[..., 0]
    total: Floats = (np.clip(high - low, 0.0, None) * crossed).sum(axis=-1)
    return total


def _axes(boxes: Floats) -> tuple[Floats, Floats]:
    """Return the directions of the width and of the height of boxes (..., 5): (..., 2) each."""
    angle = np.radians(boxes[..., 4])
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)
