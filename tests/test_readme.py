# SPDX-License-Identifier: Apache-2.0
"""The README's commands and code, as they stand there, in little: only counts and sizes are made small."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

README = (Path(__file__).parents[1] / "README.md").read_text()
SYNTHKIT = [sys.executable, "-c", "from synthkit.cli import main; main()"]
SMALL_RENDERS = ["renderer.width_px=96", "renderer.height_px=96", "renderer.samples=1", "renderer.people.sitting=[2,2]"]
# Training in little; without the feature term no pretrained weights are needed.
SMALL_REFINER = ["steps=2", "crop_px=32", "generator_filters=4", "discriminator_filters=4", "identity_feature_weight=0"]
SMALL = {
    "build": ["seed=3", *SMALL_RENDERS, *(f"refiner.{setting}" for setting in SMALL_REFINER)],
    "train": ["detector.steps=2", "detector.batch=1", "detector.input_px=[96,96]", "detector.backbone=none"],
}


def block(heading: str, language: str) -> str:
    """Return the first code block of a language below a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]


def commands(text: str) -> list[list[str]]:
    """Return the lines of shell that call synthkit."""
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    return [words for words in lines if words[:1] == ["synthkit"]]


def run(words: list[str], folder: Path) -> str:
    """Run a command of the README in a folder and return what it printed."""
    _, *arguments = words
    if "--count" in arguments:
        arguments[arguments.index("--count") + 1] = "2"
        arguments += ["--workers", "1"]  # a Blender is started by each
    for setting in SMALL.get(arguments[0], []):
        arguments += ["--set", setting]
    done = subprocess.run([*SYNTHKIT, *arguments], cwd=folder, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stderr}"
    return done.stdout


def write_photos(folder: Path) -> None:
    """Write two labelled photos as CEPDOF has them."""
    (folder / "Room").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images, labels = [], []
    for n in range(2):
        pixels = np.random.default_rng(n).integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "Room" / f"Room_{n:06d}.jpg")
        images.append({"file_name": f"Room_{n:06d}.jpg", "id": f"Room_{n:06d}", "width": 96, "height": 96})
        labels.append({"image_id": f"Room_{n:06d}", "bbox": [30, 50, 14, 30, 20], "category_id": 1, "person_id": n})
    (folder / "annotations" / "Room.json").write_text(json.dumps({"images": images, "annotations": labels}))


def write_video(path: Path) -> None:
    """Write a video of two frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (96, 96))
    for level in (90, 130):
        writer.write(np.full((96, 96, 3), level, np.uint8))
    writer.release()


@pytest.mark.blender
def test_own_images_from_photos_to_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path / "PHOTOS")
    (tmp_path / "EMPTY_ROOM").mkdir()
    Image.new("RGB", (96, 96), (150, 140, 130)).save(tmp_path / "EMPTY_ROOM" / "room.png")
    listed = commands(block("With your own images", "sh"))
    assert [words[1] for words in listed] == ["convert", "build", "train", "evaluate", "detect", "export"]
    write_video(tmp_path / "entrance.mp4")
    run(listed[0], tmp_path)
    for name in ("VALIDATION", "TEST"):
        (tmp_path / name).symlink_to(tmp_path / "real")
    for words in listed[1:]:
        run(words, tmp_path)
    assert (tmp_path / "detector.onnx").stat().st_size > 0
    assert (tmp_path / "seen" / "entrance.mp4").stat().st_size > 0

    for words in commands(block("Data sets", "sh")):
        run(words, tmp_path)
    assert (tmp_path / "gallery.html").stat().st_size > 0
    namespace: dict[str, object] = {}
    monkeypatch.chdir(tmp_path)
    exec(block("Data sets", "python"), namespace)  # the README's own code
    assert len(namespace["data"]) == 2  # type: ignore[arg-type]


def test_the_plugin_commands_and_the_settings_file_are_right(tmp_path: Path) -> None:
    for words in commands(block("Settings", "sh")):
        assert run(words, tmp_path)
    text = block("Settings", "toml")
    (tmp_path / "run.toml").write_text(text)
    assert tomllib.loads(text)["seed"] == 7
    # All mistakes are told at once: the one made here is the only one.
    command = [*SYNTHKIT, "build", "--config", "run.toml", "--set", "refiner.steps=2000", "--set", "renderer.width=1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "renderer.width: unknown setting" in done.stderr


def test_every_page_is_named():
    """In the list of pages, and no page that is not there anywhere."""
    pages = {path.name for path in (Path(__file__).parents[1] / "docs").glob("*.md")}
    section = README.split("\n## Where to read on\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"\(docs/([\w-]+\.md)\)", section)) == pages
    assert set(re.findall(r"\(docs/([\w-]+\.md)", README)) == pages
