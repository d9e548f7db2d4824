# SPDX-License-Identifier: Apache-2.0
"""HABBOF: a text file of rotated person boxes beside each image.

* ``VIDEO/NAME.jpg`` has its people in ``VIDEO/NAME.txt``; images may also lie in the set's folder itself.
* A line is ``person cx cy w h degrees``, in pixels. HABBOF does not write down which way its angles turn; its
  authors' converter to CEPDOF's format, which is clockwise, copies them as they are, and so do we.
* HABBOF's boxes lie along the radius; where such a box is known of a person, it is written, else the rotated one.
* An image without label file is one whose people are unknown; an empty file says that nobody is there.
* Pixels are taken as stored: an EXIF orientation is not applied, as the labels count on the stored ones.
* Names repeat from video to video (``Lab1/000001``, ``Lab2/000001``); keys then have the video in them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice
from pathlib import Path, PurePosixPath

from synthkit.dataset.formats.base import Format, told
from synthkit.dataset.formats.bodies import DECIMALS, people_of
from synthkit.dataset.formats.contents import LabelHash
from synthkit.dataset.formats.exporting import NO_VIDEO, Export
from synthkit.dataset.formats.labels import MAX_OBJECTS, PERSON, Classes, centred_inside, checked_rotated
from synthkit.dataset.formats.photos import SUFFIXES, Frame, Photo, PhotoSource, keys_for
from synthkit.dataset.formats.texts import images_below, label_file, lines, numbers
from synthkit.sample import Person

_FIELDS = 6
_NO_VIDEOS = (".", NO_VIDEO)
_LOOKED_AT = 500
_FRAME = re.compile(r"(\d{1,15})$")
_ASSUMED = "angles are taken as degrees clockwise, as in CEPDOF"


def recognises(folder: Path) -> bool:
    """Return whether text files beside images have lines of a class name and five numbers."""
    if not folder.is_dir():
        return False
    paths = (path for place in ("*.txt", "*/*.txt") for path in sorted(folder.glob(place)) if _image_beside(path))
    return any(_holds_labels(path) for path in islice(paths, _LOOKED_AT))


def _image_beside(path: Path) -> bool:
    return any(path.with_suffix(suffix).is_file() for name in SUFFIXES for suffix in (name, name.upper()))


def _holds_labels(path: Path) -> bool:
    try:
        rows = lines(label_file(path))
        if not rows or len(rows[0][1]) != _FIELDS or _is_number(rows[0][1][0]):
            return False
        numbers(rows[0][1][1:])
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        numbers([text])
    except ValueError:
        return False
    return True


def read(folder: Path, person_classes: Collection[str] = ()) -> PhotoSource:
    """Open a set.

    Raises:
        DatasetError: telling everything that is wrong, each with file and line.
    """
    reader = _Reader(folder, Classes(person_classes))
    paths = list(images_below(folder)) if folder.is_dir() else []
    if not paths:
        reader.problems.append(f"{folder}: has no images (jpg, png)")
    names = [path.relative_to(folder).as_posix() for path in paths]
    frames = [reader.frame(key, path) for key, path in zip(keys_for(names), paths, strict=True)]
    reader.problems += [] if reader.problems else reader.classes.problems(folder)
    if reader.problems:
        raise told(folder, reader.problems)
    unknown = sum(frame is not None and frame.people is None for frame in frames)
    remarks = [f"{unknown} images have no label file: their people are unknown"] if unknown else []
    return PhotoSource(
        "habbof",
        folder,
        [frame for frame in frames if frame is not None],
        reader.digest.hexdigest(),
        remarks=[_ASSUMED, *remarks, *reader.classes.remarks()],
    )


class _Reader:
    """Reads images with their label files, and remembers what they hold."""

    def __init__(self, folder: Path, classes: Classes) -> None:
        self._folder, self.classes = folder, classes
        self._owners: dict[Path, Path] = {}
        self.problems: list[str] = []
        self.digest = LabelHash(folder)

    def frame(self, key: str, path: Path) -> Frame | None:
        """Return an image with its people, None when it is none; problems are noted."""
        labels = path.with_suffix(".txt")
        if self._owners.setdefault(labels, path) != path:
            self.problems.append(f"{path}: has the same label file as {self._owners[labels].name}; rename one of them")
            return None
        try:
            photo = Photo.open(self._folder, path)
        except ValueError as error:
            self.problems.append(str(error))
            return None
        known: dict[str, str | int] = {}
        video = PurePosixPath(photo.name).parent.as_posix()
        if video not in _NO_VIDEOS:
            known["sequence"] = video
        number = _FRAME.search(path.stem)
        if number:
            known["frame"] = int(number[1])
        return Frame(key, photo, self._people(labels, photo.size_px), sample=known)

    def _people(self, path: Path, size_px: tuple[int, int]) -> tuple[Person, ...] | None:
        """Return the people of a label file, None when there is no such file."""
        if not path.is_file():
            return None
        people = []
        try:
            data = label_file(path)
            self.digest.add(path, data)
            rows = lines(data)
            if len(rows) > MAX_OBJECTS:
                raise ValueError(f"has {len(rows)} objects, more than {MAX_OBJECTS} are refused")
        except ValueError as error:
            self.problems.append(f"{path}: {error}")
            return None
        for number, fields in rows:
            try:
                person = self._person(fields, size_px)
            except ValueError as error:
                self.problems.append(f"{path}: line {number}: {error}")
                continue
            people += [] if person is None else [person]
        return tuple(people)

    def _person(self, fields: list[str], size_px: tuple[int, int]) -> Person | None:
        if len(fields) != _FIELDS:
            raise ValueError(f"has {len(fields)} fields, expected person cx cy w h degrees")
        box = checked_rotated(numbers(fields[1:]), size_px, "box")
        if box.w <= 0:
            raise ValueError(f"box has the size {box.w:g}x{box.h:g}, expected more than 0")
        if not centred_inside(box.cx, box.cy, size_px):
            raise ValueError(
                f"box around ({box.cx:g}, {box.cy:g}) lies outside the image of {size_px[0]}x{size_px[1]} pixels"
            )
        if self.classes.met(fields[0]) != PERSON:
            return None
        return Person(rotated_box=box)


def write(export: Export) -> None:
    """Put each image, and beside it a text file unless its people are unknown."""
    for picture in export:
        place = f"{export.video(picture.sequence)}/{picture.key}" if picture.sequence else picture.key
        export.put(f"{place}.{picture.suffix}", picture.data)
        if picture.people is None:
            export.remark("images whose people are unknown have no label file")
            continue
        rows = [
            " ".join(["person", *(f"{value:.{DECIMALS}f}" for value in box.as_tuple())]) + "\n"
            for _, box in people_of(export, picture, along_radius=True)
        ]
        export.put(f"{place}.txt", "".join(rows).encode())


FORMAT = Format("habbof", "HABBOF text files, rotated boxes", recognises, read, write, has_classes=True)
