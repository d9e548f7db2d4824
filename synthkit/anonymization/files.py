# SPDX-License-Identifier: Apache-2.0
"""The result as files of the kind that came in: photos, or videos as long as they were."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit import claims, inputs
from synthkit.anonymization import sound
from synthkit.anonymization.job import new_key
from synthkit.anonymization.obscuring import Pixels
from synthkit.anonymization.policy import Policy
from synthkit.anonymization.treating import BLANK
from synthkit.dataset import Dataset
from synthkit.dataset import images as codecs
from synthkit.dataset.formats import FORMATS, exporting
from synthkit.dataset.formats.pictures import DatasetPictures, Picture, Pictures, picture
from synthkit.sample import Skipped
from synthkit.session import Session

PHOTOS, VIDEO = "images", "video"
"""Formats in which the result is written too: folders of photos, and videos."""

SOUND = "video-with-sound"


def write(session: Session, data: Dataset, images: inputs.Images, out: Path, policy: Policy) -> Path | None:
    """Write an anonymized set as photos or videos into a folder of ``out``; None where neither came in.

    Files of an earlier run, in which more had been left out, are replaced.
    """
    form = str(images.opened_as.get("form"))
    if form not in (PHOTOS, VIDEO) or not len(data):
        return None
    pictures: Pictures = _Pixels(data.location) if form == PHOTOS else _Frames(data, images, policy)
    folder, note = out / form, out / f"{form}.json"
    if folder.exists() and not (note.is_file() and data.fingerprint.encode() in note.read_bytes()):
        shutil.rmtree(folder)
    claims.write_json(note, {"dataset": data.fingerprint})
    put = FORMATS[form].write
    assert put is not None, "both are written"
    made = exporting.export(form, put, pictures, folder, {}, session.progress)
    for line in made.remarks:
        session.tell(line)
    return folder


def write_sound(session: Session, data: Dataset, images: inputs.Images, out: Path, policy: Policy) -> Path | None:
    """Write the videos again with the sound of their originals; None where none came in or sound is not to be kept.

    What an earlier run kept is removed where it is not to be kept any more.

    Raises:
        WorkError: with all videos whose sound could not be kept.
    """
    note = (out / SOUND).with_suffix(".json")
    if policy.sound == "drop" and note.is_file():
        session.tell(f"{out / SOUND}: an earlier run kept the sound there; it is removed")
        if (out / SOUND).exists():
            shutil.rmtree(out / SOUND)
        note.unlink()
    if policy.sound == "drop" or images.opened_as.get("form") != VIDEO or not len(data):
        return None
    place, numbers = Path(images.location), _clip_numbers(images)
    firsts: dict[str, int] = {}
    for n in range(len(images)):
        firsts.setdefault(_clip_of(images, n), n)
    originals = {}
    for clip, first in firsts.items():
        frame = images.read(first)
        if not isinstance(frame, Skipped):
            name = numbers[clip] if policy.names == "number" else clip
            originals[name] = place / frame.meta["source"]["file"] if place.is_dir() else place
    sound.keep(out / VIDEO, originals, out / SOUND, data.fingerprint, session.tell)
    return out / SOUND


class _Pixels(DatasetPictures):
    """Images of which nothing but the pixels is written, so that nobody is told that labels were dropped."""

    def __getitem__(self, index: int) -> Picture:
        return attrs.evolve(super().__getitem__(index), people=None)


class _Frames:
    """All frames of videos, in their order; those that were left out are blank, so that time goes on."""

    name = VIDEO
    notes: Mapping[str, Any] = {}

    def __init__(self, data: Dataset, images: inputs.Images, policy: Policy) -> None:
        self._kept = _Pixels(data.location)
        self._places = {key: place for place, key in enumerate(data.keys())}
        self._images, self._policy = images, policy
        self._numbers = _clip_numbers(images) if policy.names == "number" else {}
        self.identity: Mapping[str, Any] = {"dataset": data.fingerprint}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> Picture:
        key = new_key(self._images, place, self._policy)
        kept = self._places.get(key)
        found = self._blank(place, key) if kept is None else self._kept[kept]
        return attrs.evolve(found, sequence=self._numbers[_clip_of(self._images, place)]) if self._numbers else found

    def _blank(self, place: int, key: str) -> Picture:
        sample = self._images.read(place)
        when: dict[str, Any] = {"sequence": self._kept[0].sequence}
        size = self._kept[0].size_px
        if not isinstance(sample, Skipped):  # which still has a place in the order
            size = sample.size_px
            when = {"sequence": sample.sequence, "frame": sample.frame, "time_s": sample.time_s}
        return picture(key, codecs.png(_blank(size)), VIDEO, {"people": None, **when}, lambda _: None)


def _clip_of(images: inputs.Images, place: int) -> str:
    """Return what a video is called, by the key of one of its frames."""
    return images.key(place).rpartition("_")[0]


def _clip_numbers(images: inputs.Images) -> Mapping[str, str]:
    """Return the number of each video by its name, in their order."""
    names = dict.fromkeys(_clip_of(images, place) for place in range(len(images)))
    return {name: f"{number:06d}" for number, name in enumerate(names)}


def _blank(size_px: tuple[int, int]) -> Pixels:
    return np.full((size_px[1], size_px[0], 3), BLANK, np.uint8)
