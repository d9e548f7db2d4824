# SPDX-License-Identifier: Apache-2.0
"""Boxes around masks."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.sample import RotatedBox

Floats = NDArray[np.float64]
RADIAL_ROUNDS = 20
ON_AXIS_PX = 0.01  # a box whose centre is this near to the radius is on it


def upright_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return the edges (left, top, right, bottom) of a mask's pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def rotated_box(mask: NDArray[np.bool_]) -> RotatedBox:
    """Return the smallest rotated rectangle around a mask's pixels, corners included."""
    (cx, cy), (w, h), degrees = cv2.minAreaRect(_hull(mask))
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def radial_box(mask: NDArray[np.bool_], nadir_px: Floats) -> RotatedBox:
    """Return the smallest rectangle around a mask's pixels whose middle axis points at the nadir (2,).

    The axis is that through the box's own centre, as in HABBOF; it is found by turning the box until it is. Around
    the nadir itself no axis is better than another, and the box is upright.
    """
    points = _hull(mask)[:, 0] - nadir_px
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    low = high = np.zeros(2)
    axes = np.eye(2)  # rows: across the radius, and outwards
    for _ in range(RADIAL_ROUNDS):
        length = float(np.hypot(*centre))
        x, y = centre / length if length > 0.5 else (0.0, 1.0)
        axes = np.array([[y, -x], [x, y]])
        along = points @ axes.T
        low, high = along.min(axis=0), along.max(axis=0)
        centre = (low + high) / 2 @ axes
        if abs(low[0] + high[0]) / 2 < ON_AXIS_PX or length <= 0.5:
            break
    degrees = math.degrees(math.atan2(-axes[1, 0], axes[1, 1]))
    values = (*(centre + nadir_px), *(high - low), degrees)
    return RotatedBox.normalized(*(round(float(value), 6) for value in values))


def _hull(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the corners (N, 1, 2) of the convex hull of a mask's pixels, each with its area."""
    left, top, right, bottom = map(int, upright_box(mask))
    y, x = np.nonzero(mask[top:bottom, left:right])  # most of an image is elsewhere
    corners = np.concatenate([np.column_stack([x + left + dx, y + top + dy]) for dx in (0, 1) for dy in (0, 1)])
    return np.asarray(cv2.convexHull(corners.astype(np.int32)), np.int32)
