# SPDX-License-Identifier: Apache-2.0
"""What a box is the box of: outlines that can be turned and still give the right box.

Turning an axis-aligned box and boxing its corners again makes it up to 1.4 times too wide. An outline, the
points whose extent the box is, gives the exact box under any turn: the hull of the visible pixels where there
is an instance layer, the corners where the truth is the extent of a rotated box, and otherwise the ellipse
inscribed in the box, which heads seen from above are close to.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.sample import Person, Sample
from synthkit_detection.truth import Target, person_box

Floats = npt.NDArray[np.float64]

_ELLIPSE = np.stack([trig(np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)) for trig in (np.cos, np.sin)], axis=1)


def outlines(sample: Sample, target: Target) -> list[Floats]:
    """Return the outline of each person (or head) with a known box: (P, 2) float64 points in pixels."""
    instances = sample.layers.get("instances")
    found = (_outline(person, target, instances) for person in sample.people or ())
    return [points for points in found if points is not None]


def extent(points: Floats) -> Floats:
    """Return the box (left, top, right, bottom) of (P, 2) points."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _outline(person: Person, target: Target, instances: npt.NDArray[Any] | None) -> Floats | None:
    box = person_box(person, target)
    if box is None:
        return None
    if target == "person":
        if person.instance is not None and instances is not None:
            hull = _mask_hull(instances == person.instance)
            if hull is not None:
                return hull
        if person.box_xyxy_px is None and person.rotated_box is not None:
            return np.asarray(person.rotated_box.corners_px(), dtype=np.float64)
    left, top, right, bottom = box
    centre, half = np.array([left + right, top + bottom]) / 2, np.array([right - left, bottom - top]) / 2
    return np.asarray(centre + half * _ELLIPSE)


def _mask_hull(mask: npt.NDArray[np.bool_]) -> Floats | None:
    """Return the convex hull of the outer corners of a mask's pixels; None for an empty mask."""
    y, x = np.nonzero(mask)
    if not len(x):
        return None
    corners = np.concatenate([np.stack([x + dx, y + dy], axis=1) for dx in (0, 1) for dy in (0, 1)])
    return np.asarray(cv2.convexHull(corners.astype(np.int32)).reshape(-1, 2), dtype=np.float64)
