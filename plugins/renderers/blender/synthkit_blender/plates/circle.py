# SPDX-License-Identifier: Apache-2.0
"""Where the image circle of a fisheye's photo lies, found by its dark surroundings."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DARK = 24  # grey levels: sensors leave a little light and JPEG some ringing outside the circle
TRIES = 150  # a third of the rim on the circle suffices nearly always: (1 - 1 / 27) ** 150 < 0.4 %
TOLERANCE = 0.004  # of the radius: how far from the circle a point of the rim may lie
LEAST_POINTS, MOST_POINTS = 24, 300
LEAST_SHARE = 0.35  # of the rim's points that must lie on the circle
LEAST_ARC = 0.25  # of the circle that they must cover


def find_circle(pixels: NDArray[np.uint8]) -> tuple[float, float, float] | None:
    """Return centre x, centre y and radius in pixels of the image circle of a photo (H, W, 3), or None.

    The rim is where the largest bright region meets the dark; the circle is the one that most of the rim lies on
    (RANSAC; Fischler and Bolles, CACM 24, 1981), refined by least squares over these (Kåsa, IEEE Trans. Instrum. Meas.
    25, 1976). None where there is no dark rim, or no circle fits it.
    """
    rim = _rim(pixels.max(axis=2))
    if len(rim) < LEAST_POINTS:
        return None
    best = _most_on_one(rim[:: max(1, len(rim) // MOST_POINTS)])
    if best is None:
        return None
    for _ in range(3):
        close = _on(rim, best)
        if close.sum() < LEAST_POINTS:
            return None
        best = _least_squares(rim[close])
    close = _on(rim, best)
    angles = np.arctan2(rim[close, 1] - best[1], rim[close, 0] - best[0])
    arc = len(np.unique(np.floor(angles * (36 / np.pi)))) / 72
    height, width = pixels.shape[:2]
    sound = close.mean() >= LEAST_SHARE and arc >= LEAST_ARC
    if not (sound and 0.2 * max(height, width) < best[2] < 0.75 * math.hypot(height, width)):
        return None
    return float(best[0]), float(best[1]), float(best[2])


def _rim(grey: NDArray[np.uint8]) -> Floats:
    """Return points (N, 2) where the largest bright region begins and ends in rows and columns, off the borders."""
    bright = cv2.medianBlur(grey, 5) > DARK
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.zeros((0, 2))
    region = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.concatenate([_ends(region), _ends(region.T)[:, ::-1]])


def _ends(region: NDArray[np.bool_]) -> Floats:
    """Return (x, y) of the region's ends in every row, those at the image's own border left out."""
    rows = np.flatnonzero(region.any(axis=1))
    width = region.shape[1]
    first, last = region[rows].argmax(axis=1), width - region[rows, ::-1].argmax(axis=1)
    left, right = first > 1, last < width - 1
    x = np.concatenate([first[left], last[right]])
    y = np.concatenate([rows[left], rows[right]]) + 0.5
    return np.column_stack([x, y]).astype(np.float64)


def _most_on_one(rim: Floats) -> Floats | None:
    rng = np.random.default_rng(0)  # the same photo always gives the same circle
    best, most = None, 0
    for _ in range(TRIES):
        circle = _through(rim[rng.choice(len(rim), 3, replace=False)])
        if circle is not None and (count := int(_on(rim, circle).sum())) > most:
            best, most = circle, count
    return best


def _through(points: Floats) -> Floats | None:
    """Return the circle through three points, or None where they lie too straight."""
    a, b = points[1] - points[0], points[2] - points[0]
    twice = 2 * (a[0] * b[1] - a[1] * b[0])
    if abs(twice) < 1e-3 * np.hypot(*a) * np.hypot(*b):
        return None
    aa, bb = a @ a, b @ b
    offset = np.array([b[1] * aa - a[1] * bb, a[0] * bb - b[0] * aa]) / twice
    return np.array([*(points[0] + offset), np.hypot(*offset)])


def _on(rim: Floats, circle: Floats) -> NDArray[np.bool_]:
    away = np.abs(np.hypot(rim[:, 0] - circle[0], rim[:, 1] - circle[1]) - circle[2])
    return np.asarray(away <= max(1.0, TOLERANCE * circle[2]))


def _least_squares(points: Floats) -> Floats:
    """Return the circle x^2 + y^2 = 2 a x + 2 b y + c of least squares."""
    mean = points.mean(axis=0)  # for the numbers' sake
    x, y = (points - mean).T
    a, b, c = np.linalg.lstsq(np.column_stack([2 * x, 2 * y, np.ones(len(x))]), x * x + y * y, rcond=None)[0]
    return np.array([a + mean[0], b + mean[1], np.sqrt(max(c + a * a + b * b, 0.0))])
