# SPDX-License-Identifier: Apache-2.0
"""Writing crops of people as Market-1501 has them; see ``market.py`` for the names.

A sample is a crop of one person, of known identity (or junk, or a distractor), from a known camera:
``meta["camera"]``, a number or a name. Where all identities are numbers, these are written, else they are
numbered from 1 in order; cameras likewise; ``identities.json`` then says which is which.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import attrs
from PIL import Image

from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.formats.bodies import NO_CROP, checked
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.labels import count_dropped
from synthkit.dataset.formats.pictures import Picture
from synthkit.dataset.formats.splits import stated_split
from synthkit.sample import Person

_PLACES = {"train": "bounding_box_train", "query": "query"}
_GALLERY = "bounding_box_test"
_NO_PERSON: Mapping[Any, int] = {"junk": -1, "distractor": 0}
_LEAST_SHARE = 0.25  # of the image that the body's box covers in a crop
_JPEG = "Market-1501's readers look for .jpg files only: PNG images were stored as JPEG, of quality {quality}"
_NO_SPLIT = "images of no split are in the gallery, bounding_box_test"
_GALLERIES = ("test", "gallery")
_MERGED = "images of the split {split!r} are in the gallery, bounding_box_test: Market-1501 has no other place"
_LABELS = "identities.json"


@attrs.frozen
class _Crop:
    """What a crop's name will say: identity (None for nobody's, with its number) and camera as they are."""

    identity: str | None
    nobody: int
    camera: str


def write(export: Export) -> None:
    """Put all crops under their names.

    Raises:
        DatasetError: telling all samples that are no such crops, before anything is written.
    """
    crops = checked(export, _crop)
    people = _numbered({crop.identity for crop in crops if crop.identity is not None}, least=1)
    cameras = _numbered({crop.camera for crop in crops}, least=0)
    names: set[str] = set()
    for number, (picture, crop) in enumerate(zip(export, crops, strict=True)):
        person = crop.nobody if crop.identity is None else people[crop.identity]
        name = _name(picture, person, cameras[crop.camera], number, names)
        export.put(f"{_place(export, picture)}/{name}.jpg", _jpeg(export, picture))
        assert picture.people
        count_dropped(export, picture.people[0], ("identity", "attributes"))
    tables = {"identities": people, "cameras": cameras}
    renamed = {what: table for what, table in tables.items() if any(_value(k) != v for k, v in table.items())}
    if renamed:
        export.remark(f"{' and '.join(renamed)} are numbered: {_LABELS} says which is which")
        export.put(_LABELS, (json.dumps(renamed, indent=1, sort_keys=True) + "\n").encode())


def _crop(picture: Picture) -> _Crop:
    """Return what a crop's name will say.

    Raises:
        ValueError: when it is a whole frame, or identity or camera are unknown.
    """
    people = picture.people
    if people is None or len(people) != 1 or _share(people[0], picture.size_px) < _LEAST_SHARE:
        raise ValueError(NO_CROP)
    person = people[0]
    nobody = _NO_PERSON.get(person.attributes.get("reid"))
    if person.identity is None and nobody is None:
        raise ValueError("of nobody known: expected an identity, or the attribute reid: junk or distractor")
    camera = picture.meta.get("camera")
    if isinstance(camera, bool) or not isinstance(camera, int | str) or camera == "":
        raise ValueError("from no known camera: expected meta 'camera', a number or a name")
    return _Crop(None if nobody is not None else person.identity, nobody or 0, str(camera))


def _share(person: Person, size_px: tuple[int, int]) -> float:
    """Return how much of an image a person's box covers, 1 when nothing is known about it."""
    area = size_px[0] * size_px[1]
    if person.box_xyxy_px is not None:
        left, top, right, bottom = person.box_xyxy_px
        return (right - left) * (bottom - top) / area
    return 1.0 if person.rotated_box is None else person.rotated_box.w * person.rotated_box.h / area


def _value(name: str) -> int | None:
    """Return the number that a name is, None when it is none that fits."""
    return int(name) if name.isascii() and name.isdecimal() and len(name) <= 6 else None


def _numbered(names: set[str], least: int) -> dict[str, int]:
    """Return a number for each name: its own when all are different numbers, else its place from 1."""
    values = {name: value for name in sorted(names) if (value := _value(name)) is not None and value >= least}
    if len(set(values.values())) == len(names):
        return values
    return {name: number for number, name in enumerate(sorted(names), 1)}


def _name(picture: Picture, person: int, camera: int, number: int, taken: set[str]) -> str:
    """Return a name that nothing else has; the last number makes the difference."""
    sequence = _whole(picture.meta.get("camera_sequence"), 1, 999_999)
    frame = _whole(picture.frame, number, 10**12 - 1)
    detection = _whole(picture.meta.get("detection"), 0, 999_999)
    start = f"-1_c{camera}" if person < 0 else f"{person:04d}_c{camera}"
    start = f"{start}s{sequence}_{frame:06d}"
    while f"{start}_{detection:02d}" in taken:
        detection += 1
    taken.add(f"{start}_{detection:02d}")
    return f"{start}_{detection:02d}"


def _whole(value: Any, otherwise: int, highest: int) -> int:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= highest
    return value if fits else otherwise


def _place(export: Export, picture: Picture) -> str:
    split = stated_split(picture.meta)
    if split is None:
        export.remark(_NO_SPLIT)
    elif split not in _PLACES and split not in _GALLERIES:
        export.remark(_MERGED.format(split=split))
    return _GALLERY if split is None else _PLACES.get(split, _GALLERY)


def _jpeg(export: Export, picture: Picture) -> bytes:
    if picture.suffix == "jpg":
        return picture.data
    quality = CodecConfig().jpeg_quality
    export.remark(_JPEG.format(quality=quality))
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture.data), formats=("PNG",)) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()
