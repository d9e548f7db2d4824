# SPDX-License-Identifier: Apache-2.0
"""Outlines of people and images under a plane's linear maps, so that what is turned still has the right boxes.

Turning an axis-aligned box and boxing its corners again makes it up to 1.4 times too wide. An outline, the
points whose extent the box is, gives the exact box under any turn: the hull of the visible pixels where there
is an instance layer, the corners where the truth is the extent of a rotated box, and otherwise the ellipse
inscribed in the box, which heads seen from above are close to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.sample import Box, RotatedBox

Floats = npt.NDArray[np.float64]

_ELLIPSE = np.stack([trig(np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)) for trig in (np.cos, np.sin)], axis=1)


def turn(degrees: float) -> Floats:
    """Return the map (2, 2) that turns pixels clockwise as seen on the screen; exact at quarter turns."""
    cos, sin = direction(degrees)
    return np.array([[cos, -sin], [sin, cos]])


def direction(degrees: float) -> Floats:
    """Return the unit vector (2,) at an angle clockwise from the image's x."""
    quarters, rest = divmod(degrees, 90.0)
    if rest == 0.0:
        return np.array([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)][int(quarters) % 4])
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)])


def ellipse(box: Sequence[float]) -> Floats:
    """Return the ellipse that a box (left, top, right, bottom) holds, as the corners (64, 2) of a polygon."""
    left, top, right, bottom = box
    centre, half = np.array([left + right, top + bottom]) / 2, np.array([right - left, bottom - top]) / 2
    return np.asarray(centre + half * _ELLIPSE)


def mask_hull(mask: npt.NDArray[np.bool_]) -> Floats | None:
    """Return the convex hull (P, 2) of the outer corners of a mask's pixels; None for an empty mask."""
    y, x = np.nonzero(mask)
    if not len(x):
        return None
    corners = np.concatenate([np.stack([x + dx, y + dy], axis=1) for dx in (0, 1) for dy in (0, 1)])
    return np.asarray(cv2.convexHull(corners.astype(np.int32)).reshape(-1, 2), dtype=np.float64)


def extent(outline: Floats) -> Box:
    """Return the box (left, top, right, bottom) of (P, 2) points."""
    (left, top), (right, bottom) = outline.min(axis=0).tolist(), outline.max(axis=0).tolist()
    return left, top, right, bottom


def box_around(outline: Floats, degrees: float) -> RotatedBox:
    """Return the tightest box at an angle around (P, 2) points."""
    axes = np.stack([direction(degrees), direction(degrees + 90.0)])
    along = outline @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    (cx, cy), (w, h) = (low + high) / 2 @ axes, high - low
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def moved_box(box: RotatedBox, linear: Floats, offset: Floats) -> RotatedBox:
    """Return a rotated box after ``p -> linear @ p + offset``: a turn, mirroring or scale, or any after another."""
    cx, cy = linear @ (box.cx, box.cy) + offset
    across = linear @ direction(box.degrees)
    scale = float(np.hypot(*across))
    return RotatedBox.normalized(cx, cy, box.w * scale, box.h * scale, math.degrees(math.atan2(across[1], across[0])))


def clipped(polygon: Floats, size_px: tuple[int, int]) -> Floats:
    """Return a convex polygon's part inside an image (Sutherland and Hodgman 1974): (Q, 2), Q = 0 if there is none."""
    for axis, sign, limit in ((0, 1.0, 0.0), (0, -1.0, -size_px[0]), (1, 1.0, 0.0), (1, -1.0, -size_px[1])):
        if not len(polygon):
            break
        depth = sign * polygon[:, axis] - limit
        after, depth_after = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
        kept: list[Floats] = []
        for start, end, one, two in zip(polygon, after, depth, depth_after, strict=True):
            if one >= 0:
                kept.append(start)
            if (one < 0) != (two < 0):
                kept.append(start + (end - start) * (one / (one - two)))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def area(polygon: Floats) -> float:
    """Return the area of a simple polygon (P, 2)."""
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def warped(image: npt.NDArray[Any], linear: Floats, offset: Floats, size_px: tuple[int, int]) -> npt.NDArray[Any]:
    """Return an image of another size, (width, height), after ``p -> linear @ p + offset``, black where it is not."""
    # OpenCV counts from the centre of the first pixel, the kit from its corner.
    to_opencv = offset + linear @ [0.5, 0.5] - 0.5
    return np.asarray(cv2.warpAffine(image, np.column_stack([linear, to_opencv]), size_px), image.dtype)
