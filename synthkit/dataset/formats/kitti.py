# SPDX-License-Identifier: Apache-2.0
"""KITTI's object labels: fifteen fields a line.

``type truncated occluded alpha left top right bottom height width length x y z rotation_y``: pixels, metres
in the camera's frame, radians.

* ``training/image_2/NAME.png`` has its labels in ``training/label_2/NAME.txt``; an image without labels is one
  whose people are unknown. Images of the split ``test`` are in ``testing``.
* People are ``Pedestrian`` and ``Person_sitting`` (kept as the attribute ``kitti_type``). ``DontCare`` regions
  are crowds, people with the attribute ``iscrowd``, both ways: nobody is to learn from them.
* What is unknown is written as KITTI has it: -1 for truncation and sizes, 3 for occlusion, -1000 for places,
  -10 for angles.
* ``occluded`` is 0 fully visible, 1 partly, 2 largely hidden. Where a person has no such attribute it comes
  from the visible fraction: 0 from 0.95, 1 from 0.5, 2 below.
* Boxes have two decimals.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any

from PIL import Image

from synthkit.dataset.formats.base import Format, is_finite, told
from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import (
    MAX_OBJECTS,
    PERSON,
    Classes,
    checked_box,
    clipped,
    count_dropped,
    is_crowd,
    upright_box,
)
from synthkit.dataset.formats.photos import Frame, Photo, PhotoSource, keys_for
from synthkit.dataset.formats.pictures import Picture
from synthkit.dataset.formats.splits import TEST, TRAIN, listed_splits, stated_split
from synthkit.dataset.formats.texts import images_below, label_file, lines, numbers
from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError
from synthkit.sample import Person

_FIELDS = 15
_DONT_CARE = "dontcare"
_IMAGES, _LABELS = "image_2", "label_2"
_UNKNOWN_RATIO, _UNKNOWN_OCCLUSION = -1.0, 3
_UNKNOWN_3D = (-10.0, -1.0, -1.0, -1.0, -1000.0, -1000.0, -1000.0, -10.0)  # alpha, h, w, l, x, y, z, rotation_y
_VISIBLE, _PARTLY_VISIBLE = 0.95, 0.5
_TYPES = ("Pedestrian", "Person_sitting")
_SPLITS = {"training": "train", "testing": "test"}
_LISTS = "ImageSets"
_LISTED = "the folder training holds the images of the splits {splits}; ImageSets/*.txt tell which are which"
_NO_LABELS = "images whose people are unknown have no label file"
_REENCODED = "JPEG images are stored anew as PNG, which programs for KITTI expect; no pixel changes"


def _roots(folder: Path) -> list[Path]:
    return [place for place in (folder, folder / "training", folder / "testing") if (place / _IMAGES).is_dir()]


def recognises(folder: Path) -> bool:
    """Return whether a folder has ``image_2``, itself or in ``training``."""
    return bool(_roots(folder))


def read(folder: Path, person_classes: Collection[str] = ()) -> PhotoSource:
    """Open a set.

    Raises:
        DatasetError: telling everything that is wrong, each with file and line.
    """
    problems: list[str] = []
    classes = Classes(person_classes)
    digest = LabelHash(folder)
    listed = [(root, path) for root in _roots(folder) for path in images_below(root / _IMAGES)]
    if not listed:
        problems.append(f"{folder}: has no images in {_IMAGES}/")
    frames = []
    assumed: list[str] = []
    lists = _lists(folder, digest, problems, assumed)
    keys = keys_for([path.relative_to(folder).as_posix() for _, path in listed])
    for key, (root, path) in zip(keys, listed, strict=True):
        try:
            photo = Photo.open(folder, path)
        except ValueError as error:
            problems.append(str(error))
            continue
        labels = (root / _LABELS / path.relative_to(root / _IMAGES)).with_suffix(".txt")
        people = _people(labels, photo.size_px, problems, classes, digest) if labels.is_file() else None
        meta = {"split": _SPLITS[root.name]} if root != folder and root.name in _SPLITS else {}
        if path.stem in lists and meta.get("split") != TEST:
            meta = {"split": lists[path.stem]}
        frames.append(Frame(key, photo, people, meta=meta))
    problems += [] if problems else classes.problems(folder)
    if problems:
        raise told(folder, problems)
    unknown = sum(frame.people is None for frame in frames)
    remarks = [f"{unknown} images have no label file: their people are unknown"] if unknown else []
    return PhotoSource("kitti", folder, frames, digest.hexdigest(), remarks=[*assumed, *remarks, *classes.remarks()])


def _lists(folder: Path, digest: LabelHash, problems: list[str], remarks: list[str]) -> dict[str, str]:
    try:
        return listed_splits(folder / _LISTS, digest, remarks)
    except ValueError as error:
        problems.append(str(error))
        return {}


def _people(
    path: Path, size_px: tuple[int, int], problems: list[str], classes: Classes, digest: LabelHash
) -> tuple[Person, ...]:
    try:
        data = label_file(path)
        digest.add(path, data)
        rows = lines(data)
        if len(rows) > MAX_OBJECTS:
            raise ValueError(f"{len(rows)} objects are in one image, more than {MAX_OBJECTS} are refused")
    except ValueError as error:
        problems.append(f"{path}: {error}")
        return ()
    people = []
    for number, fields in rows:
        name = fields[0]
        if name.lower() != _DONT_CARE and classes.met(name) != PERSON:
            continue
        try:
            people.append(_person(fields, size_px))
        except ValueError as error:
            problems.append(f"{path}: line {number}: {error}")
    return tuple(people)


def _person(fields: list[str], size_px: tuple[int, int]) -> Person:
    if len(fields) not in (_FIELDS, _FIELDS + 1):  # a result has a score besides
        raise ValueError(f"has {len(fields)} fields, expected {_FIELDS}")
    truncated, occluded, alpha, *rest = numbers(fields[1:_FIELDS])
    box = checked_box(rest[:4], size_px, "box")
    if box[0] == box[2] or box[1] == box[3]:
        raise ValueError("box has no width or height")
    attributes: dict[str, Any] = {}
    if 0 <= truncated <= 1:
        attributes["truncated"] = truncated
    if occluded in (0, 1, 2):
        attributes["occluded"] = int(occluded)
    if fields[0].lower() == _DONT_CARE:
        return Person(box_xyxy_px=box, attributes={"iscrowd": True})
    if fields[0].lower() == "person_sitting":
        attributes["kitti_type"] = "Person_sitting"
    space = (alpha, *rest[4:])
    if space != _UNKNOWN_3D:
        attributes["kitti_3d"] = list(space)
    return Person(box_xyxy_px=box, attributes=attributes)


def write(export: Export) -> None:
    """Put all images as PNG, each with its label file."""
    splits: dict[str, list[str]] = {}
    for picture in export:
        split = stated_split(picture.meta) or TRAIN
        splits.setdefault(split, []).append(picture.key)
        root = "testing" if split == TEST else "training"
        export.put(f"{root}/{_IMAGES}/{picture.key}.png", _png(export, picture))
        if picture.people is None:
            export.remark(_NO_LABELS)
            continue
        rows = [row for person in picture.people if (row := _row(export, person, picture.size_px))]
        export.put(f"{root}/{_LABELS}/{picture.key}.txt", "".join(rows).encode())
    if set(splits) - {TRAIN, TEST}:  # folders do not tell them apart
        for split, keys in splits.items():
            export.put(f"{_LISTS}/{split}.txt", "".join(f"{key}\n" for key in keys).encode())
        export.remark(_LISTED.format(splits=", ".join(sorted(set(splits) - {TEST}))))


def _png(export: Export, picture: Picture) -> bytes:
    if picture.suffix == "png":
        return picture.data
    export.remark(_REENCODED)
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(picture.data), formats=("JPEG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"an image of {image.width}x{image.height} pixels is refused")
            image.convert("RGB").save(buffer, "PNG", compress_level=4)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{export.name}: sample {picture.key}: its image is damaged: {error}") from None
    return buffer.getvalue()


def _row(export: Export, person: Person, size_px: tuple[int, int]) -> str | None:
    box = upright_box(export, person)
    cut = None if box is None else clipped(box, size_px)
    edges = None if cut is None else [round(value, 2) for value in cut]
    if edges is None or edges[0] == edges[2] or edges[1] == edges[3]:
        export.dropped("people without a box in the image")
        return None
    count_dropped(export, person, {"box_xyxy_px", "attributes", "visible_fraction"})
    if is_crowd(person):
        values = " ".join(f"{value:.2f}" for value in (_UNKNOWN_3D[0], *edges, *_UNKNOWN_3D[1:]))
        return f"DontCare {_UNKNOWN_RATIO:.2f} -1 {values}\n"
    kept = {"truncated", "occluded", "kitti_type", "kitti_3d"}
    if set(person.attributes) - kept:
        export.dropped("attributes")
    name = person.attributes.get("kitti_type")
    truncated = person.attributes.get("truncated")
    ratio = float(truncated) if is_finite(truncated) and 0 <= truncated <= 1 else _UNKNOWN_RATIO
    space = person.attributes.get("kitti_3d")
    known = isinstance(space, list | tuple) and len(space) == len(_UNKNOWN_3D) and all(map(is_finite, space))
    alpha, *rest = space if known and space is not None else _UNKNOWN_3D
    values = " ".join(f"{value:.2f}" for value in (alpha, *edges, *rest))
    return f"{name if name in _TYPES else _TYPES[0]} {ratio:.2f} {_occlusion(person)} {values}\n"


def _occlusion(person: Person) -> int:
    stated = person.attributes.get("occluded")
    if isinstance(stated, int) and not isinstance(stated, bool) and stated in (0, 1, 2):
        return stated
    if person.visible_fraction is None:
        return _UNKNOWN_OCCLUSION
    return 0 if person.visible_fraction >= _VISIBLE else 1 if person.visible_fraction >= _PARTLY_VISIBLE else 2


FORMAT = Format("kitti", "KITTI object labels (image_2, label_2)", recognises, read, write, has_classes=True)
