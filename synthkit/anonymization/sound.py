# SPDX-License-Identifier: Apache-2.0
"""Keeping the sound of videos: the user's own program ``ffmpeg`` copies it beside the new pictures.

OpenCV writes no sound, and what pip could install for it holds encoders under the GPL. The program is run, not linked.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2

from synthkit import claims
from synthkit.errors import ConfigError, WorkError

PROGRAM = "ffmpeg"
TIMEOUT_S = 600.0
"""How long the program may take for a video; copying is quick."""

_SHOWN = 200  # characters of what it says
_COMMENTS = b"\x03vorbis"  # with what the comments of Vorbis begin, which stand in what a decoder needs
_MOST_HEAD = 1 << 26  # bytes before the first pictures and sounds
_CLUSTER = b"\x1f\x43\xb6\x75"  # what a Matroska file has before the first pictures and sounds


def check() -> None:
    """Check that there is such a program.

    Raises:
        ConfigError: when there is none.
    """
    if shutil.which(PROGRAM) is None:
        raise ConfigError(
            [f"anonymize.sound: to keep it takes the program {PROGRAM}, which is not on the PATH; install it (Debian:"
             f" apt-get install {PROGRAM}), or leave sound=drop"]
        )  # fmt: skip


def keep(
    videos: Path, originals: Mapping[str, Path], out: Path, fingerprint: str, tell: Callable[[str], None],
    timeout_s: float = TIMEOUT_S,
) -> None:  # fmt: skip
    """Write videos with the sound of their originals into a folder, ``NAME.mkv`` (Matroska, which holds any sound).

    Sound is copied as it is, without tags and chapters; what is there already stays.

    Args:
        videos: folder of ``NAME.mp4``, without sound. originals: by name. fingerprint: of what the videos are made of;
            those of another one are replaced. tell: takes lines for the user. timeout_s: for each video.

    Raises:
        WorkError: with all that could not be written; nothing is left of these.
    """
    note = out.with_suffix(".json")
    if out.exists() and not (note.is_file() and fingerprint.encode() in note.read_bytes()):
        shutil.rmtree(out)
    claims.write_json(note, {"dataset": fingerprint})
    out.mkdir(parents=True, exist_ok=True)
    problems = []
    for name, original in originals.items():
        whole, part = out / f"{name}.mkv", out / f".{name}.part"
        if whole.exists():
            continue
        problem = _joined(videos / f"{name}.mp4", original, part, timeout_s)
        if problem is None:
            part.replace(whole)
        else:
            part.unlink(missing_ok=True)
            problems.append(f"{name}: its sound could not be kept: {problem}")
    for problem in problems:
        tell(problem)
    if problems:
        raise WorkError(f"{len(problems)} videos are without their sound; they are in {videos}. Run again to try anew")


def _joined(video: Path, original: Path, out: Path, timeout_s: float) -> str | None:
    """Write a video with the sound of another one; return what went wrong."""
    only_files = ("-protocol_whitelist", "file")  # what a stranger's file names is fetched from nowhere
    command = [
        PROGRAM, "-nostdin", "-hide_banner", "-loglevel", "error", "-y",
        *only_files, "-i", f"file:{video.resolve()}", *only_files, "-i", f"file:{original.resolve()}",
        "-map", "0:v:0", "-map", "1:a?", "-c", "copy", "-map_metadata", "-1", "-map_metadata:s", "-1",
        "-map_chapters", "-1", "-fflags", "+bitexact", "-write_crc32", "0", "-f", "matroska", f"file:{out.resolve()}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        return f"{PROGRAM} took more than {timeout_s:g} s"
    except OSError as error:
        return f"{PROGRAM} cannot be run: {error.strerror}"
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        return f"{PROGRAM} ended with {done.returncode}: {said[-1][:_SHOWN]}"
    if not out.is_file() or _frames(out) != _frames(video):
        return f"{PROGRAM} did not write all of it"
    return None if _without_comments(out) else "comments in it cannot be taken out"


def _without_comments(path: Path) -> bool:
    """Write blanks over the comments of Vorbis in a Matroska file, which come along with the sound; tell whether."""
    with path.open("r+b") as file:
        data = bytearray(file.read(_MOST_HEAD))
        end = data.find(_CLUSTER)
        if end < 0 and len(data) == _MOST_HEAD:
            return False
        place = data.find(_COMMENTS, 0, end if end >= 0 else None)
        while place >= 0:
            try:
                place = _blanked(data, place + len(_COMMENTS))
            except struct.error:
                return False
            place = data.find(_COMMENTS, place, end if end >= 0 else None)
        file.seek(0)
        file.write(data)
    return True


def _blanked(data: bytearray, place: int) -> int:
    """Write blanks over what is told from a place on, by which program it was made and any comments; return the end.

    Raises:
        struct.error: when it does not end within ``data``.
    """
    count, done = 1, 0
    while done < count:
        (length,) = struct.unpack_from("<I", data, place)
        struct.pack_into(f"{length}s", data, place + 4, b" " * min(length, len(data)))
        place += 4 + length
        if not done:
            count = 1 + struct.unpack_from("<I", data, place)[0]
            place += 4
        done += 1
    return place


def _frames(path: Path) -> int:
    """Return how many frames of a video can be had."""
    capture, count = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), 0
    while capture.grab():
        count += 1
    capture.release()
    return count
