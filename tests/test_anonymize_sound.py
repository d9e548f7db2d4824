# SPDX-License-Identifier: Apache-2.0
"""The sound of videos: kept by the user's own ffmpeg where that is asked for, and told where it cannot be."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess

import cv2
import pytest
from made_private import SECRET, anonymized, picture, seeing

from synthkit.anonymization import sound
from synthkit.anonymization.run import Methods
from synthkit.errors import ConfigError, WorkError

FRAMES = 5
REAL = shutil.which("ffmpeg")
FIRST_INPUT = 'while [ "$1" != -i ]; do shift; done; first=${2#file:}; for last; do :; done; out=${last#file:}\n'
FAULTS = {
    "fails": ("echo 'no room left' >&2; exit 3", "ffmpeg ended with 3: no room left"),
    "says nothing": ("exit 1", "ffmpeg ended with 1: it says nothing"),
    "hangs": ("exec sleep 60", "ffmpeg took more than 1 s"),
    "writes nothing": ("exit 0", "ffmpeg did not write all of it"),
    "writes half": (FIRST_INPUT + 'head -c 900 "$first" > "$out"', "ffmpeg did not write all of it"),
}


pytestmark = pytest.mark.usefixtures("sloppy_installed")


def program(tmp_path, monkeypatch, text):
    """Put a program of the name ffmpeg before all others."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "ffmpeg").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def silent(path, frames=FRAMES):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 64))
    for n in range(frames):
        writer.write(picture(n))
    writer.release()
    return path


def kept(tmp_path, told, timeout_s=60.0):
    original = tmp_path / "original.mp4"
    if not original.exists():
        silent(original)
    silent(tmp_path / "video" / "a.mp4")
    sound.keep(tmp_path / "video", {"a": original}, tmp_path / "sound", "one", told.append, timeout_s)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_is_told_and_leaves_nothing(fault, tmp_path, monkeypatch):
    text, problem = FAULTS[fault]
    program(tmp_path, monkeypatch, text)
    told = []
    with pytest.raises(WorkError, match="1 videos are without their sound"):
        kept(tmp_path, told, timeout_s=1.0 if fault == "hangs" else 60.0)
    assert told == [f"a: its sound could not be kept: {problem}"]
    assert not list((tmp_path / "sound").iterdir())
    program(tmp_path, monkeypatch, FIRST_INPUT + 'cp "$first" "$out"')
    kept(tmp_path, told)
    assert [path.name for path in (tmp_path / "sound").iterdir()] == ["a.mkv"]


def test_without_the_program_nothing_begins(tmp_path, monkeypatch):
    silent(tmp_path / "street.mp4")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"anonymize\.sound: to keep it takes the program ffmpeg"):
        anonymized(tmp_path / "street.mp4", tmp_path / "out", methods=Methods(detectors=[seeing()]), sound="keep")
    assert not (tmp_path / "out").exists()


def test_videos_of_other_finds_are_written_anew(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, FIRST_INPUT + 'cp "$first" "$out"; echo run >> "$(dirname "$0")/runs"')
    runs = tmp_path / "bin/runs"
    for fingerprint, count in (("one", 1), ("one", 1), ("two", 2)):
        videos = silent(tmp_path / "video" / "a.mp4").parent
        sound.keep(videos, {"a": videos / "a.mp4"}, tmp_path / "sound", fingerprint, print)
        assert len(runs.read_text().split()) == count


@pytest.mark.parametrize("names", ["keep", "number"])
def test_a_video_is_handed_on_with_what_the_program_wrote(names, tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, FIRST_INPUT + 'cp "$first" "$out"; echo "$@" > "$(dirname "$0")/told"')
    source = silent(tmp_path / "videos" / "street.mp4").parent
    made = anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]), sound="keep", names=names)
    name = "street" if names == "keep" else "000000"
    assert [path.name for path in made.files.iterdir()] == [f"{name}.mkv"]
    assert (made.files / f"{name}.mkv").read_bytes() == (tmp_path / f"out/video/{name}.mp4").read_bytes()
    told = (tmp_path / "bin/told").read_text()
    assert f"file:{source}/street.mp4" in told


def test_sound_that_an_earlier_run_kept_is_removed_where_it_is_to_be_dropped(tmp_path, monkeypatch):
    program(tmp_path, monkeypatch, FIRST_INPUT + 'cp "$first" "$out"')
    source = silent(tmp_path / "street.mp4")
    for sound_, kept_ in (("keep", True), ("drop", False), ("keep", True)):
        anonymized(source, tmp_path / "out", methods=Methods(detectors=[seeing()]), sound=sound_)
        assert (tmp_path / "out/video-with-sound").exists() is kept_


def ffmpeg(*words):
    return subprocess.run([REAL, "-nostdin", "-loglevel", "error", "-y", *map(str, words)], check=True,
                          capture_output=True, text=True).stdout  # fmt: skip


@pytest.mark.skipif(REAL is None, reason="needs the program ffmpeg")
def test_sound_is_the_same_to_the_last_bit_and_tells_no_names(tmp_path):
    secret = SECRET.decode()
    ffmpeg("-i", silent(tmp_path / "quiet.mp4", 20), "-f", "lavfi", "-i", "sine=440:duration=2", "-c:v", "copy",
           "-c:a", "aac", "-metadata", f"title={secret}", "-metadata:s:a", f"title={secret}",
           "-metadata:s:a", "language=deu", tmp_path / "original.mp4")  # fmt: skip
    assert SECRET in (tmp_path / "original.mp4").read_bytes()
    told = []
    kept(tmp_path, told)
    out = tmp_path / "sound/a.mkv"
    hashes = [
        ffmpeg("-i", path, "-map", "0:a", "-c", "copy", "-f", "md5", "-") for path in (tmp_path / "original.mp4", out)
    ]
    assert hashes[0] == hashes[1]
    assert SECRET not in out.read_bytes()
    capture = cv2.VideoCapture(str(out))
    assert sum(1 for _ in iter(capture.grab, False)) == FRAMES
    first = out.read_bytes()
    shutil.rmtree(tmp_path / "sound")
    kept(tmp_path, told)
    assert out.read_bytes() == first


def vorbis(path, *comments):
    """Write a video with a second of silence in Vorbis that has comments of its own, as mkvmerge keeps them."""
    ffmpeg("-i", silent(path.with_suffix(".mp4"), 10), "-f", "lavfi", "-i", "anullsrc=duration=1", "-c:v", "copy",
           "-c:a", "libvorbis", "-write_crc32", "0", "-metadata:s:a", f"artist={'x' * 100}", path)  # fmt: skip
    data = path.read_bytes()
    start = data.index(b"\x03vorbis") + 7
    end = data.index(b"\x05vorbis", start) - 1
    listed = b"".join(struct.pack("<I", len(text)) + text for text in comments)
    room = end - start - 8 - len(listed)
    made = struct.pack("<I", room) + b"v" * room + struct.pack("<I", len(comments)) + listed
    path.write_bytes(data[:start] + made + data[end:])


@pytest.mark.skipif(REAL is None, reason="needs the program ffmpeg")
def test_comments_inside_of_the_sound_are_blanked(tmp_path):
    vorbis(tmp_path / "original.mkv", b"artist=" + SECRET, b"x=" + SECRET)
    assert (tmp_path / "original.mkv").read_bytes().count(SECRET) == 2
    silent(tmp_path / "video" / "a.mp4", 10)
    sound.keep(tmp_path / "video", {"a": tmp_path / "original.mkv"}, tmp_path / "sound", "one", print)
    out = tmp_path / "sound/a.mkv"
    assert SECRET not in out.read_bytes()
    heard = [ffmpeg("-i", path, "-map", "0:a", "-f", "md5", "-") for path in (tmp_path / "original.mkv", out)]
    assert heard[0] == heard[1]


def test_where_comments_cannot_be_told_apart_the_sound_is_not_kept(tmp_path, monkeypatch):
    program(
        tmp_path, monkeypatch, FIRST_INPUT + 'cp "$first" "$out"; printf \'\\3vorbis\\377\\377\\377\\377\' >> "$out"'
    )
    told = []
    with pytest.raises(WorkError):
        kept(tmp_path, told)
    assert told == ["a: its sound could not be kept: comments in it cannot be taken out"]
    assert not list((tmp_path / "sound").iterdir())
