# SPDX-License-Identifier: Apache-2.0
"""What formats of boxes have in common: the classes that matter, checked boxes, heads and their people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit.dataset.formats.base import is_finite
from synthkit.dataset.formats.exporting import Export
from synthkit.sample import Box, Person, RotatedBox

PERSON, HEAD = "person", "head"
CROWDS = "crowds, which would be taken for one person each"
EDGE_TOLERANCE_PX = 0.51  # beyond the image: half a pixel is a matter of where pixels are counted from
MAX_OBJECTS = 10_000
"""More in one image are taken for damage."""

_PERSON_NAMES = frozenset(
    {"person", "persons", "people", "pedestrian", "pedestrians", "human", "humans", "person_sitting"}
)
_FIELDS: Mapping[str, str] = {
    "identity": "identities",
    "head_px": "head points",
    "head_box_xyxy_px": "head boxes",
    "box_xyxy_px": "upright boxes",
    "rotated_box": "rotated boxes",
    "radial_box": "boxes along the radius",
    "full_box_xyxy_px": "boxes of hidden parts too",
    "floor_m": "places on the floor",
    "keypoints": "key points",
    "visible_fraction": "visible fractions",
    "occluder": "occluders",
    "attributes": "attributes",
    "instance": "masks",
}
HULLS = "people without a box of what is seen of them have the upright box around their rotated box"
_SHOWN = 10  # classes in a line
_HEAD_INSIDE = 0.5  # share of a head's box that lies in its person's


class Classes:
    """Which classes of a set are people, and what was met of the others.

    Args:
        people: names of classes that are people besides those that anybody would take for some.
    """

    def __init__(self, people: Collection[str] = ()) -> None:
        self._stated = {_plain(name) for name in people} - _PERSON_NAMES
        self._assured = bool(people)
        self._declared: set[str] = set()
        self._met: set[str] = set()
        self._ignored: Counter[str] = Counter()

    def role(self, name: str) -> str | None:
        """Return ``PERSON`` or ``HEAD`` for the name of a class, None for what is not a person."""
        plain = _plain(name)
        if plain in _PERSON_NAMES or plain in self._stated:
            return PERSON
        return HEAD if plain == HEAD else None

    def declare(self, name: str) -> str | None:
        """Return the role of a class that a set lists, whether or not it has objects of it."""
        self._declared.add(_plain(name))
        return self.role(name)

    def met(self, name: str) -> str | None:
        """Return the role of an object's class, and count what is left out."""
        kind = self.role(name)
        self._met.add(_plain(name))
        if kind is None:
            self._ignored[name] += 1
        return kind

    def problems(self, folder: Path) -> list[str]:
        """Return what is wrong with the classes once all have been met: a set of others says nothing about people."""
        found = self._met | self._declared
        lines = []
        missing = sorted(self._stated - found)
        if missing:
            known = f"it has {', '.join(map(repr, sorted(found)[:_SHOWN]))}" if found else "it names no classes"
            lines.append(f"{folder}: has no class {', '.join(map(repr, missing))}; {known}")
        if self._ignored and not self._assured and not any(map(self.role, found)):
            lines.append(
                f"{folder}: has no people, but objects of other classes: {self._listed()}; name those that are people"
                " with --person-class NAME, or, if there is nobody, --person-class person"
            )
        return lines

    def remarks(self) -> list[str]:
        """Return the line that tells which classes were left out, if there were any."""
        return [f"only people are read; ignored classes: {self._listed()}"] if self._ignored else []

    def _listed(self) -> str:
        most = sorted(self._ignored.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{name!r:.60} ({count})" for name, count in most[:_SHOWN])
        return f"{shown} and {len(most) - _SHOWN} more" if len(most) > _SHOWN else shown


def _plain(name: str) -> str:
    return name.strip().lower()


def checked_box(edges: Sequence[Any], size_px: tuple[int, int], what: str) -> Box:
    """Return a box (left, top, right, bottom), in pixels.

    Raises:
        ValueError: when its edges are no finite numbers, turned round, or nowhere near the image.
    """
    if len(edges) != 4 or not all(map(is_finite, edges)):
        raise ValueError(f"{what} must be finite numbers, got {str(edges)[:80]}")
    left, top, right, bottom = map(float, edges)
    width, height = size_px
    if right < left or bottom < top:
        raise ValueError(f"{what} has the size {right - left:g}x{bottom - top:g}, expected 0 or more")
    if left > width or top > height or right < 0 or bottom < 0:
        raise ValueError(f"{what} at ({left:g}, {top:g}) lies outside the image of {width}x{height} pixels")
    if right - left > 2 * width or bottom - top > 2 * height:
        raise ValueError(
            f"{what} of {right - left:g}x{bottom - top:g} pixels is larger than the image of {width}x{height}"
        )
    return left, top, right, bottom


def checked_rotated(values: Any, size_px: tuple[int, int], what: str) -> RotatedBox:
    """Return a rotated box from (cx, cy, w, h, degrees clockwise).

    Raises:
        ValueError: when these are no five finite numbers, or nowhere near the image.
    """
    if not isinstance(values, list | tuple) or len(values) != 5 or not all(map(is_finite, values)):
        raise ValueError(f"{what} must be five finite numbers (cx, cy, w, h, degrees), got {str(values)[:80]}")
    cx, cy, w, h, degrees = map(float, values)
    longest = 2 * max(size_px)
    if not (0 <= w <= longest and 0 <= h <= longest and abs(degrees) <= 1e6):
        raise ValueError(f"{what} of {w:g}x{h:g} pixels at {degrees:g} degrees is no box in this image")
    if not (-longest <= cx <= 2 * longest and -longest <= cy <= 2 * longest):
        raise ValueError(f"{what} around ({cx:g}, {cy:g}) lies outside the image of {size_px[0]}x{size_px[1]} pixels")
    if w <= h and -90 <= degrees < 90:  # in the convention already: no digit is to change
        return RotatedBox(cx, cy, w, h, degrees)
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def centred_inside(cx: float, cy: float, size_px: tuple[int, int]) -> bool:
    """Return whether a box's centre lies in an image, or less than a pixel beside it."""
    near = EDGE_TOLERANCE_PX
    return -near <= cx <= size_px[0] + near and -near <= cy <= size_px[1] + near


def is_crowd(person: Person) -> bool:
    """Return whether this is no person but a region of people that are not told apart, to be ignored."""
    return bool(person.attributes.get("iscrowd"))


def clipped(box: Box, size_px: tuple[int, int]) -> Box | None:
    """Return the part of a box that lies in the image, None when nothing does."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(size_px[0]), box[2]), min(float(size_px[1]), box[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def hull(box: RotatedBox) -> Box:
    """Return the upright box around a rotated one."""
    corners = box.corners_px()
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def upright_box(export: Export, person: Person) -> Box | None:
    """Return a person's box, or else the one around the rotated box, which is then told."""
    if person.box_xyxy_px is None and person.rotated_box is not None:
        export.remark(HULLS)
        return hull(person.rotated_box)
    return person.box_xyxy_px


def count_dropped(export: Export, person: Person, kept: Collection[str]) -> None:
    """Count what is known of a person besides the ``kept`` fields, as the format cannot hold it."""
    for field, what in _FIELDS.items():
        value = getattr(person, field)
        if field not in kept and value is not None and value != {}:
            export.dropped(what)


def with_heads(entries: Sequence[Person | Box]) -> list[Person]:
    """Return people with their heads, from bodies and head boxes in a file's order.

    A head belongs to the body listed just before it, or else to the smallest body that holds most of it,
    at least half; each body has one. A head of no body is a person of whom only the head is known.

    Raises:
        ValueError: when there are more than ``MAX_OBJECTS``.
    """
    if len(entries) > MAX_OBJECTS:
        raise ValueError(f"{len(entries)} objects are in one image, more than {MAX_OBJECTS} are refused")
    slots: list[Person | None] = [entry if isinstance(entry, Person) else None for entry in entries]
    boxes = np.array([_body(entry) for entry in entries], dtype=float).reshape(-1, 4)
    free = np.array([isinstance(entry, Person) for entry in entries], dtype=bool)
    heads = [(place, entry) for place, entry in enumerate(entries) if not isinstance(entry, Person)]
    homeless = []
    for place, head in heads:
        before = place - 1
        if before >= 0 and free[before] and _inside(head, boxes[before : before + 1])[0] >= _HEAD_INSIDE:
            _give(slots, free, before, head)
        else:
            homeless.append((place, head))
    for place, head in homeless:
        inside = np.where(free, _inside(head, boxes), 0.0)
        if inside.max(initial=0.0) >= _HEAD_INSIDE:
            areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
            _give(slots, free, int(np.lexsort((areas, -np.round(inside, 6)))[0]), head)
        else:
            slots[place] = Person(head_box_xyxy_px=head)
    return [person for person in slots if person is not None]


def _body(entry: Person | Box) -> Box:
    if not isinstance(entry, Person):
        return 0.0, 0.0, 0.0, 0.0
    if entry.box_xyxy_px is not None:
        return entry.box_xyxy_px
    return (0.0, 0.0, 0.0, 0.0) if entry.rotated_box is None else hull(entry.rotated_box)


def _inside(head: Box, boxes: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (N,) how much of a head lies in each box, 0..1."""
    width = np.minimum(head[2], boxes[:, 2]) - np.maximum(head[0], boxes[:, 0])
    height = np.minimum(head[3], boxes[:, 3]) - np.maximum(head[1], boxes[:, 1])
    area = max((head[2] - head[0]) * (head[3] - head[1]), 1e-12)
    return np.asarray(np.clip(width, 0, None) * np.clip(height, 0, None) / area)


def _give(slots: list[Person | None], free: Any, place: int, head: Box) -> None:
    body = slots[place]
    assert body is not None
    slots[place], free[place] = attrs.evolve(body, head_box_xyxy_px=head), False
