# SPDX-License-Identifier: Apache-2.0
"""Images, and videos of videos, on which it is drawn what a detector found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthkit import finds
from synthkit.dataset import images
from synthkit.dataset.formats import FORMATS, exporting
from synthkit.dataset.formats.exporting import Exported
from synthkit.dataset.formats.pictures import Picture
from synthkit.errors import DatasetError
from synthkit.found import Found, joined
from synthkit.interfaces import Progress, silent
from synthkit.report.drawing import BODY, FOUND, HEAD, Colour
from synthkit.sample import Array, Person, Sample, Skipped

_REVISION = 1
_QUALITY = 90
_TINT = 0.35
_DARK: Colour = (20, 20, 20)
_ALARM: Colour = (220, 30, 30)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 4  # OpenCV draws between pixels in sixteenths
_SHOWN_CHARACTERS = 90
_VIDEO_SOURCE = "video format"


def check_pictures(out: Path) -> None:
    """Check, before people are looked for, that pictures may go to a folder.

    Raises:
        DatasetError: when it holds something else.
    """
    exporting.check_place(out)


def draw(
    found: Found, out: Path, *, progress: Progress = silent, tell: Callable[[str], None] | None = None
) -> Exported:
    """Write the images with their finds into a new folder, or finish doing so; of videos, videos.

    Images that could not be looked at are there too, and say so.

    Raises:
        DatasetError: when the folder holds something else.
    """
    form = "video" if found.images.notes.get("source") == _VIDEO_SOURCE else "images"
    write = FORMATS[form].write
    assert write is not None
    made = exporting.export(form, write, _Drawn(found), out, {"drawn": _REVISION}, progress)
    if tell:
        for line in made.remarks:
            tell(line)
    return made


class _Drawn:
    """The drawn images as exports take them; those that cannot be read are left out, as the finds' holes tell."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._holes = dict(found.sidecars.data.skipped)
        self.name = Path(found.images.location.rstrip("/")).name
        self.identity: Mapping[str, Any] = {"found": found.fingerprint}
        self.notes: Mapping[str, Any] = dict(found.images.notes)
        images = found.images
        self._places = [
            place
            for place in range(len(images))
            if images.key(place) not in self._holes or not isinstance(images.read(place), Skipped)
        ]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Picture:
        sample = self._found.images.read(self._places[index])
        if isinstance(sample, Skipped):
            raise DatasetError(f"{self.name}: image {sample.key} {sample.reason}")
        side = self._found.sidecars.get(sample.key)
        reason = self._holes.get(sample.key, "it is not in the set")
        drawn = alarm(sample, f"not looked at: {reason}") if side is None else drawing(joined(sample, side))
        return Picture(
            key=sample.key,
            suffix="jpg",
            data=images.jpeg(drawn, _QUALITY),
            size_px=sample.size_px,
            people=None,
            layer=lambda name: None,
            sequence=sample.sequence,
            frame=sample.frame,
            time_s=sample.time_s,
        )


def drawing(sample: Sample) -> Array:
    """Return an image (H, W, 3) uint8 with its people's outlines and scores, and tinted masks."""
    canvas = np.array(sample.image)
    instances = sample.layers.get("instances")
    if instances is not None:
        tinted = canvas[instances > 0] * (1 - _TINT) + np.array(BODY) * _TINT
        canvas[instances > 0] = np.rint(tinted).astype(np.uint8)
    line, size = _widths(sample)
    people = sorted(sample.people or (), key=lambda person: person.attributes.get("score", 1.0))
    for person in people:  # the surest on top
        for corners, colour, score in _outlines(person):
            points = np.rint(corners * 2**_SHIFT).astype(np.int32)
            cv2.polylines(canvas, [points], True, colour, line, cv2.LINE_AA, _SHIFT)
            if score is not None:
                _label(canvas, f"{score:.2f}", corners[np.argmin(corners.sum(axis=1))], colour, size)
    return canvas


def alarm(sample: Sample, text: str) -> Array:
    """Return an image with a red frame and a text."""
    canvas = np.array(sample.image)
    line, size = _widths(sample)
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), _ALARM, 4 * line)
    _label(canvas, text[:_SHOWN_CHARACTERS], np.array([4.0 * line, canvas.shape[0] / 2]), _ALARM, size)
    return canvas


def _widths(sample: Sample) -> tuple[int, float]:
    """Return the width of lines and the size of letters for an image."""
    side = min(sample.size_px)
    return max(1, round(side / 350)), min(max(side / 1400, 0.35), 1.5)


def _outlines(person: Person) -> Iterator[tuple[Array, Colour, float | None]]:
    """Yield what was found of somebody: corners, their colour, and the score where it is known."""
    for find in (person, finds.head_of(person)):
        if find is None:
            continue
        corners = _corners(find)
        if corners is not None:
            yield corners, HEAD if finds.is_head(find) else FOUND, find.attributes.get("score")


def _corners(find: Person) -> Array | None:
    if find.rotated_box is not None:
        return find.rotated_box.corners_px()
    box = find.box_xyxy_px or find.head_box_xyxy_px
    if box is None:
        return None
    left, top, right, bottom = box
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _label(canvas: Array, text: str, place: Array, colour: Colour, size: float) -> None:
    """Write a text on dark ground above a place, or below it at the upper rim."""
    thick = 1 if size < 0.8 else 2
    (width, height), below = cv2.getTextSize(text, _FONT, size, thick)
    left = int(np.clip(place[0], 0, max(canvas.shape[1] - width - 2, 0)))
    bottom = int(np.clip(place[1] - 2, height + below, canvas.shape[0] - 1))
    cv2.rectangle(canvas, (left, bottom - height - below), (left + width + 2, bottom), _DARK, cv2.FILLED)
    cv2.putText(canvas, text, (left + 1, bottom - below // 2 - 1), _FONT, size, colour, thick, cv2.LINE_AA)
