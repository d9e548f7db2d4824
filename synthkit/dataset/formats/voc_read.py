# SPDX-License-Identifier: Apache-2.0
"""Reading Pascal VOC; see ``voc.py`` for what its numbers mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from synthkit.dataset.formats.base import told
from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.labels import (
    HEAD,
    MAX_OBJECTS,
    Classes,
    centred_inside,
    checked_box,
    checked_rotated,
    hull,
    with_heads,
)
from synthkit.dataset.formats.photos import SUFFIXES, Frame, Photo, PhotoSource, below, keys_for
from synthkit.dataset.formats.splits import listed_splits, split_of
from synthkit.dataset.formats.texts import files_named, images_below, label_file, numbers
from synthkit.sample import Box, Person

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PATTERNS = ("Annotations/*.xml", "annotations/*.xml", "*/Annotations/*.xml", "*.xml", "*/*.xml")
_FOLDER = "annotations"
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_ROTATED = ("cx", "cy", "w", "h", "angle")
_FLAGS = ("truncated", "difficult")
_FROM_ZERO = "coordinates count from 0 here, not from 1 as in VOC: they are taken for edges of pixels"


def label_files(folder: Path) -> list[Path]:
    """Return the XML files where VOC sets have theirs, in order."""
    if not folder.is_dir():
        return []
    for pattern in _PATTERNS:
        found = files_named(folder, pattern)
        if found:
            return found
    return []


@attrs.frozen
class _Object:
    """An object as listed: xmin, ymin, xmax, ymax; or roLabelImg's cx, cy, w, h and radians."""

    role: str
    edges: tuple[float, ...] | None
    rotated: tuple[float, ...] | None
    head: tuple[float, ...] | None
    attributes: dict[str, Any]


@attrs.frozen
class _Labels:
    path: Path
    photo: Photo
    objects: list[_Object]


def read(folder: Path, person_classes: Collection[str] = ()) -> PhotoSource:
    """Open a set.

    Raises:
        DatasetError: telling everything that is wrong, each with its file.
    """
    problems: list[str] = []
    classes = Classes(person_classes)
    digest = LabelHash(folder)
    files = label_files(folder)
    if not files:
        problems.append(f"{folder}: has no Annotations/*.xml, and no *.xml beside the images")
    labels = [found for path in files if (found := _labels(folder, path, problems, classes, digest))]
    one_based = all(min(edges[:2]) >= 1 for one in labels for edges in _all_edges(one.objects))
    frames: dict[Path, Frame] = {}
    for one in labels:
        people: tuple[Person, ...] = ()
        try:
            people = tuple(with_heads(_entries(one, 1 if one_based else 0)))
            if one.photo.path in frames:
                raise ValueError(f"is of {one.photo.name}, which another file describes too")
        except ValueError as error:
            problems.append(f"{one.path}: {error}")
        frames[one.photo.path] = Frame("", one.photo, people, meta=split_of(one.photo.name))
    assumed: list[str] = []
    frames = _with_splits(frames, {one.photo.path: one.path for one in labels}, digest, problems, assumed)
    problems += [] if problems else classes.problems(folder)
    unlabelled = [] if problems else _unlabelled(folder, frames, problems)
    if problems:
        raise told(folder, problems)
    listed = sorted([*frames.values(), *unlabelled], key=lambda frame: frame.photo.name)
    keys = keys_for([frame.photo.name for frame in listed])
    listed = [attrs.evolve(frame, key=key) for frame, key in zip(listed, keys, strict=True)]
    remarks = assumed if one_based else [*assumed, _FROM_ZERO]
    if unlabelled:
        remarks.append(f"{len(unlabelled)} images have no XML file: their people are unknown")
    return PhotoSource("voc", folder, listed, digest.hexdigest(), remarks=[*remarks, *classes.remarks()])


def _with_splits(
    frames: Mapping[Path, Frame],
    labels: Mapping[Path, Path],
    digest: LabelHash,
    problems: list[str],
    remarks: list[str],
) -> dict[Path, Frame]:
    """Return frames with the splits that the lists beside their label files tell."""
    lists: dict[Path, Mapping[str, str]] = {}
    found = {}
    for path, frame in frames.items():
        base = labels[path].parent.parent if labels[path].parent.name.lower() == _FOLDER else labels[path].parent
        if base not in lists:
            try:
                lists[base] = listed_splits(base / "ImageSets" / "Main", digest, remarks)
            except ValueError as error:
                problems.append(str(error))
                lists[base] = {}
        split = lists[base].get(labels[path].stem)
        found[path] = attrs.evolve(frame, meta={"split": split}) if split else frame
    return found


def _labels(folder: Path, path: Path, problems: list[str], classes: Classes, digest: LabelHash) -> _Labels | None:
    """Return one file's objects, None when it is wrong; all that is wrong is noted."""
    try:
        data = label_file(path)
        digest.add(path, data)
        root = _root(data)
        photo = _photo(folder, path, root)
        nodes = root.findall("object")
        if len(nodes) > MAX_OBJECTS:
            raise ValueError(f"{len(nodes)} objects are in one image, more than {MAX_OBJECTS} are refused")
    except ValueError as error:
        problems.append(f"{path}: {error}")
        return None
    objects = []
    for i, node in enumerate(nodes):
        try:
            kind = classes.met(_text(node, "name"))
            if kind is not None:
                objects.append(_object(node, kind))
        except ValueError as error:
            problems.append(f"{path}: object {i + 1}: {error}")
    return _Labels(path, photo, objects)


def _root(data: bytes) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise ValueError("has a DTD or entities, which are refused") from None
    except (ParseError, LookupError, RecursionError) as error:  # LookupError: an unknown encoding
        raise ValueError(f"is no XML: {error}") from None
    if root.tag != "annotation":
        raise ValueError(f"is no VOC annotation: its root is {root.tag[:40]!r}")
    return root


def _photo(folder: Path, labels: Path, root: Element) -> Photo:
    stated = root.findtext("size/width"), root.findtext("size/height")
    width, height = (None if text is None or text.strip() == "0" else numbers([text])[0] for text in stated)
    base = labels.parent.parent if labels.parent.name.lower() == _FOLDER else labels.parent
    places = [place for place in (base / "JPEGImages", base / "images", base) if place.is_dir()]
    names = [labels.stem + suffix for suffix in (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES))]
    listed = (root.findtext("filename") or "").strip()
    if listed:
        names.insert(0, below(listed).name)
    for place in places:
        for name in names:
            if (place / name).is_file():
                return Photo.of_stated_size(folder, place / name, width, height)
    shown = ", ".join(f"{place.relative_to(folder).as_posix()}/" for place in places)
    raise ValueError(f"its image {listed or labels.stem!r:.80} is in none of {shown}")


def _object(node: Element, kind: str) -> _Object:
    attributes: dict[str, Any] = {flag: True for flag in _FLAGS if (node.findtext(flag) or "").strip() == "1"}
    pose = (node.findtext("pose") or "").strip()
    if pose and pose.lower() != "unspecified":
        attributes["pose"] = pose
    parts = [part for part in node.findall("part") if (part.findtext("name") or "").strip().lower() == HEAD]
    rotated = node.find("robndbox")
    if rotated is not None and node.find("bndbox") is None:
        values = tuple(numbers([_text(rotated, name) for name in _ROTATED]))
        return _Object(kind, None, values, _edges(parts[0]) if parts else None, attributes)
    return _Object(kind, _edges(node), None, _edges(parts[0]) if parts else None, attributes)


def _edges(node: Element) -> tuple[float, ...]:
    box = node.find("bndbox")
    if box is None:
        raise ValueError("has no bndbox")
    return tuple(numbers([_text(box, name) for name in _EDGES]))


def _text(node: Element, name: str) -> str:
    text = (node.findtext(name) or "").strip()
    if not text:
        raise ValueError(f"has no {name}")
    return text


def _all_edges(objects: list[_Object]) -> list[tuple[float, ...]]:
    return [edges for one in objects for edges in (one.edges, one.head) if edges is not None]


def _entries(labels: _Labels, first: int) -> list[Person | Box]:
    """Return people and head boxes; ``first`` is the number of the first pixel."""
    entries: list[Person | Box] = []
    for i, one in enumerate(labels.objects):
        try:
            if one.rotated is not None:
                entries.append(_rotated(one, labels.photo.size_px))
                continue
            assert one.edges is not None
            box = _box(one.edges, first, labels.photo.size_px)
            if one.role == HEAD:
                entries.append(box)
                continue
            head = None if one.head is None else _box(one.head, first, labels.photo.size_px)
        except ValueError as error:
            raise ValueError(f"person or head {i + 1}: {error}") from None
        entries.append(Person(box_xyxy_px=box, head_box_xyxy_px=head, attributes=one.attributes))
    return entries


def _rotated(one: _Object, size_px: tuple[int, int]) -> Person | Box:
    """Return a person with a rotated box, or the upright box around a head's; edges of pixels, clockwise radians."""
    assert one.rotated is not None
    cx, cy, w, h, radians = one.rotated
    box = checked_rotated((cx, cy, w, h, math.degrees(radians)), size_px, "robndbox")
    if box.w <= 0 or not centred_inside(cx, cy, size_px):
        raise ValueError(f"robndbox of {w:g}x{h:g} around ({cx:g}, {cy:g}) has no size or lies outside the image")
    return hull(box) if one.role == HEAD else Person(rotated_box=box, attributes=one.attributes)


def _box(edges: tuple[float, ...], first: int, size_px: tuple[int, int]) -> Box:
    left, top, right, bottom = edges
    box = checked_box((left - first, top - first, right, bottom), size_px, "bndbox")
    if box[0] == box[2] or box[1] == box[3]:
        raise ValueError("bndbox has no width or height")
    return box


def _unlabelled(folder: Path, frames: dict[Path, Frame], problems: list[str]) -> list[Frame]:
    """Return the images in the folders of labelled ones that have no labels."""
    found = []
    for place in sorted({path.parent for path in frames}):
        for path in images_below(place):
            if path not in frames:
                try:
                    photo = Photo.open(folder, path)
                except ValueError as error:
                    problems.append(str(error))
                    continue
                found.append(Frame("", photo, None, meta=split_of(photo.name)))
    return found
