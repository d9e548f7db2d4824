# SPDX-License-Identifier: Apache-2.0
"""Writing Pascal VOC; see ``voc.py`` for what its numbers mean."""

from __future__ import annotations

import math
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import HEAD, PERSON, clipped, count_dropped, is_crowd, upright_box
from synthkit.dataset.formats.pictures import Picture
from synthkit.dataset.formats.splits import TRAIN, stated_split
from synthkit.sample import Box, Person

_UNKNOWN = "images whose people are unknown have no XML file, and are in no list of images"
_ROUNDED = "boxes are rounded outwards to whole pixels, as VOC has them"
_LABEL_MAP = f"# label:color_rgb:parts:actions\n{PERSON}:::\n{HEAD}:::\n".encode()
"""Tells CVAT and Datumaro the classes; VOC's own twenty have no heads."""
_HELD = ("truncated", "difficult", "pose", "iscrowd")
_CROWDS = "crowds are marked as difficult, which evaluators pass over"
_HAIR = 1e-3  # of a pixel: below the precision of a data set, no reason to take one more in


def write(export: Export) -> None:
    """Put all images with their XML files, and then the lists of images by split."""
    splits: dict[str, list[str]] = {}
    for picture in export:
        export.put(f"JPEGImages/{picture.key}.{picture.suffix}", picture.data)
        if picture.people is None:  # nor in a list of images: programs look for the XML of each there
            export.remark(_UNKNOWN)
            continue
        export.put(f"Annotations/{picture.key}.xml", _document(export, picture))
        splits.setdefault(stated_split(picture.meta) or TRAIN, []).append(picture.key)
    export.put("labelmap.txt", _LABEL_MAP)
    for split, keys in splits.items():
        export.put(f"ImageSets/Main/{split}.txt", "".join(f"{key}\n" for key in keys).encode())


def _document(export: Export, picture: Picture) -> bytes:
    root = Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", f"{picture.key}.{picture.suffix}")
    _add(SubElement(root, "source"), "database", export.name)
    size = SubElement(root, "size")
    for name, value in zip(("width", "height", "depth"), (*picture.size_px, 3), strict=True):
        _add(size, name, value)
    _add(root, "segmented", 0)
    for person in picture.people or ():
        _person(export, root, person, picture.size_px)
    indent(root)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _person(export: Export, root: Element, person: Person, size_px: tuple[int, int]) -> None:
    box = upright_box(export, person)
    body = None if box is None else clipped(box, size_px)
    head = None if person.head_box_xyxy_px is None else clipped(person.head_box_xyxy_px, size_px)
    if body is None and head is None:
        export.dropped("people without a box in the image")
    if body is not None:
        _object(export, root, PERSON, body, person.attributes, cut=body != box)
    if head is not None:
        _object(export, root, HEAD, head, {}, cut=head != person.head_box_xyxy_px)
    if is_crowd(person):
        export.remark(_CROWDS)
    count_dropped(export, person, {"box_xyxy_px", "head_box_xyxy_px", "attributes"})
    if set(person.attributes) - {*_HELD}:
        export.dropped("attributes")


def _object(export: Export, root: Element, name: str, box: Box, attributes: Any, *, cut: bool) -> None:
    node = SubElement(root, "object")
    pose = attributes.get("pose")
    _add(node, "name", name)
    _add(node, "pose", pose if isinstance(pose, str) and pose.isprintable() and pose else "Unspecified")
    _add(node, "truncated", int(bool(attributes.get("truncated")) or cut))
    _add(node, "difficult", int(bool(attributes.get("difficult") or attributes.get("iscrowd"))))
    bounds = SubElement(node, "bndbox")
    left, top = (math.floor(value + _HAIR) for value in box[:2])
    right, bottom = (math.ceil(value - _HAIR) for value in box[2:])
    if (left, top, right, bottom) != box:
        export.remark(_ROUNDED)
    # Counted from 1, the last pixel included; a sliver still covers one pixel.
    for edge, value in (("xmin", left + 1), ("ymin", top + 1), ("xmax", max(right, left + 1)),
                        ("ymax", max(bottom, top + 1))):  # fmt: skip
        _add(bounds, edge, value)


def _add(node: Element, name: str, value: Any) -> None:
    SubElement(node, name).text = str(value)
