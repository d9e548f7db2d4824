# SPDX-License-Identifier: Apache-2.0
"""Writing YOLO's text files; see ``yolo.py`` for what they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import CROWDS, centred_inside, clipped, count_dropped, is_crowd, upright_box
from synthkit.dataset.formats.pictures import Picture
from synthkit.dataset.formats.splits import TEST, TRAIN, VAL, stated_split, validation_remark
from synthkit.sample import Box, Person, RotatedBox

_PERSON, _HEAD = 0, 1
_DECIMALS = 8  # a hundred-thousandth of a pixel
_UPRIGHT = "people without a rotated box have their upright one"
_UNKNOWN = "images whose people are unknown have no label file; trainers take them for empty"
_OTHER = "images of the split {split!r} are in a folder of their own, images/{split}"

_Line = Callable[[Export, Person, tuple[int, int]], Sequence[float] | None]


def write_boxes(export: Export) -> None:
    """Write upright boxes."""
    _write(export, _box)


def write_corners(export: Export) -> None:
    """Write rotated boxes by their corners."""
    _write(export, _corners)


def _write(export: Export, line: _Line) -> None:
    splits, heads = set(), False
    for picture in export:
        split = _split(picture)
        splits.add(split)
        export.put(f"images/{split}/{picture.key}.{picture.suffix}", picture.data)
        if picture.people is None:
            export.remark(_UNKNOWN)
            continue
        rows = []
        for person in picture.people:
            if is_crowd(person):
                export.dropped(CROWDS)
                continue
            body = line(export, person, picture.size_px)
            head = _head(person, picture.size_px, line)
            heads |= head is not None
            rows += [_row(_PERSON, body)] if body else []
            rows += [_row(_HEAD, head)] if head else []
            if not body and not head:
                export.dropped("people without a box in the image")
            kept = {"head_box_xyxy_px", "rotated_box" if line is _corners else "box_xyxy_px"}
            count_dropped(export, person, kept)
        export.put(f"labels/{split}/{picture.key}.txt", "".join(rows).encode())
    for split in sorted(splits - {TRAIN, VAL, TEST}):
        export.remark(_OTHER.format(split=split))
    training = _training(splits)
    unvalidated = validation_remark(splits, training, "data.yaml")
    if unvalidated:
        export.remark(unvalidated)
    export.put("data.yaml", _table(splits, training, heads).encode())


def _split(picture: Picture) -> str:
    """Return which split a picture came from; training where it came from none."""
    return stated_split(picture.meta) or TRAIN


def _training(splits: set[str]) -> str:
    """Return the split to train on: one for validation or test only where there is nothing else."""
    return TRAIN if TRAIN in splits else min(splits, key=lambda split: (split in (VAL, TEST), split), default=TRAIN)


def _table(splits: set[str], training: str, heads: bool) -> str:
    places = {TRAIN: training, VAL: VAL if VAL in splits else training} | {name: name for name in splits}
    lines = [f"{name}: images/{split}\n" for name, split in sorted(places.items())]
    return "".join(lines) + "names:\n  0: person\n" + ("  1: head\n" if heads else "")


def _box(export: Export, person: Person, size_px: tuple[int, int]) -> Sequence[float] | None:
    box = upright_box(export, person)
    return None if box is None else _fractions(box, size_px)


def _fractions(box: Box, size_px: tuple[int, int]) -> Sequence[float] | None:
    cut = clipped(box, size_px)
    if cut is None:
        return None
    (left, top, right, bottom), (width, height) = cut, size_px
    return ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)


def _corners(export: Export, person: Person, size_px: tuple[int, int]) -> Sequence[float] | None:
    box = person.rotated_box
    if box is None and person.box_xyxy_px is not None:
        export.remark(_UPRIGHT)
        cut = clipped(person.box_xyxy_px, size_px)
        box = None if cut is None else _turned(cut)
    if box is None or box.w <= 0 or not centred_inside(box.cx, box.cy, size_px):
        return None
    return [float(value) for value in (box.corners_px() / size_px).reshape(-1)]


def _turned(box: Box) -> RotatedBox:
    left, top, right, bottom = box
    return RotatedBox.normalized((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0)


def _head(person: Person, size_px: tuple[int, int], line: _Line) -> Sequence[float] | None:
    box = person.head_box_xyxy_px
    if box is None or line is _box:
        return None if box is None else _fractions(box, size_px)
    cut = clipped(box, size_px)
    if cut is None:
        return None
    left, top, right, bottom = cut
    width, height = size_px
    corners = (left, top), (right, top), (right, bottom), (left, bottom)
    return [value for x, y in corners for value in (x / width, y / height)]


def _row(number: int, values: Sequence[float]) -> str:
    return " ".join([str(number), *(f"{value:.{_DECIMALS}f}" for value in values)]) + "\n"
