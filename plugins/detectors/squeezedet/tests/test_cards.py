# SPDX-License-Identifier: Apache-2.0
"""Cards of checkpoints: those of no detector, of older releases, and of more than their file holds."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from made_discs import make

from synthkit.errors import WeightsError
from synthkit.training.checkpoints import save_checkpoint
from synthkit_squeezedet.model import Design

DESIGN = {
    "classes": ["head"],
    "input_px": [64, 48],
    "anchors": [[8.0, 8.0]],
    "centres": "cells",
    "boxes": "upright",
    "network": "squeezedet",
}


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": [7]},
        {"input_px": [10**7, 10**7]},
        {"input_px": [64, 40]},
        {"input_px": ["64", 48]},
        {"input_px": [64]},
        {"anchors": []},
        {"anchors": [[8.0, 8.0]] * 10**4},
        {"anchors": [[8.0, -1.0]]},
        {"anchors": 3},
        {"centres": "edges"},
        {"boxes": "round"},
        {"network": "yolo"},
    ],
)
def test_cards_of_no_detector_are_refused(change, tmp_path):
    card = {"kind": "detector", "name": "squeezedet", "design": {**DESIGN, **change}}
    network = Design.from_card({"design": DESIGN}, tmp_path).build()
    checkpoint = save_checkpoint(tmp_path / "c.safetensors", network.state_dict(), card)
    with pytest.raises(WeightsError, match=r"c\.safetensors: its card"), make(tmp_path, checkpoint):
        pass


@pytest.mark.parametrize("part", ["boxes", "network"])
def test_cards_of_older_releases_are_told(part, tmp_path):
    design = {name: value for name, value in DESIGN.items() if name != part}
    card = {"kind": "detector", "name": "squeezedet", "design": design}
    checkpoint = save_checkpoint(tmp_path / "c.safetensors", {"a": torch.zeros(1)}, card)
    message = rf"c\.safetensors: its card does not tell the detector's {part}; .*train the detector anew"
    with pytest.raises(WeightsError, match=message), make(tmp_path, checkpoint):
        pass


def _most_memory_bytes():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _opened(checkpoint, folder, results):
    before = _most_memory_bytes()
    try:
        with make(folder, checkpoint):
            results.put(("was opened", 0))
    except BaseException as error:
        results.put((f"{type(error).__name__}: {error}", _most_memory_bytes() - before))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs to know its own memory")
def test_a_card_that_claims_more_than_its_file_holds_takes_no_memory(tmp_path):
    """Such a network has 180 MB; it must not be built before it is refused."""
    design = {**DESIGN, "network": "squeezedet-plus", "classes": [str(n) for n in range(64)], "anchors": [[8, 8]] * 64}
    card = {"kind": "detector", "name": "squeezedet", "design": design}
    checkpoint = save_checkpoint(tmp_path / "c.safetensors", {"conv1.weight": torch.zeros(1)}, card)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_opened, args=(checkpoint, tmp_path, results))
    child.start()
    message, taken_bytes = results.get(timeout=60)
    child.join(60)
    assert message.startswith("WeightsError: ")
    assert "does not fit its network" in message
    assert taken_bytes < 40_000_000
