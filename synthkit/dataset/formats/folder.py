# SPDX-License-Identifier: Apache-2.0
"""A plain folder of images, in it and in folders in it: nothing is known of the people.

Images are turned as EXIF says, since there are no labels to agree with. Everything else is left out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from synthkit.dataset.formats.base import Format, told
from synthkit.dataset.formats.exporting import RECORD, Export
from synthkit.dataset.formats.photos import Frame, Photo, PhotoSource, keys_for
from synthkit.dataset.formats.splits import split_of
from synthkit.dataset.formats.texts import images_below

_SHOWN = 8


def recognises(folder: Path) -> bool:
    """Return whether there are images in a folder, or in the folders in it."""
    return folder.is_dir() and next(images_below(folder), None) is not None


def read(folder: Path) -> PhotoSource:
    """Open a folder.

    Raises:
        DatasetError: telling all images that cannot be read.
    """
    problems: list[str] = []
    frames: list[Frame] = []
    paths = list(images_below(folder)) if folder.is_dir() else []
    if not paths:
        problems.append(f"{folder}: has no images (jpg, png)")
    for key, path in zip(keys_for([path.relative_to(folder).as_posix() for path in paths]), paths, strict=True):
        try:
            photo = Photo.open(folder, path, turned=True)
        except ValueError as error:
            problems.append(str(error))
            continue
        frames.append(Frame(key, photo, None, meta=split_of(photo.name)))
    if problems:
        raise told(folder, problems)
    return PhotoSource("images", folder, frames, "", remarks=_left_out(folder, set(paths)))


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


FORMAT = Format("images", "a plain folder of images, without labels", recognises, read, write)
