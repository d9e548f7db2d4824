# SPDX-License-Identifier: Apache-2.0
"""A video file: its frames with their place and time, and nothing known of the people; read here.

OpenCV decodes. Against PyAV on eight made videos (H.264 with B-frames, MPEG-4, MJPEG, VP9; in MP4, MKV,
WebM, AVI and MPEG-TS; steady and uneven rates, a late start) it gave the same frames in the same order, and
the same time stamps to the microsecond, counted from the first frame; so nothing more needs to be installed.
What it cannot do is tell the number of frames beforehand (151 stated for an uneven MKV of 97), or jump to one
exactly. So frames are counted by decoding all of them once, and are always decoded from the start on.

* ``frame`` counts from 0, ``time_s`` from the first frame on. Frames are turned as the file says.
* Files that name others (playlists, lists to join) are refused, whatever they are called.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthkit.dataset.formats.base import Format
from synthkit.dataset.formats.contents import Contents
from synthkit.dataset.formats.photos import NOT_STATED, key_of
from synthkit.dataset.formats.source import Source, Stored
from synthkit.dataset.formats.video_write import write
from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample

SUFFIXES = (".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv")
_TIME_DECIMALS = 6


def recognises(path: Path) -> bool:
    """Return whether a file is called like a video, and begins like one."""
    return path.suffix.lower() in SUFFIXES and path.is_file() and _is_container(path)


def _is_container(path: Path) -> bool:
    """Look at what a file begins with: FFmpeg would also follow text files that name other files."""
    try:
        with path.open("rb") as file:
            start = file.read(400)
    except OSError:
        return False
    packets = any(start[offset::step][:2] == b"GG" for offset, step in ((0, 188), (4, 192)))
    boxes = start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
    riff = start[:4] == b"RIFF" and start[8:12] in (b"AVI ", b"AVIX")
    return boxes or riff or packets or start.startswith((b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"OggS"))


class VideoSource(Source):
    """An opened video. Samples are quickly read in order; an earlier one means to begin anew.

    Args:
        path: the file.

    Raises:
        DatasetError: when it is no video that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file() or not _is_container(path):
            raise DatasetError(f"{path}: is no video file: expected {', '.join(s[1:] for s in SUFFIXES)}")
        self._path = path
        self._decoder = _Decoder(path)
        self._guard = threading.Lock()
        self._contents: Contents | None = None

    @property
    def notes(self) -> Mapping[str, Any]:
        """Where the frames came from."""
        return {"source": "video format", "file": self._path.name, "licence": NOT_STATED}

    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return the hash of the file."""
        self._contents = Contents.of([self._path], progress)
        return {"video_sha256": self._contents.sha256}

    def changed(self) -> Path | None:
        """Return the file when it was changed since."""
        return self._contents.changed() if self._contents else None

    @cached_property
    def _frames(self) -> int:
        """How many frames can be decoded."""
        count = sum(1 for _ in _Decoder(self._path))
        if not count:
            raise DatasetError(f"{self._path}: has no frame that can be decoded: it is damaged, or of no known codec")
        return count

    @property
    def remarks(self) -> Sequence[str]:
        """A line when the file states another number of frames than can be decoded."""
        stated, frames = self._decoder.stated_frames, self._frames
        if stated == frames:
            return ()
        return (f"{frames} frames can be decoded, the file states {stated}: it is cut off, or only estimates them",)

    def __len__(self) -> int:
        return self._frames

    def key(self, index: int) -> str:
        """Return a sample's key."""
        return f"{key_of(self._path.stem)}_{index:06d}"

    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one frame; no file holds it alone.

        Raises:
            DatasetError: when it cannot be decoded.
        """
        with self._guard:
            if self._decoder.position > index:
                self._decoder = _Decoder(self._path)
            image, time_s = self._decoder.read(index)
        name = key_of(self._path.stem)
        sample = Sample(
            key=self.key(index),
            image=image,
            people=None,
            sequence=name,
            frame=index,
            time_s=time_s,
            meta={
                "source": {"format": "video", "file": self._path.name, "size_px": [image.shape[1], image.shape[0]]},
                "licence": NOT_STATED,
            },
        )
        return sample, None


class _Decoder:
    """An opened video, forwards only.

    Raises:
        DatasetError: when it cannot be opened, or its frames are too large.
    """

    def __init__(self, path: Path) -> None:
        # An absolute path is never taken for a protocol or a pattern of names.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        self._path = path
        self.position = 0
        if not self._capture.isOpened():
            raise DatasetError(f"{path}: cannot be opened as a video: it is damaged, or of no known codec")
        width, height = (self._capture.get(n) for n in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_PIXELS:
            raise DatasetError(f"{path}: frames of {width:g}x{height:g} pixels are refused")
        stated = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.stated_frames = int(stated) if math.isfinite(stated) and stated > 0 else 0

    def __iter__(self) -> Iterator[None]:
        """Yield for each frame that is left."""
        while self._capture.grab():
            self.position += 1
            yield

    def read(self, frame: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], float]:
        """Return a frame at or after the position, (H, W, 3) uint8 RGB, and its time in seconds."""
        while self.position < frame and self._capture.grab():
            self.position += 1
        good, image = self._capture.read()
        if self.position != frame or not good:
            raise DatasetError(f"{self._path}: frame {frame} cannot be decoded")
        self.position += 1
        time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        pixels = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return pixels, round(time_s, _TIME_DECIMALS) if math.isfinite(time_s) else 0.0


FORMAT = Format("video", "a video file, frame by frame, without labels", recognises, VideoSource, write)
