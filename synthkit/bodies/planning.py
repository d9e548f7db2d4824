# SPDX-License-Identifier: Apache-2.0
"""Where crops of whole bodies come from (thesis 002, section 4.3.2).

The thesis crops 288x160 pixels around each person. How far around is DeepPrivacy2's: the box of the person's pixels
grows by a tenth of its mean side, to the proportion of the crop, and until at least 30 % of it are background; where it
leaves the image it is moved into it. Under a ceiling camera the box is turned so that away from the nadir is up, as in
``crops.planning``, and is not moved.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from synthkit.crops.planning import CropPlan, Floats, outline_px, upward_px
from synthkit.sample import Person, Sample

SIZE_PX = (160, 288)
"""FDH's crops, (width, height)."""

REVISION = 1
"""Raised when the same sample yields other crops."""

View = Literal["auto", "upright", "nadir"]

_GROWTH = 0.1  # of the mean side of a person's box
_BACKGROUND = 0.3  # least share of a crop
_LEAST_AREA_PX = 32.0**2  # of a person's box
_UP = np.array([0.0, -1.0])


def plan_bodies(sample: Sample, size_px: tuple[int, int] = SIZE_PX, view: View = "auto") -> list[CropPlan]:
    """Return a plan for each person who has pixels in the layer ``instances``, but for the smallest.

    Args:
        size_px: (width, height) of the crops. view: whether up is up in the image, or away from the nadir; auto takes
            the latter where the camera is known.
    """
    instances = sample.layers.get("instances")
    turned = view == "nadir" or (view == "auto" and sample.camera is not None)
    plans = []
    for index, person in enumerate(sample.people or ()):
        if instances is None or person.instance is None:
            continue
        outline = outline_px(Person(instance=person.instance), instances)
        if outline is None:
            continue
        up = upward_px(sample, person, outline) if turned else _UP
        rotation = np.array([[-up[1], up[0]], [-up[0], -up[1]]])  # rows: the crop's right and down in the image
        around = outline @ rotation.T
        low, high = around.min(axis=0), around.max(axis=0)
        if np.prod(high - low) < _LEAST_AREA_PX:
            continue
        pixels = int((instances == person.instance).sum())
        wide = _grown(high - low, pixels, size_px[1] / size_px[0])
        centre = rotation.T @ ((low + high) / 2)
        if not turned:
            centre = _moved_inside(centre, wide, sample.size_px)
        linear = rotation * (size_px[0] / wide[0])
        matrix = np.column_stack([linear, np.array(size_px) / 2 - linear @ centre])
        plans.append(CropPlan(index, person.instance, size_px, matrix))
    return plans


def _grown(box: Floats, pixels: int, proportion: float) -> Floats:
    """Return the (width, height) of a crop around a box of which so many pixels are the person's."""
    width, height = box + _GROWTH * np.sqrt(box.prod())
    wide = np.array([max(width, height / proportion), max(height, width * proportion)])
    least = pixels / (1 - _BACKGROUND)
    return np.asarray(wide * np.sqrt(max(1.0, least / wide.prod())))


def _moved_inside(centre: Floats, wide: Floats, size_px: tuple[int, int]) -> Floats:
    """Return the centre of a box moved into the image, along each axis on which it fits."""
    size = np.array(size_px, np.float64)
    inside = np.clip(centre, np.minimum(wide / 2, size / 2), np.maximum(size - wide / 2, size / 2))
    return np.where(wide <= size, inside, centre)
