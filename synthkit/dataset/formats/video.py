# SPDX-License-Identifier: Apache-2.0
"""A video file, or a folder of them: frames with their place and time, nothing known of the people; read here.

OpenCV decodes. Against PyAV on eight made videos (H.264 with B-frames, MPEG-4, MJPEG, VP9; in MP4, MKV,
WebM, AVI and MPEG-TS; steady and uneven rates, a late start) it gave the same frames in the same order, and
the same time stamps to the microsecond, counted from the first frame; so nothing more needs to be installed.
What it cannot do is tell the number of frames beforehand (151 stated for an uneven MKV of 97), or jump to one
exactly. So frames are counted by decoding all of them once, and are always decoded from the start on.

* ``frame`` counts from 0, ``time_s`` from the first frame on. Frames are turned as the file says.
* A folder with videos and no images is a set of its videos, each a sequence.
* Files that name others (playlists, lists to join) are refused, whatever they are called.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from synthkit.dataset.formats.base import Format, told
from synthkit.dataset.formats.photos import NOT_STATED, keys_for
from synthkit.dataset.formats.source import FileSource, Stored
from synthkit.dataset.formats.texts import files_below, images_below
from synthkit.dataset.formats.video_write import write
from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample

SUFFIXES = (".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv")
_TIME_DECIMALS = 6


def recognises(path: Path) -> bool:
    """Return whether a file is called like a video, and begins like one; or a folder has such, and no images."""
    if path.is_dir():
        return next(images_below(path), None) is None and any(map(_is_video, files_below(path, SUFFIXES)))
    return path.is_file() and _is_video(path)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and _is_container(path)


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


class _Video:
    """A video of a set.

    Args:
        name: of its sequence, and in its frames' keys. file: its name in the set.

    Raises:
        DatasetError: when it cannot be decoded.
    """

    def __init__(self, path: Path, name: str, file: str) -> None:
        self.path, self.name, self.file = path, name, file
        self._stated = Decoder(path).stated_frames

    @cached_property
    def frames(self) -> int:
        """How many frames can be decoded."""
        count = sum(1 for _ in Decoder(self.path))
        if not count:
            raise DatasetError(f"{self.path}: has no frame that can be decoded: it is damaged, or of no known codec")
        return count

    def remark(self) -> list[str]:
        """Return a line when the file states another number of frames than can be decoded."""
        if self._stated == self.frames:
            return []
        what = "it is cut off, or only estimates them"
        return [f"{self.file}: {self.frames} frames can be decoded, the file states {self._stated}: {what}"]


class VideoSource(FileSource):
    """An opened video, or all of a folder. Samples are quickly read in order; an earlier one means to begin anew.

    Args:
        path: the file or folder.

    Raises:
        DatasetError: when it is no video that can be decoded, or has none.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise DatasetError(f"{path}: is missing; expected a video file, or a folder of them")
        folder = path if path.is_dir() else path.parent
        paths = [one for one in files_below(path, SUFFIXES) if _is_container(one)] if path.is_dir() else [path]
        if not paths or not paths[0].is_file() or not _is_container(paths[0]):
            what = "has no video" if path.is_dir() else "does not begin like a video"
            raise DatasetError(f"{path}: {what}; expected {', '.join(suffix[1:] for suffix in SUFFIXES)}")
        names = [one.relative_to(folder).as_posix() for one in paths]
        kind = "folder" if path.is_dir() else "file"
        super().__init__(
            {"source": "video format", kind: (path.resolve() if path.is_dir() else path).name, "licence": NOT_STATED}
        )
        self._videos: list[_Video] = []
        problems: list[str] = []
        for one, key, name in zip(paths, keys_for(names), names, strict=True):
            try:
                self._videos.append(_Video(one, key, name))
            except DatasetError as error:
                problems.append(str(error))
        if problems:
            raise told(path, problems)
        self._starts = [0]  # of the videos that are counted, and of the one after
        self._guard = threading.Lock()
        self._open: Decoder | None = None

    @property
    def remarks(self) -> Sequence[str]:
        """Lines about videos that state another number of frames than can be decoded."""
        return tuple(line for video in self._videos for line in video.remark())

    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return the hash of all files and their names."""
        return {"video_sha256": self._hashed({video.file: video.path for video in self._videos}, progress)}

    def __len__(self) -> int:
        return sum(video.frames for video in self._videos)

    def key(self, index: int) -> str:
        """Return a sample's key."""
        video, frame = self._found(index)
        return f"{video.name}_{frame:06d}"

    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one frame; no file holds it alone.

        Raises:
            DatasetError: when it cannot be decoded.
        """
        with self._guard:
            video, frame = self._found(index)
            if self._open is None or self._open.path != video.path or self._open.position > frame:
                self._open = Decoder(video.path)
            image, time_s = self._open.read(frame)
        sample = Sample(
            key=f"{video.name}_{frame:06d}",
            image=image,
            people=None,
            sequence=video.name,
            frame=frame,
            time_s=time_s,
            meta={
                "source": {"format": "video", "file": video.file, "size_px": [image.shape[1], image.shape[0]]},
                "licence": NOT_STATED,
            },
        )
        return sample, None

    def _found(self, index: int) -> tuple[_Video, int]:
        """Return which frame of which video a sample is; to know the frames of the last one takes no counting."""
        while len(self._starts) < len(self._videos) and index >= self._starts[-1]:
            self._starts.append(self._starts[-1] + self._videos[len(self._starts) - 1].frames)
        place = bisect_right(self._starts, index) - 1
        return self._videos[place], index - self._starts[place]


class Decoder:
    """An opened video, forwards only.

    Raises:
        DatasetError: when it cannot be opened, or its frames are too large.
    """

    def __init__(self, path: Path) -> None:
        # An absolute path is never taken for a protocol or a pattern of names.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        self.path = path
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
            raise DatasetError(f"{self.path}: frame {frame} cannot be decoded")
        self.position += 1
        time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        pixels = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return pixels, round(time_s, _TIME_DECIMALS) if math.isfinite(time_s) else 0.0


FORMAT = Format(
    "video", "a video file or a folder of them, frame by frame, without labels", recognises, VideoSource, write
)
