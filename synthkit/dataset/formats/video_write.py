# SPDX-License-Identifier: Apache-2.0
"""Writing the images alone as videos: ``SEQUENCE.mp4`` for each sequence, MPEG-4 (part 2).

It is the codec that every OpenCV has and that gives the same bytes each time (WebM files have a random id);
players show it, browsers do not. It is lossy: about 37 dB on a street scene.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import cv2
import numpy as np

from synthkit.dataset.formats.base import told
from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.pictures import Picture
from synthkit.errors import DatasetError, WorkError

_RATE_HZ = 25.0
_UNEVEN = 0.1  # of a frame's time by which a step may differ from the others
_MAX_SIDE_PX = 8191  # of MPEG-4
_CHUNK_BYTES = 1 << 22


@attrs.define
class _Clip:
    """A sequence: where its frames are among the pictures, and what is known of when they were."""

    size_px: tuple[int, int]
    places: list[int] = attrs.field(factory=list)
    frames: list[int | None] = attrs.field(factory=list)
    times_s: list[float | None] = attrs.field(factory=list)

    def add(self, place: int, picture: Picture) -> None:
        self.places.append(place)
        self.frames.append(picture.frame)
        self.times_s.append(picture.time_s)

    def in_order(self) -> _Clip | None:
        """Return the clip with its frames by number, or else by time; None where neither tells all of them apart."""
        for known in (self.frames, self.times_s):
            ranks = [rank for rank in known if rank is not None]
            if len(set(ranks)) == len(self.places):
                order = np.argsort(ranks)
                columns = (self.places, self.frames, self.times_s)
                return _Clip(self.size_px, *([column[n] for n in order] for column in columns))
        return None

    def rate_hz(self) -> tuple[float, bool]:
        """Return frames per second, and whether all steps are alike; 25 when times are unknown."""
        times = [time for time in self.times_s if time is not None]
        steps = np.diff(times)
        if len(times) < max(2, len(self.times_s)) or (steps <= 0).any():
            return _RATE_HZ, len(self.times_s) < 2
        step = float(np.median(steps))
        return min(1 / step, 1000.0), bool((abs(steps - step) <= _UNEVEN * step).all())


def write(export: Export) -> None:
    """Put a video for each sequence, its frames in their order; images of no sequence are one called ``images``.

    Raises:
        DatasetError: telling all images that are of another size than their sequence, before anything is written.
    """
    clips = _clips(export)
    places = [place for clip in clips.values() for place in clip.places]
    pictures = export.pictures(places)
    with tempfile.TemporaryDirectory() as folder:
        for name, clip in clips.items():
            path = Path(folder) / f"{name}.mp4"
            writer = _writer(export, path, name, clip)
            try:
                for picture in itertools.islice(pictures, len(clip.places)):
                    writer.write(_pixels(export, picture))
                    if picture.people:
                        export.dropped("people", len(picture.people))
            finally:
                writer.release()
            export.put_chunks(f"{name}.mp4", _chunks(export, path, len(clip.places)))
        next(pictures, None)  # tells what is damaged


def _clips(export: Export) -> dict[str, _Clip]:
    """Return the videos by name: each has the images of one sequence, in their order."""
    found: dict[str | None, _Clip] = {}
    problems = []
    for place, picture in enumerate(export):
        clip = found.setdefault(picture.sequence or None, _Clip(picture.size_px))
        clip.add(place, picture)
        width, height = picture.size_px
        if picture.size_px != clip.size_px:
            first = f"{clip.size_px[0]}x{clip.size_px[1]}"
            problems.append(f"{export.name}: sample {picture.key} has {width}x{height} pixels, its video {first}")
        elif max(width, height) > _MAX_SIDE_PX or min(width, height) < 2:
            problems.append(f"{export.name}: sample {picture.key}: no video has {width}x{height} pixels")
    if problems:
        raise told(Path(export.name), problems)
    clips: dict[str, _Clip] = {}
    for sequence, clip in found.items():
        name, ordered = export.video(sequence), clip.in_order()
        if ordered is None and len(clip.places) > 1:
            export.remark(f"{name}: which frame comes when is not known of all images, they are in the set's order")
        clips[name] = ordered or clip
    return clips


def _writer(export: Export, path: Path, name: str, clip: _Clip) -> cv2.VideoWriter:
    rate, even = clip.rate_hz()
    if not even:
        export.remark(f"{name}: times are unknown or uneven, the video has {rate:g} frames per second")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, clip.size_px)
    if not writer.isOpened():
        raise WorkError(
            f"{export.name}: the video {name}.mp4 cannot be written: OpenCV has no FFmpeg, or the disk is full"
        )
    return writer


def _pixels(export: Export, picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DatasetError(f"{export.name}: sample {picture.key}: its image is damaged")
    return np.asarray(image, dtype=np.uint8)


def _chunks(export: Export, path: Path, frames: int) -> Iterator[bytes]:
    """Yield a finished video, checked to be whole, as the encoder says nothing of a full disk; then remove it."""
    capture, written = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), 0
    while capture.grab():
        written += 1
    capture.release()
    if written != frames:
        raise WorkError(f"{export.name}: {path.name} was written with {written} of {frames} frames: is the disk full?")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    path.unlink()
