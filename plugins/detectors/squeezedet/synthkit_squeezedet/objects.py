# SPDX-License-Identifier: Apache-2.0
"""What is to be found in an image, so that it can be turned, mirrored, scaled and cut and still has the right boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import outlines
from synthkit.sample import Person, RotatedBox, Sample
from synthkit_detection.truth import Target, person_box
from synthkit_squeezedet.config import ObjectClass

Floats = npt.NDArray[np.float64]
Boxes = Literal["upright", "rotated", "radial"]

LEAST_PX = 2.0
"""Sides of the smallest box that can be learned, in the input; of what is smaller nothing is seen."""

_LEAST_SHARE = 0.25  # of an object's area, that must be left in an image for it to be looked for


@attrs.frozen(eq=False)
class Object:
    """A person or a head, or where some are that need not be found, and may be.

    Args:
        label: its class; None where it teaches neither that somebody is there nor that nobody is: crowds, and what is
            cut off or too small. outline: (P, 2) corners of a convex polygon, in order.
        turned: its rotated box (5,): cx, cy, w, h, degrees as in ``synthkit.sample``; None where upright boxes are
            learned.
    """

    label: int | None
    outline: Floats
    turned: Floats | None = None

    @property
    def box_cxcywh(self) -> Floats:
        """The upright box, (4,)."""
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        return np.concatenate([(low + high) / 2, high - low])

    def moved(self, linear: Floats, offset: Floats) -> Object:
        """Return the object after ``p -> linear @ p + offset``, (2, 2) and (2,).

        With a rotated box ``linear`` must be a turn, a mirroring, a scale, or any of them after another.
        """
        outline = self.outline @ linear.T + offset
        if self.turned is None:
            return Object(self.label, outline)
        turned = outlines.moved_box(RotatedBox(*self.turned.tolist()), linear, offset)
        return Object(self.label, outline, np.array(turned.as_tuple()))

    def inside(self, size_px: tuple[int, int]) -> Object | None:
        """Return what is left of the object in an image, (width, height); None if nothing is seen of it.

        A rotated box that is cut keeps its angle. What is too little to be looked for has no label.
        """
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        if (low >= 0).all() and (high <= size_px).all():
            return self._if_large()
        left = outlines.clipped(self.outline, size_px)
        if len(left) < 3:
            return None
        enough = outlines.area(left) >= _LEAST_SHARE * outlines.area(self.outline)
        turned = None
        if self.turned is not None:
            turned = np.array(outlines.box_around(left, float(self.turned[4])).as_tuple())
        return Object(self.label if enough else None, left, turned)._if_large()

    def _if_large(self) -> Object | None:
        """Return the object, without a label if its box cannot be learned: the log of no side is no number."""
        if (self.box_cxcywh[2:] < LEAST_PX).any():
            return None
        thin = self.turned is not None and (self.turned[2:4] < LEAST_PX).any()
        return Object(None, self.outline) if thin or self.label is None else self


def objects_of(sample: Sample, classes: Sequence[ObjectClass], boxes: Boxes) -> list[Object]:
    """Return what of some classes is in a sample whose people are known, in its own pixels."""
    instances = sample.layers.get("instances")
    found: list[Object] = []
    for person in sample.people or ():
        for label, wanted in enumerate(classes):
            if wanted.holds(person.attributes):
                found += _object(person, label, wanted.target, boxes, instances)
    return found


def of_class(sample: Sample, item: ObjectClass) -> Sample:
    """Return a sample without the people who are not of a class."""
    if sample.people is None or item.attribute is None:
        return sample
    return attrs.evolve(sample, people=[person for person in sample.people if item.holds(person.attributes)])


def judged_boxes(item: ObjectClass, boxes: Boxes) -> Boxes:
    """Return by which boxes finds of a class are judged: heads by upright ones, as their truth has no other."""
    return "upright" if item.target == "head" else boxes


def _object(
    person: Person, label: int, target: Target, boxes: Boxes, instances: npt.NDArray[Any] | None
) -> Iterator[Object]:
    if person.attributes.get("iscrowd"):
        yield from _unlabelled(person, target)
        return
    box = person_box(person, target)
    if box is None:
        return
    hull = None
    if target == "person" and person.instance is not None and instances is not None:
        hull = outlines.mask_hull(instances == person.instance)
    turned = None if boxes == "upright" else _turned(person, target, boxes, hull)
    if boxes != "upright" and turned is None:
        yield from _unlabelled(person, target)
        return
    stated = turned or (None if person.box_xyxy_px else person.rotated_box)
    if hull is None and target == "person" and stated is not None:
        hull = stated.corners_px()
    if hull is None:
        hull = outlines.ellipse(box)
    yield Object(label, hull, None if turned is None else np.array(turned.as_tuple()))


def _unlabelled(person: Person, target: Target) -> Iterator[Object]:
    """Yield where a crowd is, or somebody who need not be found: what the metric's ``truth_of`` takes for a region."""
    box = person_box(person, target) or person_box(person, "person")
    if box is not None:
        left, top, right, bottom = box
        yield Object(None, np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64))


def _turned(person: Person, target: Target, boxes: Boxes, hull: Floats | None) -> RotatedBox | None:
    """Return the rotated box to be learned, None where it is not known; that of a head is its own box."""
    if target == "head":
        assert person.head_box_xyxy_px is not None
        left, top, right, bottom = person.head_box_xyxy_px
        return RotatedBox.normalized((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0)
    if boxes == "radial":
        return person.radial_box
    if person.rotated_box is None and hull is not None:
        (cx, cy), (w, h), degrees = cv2.minAreaRect(hull.astype(np.float32))
        return RotatedBox.normalized(cx, cy, w, h, degrees)
    return person.rotated_box
