# SPDX-License-Identifier: Apache-2.0
"""A plain folder of images, in it and in folders in it, or one image: nothing is known of the people.

Images are turned as EXIF says, since there are no labels to agree with. Everything else is left out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from synthkit.dataset.formats.base import Format, told
from synthkit.dataset.formats.exporting import RECORD, Export
from synthkit.dataset.formats.photos import SUFFIXES, Frame, Photo, PhotoSource, keys_for
from synthkit.dataset.formats.splits import split_of
from synthkit.dataset.formats.texts import images_below

_SHOWN = 8


def recognises(path: Path) -> bool:
    """Return whether a file is called like an image, or there are images in a folder or in the folders in it."""
    return _is_image(path) or (path.is_dir() and next(images_below(path), None) is not None)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(place: Path) -> PhotoSource:
    """Open a folder, or an image; a file in a folder that is called like an image and is none is a damaged one.

    Raises:
        DatasetError: when there is nothing that can be an image, telling why.
    """
    frames: list[Frame] = []
    folder, paths = place, list(images_below(place)) if place.is_dir() else []
    if _is_image(place):
        folder, paths = place.parent, [place]
    if not paths:
        raise told(folder, [f"{folder}: has no images (jpg, png)"])
    for key, path in zip(keys_for([path.relative_to(folder).as_posix() for path in paths]), paths, strict=True):
        try:
            photo = Photo.open(folder, path, turned=True)
        except ValueError as error:
            photo = Photo(path, path.relative_to(folder).as_posix(), (0, 0), damage=str(error))
        frames.append(Frame(key, photo, None, meta=split_of(photo.name)))
    problems = [frame.photo.damage for frame in frames if frame.photo.damage]
    if len(problems) == len(frames):
        raise told(folder, problems)
    remarks = _left_out(folder, set(paths)) if place.is_dir() else []
    return PhotoSource("images", folder, frames, "", remarks=remarks)


def _left_out(folder: Path, taken: set[Path]) -> list[str]:
    """Return the line that tells which files are left out, as labels may be among them."""
    others = Counter(
        path.suffix.lower() or path.name
        for path in folder.rglob("*")
        if path.is_file() and path not in taken and path.name != RECORD and not path.name.startswith(".")
    )
    if not others:
        return []
    shown = ", ".join(f"{suffix[:20]} ({count})" for suffix, count in sorted(others.items())[:_SHOWN])
    return [f"files that are no images are left out: {shown}{', ...' if len(others) > _SHOWN else ''}"]


def write(export: Export) -> None:
    """Put the images alone, each under its key."""
    for picture in export:
        export.put(f"{picture.key}.{picture.suffix}", picture.data)
        if picture.people:
            export.dropped("people", len(picture.people))


FORMAT = Format("images", "images in a plain folder, or a single one, without labels", recognises, read, write)
