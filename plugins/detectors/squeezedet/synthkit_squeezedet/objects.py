# SPDX-License-Identifier: Apache-2.0
"""What is to be found in an image, so that it can be turned, mirrored, scaled and cut and still has the right boxes.

Turning an axis-aligned box and boxing its corners again makes it up to 1.4 times too wide. An outline, the
points whose extent the box is, gives the exact box under any turn: the hull of the visible pixels where there
is an instance layer, the corners where the truth is the extent of a rotated box, and otherwise the ellipse
inscribed in the box, which heads seen from above are close to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.sample import Person, RotatedBox, Sample
from synthkit_detection.truth import Target, person_box
from synthkit_squeezedet.config import ObjectClass

Floats = npt.NDArray[np.float64]
Boxes = Literal["upright", "rotated", "radial"]

LEAST_PX = 2.0
"""Sides of the smallest box that can be learned, in the input; of what is smaller nothing is seen."""

_LEAST_SHARE = 0.25  # of an object's area, that must be left in an image for it to be looked for
_ELLIPSE = np.stack([trig(np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)) for trig in (np.cos, np.sin)], axis=1)


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
        cx, cy = linear @ self.turned[:2] + offset
        across = linear @ _direction(self.turned[4])
        w, h = self.turned[2:4] * np.hypot(*across)
        degrees = math.degrees(math.atan2(across[1], across[0]))
        return Object(self.label, outline, np.array(RotatedBox.normalized(cx, cy, w, h, degrees).as_tuple()))

    def inside(self, size_px: tuple[int, int]) -> Object | None:
        """Return what is left of the object in an image, (width, height); None if nothing is seen of it.

        A rotated box that is cut keeps its angle. What is too little to be looked for has no label.
        """
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        if (low >= 0).all() and (high <= size_px).all():
            return self._if_large()
        left = _cut(self.outline, size_px)
        if len(left) < 3:
            return None
        enough = _area(left) >= _LEAST_SHARE * _area(self.outline)
        turned = None if self.turned is None else box_around(left, self.turned[4])
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


def box_around(outline: Floats, degrees: float) -> Floats:
    """Return the tightest box (5,) at an angle around (P, 2) points."""
    axes = np.stack([_direction(degrees), _direction(degrees + 90.0)])
    along = outline @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    (cx, cy), (w, h) = (low + high) / 2 @ axes, high - low
    return np.array(RotatedBox.normalized(cx, cy, w, h, degrees).as_tuple(), dtype=np.float64)


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
        hull = _mask_hull(instances == person.instance)
    turned = None if boxes == "upright" else _turned(person, target, boxes, hull)
    if boxes != "upright" and turned is None:
        yield from _unlabelled(person, target)
        return
    stated = turned or (None if person.box_xyxy_px else person.rotated_box)
    if hull is None and target == "person" and stated is not None:
        hull = stated.corners_px()
    if hull is None:
        hull = _ellipse(box)
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


def _ellipse(box: Sequence[float]) -> Floats:
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


def _cut(polygon: Floats, size_px: tuple[int, int]) -> Floats:
    """Return a convex polygon's part inside an image (Sutherland and Hodgman 1974): (Q, 2), Q = 0 if there is none."""
    for axis, sign, limit in ((0, 1.0, 0.0), (0, -1.0, -size_px[0]), (1, 1.0, 0.0), (1, -1.0, -size_px[1])):
        if not len(polygon):
            break
        depth = sign * polygon[:, axis] - limit
        after, depth_after = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
        kept: list[Floats] = []
        for start, end, one, two in zip(polygon, after, depth, depth_after, strict=True):
            if one >= 0:
                kept.append(start)
            if (one < 0) != (two < 0):
                kept.append(start + (end - start) * (one / (one - two)))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def _area(polygon: Floats) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _direction(degrees: float) -> Floats:
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)])
