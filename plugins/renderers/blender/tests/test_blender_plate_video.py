# SPDX-License-Identifier: Apache-2.0
"""Plates made from videos."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from synthkit.errors import ConfigError, DatasetError
from synthkit_blender.plates import video as plate_video
from synthkit_blender.plates.commands import app
from synthkit_blender.plates.files import check_png
from synthkit_blender.plates.video import plate_of, steadiest


def test_the_steadiest_shows_what_a_median_cannot():
    rng = np.random.default_rng(3)
    room = rng.integers(150, 220, (6, 8, 3))
    stack = np.clip(room + rng.normal(0, 2, (60, 6, 8, 3)), 0, 255)
    hidden = rng.permuted(np.repeat(np.arange(60) < 36, 48).reshape(60, 6, 8), axis=0)  # three of five frames
    stack[hidden] = rng.integers(0, 140, (int(hidden.sum()), 3))  # in darker clothes
    frames = np.rint(stack).astype(np.uint8)
    found, median = steadiest(frames).astype(int), np.median(frames, axis=0)
    assert np.abs(found - room).mean() < 4
    assert np.abs(median - room).mean() > 20


@pytest.mark.parametrize("count", [3, 4, 7])
def test_the_same_frame_again_and_again_is_the_plate(count):
    frame = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    assert (steadiest(np.stack([frame] * count)) == frame).all()


@pytest.fixture
def video(tmp_path) -> Path:
    """Return a video of a striped floor that a bright block crosses, resting in the middle for a while."""
    path = tmp_path / "room.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for n in range(45):
        frame = np.full((64, 96, 3), 70, np.uint8)
        frame[::8] = 110
        x = min(n * 2, 30) if n < 24 else 30 + (n - 24) * 4
        frame[20:44, x : x + 16] = 250
        writer.write(frame)
    writer.release()
    return path


def test_who_moves_on_is_not_in_the_plate(video, tmp_path, monkeypatch):
    plate = plate_of(video)
    assert plate.shape == (64, 96, 3)
    assert plate.max() < 140
    assert plate[8].mean() > plate[12].mean() + 25
    monkeypatch.setattr(plate_video, "MEMORY_BYTES", 96 * 45 * 32 * 7)
    assert (plate_of(video) == plate).all(), "strips of seven rows give the same"
    shown = CliRunner().invoke(app, ["from-video", str(video), str(tmp_path / "new" / "plate.png")])
    assert shown.exit_code == 0, shown.output
    assert (np.asarray(Image.open(tmp_path / "new" / "plate.png")) == plate).all()


def test_what_gives_no_plate_is_told_before_work(tmp_path):
    (tmp_path / "a.avi").write_bytes(b"text")
    with pytest.raises(DatasetError, match=r"a\.avi"):
        plate_of(tmp_path / "a.avi")
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(ConfigError, match="is there already"):
        check_png(tmp_path / "a.png", force=False)
    check_png(tmp_path / "a.png", force=True)
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        check_png(tmp_path / "a.jpg", force=True)


def test_the_commands_come_in_by_the_entry_point():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    ((name, target),) = project["entry-points"]["synthkit.v1.commands"].items()
    assert name == "plates"
    assert re.fullmatch(r"[\w.]+:\w+", target)
    assert metadata.EntryPoint(name, target, "synthkit.v1.commands").load() is app
