# SPDX-License-Identifier: Apache-2.0
"""What was trained goes into a package in half precision, with its card; obstacles are one line."""

from __future__ import annotations

import sys

import pytest
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.training import shipping
from synthkit.training.checkpoints import load_tensors, save_checkpoint

CARD = {"kind": "detector", "name": "mine", "steps": 7, "licence": "theirs", "config": {"batch": 3, "overlap": 0.4}}
TENSORS = {"weight": torch.tensor([1.0, 2.0**-20, 3.14159]), "places": torch.tensor([70000, 3])}


@pytest.fixture
def trained(tmp_path):
    return save_checkpoint(tmp_path / "trained" / "checkpoint.safetensors", TENSORS, CARD).path


def test_weights_are_halves_and_numbers_of_places_are_whole(trained, tmp_path):
    file = tmp_path / "package" / "mine.safetensors"
    shipped = shipping.ship(trained.parent, file, "detector", "mine", "free", {"overlap": 0.5})
    assert shipped.path == file
    assert shipped.card == {**CARD, "licence": "free", "config": {"batch": 3, "overlap": 0.5}}
    tensors = load_tensors(shipped)
    assert torch.equal(tensors["weight"], TENSORS["weight"].half())
    assert torch.equal(tensors["places"], TENSORS["places"])
    assert shipping.ship(trained, file, "detector", "mine", "free").card == {**CARD, "licence": "free"}
    with pytest.raises(WeightsError, match="mine"):
        shipping.ship(trained, file, "detector", "other", "free")


def test_a_script_tells_what_it_wrote_and_obstacles_in_one_line(trained, tmp_path, monkeypatch, capsys):
    def ship(given):
        return shipping.ship(given, tmp_path / "mine.safetensors", "detector", "mine", "free")

    monkeypatch.setattr(sys, "argv", ["ship", str(trained.parent)])
    assert shipping.main(ship, "Put it there.") == 0
    assert capsys.readouterr().err == f"written: {Checkpoint.open(tmp_path / 'mine.safetensors').path}\n"
    monkeypatch.setattr(sys, "argv", ["ship", str(tmp_path / "no")])
    assert shipping.main(ship, "Put it there.") == 2
    message = capsys.readouterr().err
    assert str(tmp_path / "no") in message
    assert message.count("\n") == 1
