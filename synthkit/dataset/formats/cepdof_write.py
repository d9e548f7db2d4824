# SPDX-License-Identifier: Apache-2.0
"""Writing rotated person boxes as JSON; see ``cepdof.py`` for what it holds.

Each sequence is a video: ``VIDEO/KEY.jpg`` and ``annotations/VIDEO.json``. Images of no sequence are a
video called ``images``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any

from synthkit.dataset.formats.bodies import people_of
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.pictures import Picture
from synthkit.sample import Person, RotatedBox

_CATEGORY = 1
_CATEGORIES = [{"id": _CATEGORY, "name": "person", "supercategory": "person"}]
_PER_VIDEO = "person_id counts within a video: the same person in two videos is two people for readers"


def write(export: Export) -> None:
    """Put all images, and then a JSON for each sequence."""
    with TemporaryFile() as images, TemporaryFile() as annotations:
        tables = _Lines(images), _Lines(annotations)
        videos: dict[str, None] = {}
        for picture in export:
            video = export.video(picture.sequence)
            videos[video] = None
            export.put(f"{video}/{picture.key}.{picture.suffix}", picture.data)
            tables[0].add(video, _image(picture))
            for person, box in people_of(export, picture, {"identity"}, {"iscrowd"}):
                tables[1].add(video, _annotation(export, picture, person, box))
        for video in videos:
            export.put_chunks(f"annotations/{video}.json", _table(*tables, video))


class _Lines:
    """JSON of several videos in one file on disk, given back video by video."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._pieces: dict[str, list[tuple[int, int]]] = {}
        self._end = 0

    def add(self, video: str, entry: dict[str, Any]) -> None:
        data = json.dumps(entry).encode() + b"\n"
        self._file.write(data)
        pieces = self._pieces.setdefault(video, [])
        start, self._end = self._end, self._end + len(data)
        if pieces and pieces[-1][1] == start:
            pieces[-1] = pieces[-1][0], self._end
        else:
            pieces.append((start, self._end))

    def has(self, video: str) -> bool:
        return video in self._pieces

    def lines(self, video: str) -> Iterator[bytes]:
        """Yield a video's entries with commas between them."""
        comma = b""
        for start, end in self._pieces.get(video, ()):
            self._file.seek(start)
            while start < end:
                line = self._file.readline()
                start += len(line)
                yield comma + line.rstrip(b"\n")
                comma = b",\n"


def _table(images: _Lines, annotations: _Lines, video: str) -> Iterator[bytes]:
    # Without a box to look at, the file with categories would be taken for upright boxes.
    yield b'{"categories": ' + json.dumps(_CATEGORIES).encode() + b", " if annotations.has(video) else b"{"
    yield b'"images": [\n'
    yield from images.lines(video)
    yield b'\n],\n"annotations": [\n'
    yield from annotations.lines(video)
    yield b"\n]}\n"


def _image(picture: Picture) -> dict[str, Any]:
    width, height = picture.size_px
    return {"file_name": f"{picture.key}.{picture.suffix}", "id": picture.key, "width": width, "height": height}


def _annotation(export: Export, picture: Picture, person: Person, box: RotatedBox) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "area": round(box.w * box.h, 6),
        "bbox": list(box.as_tuple()),
        "category_id": _CATEGORY,
        "image_id": picture.key,
        "iscrowd": int(bool(person.attributes.get("iscrowd"))),
        "segmentation": [],
    }
    if person.identity is not None:
        export.remark(_PER_VIDEO)
        name = person.identity.removeprefix(f"{picture.sequence}/")
        entry["person_id"] = int(name) if name.isascii() and name.isdecimal() and str(int(name)) == name else name
    return entry
