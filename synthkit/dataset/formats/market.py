# SPDX-License-Identifier: Apache-2.0
"""Market-1501: crops of people whose names say who was seen by which camera; recognised and read here.

* ``0002_c1s1_000451_03.jpg`` is person 2, camera 1, sequence 1, frame 451, detection 3 in that frame.
* ``bounding_box_train/``, ``bounding_box_test/`` (the gallery) and ``query/`` are the splits ``train``,
  ``test`` and ``query``. A folder of such crops without these three has no splits.
* Person -1 is junk (a bad detection, which scoring passes over) and 0 a distractor (a stranger, which counts
  as wrong). Neither is one person: their identity is unknown, and the attribute ``reid`` says what they are.
* Hand-drawn boxes (``gt_bbox/``) and other folders are left out.

A sample's ``sequence`` is ``c1s1`` and ``frame`` 451; ``meta`` has ``person`` (as in the name), ``camera``,
``camera_sequence``, ``detection`` and ``split``.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import attrs

from synthkit.dataset.formats.base import Format, told
from synthkit.dataset.formats.market_write import write
from synthkit.dataset.formats.photos import SUFFIXES, Frame, Photo, PhotoSource, keys_for
from synthkit.dataset.formats.texts import images_below
from synthkit.sample import Person

FOLDERS = {"bounding_box_train": "train", "bounding_box_test": "test", "query": "query"}
_NAME = re.compile(r"(-1|\d{1,9})_c(\d{1,6})s(\d{1,6})_(\d{1,12})_(\d{1,6})")
_LOOKED_AT = 20
_KINDS = {-1: "junk", 0: "distractor"}


@attrs.frozen
class Name:
    """What a crop's file name says."""

    person: int
    camera: int
    sequence: int
    frame: int
    detection: int

    @classmethod
    def parse(cls, stem: str) -> Name:
        """Return what a name without its suffix says.

        Raises:
            ValueError: when it is none.
        """
        match = _NAME.fullmatch(stem)
        if match is None:
            raise ValueError("is not named as a crop: expected PERSON_cCAMERAsSEQUENCE_FRAME_DETECTION")
        return cls(*(int(number) for number in match.groups()))


def recognises(folder: Path) -> bool:
    """Return whether a folder has the three folders' names, or crops by their names and nothing else."""
    if not folder.is_dir():
        return False
    if sum((folder / name).is_dir() for name in FOLDERS) >= 2:
        return True
    places = [folder / name for name in FOLDERS if (folder / name).is_dir()] or [folder]
    images = (path for path in places[0].iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    paths = list(islice(images, _LOOKED_AT))
    return bool(paths) and all(_NAME.fullmatch(path.stem) for path in paths)


def read(folder: Path) -> PhotoSource:
    """Open a set.

    Raises:
        DatasetError: telling everything that is wrong.
    """
    problems: list[str] = []
    frames: list[Frame] = []
    places = [name for name in FOLDERS if (folder / name).is_dir()]
    paths = [path for name in places for path in images_below(folder / name)]
    if not places and folder.is_dir():
        paths = [path for path in images_below(folder) if path.parent == folder]
    if not paths:
        problems.append(f"{folder}: has no images (jpg, png) in {', '.join(FOLDERS)}, nor in the folder itself")
    for key, path in zip(keys_for([path.relative_to(folder).as_posix() for path in paths]), paths, strict=True):
        try:
            frames.append(_frame(folder, key, path))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise told(folder, problems)
    return PhotoSource("market1501", folder, frames, "", remarks=_remarks(folder, places, frames))


def _frame(folder: Path, key: str, path: Path) -> Frame:
    photo = Photo.open(folder, path)
    try:
        name = Name.parse(path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    kind = _KINDS.get(name.person)
    person = Person(
        identity=None if kind else f"{name.person:04d}",
        attributes={"reid": kind} if kind else {},
    )
    meta = {
        "person": name.person,
        "camera": name.camera,
        "camera_sequence": name.sequence,
        "detection": name.detection,
    }
    split = FOLDERS.get(photo.name.partition("/")[0]) if "/" in photo.name else None
    return Frame(
        key,
        photo,
        (person,),
        sample={"sequence": f"c{name.camera}s{name.sequence}", "frame": name.frame},
        meta={**meta, **({"split": split} if split else {})},
    )


def _remarks(folder: Path, places: list[str], frames: list[Frame]) -> list[str]:
    counts = [sum(frame.meta["person"] == number for frame in frames) for number in _KINDS]
    kinds = [f"{count} {kind}" for count, kind in zip(counts, _KINDS.values(), strict=True) if count]
    remarks = [f"crops of no known person: {' and '.join(kinds)}"] if kinds else []
    others = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name not in FOLDERS)
    if others:
        remarks.append(f"other folders are left out: {', '.join(others[:10])}{', ...' if others[10:] else ''}")
    if not places:
        remarks.append("there are no folders for training, gallery and queries: the split is unknown")
    return remarks


FORMAT = Format("market1501", "Market-1501: crops of people by identity and camera", recognises, read, write)
