# SPDX-License-Identifier: Apache-2.0
"""The script that puts a trained finder into the package, and the settings it was made with."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest
import torch

from synthkit.config import structure
from synthkit.training.checkpoints import load_tensors, save_checkpoint
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.network import BodyNet

FOLDER = Path(__file__).parents[1]


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("ship_surface", FOLDER / "ship_ceiling.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_ships_halves_of_the_weights_with_the_whole_card(script, tmp_path, monkeypatch):
    network = BodyNet(2, 4, 12)
    network.initialize(torch.Generator().manual_seed(0))
    card = {"kind": "detector", "name": "surface", "steps": 7, "licence": "theirs"}
    save_checkpoint(tmp_path / "trained" / "checkpoint.safetensors", network.state_dict(), card)
    monkeypatch.setattr(script, "FILE", tmp_path / "package" / "ceiling.safetensors")
    shipped = script.ship(tmp_path / "trained")
    assert shipped.path == script.FILE
    assert shipped.card == {**card, "config": {"mask_threshold": script.MASK_THRESHOLD}, "licence": script.LICENCE}
    for name, half in load_tensors(shipped).items():
        whole = network.state_dict()[name]
        assert half.dtype == (torch.float16 if whole.is_floating_point() else whole.dtype)
        assert torch.equal(half, whole.to(half.dtype))


def test_the_settings_of_the_training_are_settings():
    given = tomllib.loads((FOLDER / "ceiling" / "finder.toml").read_text())["detector"]
    assert given.pop("name") == "surface"
    structure(SurfaceFinderConfig, given)
