# SPDX-License-Identifier: Apache-2.0
"""Pictures of people as embedders want them, cut out of samples: upright, alone, without background where asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.crops import CropPlan
from synthkit.crops.planning import outline_px
from synthkit.errors import DatasetError
from synthkit.sample import Person, Sample

Pixels = npt.NDArray[np.uint8]

REVISION = 2
"""Raised when the same sample yields other pictures."""

JUNK, STRANGER = "junk", "distractor"
"""What ``Person.attributes["reid"]`` tells of pictures of nobody: not ranked at all, or always wrong."""


@attrs.frozen(eq=False)
class Cut:
    """How people are cut out.

    Args:
        size_px: (width, height) of the network's input. background: the colour that stands for it, or None to keep it.
        min_extent_px: people shorter than this are left out.
    """

    size_px: tuple[int, int]
    background: tuple[int, int, int] | None
    min_extent_px: float


@attrs.frozen(eq=False)
class Picture:
    """A person in a sample.

    Args:
        key: of the sample and the place of the person in it. identity: whom it shows, empty for a stranger.
        pixels: pictures (h, w, 3) sRGB of the same place, one for each image that was given.
    """

    key: str
    identity: str
    pixels: tuple[Pixels, ...]


def cut_out(sample: Sample, images: Sequence[Pixels], cut: Cut) -> Iterator[Picture | str]:
    """Yield everybody in a sample who is somebody, or why somebody is left out: junk, unknown, unseen.

    A sample of one person without any place in it is a picture of that person as it is.

    Args:
        images: of the sample's size, that are cut alike: its own, or what became of it.

    Raises:
        DatasetError: when backgrounds are to go and there is neither a mask nor a rotated box.
    """
    side = max(cut.size_px)
    plans = {
        plan.person: _tight(sample, plan)
        for plan in crops.plan_crops(sample, (side, side), min_extent_px=cut.min_extent_px)
    }
    people = sample.people or ()
    for index, person in enumerate(people):
        told = person.attributes.get("reid")
        if told == JUNK:
            yield "junk"
        elif person.identity is None and told != STRANGER:
            yield "unknown"
        elif index in plans:
            key = f"{sample.key}#{index}"
            yield Picture(key, person.identity or "", _pixels(sample, images, plans[index], cut))
        elif len(people) == 1 and _fills(person):
            if cut.background is not None:
                raise _no_mask(sample)
            yield Picture(f"{sample.key}#{index}", person.identity or "", tuple(images))
        else:
            yield "unseen"


def _tight(sample: Sample, plan: CropPlan) -> CropPlan:
    """Return the upright box around what a plan's person shows, at the same scale."""
    outline = outline_px((sample.people or ())[plan.person], sample.layers.get("instances"))
    assert outline is not None  # it has been planned by it
    corners = plan.to_crop(outline)
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    matrix = plan.crop_from_image.copy()
    matrix[:, 2] -= low
    width, height = (max(1, int(length)) for length in high - low)
    return CropPlan(plan.person, plan.instance, (width, height), matrix)


def _pixels(sample: Sample, images: Sequence[Pixels], plan: CropPlan, cut: Cut) -> tuple[Pixels, ...]:
    if cut.background is None:
        return tuple(crops.extract(image, plan) for image in images)
    mask = _mask(sample, plan)
    # Pixels at the edge show what is behind as well.
    inside = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    kept = (inside if inside.any() else mask)[..., None] > 0
    neutral = np.array(cut.background, np.uint8)
    outside = ~_covers(plan, (sample.image.shape[1], sample.image.shape[0]))
    pixels = [crops.extract(np.where(kept, image, neutral), plan) for image in images]
    for picture in pixels:
        picture[outside] = neutral
    return tuple(pixels)


def _mask(sample: Sample, plan: CropPlan) -> Pixels:
    """Return which pixels (H, W) are a person's: those of their mask, else of their rotated box, which is tight."""
    instances, box = sample.layers.get("instances"), (sample.people or ())[plan.person].rotated_box
    if instances is not None and plan.instance is not None:
        return np.asarray(instances == plan.instance, np.uint8)
    if box is None:
        raise _no_mask(sample)
    # OpenCV counts from pixels' centres.
    corners = np.round(box.corners_px() - 0.5).astype(np.int32)
    return np.asarray(cv2.fillConvexPoly(np.zeros(sample.size_px[::-1], np.uint8), corners, [1]), np.uint8)


def _covers(plan: CropPlan, size_px: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which pixels of a crop lie well inside the image, (h, w)."""
    width, height = plan.size_px
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    places = plan.to_image(centres)
    return np.asarray(((places >= 0.5) & (places <= np.array(size_px) - 0.5)).all(axis=-1))


def _fills(person: Person) -> bool:
    """Return whether nothing tells where in the image a person is."""
    places = (person.instance, person.head_px, person.box_xyxy_px, person.rotated_box, person.full_box_xyxy_px)
    return all(place is None for place in places)


def _no_mask(sample: Sample) -> DatasetError:
    return DatasetError(
        f"sample {sample.key}: has no mask of a person, so its background cannot be removed; set metric.background=kept"
        " to judge people with what is around them, or give a set with the layer 'instances'"
    )
