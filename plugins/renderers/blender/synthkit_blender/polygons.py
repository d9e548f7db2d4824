# SPDX-License-Identifier: Apache-2.0
"""Simple polygons, convex or not, as people draw them: checked, turned counter-clockwise, cut into convex pieces."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
CELLS = 500  # along an outline, to measure how wide it is
LEAST_AREA = 1e-9  # of a corner's triangle, in squares of the outline's extent: below it counts as straight


def signed_area(outline: Floats) -> float:
    """Return the area of an outline (N, 2), negative when it runs clockwise (x right, y up)."""
    x, y = outline.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def counter_clockwise(outline: ArrayLike) -> Floats:
    """Return an outline (N, 2) in counter-clockwise order, its first corner first."""
    points = np.asarray(outline, np.float64)
    return points if signed_area(points) >= 0 else np.concatenate([points[:1], points[:0:-1]])


def crossing(outline: ArrayLike) -> tuple[int, int] | None:
    """Return the numbers of two edges of an outline (N, 2) that cross or touch though they are no neighbours, or None.

    Edge n runs from corner n to the next. Neighbours that fold back onto each other count as crossing too.
    """
    points = np.asarray(outline, np.float64)
    count = len(points)
    for i in range(count):
        a, b, c = points[i], points[(i + 1) % count], points[(i + 2) % count]
        back = float((b - a) @ (c - b))
        if abs(_turn(a, b, c)) <= LEAST_AREA * max(1.0, abs(back)) and back <= 0:
            return i, (i + 1) % count
        others = np.arange(i + 2, count - (i == 0))  # the last edge is the first one's neighbour
        meeting = _meet(a, b, points[others], points[(others + 1) % count])
        if meeting.any():
            return i, int(others[meeting.argmax()])
    return None


def holds(outline: Floats, points: ArrayLike) -> NDArray[np.bool_]:
    """Return which points (..., 2) lie within an outline (N, 2), by how often a ray to the right crosses it."""
    places = np.asarray(points, np.float64)
    x, y = places[..., None, 0], places[..., None, 1]
    a, b = outline, np.roll(outline, -1, axis=0)
    straddles = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(a[:, 1] == b[:, 1], 1.0, b[:, 1] - a[:, 1])
    at_x = a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0])
    return np.asarray((straddles & (x < at_x)).sum(axis=-1) % 2 == 1)


def widest(outline: ArrayLike) -> float:
    """Return the width of the largest circle within a simple outline (N, 2), to about a 250th of its extent."""
    points = np.asarray(outline, np.float64)
    low = points.min(axis=0)
    scale = CELLS / max(float((points.max(axis=0) - low).max()), 1e-12)
    canvas = np.zeros((CELLS + 3, CELLS + 3), np.uint8)  # with a rim that the outline leaves free
    cv2.fillPoly(canvas, [np.rint((points - low) * scale).astype(np.int32) + 1], (1,))
    # The cells along the outline are filled half: their centres lie on it.
    away = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max() - 1
    return 2 * float(away) / scale


def triangles(outline: ArrayLike) -> NDArray[np.int32]:
    """Return (N - 2, 3) corners of counter-clockwise triangles that fill a simple outline (N, 2) given in that order.

    They are read-only. Source: Meisters, Polygons have ears, Amer. Math. Monthly 82 (1975): a corner whose triangle
    holds no other corner is cut off, until three are left. Of all ears the one with the widest least angle is cut, so
    that slivers are rare.
    """
    return _without_ears(np.ascontiguousarray(outline, np.float64).tobytes())


@functools.lru_cache(maxsize=64)  # a plate's floor and furniture come again with every scene
def _without_ears(outline: bytes) -> NDArray[np.int32]:
    points = np.frombuffer(outline).reshape(-1, 2)
    left = list(range(len(points)))
    found = []
    widths: dict[int, float] = {}  # of the ears by their corners: an ear stays one until a neighbour is cut off
    while len(left) > 3:
        for n, corner in enumerate(left):
            if corner not in widths and _is_ear(points, left, n):
                widths[corner] = _least_angle(points[_around(left, n)])
        # Straight corners alone are left of what is no simple outline, or nearly none: any may go.
        n = max(range(len(left)), key=lambda n: widths.get(left[n], -1.0))
        found.append(_around(left, n))
        for corner in found[-1]:
            widths.pop(corner, None)
        del left[n]
    corners = np.array([*found, left], np.int32)
    corners.flags.writeable = False
    return corners


def convex_pieces(outline: ArrayLike) -> list[Floats]:
    """Return convex outlines, counter-clockwise, that fill a simple outline: itself when it is convex, or triangles."""
    points = counter_clockwise(outline)
    if is_convex(points):
        return [points]
    return [points[corners] for corners in triangles(points) if signed_area(points[corners]) > 0]


def is_convex(outline: Floats) -> bool:
    """Return whether a simple counter-clockwise outline never turns right."""
    before, after = np.roll(outline, 1, axis=0), np.roll(outline, -1, axis=0)
    a, b = outline - before, after - outline
    return bool((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] >= -LEAST_AREA).all())


def hull_and_pockets(outline: ArrayLike) -> tuple[Floats, list[Floats]]:
    """Return the convex hull (M, 2) of a simple outline, counter-clockwise, and convex pieces of what it adds."""
    points = counter_clockwise(outline)
    corners = np.sort(cv2.convexHull(points.astype(np.float32), returnPoints=False)[:, 0])
    pockets = []
    for first, last in zip(corners, np.roll(corners, -1), strict=True):
        between = np.arange(first, last + 1 if last > first else last + 1 + len(points)) % len(points)
        if len(between) > 2:
            pockets += convex_pieces(points[between])
    return points[corners], pockets


def _around(left: list[int], n: int) -> list[int]:
    return [left[n - 1], left[n], left[(n + 1) % len(left)]]


def _is_ear(points: Floats, left: list[int], n: int) -> bool:
    corners = _around(left, n)
    a, b, c = points[corners]
    if _turn(a, b, c) <= LEAST_AREA:
        return False
    others = points[[m for m in left if m not in corners]]
    # Corners on the triangle's edges are in the way too, but for those that lie on its own corners.
    apart = (np.abs(others[:, None] - points[corners]).max(axis=-1) > 1e-12).all(axis=1)
    sides = [_turn(p, q, others[apart]) for p, q in ((a, b), (b, c), (c, a))]
    return not (np.min(sides, axis=0) >= 0).any() if apart.any() else True


def _least_angle(corners: Floats) -> float:
    """Return a triangle's least angle as twice its area over the square of its longest side: larger is wider."""
    sides = corners - np.roll(corners, 1, axis=0)
    return abs(signed_area(corners)) / max(float((sides**2).sum(axis=1).max()), 1e-30)


def _turn(a: Floats, b: Floats, c: Floats) -> Floats:
    """Return twice the signed area of triangles a, b, c, each (..., 2)."""
    ab, ac = b - a, c - a
    return np.asarray(ab[..., 0] * ac[..., 1] - ab[..., 1] * ac[..., 0])


def _meet(a: Floats, b: Floats, c: Floats, d: Floats) -> NDArray[np.bool_]:
    """Return which closed line segments from c to d, each (N, 2), have a point in common with that from a to b."""
    near = ((np.maximum(a, b) >= np.minimum(c, d)) & (np.maximum(c, d) >= np.minimum(a, b))).all(axis=-1)
    return np.asarray(near & (_turn(a, b, c) * _turn(a, b, d) <= 0) & (_turn(c, d, a) * _turn(c, d, b) <= 0))
