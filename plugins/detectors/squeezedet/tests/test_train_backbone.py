# SPDX-License-Identifier: Apache-2.0
"""The script that makes the weights that ship: it trains, ships, and tells obstacles in one line."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import attrs
import pytest
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.training.checkpoints import load_tensors
from synthkit_squeezedet.network import SqueezeDet


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-squeezedet")
    path = Path(__file__).parents[1] / "train_backbone.py"
    spec = importlib.util.spec_from_file_location("train_backbone", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_trains_and_ships_features_from_which_another_detector_starts(script, discs, tmp_path, monkeypatch):
    data = discs(2, 1, (64, 48))
    data._samples = [
        attrs.evolve(s, people=[attrs.evolve(p, box_xyxy_px=p.head_box_xyxy_px) for p in s.people]) for s in data
    ]
    monkeypatch.setattr(script.Dataset, "open", lambda path: data)
    monkeypatch.setattr(script, "FILE", tmp_path / "shipped.safetensors")
    monkeypatch.setattr(sys, "argv", ["train_backbone", "D", str(tmp_path / "work"), "--steps", "1", "--threads", "1"])
    assert script.main() == 0
    shipped = Checkpoint.open(tmp_path / "shipped.safetensors")
    shipped.require("backbone", "rendered")
    assert shipped.card["trained"]["steps"] == 1
    tensors = load_tensors(shipped)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    SqueezeDet(1, 9).load_features(tensors)


def test_obstacles_are_one_line(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_backbone", str(tmp_path / "no"), str(tmp_path / "work")])
    assert script.main() == 2
    assert str(tmp_path / "no") in capsys.readouterr().err
