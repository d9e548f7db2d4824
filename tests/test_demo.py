# SPDX-License-Identifier: Apache-2.0
"""The demonstration on the example plugin's discs, with everything as small as it gets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from synthkit.dataset import Dataset

SMALL = {
    "renderer.size_px": 96,
    "renderer.samples_per_scene": 1,
    "demo.source": 5,
    "demo.target_train": 4,
    "demo.target_validation": 2,
    "demo.target_test": 4,
    "refiner.steps": 4,
    "refiner.generator_filters": 4,
    "refiner.discriminator_filters": 4,
    "refiner.crop_px": 64,
    "detector.steps": 4,
    "detector.batch": 2,
    "detector.evaluate_every": 2,
    "detector.backbone": "none",
}


def _demo(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    sets = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    code = "from synthkit.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--renderer", "discs", "--out", str(out), *sets, *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "out"
    done = _demo(out)
    assert done.returncode == 0, done.stderr
    assert str(out / "report.html") in done.stdout
    return out


def test_everything_the_report_tells_of_is_there(story: Path) -> None:
    for name, count in {
        "rendered": 5,
        "refined": 5,
        "target-train": 4,
        "target-validation": 2,
        "target-test": 4,
    }.items():
        assert len(Dataset.open(story / name)) == count
    keys = {name: set(Dataset.open(story / name)[0].image.ravel().tolist()) for name in ("target-train", "target-test")}
    assert keys["target-train"] != keys["target-test"], "the test scenes must be others than the training scenes"
    session = onnxruntime.InferenceSession(str(story / "detector.onnx"))
    assert session.get_inputs()
    assert json.loads((story / "detector.json").read_text())


def test_the_report_shows_pictures_scores_and_curves(story: Path) -> None:
    text = (story / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img src="data:image/webp', text)) >= 10
    assert text.count("<svg") >= 3
    for words in ("trained on", "f1", "frechet", "stand-in", "synthkit build --renderer discs", "detector.onnx"):
        assert words in text.lower(), words


def test_running_it_again_changes_nothing(story: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in story.rglob("*.tar")}
    assert before
    done = _demo(story)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in story.rglob("*.tar")} == before


def test_other_settings_in_the_same_folder_are_refused(story: Path) -> None:
    done = _demo(story, "--seed", "9")
    assert done.returncode == 2
    assert "seed" in done.stderr
