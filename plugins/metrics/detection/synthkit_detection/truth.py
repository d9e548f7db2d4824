# SPDX-License-Identifier: Apache-2.0
"""Who of a sample's people is the truth for a detector, as upright boxes, rotated boxes or points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np

from synthkit.errors import DatasetError
from synthkit.sample import Box, Person, Sample
from synthkit_detection.geometry import GEOMETRIES, Bools, Boxes, Floats

Target = Literal["head", "person"]
Row = tuple[float, ...]


@attrs.frozen
class Attribute:
    """An attribute of people by which some of them are told apart: its name, and its value as text."""

    name: str
    value: str

    @classmethod
    def of(cls, text: str) -> Attribute:
        """Return what NAME=VALUE says.

        Raises:
            ValueError: when it is not of that form.
        """
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise ValueError(f"must be ATTRIBUTE=VALUE, such as posture=sitting, got {text!r}")
        return cls(name, value)

    def holds(self, person: Person) -> bool:
        """Tell whether a person is one of these."""
        return str(person.attributes.get(self.name)) == self.value


@attrs.frozen(eq=False)
class Truth:
    """The truth of one image.

    Args:
        outlines: (G, K), see ``GEOMETRIES``. optional: (G,) whether it need not be found; a find of it is neither
            right nor wrong. region: (G,) whether it is optional and stands for any number of finds. visible: (G,)
            share that is seen, nan where unknown.
    """

    outlines: Floats
    optional: Bools
    region: Bools
    visible: Floats


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


def truth_boxes(sample: Sample, target: Target, *, min_box_px: float = 2.0) -> Floats:
    """Return the boxes of one image without crowds, clipped to it: (N, 4) float64, left, top, right, bottom in pixels.

    Args:
        sample: with known people.
        target: heads or people.
        min_box_px: what is left inside the image must be at least this wide and high.

    Raises:
        DatasetError: when people are there but none of them has such a box, or nothing is known of them.
    """
    truth = truth_of(sample, target, "upright")
    boxes = truth.outlines[~truth.region]
    return np.asarray(boxes[(boxes[:, 2:] - boxes[:, :2] >= min_box_px).all(axis=1)])


def truth_of(
    sample: Sample,
    target: Target,
    boxes: Boxes,
    *,
    people: Attribute | None = None,
    others_left_out: bool = False,
    min_box_px: float = 2.0,
    min_visible: float = 0.0,
    point_px: float | None = None,
) -> Truth:
    """Return the truth of one image.

    People without the outline that is asked for are left out; where others of a person are known, these are a region
    in which finds are neither right nor wrong. So are crowds (the attribute ``iscrowd``).

    Args:
        sample: with known people.
        people: who is to be found; None: everybody. others_left_out: others need not be found, and may be, rather than
            being no truth at all.
        target, boxes, min_box_px, min_visible, point_px: as in ``DetectionConfig``.

    Raises:
        DatasetError: when people are there but none of them has such an outline, or nothing is known of them.
    """
    if sample.people is None:
        raise DatasetError(f"sample {sample.key}: it is not known who is in it, so detections cannot be judged")
    rows: list[_Known] = []
    missing = 0
    for person in sample.people:
        meant, crowd = people is None or people.holds(person), bool(person.attributes.get("iscrowd"))
        if not (meant or crowd or others_left_out):
            continue
        row, region = outline(person, target, boxes, point_px), crowd
        missing += row is None and not region and person.visible_fraction != 0.0
        if row is None and (region or boxes in ("rotated", "radial")):
            row, region = _region(person, boxes), True
        if row is not None:
            visible = math.nan if person.visible_fraction is None else person.visible_fraction
            rows.append(_Known(row, region, not meant, visible))
    if missing and all(known.region for known in rows):
        raise DatasetError(missing_outlines(sample, target, boxes, point_px))
    return _truth(sample, boxes, rows, min_box_px, min_visible)


@attrs.frozen
class _Known:
    """An outline, whether it is a region, whether it need not be found anyhow, and the share that is seen."""

    row: Row
    region: bool
    spare: bool
    visible: float


def outline(person: Person, target: Target, boxes: Boxes, point_px: float | None = None) -> Row | None:
    """Return what stands for a person, a row as in ``GEOMETRIES``, or None when unknown."""
    if boxes == "upright":
        return person_box(person, target)
    if boxes == "points":
        return _head_point(person, point_px) if target == "head" else _middle(person)
    if target == "head":
        return None
    box = person.rotated_box if boxes == "rotated" else person.radial_box
    return None if box is None else box.as_tuple()


def missing_boxes(sample: Sample, target: Target) -> str:
    """Return the sentence that says which boxes a sample lacks and what to set instead."""
    return missing_outlines(sample, target, "upright", None)


def missing_outlines(sample: Sample, target: Target, boxes: Boxes, point_px: float | None) -> str:
    """Return the sentence that says which outlines a sample lacks and what to set instead."""
    names = {
        "upright": "box",
        "rotated": "rotated box",
        "radial": "box that points at the nadir",
        "points": "place and size",
    }
    start = f"sample {sample.key}: none of its people has a {target} {names[boxes]}"
    people = sample.people or ()
    if boxes == "points" and target == "head" and point_px is None and any(p.head_px is not None for p in people):
        return f"{start}; it has the middles of heads: set point_px"
    other: Target = "person" if target == "head" else "head"
    choices: Sequence[tuple[Target, Boxes]] = (
        (target, "rotated"),
        (target, "upright"),
        (other, boxes),
        (other, "upright"),
    )
    for kind, form in choices:
        if (kind, form) != (target, boxes) and any(outline(person, kind, form) is not None for person in people):
            changes = [f"target={kind}"] * (kind != target) + [f"boxes={form}"] * (form != boxes)
            return f"{start}; it has a {kind} {names[form]}: set {' and '.join(changes)}"
    return start


def _truth(sample: Sample, boxes: Boxes, rows: Sequence[_Known], min_box_px: float, min_visible: float) -> Truth:
    columns = GEOMETRIES[boxes].columns
    outlines: Floats = np.array([known.row for known in rows], dtype=np.float64).reshape(-1, columns)
    region = np.array([known.region for known in rows], dtype=bool)
    spare = np.array([known.spare for known in rows], dtype=bool)
    visible = np.array([known.visible for known in rows], dtype=np.float64)
    if boxes == "upright":
        width, height = sample.size_px
        outlines = np.clip(outlines, 0.0, [width, height, width, height])
        small = (outlines[:, 2:] - outlines[:, :2] < min_box_px).any(axis=1)
    elif boxes == "points":
        small = np.zeros(len(outlines), dtype=bool)
    else:
        small = outlines[:, 2:4].min(axis=1, initial=math.inf) < min_box_px
    return Truth(outlines, region | spare | small | (visible < min_visible), region, visible)


def _head_point(person: Person, point_px: float | None) -> Row | None:
    box = person.head_box_xyxy_px
    size = point_px if box is None else math.hypot(box[2] - box[0], box[3] - box[1])
    middle = person.head_px
    if middle is None and box is not None:
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return None if middle is None or size is None else (*middle, size)


def _middle(person: Person) -> Row | None:
    if person.rotated_box is not None:
        return person.rotated_box.cx, person.rotated_box.cy, math.hypot(person.rotated_box.w, person.rotated_box.h)
    if (box := person.box_xyxy_px) is None:
        return None
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, math.hypot(box[2] - box[0], box[3] - box[1])


def _region(person: Person, boxes: Boxes) -> Row | None:
    """Return where somebody is whose outline is not known, as an upright box of that kind."""
    box = person_box(person, "person")
    if box is None or boxes in ("upright", "points"):
        return box if boxes == "upright" else None
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0
