# SPDX-License-Identifier: Apache-2.0
"""Reading YOLO's text files; see ``yolo.py`` for what they hold."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from synthkit.dataset.formats.base import told
from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.labels import HEAD, Classes, checked_box, with_heads
from synthkit.dataset.formats.photos import Frame, Photo, PhotoSource, keys_for
from synthkit.dataset.formats.splits import KNOWN, split_name, split_of
from synthkit.dataset.formats.texts import files_named, images_below, label_file, lines, numbers
from synthkit.files import small_file
from synthkit.sample import Box, Person, RotatedBox

_NAME_LISTS = ("classes.txt", "obj.names", "classes.names", "labels/classes.txt")
_YAML = (".yaml", ".yml")
_MAX_YAML_BYTES = 100_000
_YAML_KEYS = ("path", "names", "nc", "download")
_MAX_BRACKETS = 20  # open at once: the parser's time grows with their square
_LOOKED_AT = 500  # label files, to tell what the set holds
_SLACK = 0.01  # of the image, for rounding
_FAR = 1.0  # images beyond which no corner of a rotated box can lie
_RIGHT_ANGLE = 1e-3  # cosine up to which a corner counts as one


def columns_of(folder: Path) -> int | None:
    """Return how many fields the first label has: 0 when there is none, None when this is no YOLO set."""
    if not folder.is_dir():
        return None
    places = [place for place in _label_folders(folder) if place.is_dir()]
    names = _names_file(folder)
    if names is None:
        return None
    listed = int(names.suffix in _YAML and _states_names(names))
    for path in islice(
        (path for place in places for path in place.glob("*.txt") if not path.name.startswith(".")), _LOOKED_AT
    ):
        if path.name in _NAME_LISTS:
            continue
        listed += 1
        try:
            rows = lines(label_file(path))
            if rows:
                return len(numbers(rows[0][1]))
        except ValueError:
            continue
    return 0 if listed else None


def read(form: str, columns: int, folder: Path, person_classes: Collection[str] = ()) -> PhotoSource:
    """Open a set.

    Args:
        form, columns: the format's name, and how many fields its lines have.

    Raises:
        DatasetError: telling everything that is wrong, each with file and line.
    """
    problems: list[str] = []
    names, places = _names(folder, problems)
    reader = _Reader(columns, names, Classes(person_classes), LabelHash(folder), problems)
    paths = list(images_below(folder)) if folder.is_dir() else []
    if not paths:
        problems.append(f"{folder}: has no images (jpg, png)")
    keys = keys_for([path.relative_to(folder).as_posix() for path in paths])
    owners: dict[Path, Path] = {}
    frames = []
    for key, path in zip(keys, paths, strict=True):
        labels = _label_file(folder, path)
        if owners.setdefault(labels, path) != path:
            problems.append(f"{path}: has the same label file as {owners[labels].name}; rename one of the two")
        try:
            photo = Photo.open(folder, path, turned=True)
        except ValueError as error:
            problems.append(str(error))
            continue
        place = PurePosixPath(photo.name).parent.as_posix()
        meta = split_of(photo.name) or ({"split": places[place]} if place in places else {})
        frames.append(Frame(key, photo, reader.people(labels, photo), meta=meta))
    problems += [] if problems else reader.classes.problems(folder)
    if problems:
        raise told(folder, problems)
    unknown = sum(frame.people is None for frame in frames)
    remarks = [f"{unknown} images have no label file: their people are unknown"] if unknown else []
    reader.digest.add_text(repr((sorted(names.items()), sorted(places.items()))))
    return PhotoSource(form, folder, frames, reader.digest.hexdigest(), remarks=[*remarks, *reader.classes.remarks()])


class _Reader:
    """Reads label files, and remembers what they hold."""

    def __init__(
        self, columns: int, names: dict[int, str], classes: Classes, digest: LabelHash, problems: list[str]
    ) -> None:
        self._columns, self._names, self._problems = columns, names, problems
        self.digest = digest
        self.classes = classes
        for name in names.values():
            classes.declare(name)

    def people(self, path: Path, photo: Photo) -> tuple[Person, ...] | None:
        """Return the people of a label file, None when there is no such file; problems are noted."""
        if not path.is_file():
            return None
        objects: list[Person | Box] = []
        try:
            data = label_file(path)
            self.digest.add(path, data)
            rows = lines(data)
        except ValueError as error:
            self._problems.append(f"{path}: {error}")
            return None
        for number, fields in rows:
            try:
                found = self._object(fields, photo.size_px)
            except ValueError as error:
                self._problems.append(f"{path}: line {number}: {error}")
                continue
            objects += [] if found is None else [found]
        try:
            return tuple(with_heads(objects))
        except ValueError as error:
            self._problems.append(f"{path}: {error}")
            return None

    def _object(self, fields: list[str], size_px: tuple[int, int]) -> Person | Box | None:
        if len(fields) != self._columns:
            raise ValueError(f"has {len(fields)} fields, expected {self._columns}{_hint(len(fields), self._columns)}")
        number, *values = numbers(fields)
        if number not in self._names:
            raise ValueError(f"class {number:g} is not among the {len(self._names)} names")
        name = self._names[int(number)]
        kind = self.classes.met(name)
        if kind is None:
            return None
        if len(values) == 4:
            box = _upright(values, size_px)
            return box if kind == HEAD else Person(box_xyxy_px=box)
        rotated = _rotated(values, size_px)
        if kind == HEAD:
            return checked_box(_bounds(values, size_px), size_px, "a head's box")
        return Person(rotated_box=rotated)


def _hint(fields: int, columns: int) -> str:
    """Return what lines of another number of fields may be, and what to do about them."""
    if fields == columns + 1:
        return "; results with confidences are not read: cut the last field off"
    if fields > columns:
        return f"; key points and polygons are not read: keep the first {columns} fields of key points, or export boxes"
    return ""


def _upright(values: Sequence[float], size_px: tuple[int, int]) -> Box:
    cx, cy, w, h = values
    if not (min(cx, cy) >= -_SLACK and max(cx, cy, w, h) <= 1 + _SLACK):
        raise ValueError(f"box ({cx:g}, {cy:g}, {w:g}, {h:g}) must be fractions of the image, 0..1")
    if w <= 0 or h <= 0:
        raise ValueError(f"box has the size {w:g}x{h:g}, expected more than 0")
    width, height = size_px
    edges = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
    return checked_box(edges, size_px, "box")


def _corners(values: Sequence[float], size_px: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(values, dtype=np.float64).reshape(4, 2) * size_px


def _bounds(values: Sequence[float], size_px: tuple[int, int]) -> list[float]:
    corners = _corners(values, size_px)
    return [float(value) for value in (*corners.min(axis=0), *corners.max(axis=0))]


def _rotated(values: Sequence[float], size_px: tuple[int, int]) -> RotatedBox:
    """Return the rotated box of four corners, the smallest one around them when they are no rectangle."""
    if min(values) < -_FAR or max(values) > 1 + _FAR:
        raise ValueError("corners must be fractions of the image, about 0..1")
    corners = _corners(values, size_px)
    across = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    along = (corners[3] - corners[0] + corners[2] - corners[1]) / 2
    w, h = (math.hypot(*side) for side in (across, along))
    if w <= 0 or h <= 0:
        raise ValueError("corners lie on a line, expected a box")
    skew = np.abs(corners[0] + corners[2] - corners[1] - corners[3]).max() / (w + h)
    if abs(float(across @ along)) > _RIGHT_ANGLE * w * h or skew > _RIGHT_ANGLE:
        (cx, cy), (w, h), degrees = cv2.minAreaRect(corners.astype(np.float32))
        return RotatedBox.normalized(cx, cy, w, h, degrees)
    cx, cy = corners.mean(axis=0)
    return RotatedBox.normalized(float(cx), float(cy), w, h, math.degrees(math.atan2(across[1], across[0])))


def _label_file(folder: Path, image: Path) -> Path:
    """Return where an image's labels are: labels/ for images/, the last one in its path."""
    parts = list(image.relative_to(folder).parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return folder.joinpath(*parts).with_suffix(".txt")


def _label_folders(folder: Path) -> Iterator[Path]:
    yield from (folder / "labels", *sorted(folder.glob("labels/*")), *sorted(folder.glob("*/labels")))
    yield from (folder, folder / "obj_train_data")


def _states_names(path: Path) -> bool:
    try:
        return b"names" in small_file(path, _MAX_YAML_BYTES, "class names")
    except ValueError:
        return False


def _names_file(folder: Path) -> Path | None:
    tables = sorted(
        [*files_named(folder, "*.yaml"), *files_named(folder, "*.yml")],
        key=lambda path: (path.stem != "data", path.name),
    )
    for path in (*tables, *(folder / name for name in _NAME_LISTS)):
        if path.is_file():
            return path
    return None


def _names(folder: Path, problems: list[str]) -> tuple[dict[int, str], dict[str, str]]:
    """Return the class names by number, and splits by folder; what is wrong with them is noted."""
    path = _names_file(folder)
    if path is None:
        problems.append(f"{folder}: has no class names; expected a data.yaml with, for example, 'names: [person]'")
        return {}, {}
    try:
        data = small_file(path, _MAX_YAML_BYTES, "class names")
        if path.suffix not in _YAML:
            return {n: " ".join(fields) for n, (_, fields) in enumerate(lines(data))}, {}
        return _yaml_names(data)
    except ValueError as error:
        problems.append(f"{path}: {error}")
        return {}, {}


def _yaml_names(data: bytes) -> tuple[dict[int, str], dict[str, str]]:
    """Return ``names`` of a YAML file, and the splits of its own by folder. Its paths are not followed.

    Raises:
        ValueError: when it is no YAML, or has no such list or table.
    """
    import yaml

    if max(accumulate((byte in b"[{") - (byte in b"]}") for byte in data), default=0) > _MAX_BRACKETS:
        raise ValueError("is no YAML of class names: its brackets are nested too deeply")
    try:
        # Anchors can make a small file stand for an endless one.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, yaml.SafeLoader)):
            raise ValueError("has YAML aliases, which are refused")
        table = yaml.safe_load(data)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"is no YAML: {' '.join(str(error).split())[:160]}") from None
    names = table.get("names") if isinstance(table, dict) else None
    pairs = (
        list(names.items()) if isinstance(names, dict) else list(enumerate(names)) if isinstance(names, list) else []
    )
    if not pairs or not all(isinstance(n, int) and isinstance(name, str | int | float) for n, name in pairs):
        raise ValueError("has no 'names': expected a list of class names, or a table of numbers and names")
    assert isinstance(table, dict)
    others = {where: key for key, where in table.items() if isinstance(key, str) and isinstance(where, str)}
    places = {where.rstrip("/"): split_name(key) for where, key in others.items() if key not in _YAML_KEYS}
    return {number: str(name) for number, name in pairs}, {k: v for k, v in places.items() if v and v not in KNOWN}
