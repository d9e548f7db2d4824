# SPDX-License-Identifier: Apache-2.0
"""Reading COCO: every label file of the usual layouts, checked as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from synthkit.dataset import description
from synthkit.dataset.formats import coco_origin, coco_points, masks
from synthkit.dataset.formats.base import is_finite, told
from synthkit.dataset.formats.coco_origin import is_id
from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.exporting import RECORD
from synthkit.dataset.formats.labels import (
    HEAD,
    MAX_OBJECTS,
    Classes,
    checked_box,
    checked_rotated,
    with_heads,
)  # fmt: skip
from synthkit.dataset.formats.photos import SIZELESS, Frame, Photo, PhotoSource, below, keys_for
from synthkit.dataset.formats.splits import TASKS, split_of, split_of_labels
from synthkit.dataset.formats.texts import files_named
from synthkit.sample import Box, Layer, Person

_OTHER_TASKS = ("captions_", "panoptic_", "stuff_")


def label_files(folder: Path) -> list[Path]:
    """Return the JSON files where COCO sets have theirs; key points rather than the same without them."""
    if folder.is_file():
        return [folder] if folder.suffix == ".json" else []
    for pattern in ("annotations/*.json", "*.json", "*/_annotations.coco.json"):
        found = [path for path in files_named(folder, pattern) if path.name != RECORD]
        found = [path for path in found if not path.name.startswith(_OTHER_TASKS)]
        names = {path.name for path in found}
        found = [path for path in found if path.name.replace("instances_", "person_keypoints_", 1) == path.name
                 or path.name.replace("instances_", "person_keypoints_", 1) not in names]  # fmt: skip
        if found:
            return found
    return []


def read(folder: Path, person_classes: Collection[str] = ()) -> PhotoSource:
    """Open a set.

    Raises:
        DatasetError: telling everything that is wrong, each with file and entry.
    """
    files = label_files(folder)
    if folder.is_file():
        folder = folder.parent.parent if folder.parent.name == "annotations" else folder.parent
    problems: list[str] = [] if files else [f"{folder}: has no annotations/*.json, and no *.json beside the images"]
    remarks: list[str] = []
    classes = Classes(person_classes)
    digest = LabelHash(folder)
    frames: list[Frame] = []
    listed: dict[Path, Path] = {}
    infos: list[Any] = []
    for path in files:
        labels = _Labels(folder, path, problems, remarks, classes, infos)
        for frame in labels.frames(digest):
            first = listed.setdefault(frame.photo.path, path)
            if first != path:
                problems.append(f"{path}: lists {frame.photo.name}, which {first} lists too; keep one of the two")
            frames.append(frame)
    problems += [] if problems else classes.problems(folder)
    if not frames and not problems:
        problems.append(f"{folder}: lists no images")
    if problems:
        raise told(folder, problems)
    own = [frame.key for frame in frames]
    keys = own if all(own) and len(set(own)) == len(own) else keys_for([frame.photo.name for frame in frames])
    frames = [attrs.evolve(frame, key=key) for frame, key in zip(frames, keys, strict=True)]
    notes = coco_origin.noted(infos)
    return PhotoSource("coco", folder, frames, digest.hexdigest(), notes, [*remarks, *classes.remarks()])


@attrs.frozen
class _Category:
    role: str | None
    name: str
    points: tuple[str, ...]


class _Labels:
    """One label file."""

    def __init__(
        self, folder: Path, path: Path, problems: list[str], remarks: list[str], classes: Classes, infos: list[Any]
    ) -> None:
        self._folder, self._path = folder, path
        self._problems, self._remarks, self._classes, self._infos = problems, remarks, classes, infos
        self._sizeless = Counter[str]()  # of people and heads, by image
        name = path.stem
        for task in TASKS:
            name = name.removeprefix(task)
        self._split = split_of_labels(path)
        places = (folder / name, folder / "images" / name, folder / "images", path.parent, folder)
        self._places = [place for place in places if place.is_dir()]

    def frames(self, digest: LabelHash) -> Iterator[Frame]:
        table = self._load(digest)
        if table is None:
            return
        categories = self._categories(table["categories"])
        licences = coco_origin.licences(table.get("licenses"))
        self._infos.append(table.get("info"))
        found: dict[str, dict[str, Any]] = {}
        photos: dict[str, Photo] = {}
        for i, entry in enumerate(table["images"]):
            try:
                name, photo = self._photo(entry)
                if name in found:
                    raise ValueError(f"id {entry['id']!r:.80} comes twice")
                found[name], photos[name] = entry, photo
            except ValueError as error:
                self._problems.append(f"{self._path}: images[{i}]: {error}")
        listed = {_id(entry.get("id")) for entry in table["images"] if isinstance(entry, dict)}
        known = "annotations" in table
        bodies = self._bodies(table.get("annotations", []), categories, listed, photos)
        for name, entry in found.items():
            try:
                frame = _frame(entry, photos[name], bodies.get(name, []), licences, self._split, known)
                yield attrs.evolve(frame, doubts=(SIZELESS,) if self._sizeless[name] else ())
            except ValueError as error:
                self._problems.append(f"{self._path}: image {name}: {error}")

    def _load(self, digest: LabelHash) -> dict[str, Any] | None:
        try:
            data = self._path.read_bytes()
            table = description.load(data)
        except OSError as error:
            self._problems.append(f"{self._path}: cannot be read: {error.strerror}")
            return None
        except ValueError as error:
            self._problems.append(f"{self._path}: is no JSON: {error}")
            return None
        digest.add(self._path, data)
        lists = (
            "images",
            "categories",
            *(("annotations",) if isinstance(table, dict) and "annotations" in table else ()),
        )
        if not isinstance(table, dict) or not all(isinstance(table.get(name), list) for name in lists):
            self._problems.append(f"{self._path}: is no JSON with the lists 'images', 'annotations' and 'categories'")
            return None
        missing = [name for name in lists[:2] if name not in table]
        if missing:
            self._problems.append(f"{self._path}: has no list {missing[0]!r}")
        return None if missing else table

    def _categories(self, entries: list[Any]) -> dict[Any, _Category]:
        categories: dict[Any, _Category] = {}
        for i, entry in enumerate(entries):
            where = f"{self._path}: categories[{i}]"
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not is_id(entry.get("id")):
                self._problems.append(f"{where}: expected an id and a name, got {str(entry)[:80]}")
                continue
            if entry["id"] in categories:
                self._problems.append(f"{where}: id {entry['id']!r:.80} comes twice")
            points = entry.get("keypoints", [])
            if not isinstance(points, list) or not all(isinstance(name, str) for name in points):
                self._problems.append(f"{where}: keypoints must be a list of names")
                points = []
            kind = self._classes.declare(entry["name"])
            categories[entry["id"]] = _Category(kind, entry["name"], tuple(points) or coco_points.NAMES)
        return categories

    def _photo(self, entry: Any) -> tuple[str, Photo]:
        if not isinstance(entry, dict) or not is_id(entry.get("id")):
            raise ValueError(f"expected an id and a file_name, got {str(entry)[:80]}")
        relative = below(entry.get("file_name"))
        for place in self._places:
            if (place / relative).is_file():
                width, height = entry.get("width"), entry.get("height")
                return _id(entry["id"]), Photo.of_stated_size(self._folder, place / relative, width, height)
        places = ", ".join(f"{place.relative_to(self._folder).as_posix()}/" for place in self._places)
        raise ValueError(f"image {entry['file_name']!r:.80} is in none of {places}")

    def _bodies(
        self, entries: list[Any], categories: Mapping[Any, _Category], listed: set[str], photos: Mapping[str, Photo]
    ) -> dict[str, list[tuple[Person | Box, Any]]]:
        """Return (person or head box, segmentation) by image, in the file's order."""
        found: dict[str, list[tuple[Person | Box, Any]]] = {}
        for i, entry in enumerate(entries):
            try:
                if not isinstance(entry, dict):
                    raise ValueError(f"expected a table, got {str(entry)[:80]}")
                name, category = self._references(entry, categories, listed)
                if category is None or name not in photos:
                    continue
                made = _object(entry, category, photos[name].size_px)
            except ValueError as error:
                self._problems.append(f"{self._path}: annotations[{i}]: {error}")
                continue
            if made is None:
                self._sizeless[name] += 1
            else:
                found.setdefault(name, []).append(made)
        if self._sizeless:
            count = self._sizeless.total()
            self._remarks.append(f"{self._path.name}: {count} boxes without width or height are left out")
        return found

    def _references(
        self, entry: Mapping[str, Any], categories: Mapping[Any, _Category], listed: set[str]
    ) -> tuple[str, _Category | None]:
        """Return an annotation's image, and its category if that is a person's."""
        name = _id(entry.get("image_id"))
        if name not in listed:
            raise ValueError(f"image_id {name[:80]} is not among the images")
        number = entry.get("category_id")
        category = categories.get(number) if is_id(number) else None
        if category is None:
            raise ValueError(f"category_id {number!r:.80} is not among the categories")
        if self._classes.met(category.name) is None:
            return name, None
        return name, category


def _frame(
    entry: Mapping[str, Any], photo: Photo, bodies: list[tuple[Person | Box, Any]],
    licences: Mapping[int | str, coco_origin.Licence], split: str | None, known: bool,
) -> Frame:  # fmt: skip
    if len(bodies) > MAX_OBJECTS:
        raise ValueError(f"{len(bodies)} objects are in one image, more than {MAX_OBJECTS} are refused")
    extra = entry.get("synthkit")
    sample: dict[str, Any] = {}
    meta: dict[str, Any] = {"split": split} if split else {**split_of(photo.name)}
    origin = coco_origin.origin(entry, licences)
    key = ""
    if isinstance(extra, dict):
        sample = description.from_json(description.dump({"schema": description.SCHEMA, **extra, "people": None}))
        sample.pop("people")
        meta = sample.pop("meta")  # the split as the data set had it
        known = known and not ("people" in extra and not bodies)
        key = photo.path.stem
    objects, painted = _numbered(bodies)
    layers = partial(_layers, painted, photo.size_px) if painted else _no_layers
    people = tuple(with_heads(objects)) if known else None
    return Frame(key, photo, people, layers, sample, coco_origin.joined(meta, origin))


def _no_layers() -> Mapping[str, Layer]:
    return {}


def _layers(painted: list[tuple[int, Any]], size_px: tuple[int, int]) -> Mapping[str, Layer]:
    return {"instances": masks.paint(painted, size_px)}


def _numbered(bodies: list[tuple[Person | Box, Any]]) -> tuple[list[Person | Box], list[tuple[int, Any]]]:
    """Return the bodies with instance numbers where they have masks, and the masks by number."""
    stated = [body.instance for body, _ in bodies if isinstance(body, Person) and body.instance is not None]
    kept = len(set(stated)) == len(stated) and all(0 < number <= MAX_OBJECTS for number in stated)
    free = iter(sorted({*range(1, len(bodies) + 1)} - {*stated})) if kept else iter(range(1, len(bodies) + 1))
    objects: list[Person | Box] = []
    painted = []
    for body, segmentation in bodies:
        if isinstance(body, Person):
            number = body.instance if kept else None
            if number is None and segmentation:
                number = next(free)
            body = attrs.evolve(body, instance=number)
            if segmentation:
                assert number is not None
                painted.append((number, segmentation))
        objects.append(body)
    return objects, painted


def _object(entry: Mapping[str, Any], category: _Category, size_px: tuple[int, int]) -> tuple[Person | Box, Any] | None:
    """Return a person or a head's box with its segmentation, None for a box without width or height.

    Raises:
        ValueError: for the first thing that is wrong with it.
    """
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
        raise ValueError(f"bbox must be four finite numbers (left, top, width, height), got {str(box)[:80]}")
    edges = checked_box([box[0], box[1], box[0] + box[2], box[1] + box[3]], size_px, "bbox")
    if edges[0] == edges[2] or edges[1] == edges[3]:
        return None
    if category.role == HEAD:
        extra = entry.get("synthkit")
        if isinstance(extra, dict):  # a person of whom only the head is known, with what else was known
            return attrs.evolve(_extra(extra), head_box_xyxy_px=edges), None
        return edges, None
    segmentation = entry.get("segmentation") or None
    if segmentation is not None:
        masks.check(segmentation, size_px)
    return _person(entry, edges, category.points, size_px), segmentation


def _person(entry: Mapping[str, Any], box: Box, names: tuple[str, ...], size_px: tuple[int, int]) -> Person:
    extra = entry.get("synthkit")
    table = dict(extra) if isinstance(extra, dict) else {}
    points = _keypoints(entry.get("keypoints"), names, table.pop("keypoints", None))
    hulled = table.pop("box_of", None) == "rotated_box"
    rotated = entry.get("rotated_box")
    person = _extra({**table, "keypoints": points})
    crowd = {"iscrowd": True} if entry.get("iscrowd") else {}
    return attrs.evolve(
        person,
        box_xyxy_px=None if hulled and rotated is not None else box,
        rotated_box=None if rotated is None else checked_rotated(rotated, size_px, "rotated_box"),
        attributes={**person.attributes, **crowd},
    )


def _extra(table: Mapping[str, Any]) -> Person:
    """Return the person that a table in a data set's own words describes."""
    known = description.from_json(description.dump({"schema": description.SCHEMA, "people": [table]}))
    (person,) = known["people"]
    assert isinstance(person, Person)
    return person


def _keypoints(flat: Any, names: tuple[str, ...], extra: Any) -> dict[str, Any]:
    """Return key points by name, as tables of a data set's own words."""
    points: dict[str, Any] = {}
    if flat:
        if not isinstance(flat, list) or len(flat) != 3 * len(names) or not all(map(is_finite, flat)):
            raise ValueError(f"keypoints must be {3 * len(names)} finite numbers, got {str(flat)[:60]}")
        for name, x, y, seen in zip(names, flat[0::3], flat[1::3], flat[2::3], strict=True):
            if seen not in (coco_points.UNKNOWN, coco_points.HIDDEN, coco_points.SEEN):
                raise ValueError(f"key point {name!r:.60} has the flag {seen!r:.20}, expected 0, 1 or 2")
            if seen != coco_points.UNKNOWN:
                half = coco_points.CENTRE_PX
                points[name] = {"x_px": x + half, "y_px": y + half, "visible": seen == coco_points.SEEN}
    for name, more in extra.items() if isinstance(extra, dict) else ():
        if isinstance(more, dict) and (name in points or {"x_px", "y_px"} <= more.keys()):
            points[name] = {**points.get(name, {}), **more}
    return points


def _id(value: Any) -> str:
    """Return an id as text; files disagree on whether ids are numbers."""
    return str(value) if is_id(value) else repr(value)
