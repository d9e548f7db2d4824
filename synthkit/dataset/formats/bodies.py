# SPDX-License-Identifier: Apache-2.0
"""What writers of bodies have in common: rotated boxes that readers take, and refusing what is no crop."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from synthkit.dataset.formats.base import told
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import CROWDS, centred_inside, clipped, count_dropped, is_crowd
from synthkit.dataset.formats.pictures import Picture
from synthkit.sample import Person, RotatedBox

NO_CROP = "not crops of one person each, but whole frames or of unknown people; cut people out first"
DECIMALS = 6  # of pixels and degrees: finer than what a data set keeps
_UPRIGHT = "people without a rotated box have their upright one"
_UNKNOWN = "images whose people are unknown are written as if nobody were there"

_NAMED = 3
_T = TypeVar("_T")


def checked(export: Export, check: Callable[[Picture], _T]) -> list[_T]:
    """Return what a check says of each picture.

    Args:
        check: raises ValueError with what is wrong, to be read after "samples are".

    Raises:
        DatasetError: telling everything that is wrong, one line for all samples with the same fault.
    """
    found: list[_T] = []
    faults: dict[str, list[str]] = {}
    for picture in export:
        try:
            found.append(check(picture))
        except ValueError as error:
            faults.setdefault(str(error), []).append(picture.key)
    if faults:
        raise told(Path(export.name), [_line(export, fault, keys) for fault, keys in faults.items()])
    return found


def _line(export: Export, fault: str, keys: list[str]) -> str:
    named = f"{', '.join(keys[:_NAMED])}{', ...' if len(keys) > _NAMED else ''}"
    return f"{export.name}: {len(keys)} of {len(export)} samples are {fault} ({named})"


def people_of(
    export: Export,
    picture: Picture,
    kept: Collection[str] = (),
    kept_attributes: Collection[str] = (),
    *,
    along_radius: bool = False,
) -> list[tuple[Person, RotatedBox]]:
    """Return a picture's people with their boxes; what is left out is counted.

    Args:
        kept, kept_attributes: what of a person the format holds besides the box.
        along_radius: whether the format's boxes point at the nadir, where such are known.
    """
    if picture.people is None:
        export.remark(_UNKNOWN)
        return []
    found: dict[RotatedBox, Person] = {}
    for person in picture.people:
        if is_crowd(person) and "iscrowd" not in kept_attributes:
            export.dropped(CROWDS)
            continue
        stated = "radial_box" if along_radius and person.radial_box else "rotated_box"
        box = _box(export, person, getattr(person, stated), picture.size_px)
        if box is None:
            export.dropped("people without a box in the image")
        elif box in found:
            export.dropped("people with just the box of another one")
        else:
            found[box] = person
            held = {*kept, stated if getattr(person, stated) else "box_xyxy_px"}
            if set(person.attributes) <= set(kept_attributes):
                held.add("attributes")
            count_dropped(export, person, held)
    return [(person, box) for box, person in found.items()]


def _box(export: Export, person: Person, box: RotatedBox | None, size_px: tuple[int, int]) -> RotatedBox | None:
    """Return a person's box as it is written, from the one that is known or the upright one."""
    if box is None and person.box_xyxy_px is not None:
        cut = clipped(person.box_xyxy_px, size_px)
        if cut is None:
            return None
        export.remark(_UPRIGHT)
        left, top, right, bottom = cut
        box = RotatedBox((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0)
    if box is None:
        return None
    rounded = RotatedBox.normalized(*(round(value, DECIMALS) + 0.0 for value in box.as_tuple()))
    inside = centred_inside(rounded.cx, rounded.cy, size_px)
    fits = rounded.w > 0 and math.hypot(rounded.w, rounded.h) <= 2 * math.hypot(*size_px)
    return rounded if inside and fits else None
