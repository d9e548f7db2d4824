# SPDX-License-Identifier: Apache-2.0
"""People cut out of images: what training and refining have in common.

A crop tells of each pixel its colour, whose it is (the person's, somebody else's, nobody's), and which place on the
body's surface it shows. Whoever is not to be made, but is there, is taken away too: else a network would learn to
look at people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.anonymization.regions import Located, located
from synthkit.crops import CropPlan
from synthkit.crops.planning import outline_px
from synthkit.sample import Person, Sample, evolve
from synthkit_anonymizer_gan import surface

Alignment = Literal["head", "box", "image"]
Pixels = npt.NDArray[np.uint8]

NOBODY, OWN, OTHERS = 0, 1, 2
"""Whose a pixel of a crop is."""

BLANK = (118, 118, 118)
"""What is seen of people before others are made in their place, and of those in whose place nobody is made."""

REVISION = 1
"""Raised when the same sample yields other crops."""

_GROWTH = 0.1  # of the root of a box's area, by which FDH's boxes are grown on each axis (DeepPrivacy2)
_MIN_EXTENT_PX = 12.0
_DOT = 0.02  # radius of a key point, of the root of a crop's area


@attrs.frozen(eq=False)
class Crop:
    """One person's crop.

    Args:
        image: (h, w, 3) sRGB. whose: (h, w) uint8, of ``NOBODY``, ``OWN``, ``OTHERS``.
        places: (h, w) uint16, rows of the surface's table, 0 where nothing is known or the pixel is not the person's;
            key points may lie beside them.
    """

    image: Pixels
    whose: Pixels
    places: surface.Places


def numbered(sample: Sample) -> tuple[Sample, list[Located]] | None:
    """Return a sample in which all who are somewhere have a mask, the smallest in front, and where they are.

    Person n of the result has the number n + 1 in the layer ``instances``, and is place n of the list.

    Returns:
        None when it cannot be told where everybody is.
    """
    found = located(sample)
    if found is None:
        return None
    layer = np.zeros(sample.size_px[::-1], np.uint8 if len(found) < 256 else np.uint16)
    for number, one in sorted(enumerate(found, 1), key=lambda item: -item[1].region.area_px):
        layer[one.region.window][one.region.mask] = number
    people = [evolve(one.person or Person(), instance=number) for number, one in enumerate(found, 1)]
    layers = {name: kept for name, kept in sample.layers.items() if name != "alpha"}
    return evolve(sample, people=people, layers={**layers, "instances": layer}), found


def emptied(sample: Sample) -> Sample:
    """Return a numbered sample without anybody's pixels."""
    image = sample.image.copy()
    image[sample.layers["instances"] > 0] = BLANK
    return evolve(sample, image=image)


def plans_of(sample: Sample, size_px: tuple[int, int], alignment: Alignment) -> list[CropPlan]:
    """Return where crops of a numbered sample's people come from; people who are too small have none.

    Args:
        size_px: (width, height) of the crops.
    """
    if alignment == "head":
        return crops.plan_crops(sample, size_px, min_extent_px=_MIN_EXTENT_PX)
    if alignment == "image":
        return [
            CropPlan(n, one.instance, size_px, _whole(sample, size_px)) for n, one in enumerate(sample.people or ())
        ]
    plans = []
    for index, person in enumerate(sample.people or ()):
        outline = outline_px(person, sample.layers["instances"])
        if outline is not None and np.ptp(outline, axis=0).max() >= _MIN_EXTENT_PX:
            plans.append(CropPlan(index, person.instance, size_px, _around(outline, size_px)))
    return plans


def cut(sample: Sample, plan: CropPlan, kind: surface.Kind) -> Crop:
    """Return a person's crop from a numbered sample."""
    instances = _nearest(sample.layers["instances"], plan)
    own = instances == plan.instance
    known = surface.places(sample, kind)
    if kind == "keypoints":
        places = dots((sample.people or ())[plan.person], plan)
    else:
        places = np.zeros(own.shape, np.uint16) if known is None else np.where(own, _nearest(known, plan), 0)
    whose = np.where(own, OWN, np.where(instances > 0, OTHERS, NOBODY)).astype(np.uint8)
    return Crop(crops.extract(sample.image, plan), whose, places.astype(np.uint16))


def dots(person: Person, plan: CropPlan) -> surface.Places:
    """Return where a crop (h, w) shows which of a person's key points, as rows of their table, but hidden ones."""
    width, height = plan.size_px
    radius = max(1, round(_DOT * math.sqrt(width * height)))
    rows, columns = np.mgrid[:height, :width] + 0.5
    places = np.zeros((height, width), np.uint16)
    for row, name in enumerate(surface.KEYPOINTS, 1):
        point = person.keypoints.get(name)
        if point is not None and point.visible is not False:
            x, y = plan.to_crop((point.x_px, point.y_px))
            places[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = row
    return places


def tells_posture(sample: Sample, kind: surface.Kind) -> bool:
    """Return whether a sample tells what networks want to know of postures."""
    if kind == "none" or sample.people == ():
        return True
    if kind == "keypoints":
        return any(one.keypoints for one in sample.people or ())
    return surface.places(sample, kind) is not None


def margin_px(margin: float, size_px: tuple[int, int]) -> int:
    """Return how many pixels beyond a mask are made anew, at least 1, for a part of the root of a crop's area."""
    return max(1, round(margin * math.sqrt(size_px[0] * size_px[1])))


def grown(mask: npt.NDArray[np.bool_], by_px: int) -> npt.NDArray[np.bool_]:
    """Return a mask (h, w) with all pixels that are at most ``by_px`` from it."""
    reach = np.arange(-by_px, by_px + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= by_px**2).astype(np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk), bool)


def identities(people: Sequence[Person], key: str) -> list[str]:
    """Return who people are; of whom that is not known is somebody of their own, by the image's key and their place."""
    return [person.identity or f"{key}/{place}" for place, person in enumerate(people)]


def _around(outline: npt.NDArray[np.float64], size_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the (2, 3) matrix of an upright crop around a box that is grown as FDH's boxes are."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    sides = high - low
    sides = sides + _GROWTH * math.sqrt(float(sides.prod()))
    scale = float((np.array(size_px) / sides).min())
    centre = (low + high) / 2
    return np.column_stack([np.eye(2) * scale, np.array(size_px) / 2 - scale * centre])


def _whole(sample: Sample, size_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the (2, 3) matrix of a crop that holds as much of an image as fits, in the middle."""
    scale = float((np.array(size_px) / sample.size_px).min())
    return np.column_stack([np.eye(2) * scale, (np.array(size_px) - np.array(sample.size_px) * scale) / 2])


def _nearest(layer: npt.NDArray[Any], plan: CropPlan) -> npt.NDArray[Any]:
    """Return a layer (H, W) cut by a plan, each pixel the nearest one's."""
    matrix = plan.crop_from_image.copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from pixels' centres
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(layer), matrix, plan.size_px, flags=cv2.INTER_NEAREST))
