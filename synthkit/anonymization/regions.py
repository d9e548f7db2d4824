# SPDX-License-Identifier: Apache-2.0
"""Which pixels of an image are somebody's: from masks where there are some, from boxes where there are none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.sample import Array, Person, RotatedBox, Sample

Mask = npt.NDArray[np.bool_]
Extent = Literal["body", "head"]

_HEAD_REACH = 0.25  # of a person's length: around a head of which only the centre is known; seen from above it is large
_PADDING_PX = 1  # around drawn outlines, so that no pixel that an edge runs through is left


@attrs.frozen(eq=False)
class Region:
    """Pixels of an image that belong together.

    Args:
        top, left: of the window (h, w) that holds all of them. mask: (h, w) bool, which of the window's they are.
    """

    top: int
    left: int
    mask: Mask

    @classmethod
    def of(cls, mask: Mask) -> Region | None:
        """Return the region of what is set in a mask of the whole image (H, W), None when nothing is."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return None
        part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(int(rows[0]), int(columns[0]), np.ascontiguousarray(part))

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the image."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    @property
    def area_px(self) -> int:
        """How many pixels there are."""
        return int(np.count_nonzero(self.mask))

    @property
    def length_px(self) -> float:
        """The longer side of the tightest rotated box around the pixels."""
        seen = cv2.findNonZero(self.mask.astype(np.uint8))
        _, (width, height), _ = cv2.minAreaRect(seen)
        return float(max(width, height)) + 1

    @property
    def box_xyxy_px(self) -> tuple[float, float, float, float]:
        """The upright box around the pixels."""
        height, width = self.mask.shape
        return float(self.left), float(self.top), float(self.left + width), float(self.top + height)

    def grown(self, by_px: float, size_px: tuple[int, int]) -> Region:
        """Return the region with all pixels of the image whose centres are at most ``by_px`` away from one of its own.

        Args:
            size_px: (width, height) of the image.
        """
        reach = math.ceil(by_px)
        top, left = max(0, self.top - reach), max(0, self.left - reach)
        bottom = min(size_px[1], self.top + self.mask.shape[0] + reach)
        right = min(size_px[0], self.left + self.mask.shape[1] + reach)
        outside = np.ones((bottom - top, right - left), np.uint8)
        inner = self.top - top, self.left - left
        outside[inner[0] : inner[0] + self.mask.shape[0], inner[1] : inner[1] + self.mask.shape[1]] = ~self.mask
        distance_px = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return Region(top, left, np.asarray(distance_px <= by_px + 1e-3))

    def shared_px(self, other: Region) -> int:
        """Return how many pixels of the image another region has of this one."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(one.top + one.mask.shape[0] for one in (self, other))
        right = min(one.left + one.mask.shape[1] for one in (self, other))
        if bottom <= top or right <= left:
            return 0
        parts = [
            one.mask[top - one.top : bottom - one.top, left - one.left : right - one.left] for one in (self, other)
        ]
        return int(np.count_nonzero(parts[0] & parts[1]))

    def on(self, size_px: tuple[int, int]) -> Mask:
        """Return the region as a mask of the whole image, (H, W) bool."""
        whole = np.zeros(size_px[::-1], bool)
        whole[self.window] = self.mask
        return whole


def union(regions: Sequence[Region]) -> Region:
    """Return all pixels of some regions of an image, of one at least."""
    top, left = min(one.top for one in regions), min(one.left for one in regions)
    bottom = max(one.top + one.mask.shape[0] for one in regions)
    right = max(one.left + one.mask.shape[1] for one in regions)
    whole = np.zeros((bottom - top, right - left), bool)
    for one in regions:
        rows, columns = one.mask.shape
        whole[one.top - top : one.top - top + rows, one.left - left : one.left - left + columns] |= one.mask
    return Region(top, left, whole)


def of_outline(corners_px: Array, size_px: tuple[int, int]) -> Region | None:
    """Return the region inside a convex outline, None where it lies outside the image.

    Args:
        corners_px: (N, 2). size_px: (width, height) of the image.
    """
    low, high = np.floor(corners_px.min(axis=0)) - _PADDING_PX, np.ceil(corners_px.max(axis=0)) + _PADDING_PX
    left, top = (int(value) for value in np.clip(low, 0, size_px))
    right, bottom = (int(value) for value in np.clip(high, 0, size_px))
    if right <= left or bottom <= top:
        return None
    drawn = np.zeros((bottom - top, right - left), np.uint8)
    # OpenCV counts from pixels' centres, and draws the outline itself too.
    points = np.round(np.clip(corners_px - 0.5 - (left, top), -1e6, 1e6)).astype(np.int32)
    cv2.fillConvexPoly(drawn, points, [1])
    padded = cv2.dilate(drawn, np.ones((3, 3), np.uint8), iterations=_PADDING_PX)
    found = Region.of(np.asarray(padded, bool))
    return None if found is None else Region(found.top + top, found.left + left, found.mask)


def of_box(box_xyxy_px: tuple[float, float, float, float], size_px: tuple[int, int]) -> Region | None:
    """Return the region of an upright box, None where it lies outside the image."""
    left, top, right, bottom = box_xyxy_px
    return of_outline(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), size_px)


def of_person(person: Person, instances: npt.NDArray[Any] | None, size_px: tuple[int, int]) -> Region | None:
    """Return the region of a person: the mask, or where there is none the rotated box, or else the upright one.

    Args:
        instances: the layer (H, W) where there is one.

    Returns:
        None when nothing tells where the person is, or the person is not in the image.
    """
    if instances is not None and person.instance is not None:
        masked = Region.of(instances == person.instance)
        if masked is not None:
            return masked
    if person.rotated_box is not None:
        return of_outline(person.rotated_box.corners_px(), size_px)
    if person.box_xyxy_px is not None:
        return of_box(person.box_xyxy_px, size_px)
    return None


@attrs.frozen(eq=False)
class Located:
    """A person of a sample, and where: ``person`` is None for pixels of an instance that nothing else is known of."""

    person: Person | None
    instance: int | None
    region: Region


def located(sample: Sample) -> list[Located] | None:
    """Return everybody of a sample who can be seen, the smallest first.

    Returns:
        None when it cannot be told where everybody is: nothing is known of the people, or somebody has neither mask
        nor box and is not known to be hidden.
    """
    instances = sample.layers.get("instances")
    if sample.people is None and instances is None:
        return None
    found: list[Located] = []
    for person in sample.people or ():
        region = of_person(person, instances, sample.size_px)
        if region is not None:
            found.append(Located(person, person.instance, region))
        elif not _is_out_of_sight(person):
            return None
    if instances is not None:
        known = {one.instance for one in found}
        for number in np.unique(instances):
            region = Region.of(instances == number) if number and int(number) not in known else None
            if region is not None:
                found.append(Located(None, int(number), region))
    return sorted(found, key=lambda one: one.region.area_px)


def head_of(one: Located, size_px: tuple[int, int]) -> Region:
    """Return the region of a person's head; all of the person where nothing tells where the head is."""
    person = one.person
    if person is not None and person.head_box_xyxy_px is not None:
        return of_box(person.head_box_xyxy_px, size_px) or one.region
    if person is not None and person.head_px is not None:
        reach = _HEAD_REACH * one.region.length_px
        side = 2 * reach
        return of_outline(RotatedBox(*person.head_px, side, side, 0.0).corners_px(), size_px) or one.region
    return one.region


def extent_of(extent: Extent) -> Callable[[Located, tuple[int, int]], Region]:
    """Return what gives the region that is to be treated of somebody in an image of a size."""
    return head_of if extent == "head" else lambda one, _: one.region


def _is_out_of_sight(person: Person) -> bool:
    """Return whether a person without mask and box is known to be hidden, or is placed outside the image by a box."""
    return person.visible_fraction == 0 or person.rotated_box is not None or person.box_xyxy_px is not None
