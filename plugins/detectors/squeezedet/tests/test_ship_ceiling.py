# SPDX-License-Identifier: Apache-2.0
"""The script that puts a trained detector into the package, and the settings it was made with."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest
import torch

from synthkit.config import structure
from synthkit.training.checkpoints import load_tensors, save_checkpoint
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.network import SqueezeDet

FOLDER = Path(__file__).parents[1]


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("ship_ceiling", FOLDER / "ship_ceiling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_ships_halves_of_the_weights_with_the_whole_card(script, tmp_path, monkeypatch):
    network = SqueezeDet(1, 2, numbers=6)
    network.initialize(torch.Generator().manual_seed(0))
    card = {"kind": "detector", "name": "squeezedet", "steps": 7, "licence": "theirs", "config": {"batch": 3}}
    save_checkpoint(tmp_path / "trained" / "checkpoint.safetensors", network.state_dict(), card)
    monkeypatch.setattr(script, "FILE", tmp_path / "package" / "ceiling.safetensors")
    shipped = script.ship(tmp_path / "trained")
    assert shipped.path == script.FILE
    config = {"batch": 3, "nms_iou": script.NMS_IOU}
    assert shipped.card == {**card, "config": config, "licence": script.LICENCE}
    for name, half in load_tensors(shipped).items():
        assert half.dtype == torch.float16
        assert torch.equal(half, network.state_dict()[name].half())


@pytest.mark.parametrize("name", ["detector", "detector-320"])
def test_the_settings_of_the_trainings_are_settings(name):
    given = tomllib.loads((FOLDER / "ceiling" / f"{name}.toml").read_text())["detector"]
    assert given.pop("name") == "squeezedet"
    assert structure(SqueezeDetConfig, given).boxes == "rotated"


@pytest.mark.parametrize("name", ["meeting", "modern", "institutional", "heldout"])
def test_the_settings_of_the_renders_are_settings(name):
    config = pytest.importorskip("synthkit_blender.config", reason="needs the blender renderer")
    given = tomllib.loads((FOLDER / "ceiling" / f"{name}.toml").read_text())["renderer"]
    assert given.pop("name").startswith("blender")
    structure(config.BlenderConfig, given)
