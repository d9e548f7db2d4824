# SPDX-License-Identifier: Apache-2.0
"""People who were made, put into the image that was emptied for them.

Refiners that change who is there put back differences, by which an image keeps the detail that is finer than a crop
(``synthkit.crops.reinsert``). Of an emptied image that detail is the outline that was cut out, which would stay as a
dark or bright rim as wide as a crop's pixel, and what of people reaches beyond their masks, such as hair. So here what
was made takes the place of all that was, in masks and in the margin around them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.anonymization.regions import Region
from synthkit.crops import CropPlan
from synthkit.crops.coverage import Coverage, Window, softened
from synthkit.crops.cutting import Picture, as_pixels, warp
from synthkit.crops.reinserting import continued
from synthkit.sample import Layer, Sample
from synthkit_anonymizer_gan.people import Pixels

_LEAST_MARGIN_PX = 1


@attrs.frozen(eq=False)
class Placed:
    """Somebody who was made.

    Args:
        plan: of their crop. crop: (h, w, 3) float32 in 0..255. making: (h, w), where of it they were made, somewhere.
    """

    plan: CropPlan
    crop: Picture
    making: npt.NDArray[np.bool_]


def placed(empty: Sample, people: Sequence[Placed], margin_px: int, feather_px: float) -> Pixels:
    """Return the image of a sample without anybody's pixels with people put into it; whoever is none of them stays so.

    Args:
        empty: of ``people.emptied``. margin_px: how far in their crops they are made beyond their masks.
        feather_px: width of the soft edge.
    """
    instances = empty.layers["instances"]
    wider = _widened(instances, people, margin_px)
    coverage = Coverage(wider, softened(wider > 0, feather_px))
    base, parts = empty.image.astype(np.float32), []
    for one in people:
        window, covered = coverage.of_person(int(one.plan.instance or 0))
        drawn = _drawn(one, window, covered.shape)
        own = instances[window] == one.plan.instance
        base[window][own] = drawn[own]  # a soft edge lets through what is around somebody, and nothing of the emptied
        parts.append((window, covered[..., None], drawn))
    result = base.copy()
    for window, covered, drawn in parts:
        result[window] += covered * (drawn - base[window])
    return as_pixels(result)


def _widened(instances: npt.NDArray[Any], people: Sequence[Placed], margin_px: int) -> Layer:
    """Return who is where with the margins in which people are made too, of which the smallest person's is in front."""
    size_px = instances.shape[1], instances.shape[0]
    regions = [(Region.of(instances == one.plan.instance), one.plan) for one in people]
    seen = [(region, plan) for region, plan in regions if region is not None]
    layer = np.zeros_like(instances)
    for region, plan in sorted(seen, key=lambda item: -item[0].area_px):
        wider = region.grown(max(_LEAST_MARGIN_PX, math.floor(margin_px / plan.scale)), size_px)
        layer[wider.window][wider.mask] = plan.instance
    return np.where(instances > 0, instances, layer)  # a margin is nowhere where somebody else is


def _drawn(one: Placed, window: Window, shape: tuple[int, ...]) -> Picture:
    """Return who was made as a window of the image shows them; where nothing was made, it is what was made nearby."""
    top, left = (part.start for part in window)
    from_crop = one.plan.image_from_crop - np.array([[0, 0, left], [0, 0, top]])
    crop = continued(one.crop, one.making.astype(np.float32))
    return warp(crop, from_crop, (shape[1], shape[0]), 1 / one.plan.scale, border=cv2.BORDER_REPLICATE)
