# SPDX-License-Identifier: Apache-2.0
"""Rotated person boxes as JSON, the format of CEPDOF, MW-R and WEPDTOF; written next door.

``annotations/VIDEO.json`` lists ``images`` (``file_name``, ``id`` as text, ``width``, ``height``) and
``annotations`` (``image_id``, ``bbox`` as cx, cy, w, h in pixels and degrees clockwise, ``category_id``
1, ``person_id`` where people are told apart, no id of their own); the images lie in ``VIDEO/``, there or
in ``images/`` or ``frames/`` (WEPDTOF), or beside. The boxes cover whole bodies, so visible boxes stay unknown. Pixels
are taken as stored: an EXIF orientation is not applied, as the labels count on the stored ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from synthkit.dataset import description
from synthkit.dataset.formats.base import Format, is_finite, told
from synthkit.dataset.formats.cepdof_write import write
from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.exporting import NO_VIDEO, RECORD
from synthkit.dataset.formats.labels import centred_inside
from synthkit.dataset.formats.photos import Frame, Photo, PhotoSource, below, key_of
from synthkit.dataset.formats.texts import files_named
from synthkit.sample import Person, RotatedBox

_PERSON_CATEGORY = 1
_LABELS = "annotations/*.json"
_PLACES = ("images", "frames")  # of folders of videos, besides the set's own
_FRAME = re.compile(r"(\d{1,15})$")


def recognises(folder: Path) -> bool:
    """Return whether a folder has JSON files in ``annotations/``."""
    return bool(files_named(folder, _LABELS))


def read(folder: Path) -> PhotoSource:
    """Open a set: rotated boxes, and identities where people are told apart.

    Raises:
        DatasetError: telling everything that is wrong, each with file and place.
    """
    digest = LabelHash(folder)
    problems: list[str] = []
    frames: list[Frame] = []
    labels = files_named(folder, _LABELS)
    for path in labels:
        frames += _read(folder, path, digest, problems)
    counted = {frame.key for frame in frames}
    if len(counted) < len(frames):
        problems.append(f"{folder}: {len(frames) - len(counted)} images have a name that another one has too")
    if not labels:
        problems.append(f"{folder}: has no annotations/*.json")
    elif not frames and not problems:
        problems.append(f"{folder}: lists no images")
    if problems:
        raise told(folder, problems)
    return PhotoSource("cepdof", folder, frames, digest.hexdigest())


def _read(folder: Path, labels: Path, digest: LabelHash, problems: list[str]) -> list[Frame]:
    """Return the frames of one label file, noting what is wrong with it."""
    try:
        data = labels.read_bytes()
        table = description.load(data)
        images, annotations = table["images"], table["annotations"]
        if not isinstance(images, list) or not isinstance(annotations, list):
            raise TypeError
    except OSError as error:
        problems.append(f"{labels}: cannot be read: {error.strerror}")
        return []
    except (ValueError, KeyError, TypeError):
        problems.append(f"{labels}: is no JSON with the lists 'images' and 'annotations'")
        return []
    digest.add(labels, data)
    frames: dict[str, Frame] = {}
    for i, entry in enumerate(images):
        where = f"{labels}: images[{i}]"
        try:
            frame = _frame(folder, labels.stem, entry)
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        if str(entry["id"]) in frames:
            problems.append(f"{where}: id {entry['id']!r} comes twice")
        frames[str(entry["id"])] = frame
    listed = {str(entry.get("id")) for entry in images if isinstance(entry, dict)}
    people: dict[str, list[Person]] = {name: [] for name in frames}
    for name, person in _people(labels, annotations, listed, frames, problems):
        people[name].append(person)
    return [attrs.evolve(frame, people=tuple(people[name])) for name, frame in frames.items()]


def _people(
    labels: Path, annotations: list[Any], listed: set[str], frames: Mapping[str, Frame], problems: list[str]
) -> Iterator[tuple[str, Person]]:
    """Yield (image id, person), noting what is wrong; ids of faulty images are not complained of again."""
    seen: dict[tuple[str, RotatedBox], int] = {}
    for i, entry in enumerate(annotations):
        where = f"{labels}: annotations[{i}]"
        name = str(entry.get("image_id")) if isinstance(entry, dict) else ""
        if name not in listed:
            problems.append(f"{where}: image_id {name!r} is not among the images")
        if name not in frames:
            continue
        try:
            person = _person(entry, frames[name])
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        assert person.rotated_box is not None
        first = seen.setdefault((name, person.rotated_box), i)
        if first != i:
            problems.append(f"{where}: repeats annotations[{first}]")
        yield name, person


def _frame(folder: Path, video: str, entry: Any) -> Frame:
    if not isinstance(entry, dict) or not {"file_name", "id"} <= entry.keys():
        raise ValueError("expected file_name and id")
    photo = Photo.open(folder, _find(folder, video, entry["file_name"]))
    size = photo.size_px
    stated = entry.get("width", size[0]), entry.get("height", size[1])
    if stated != size:
        raise ValueError(f"{photo.path} has {size[0]}x{size[1]} pixels, the labels say {stated[0]}x{stated[1]}")
    name = str(entry["id"])
    own = (folder / RECORD).is_file() or name.startswith(video) or video == NO_VIDEO
    number = _FRAME.search(name)
    known = {"sequence": None if video == NO_VIDEO else video, "frame": int(number[1]) if number else None}
    return Frame(key_of(name if own else f"{video}_{name}"), photo, (), sample=known)


def _find(folder: Path, video: str, file_name: Any) -> Path:
    relative = below(file_name)
    videos = (folder / video, *(folder / place / video for place in _PLACES))
    for place in (*videos, folder / "images", folder):
        if (place / relative).is_file():
            return place / relative
    raise ValueError(f"image {file_name!r} is neither in {video}/, {'/, '.join(_PLACES)}/ nor beside")


def _person(entry: Mapping[str, Any], frame: Frame) -> Person:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 5 or not all(is_finite(value) for value in box):
        raise ValueError(f"bbox must be five finite numbers (cx, cy, w, h, degrees clockwise), got {str(box)[:80]}")
    cx, cy, w, h, degrees = map(float, box)
    width, height = frame.photo.size_px
    if w <= 0 or h <= 0:
        raise ValueError(f"bbox has the size {w:g}x{h:g}, expected more than 0")
    if not centred_inside(cx, cy, frame.photo.size_px):
        raise ValueError(f"bbox around ({cx:g}, {cy:g}) lies outside the image of {width}x{height} pixels")
    if math.hypot(w, h) > 2 * math.hypot(width, height):
        raise ValueError(f"bbox of {w:g}x{h:g} pixels is larger than the image of {width}x{height}")
    if entry.get("category_id", _PERSON_CATEGORY) != _PERSON_CATEGORY:
        raise ValueError(f"category_id is {entry['category_id']!r}, expected {_PERSON_CATEGORY} (person)")
    person, video = entry.get("person_id"), frame.sample["sequence"]
    return Person(
        identity=None if person is None else f"{video}/{person}" if video else str(person),
        rotated_box=RotatedBox.normalized(cx, cy, w, h, degrees),
        attributes={"iscrowd": True} if entry.get("iscrowd") else {},
    )


FORMAT = Format("cepdof", "rotated boxes as JSON (CEPDOF, MW-R, WEPDTOF)", recognises, read, write)
