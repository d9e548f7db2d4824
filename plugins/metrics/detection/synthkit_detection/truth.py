# SPDX-License-Identifier: Apache-2.0
"""Which boxes of a sample are the truth for a detector of heads or of people."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from synthkit.errors import DatasetError
from synthkit.sample import Box, Person, Sample

Target = Literal["head", "person"]
Boxes = npt.NDArray[np.float64]


def person_box(person: Person, target: Target) -> Box | None:
    """Return the box (left, top, right, bottom) in pixels that stands for a person, or None when unknown.

    A person's box is that of the visible pixels or, where only a rotated box is known (CEPDOF), the
    axis-aligned hull of that.
    """
    if target == "head":
        return person.head_box_xyxy_px
    if person.box_xyxy_px is not None:
        return person.box_xyxy_px
    if person.rotated_box is None:
        return None
    corners = person.rotated_box.corners_px()
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def truth_boxes(sample: Sample, target: Target, *, min_box_px: float = 2.0) -> Boxes:
    """Return the truth of one image, clipped to it: (N, 4) float64, left, top, right, bottom in pixels.

    Args:
        sample: with known people.
        target: heads or people.
        min_box_px: what is left inside the image must be at least this wide and high.

    Raises:
        DatasetError: when people are there but none of them has such a box, or nothing is known of them.
    """
    if sample.people is None:
        raise DatasetError(f"sample {sample.key}: it is not known who is in it, so detections cannot be judged")
    found = [person_box(person, target) for person in sample.people]
    known = [box for box in found if box is not None]
    if found and not known:
        raise DatasetError(missing_boxes(sample, target))
    width, height = sample.size_px
    boxes: Boxes = np.array(known, dtype=np.float64).reshape(-1, 4)
    boxes = np.clip(boxes, 0.0, [width, height, width, height])
    large: npt.NDArray[np.bool_] = (boxes[:, 2:] - boxes[:, :2] >= min_box_px).all(axis=1)
    return np.asarray(boxes[large])


def missing_boxes(sample: Sample, target: Target) -> str:
    """Return the sentence that says which boxes a sample lacks and what to set instead."""
    other: Target = "person" if target == "head" else "head"
    usable = any(person_box(person, other) is not None for person in sample.people or ())
    advice = f"; it has boxes of {other}s: set target={other}" if usable else ""
    return f"sample {sample.key}: none of its people has a {target} box{advice}"
