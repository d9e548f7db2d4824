# SPDX-License-Identifier: Apache-2.0
"""The script that makes the demonstration checkpoint, and the checkpoint that ships."""

from __future__ import annotations

import importlib.util
import sys
from importlib import resources
from pathlib import Path

import pytest

from synthkit.checkpoint import Checkpoint
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.refiner import CycleGANRefiner


@pytest.fixture
def script():
    path = Path(__file__).parents[1] / "train_demo.py"
    spec = importlib.util.spec_from_file_location("train_demo", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_trains_and_ships_a_checkpoint_and_its_card(
    script, data, stand_in_weights, tmp_path, monkeypatch, sample, runtime
):
    opened = {Path("S"): data["source"], Path("T"): data["target"]}
    monkeypatch.setattr(script.Dataset, "open", lambda path: opened[path])
    monkeypatch.setattr(script, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    monkeypatch.setattr(sys, "argv", ["train_demo", "S", "T", str(tmp_path / "work"), "--steps", "2", "--threads", "1"])
    assert script.main() == 0
    checkpoint = Checkpoint.open(tmp_path / "weights" / "demo-dfm.safetensors")
    assert checkpoint.path.stat().st_size < 4e6
    text = (tmp_path / "weights" / "demo-dfm.md").read_text()
    assert checkpoint.sha256 in text
    assert "8 crops of people in 4 images" in text
    assert "trained for\n2 steps" in text
    with CycleGANRefiner(CycleGANConfig(), checkpoint, runtime) as refiner:
        (refined,) = refiner.refine([sample(1)])
    assert refined.key == "s001"


def test_obstacles_are_one_line(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    monkeypatch.setattr(sys, "argv", ["train_demo", str(tmp_path / "no"), "T", str(tmp_path / "work")])
    assert script.main() == 2
    assert str(tmp_path / "no") in capsys.readouterr().err


def test_the_shipped_checkpoint_is_what_its_card_says(sample, runtime):
    folder = resources.files("synthkit_cyclegan") / "weights"
    path = Path(str(folder / "demo-dfm.safetensors"))
    checkpoint = Checkpoint.open(path)
    assert path.stat().st_size < 8e6
    assert checkpoint.sha256 in (folder / "demo-dfm.md").read_text(encoding="utf-8")
    before = sample(1)
    with CycleGANRefiner(CycleGANConfig(), checkpoint, runtime) as refiner:
        (after,) = refiner.refine([before])
    people = before.layers["instances"] > 0
    assert (after.image[~people] == before.image[~people]).all()
    assert (after.image[people] != before.image[people]).any()
