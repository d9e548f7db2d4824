# SPDX-License-Identifier: Apache-2.0
"""Two processes with one crop each learn what one process with two learns, before the switch and after it."""

from __future__ import annotations

import attrs
import pytest
import torch
from two_processes import in_two

from synthkit.checkpoint import Checkpoint
from synthkit.training.checkpoints import load_tensors
from synthkit_aggan.refiner import AGGANRefiner


@pytest.mark.parametrize("attention", ["learned", "instances"])
def test_two_processes_learn_what_one_does(attention, tiny, data, runtime, tmp_path):
    # The pool of 2 is full after the first step, attention is fixed from the third.
    config = attrs.evolve(tiny, batch=2, steps=3, switch=0.67, attention=attention)
    alone = AGGANRefiner(config, None, runtime).fit(data, tmp_path / "alone")
    found = in_two(lambda _: AGGANRefiner(config, None, runtime).fit(data, tmp_path / "two").sha256)
    together = Checkpoint.open(tmp_path / "two" / "checkpoint.safetensors")
    assert found == [together.sha256] * 2
    assert together.card == alone.card
    wanted, ours = load_tensors(alone), load_tensors(together)
    differences = torch.cat([(ours[name] - tensor).abs().reshape(-1) for name, tensor in wanted.items()])
    # Adam's first steps are as long as the rate, 2e-4, whichever way a gradient that is nearly zero points.
    assert differences.max() < 1.5e-3
    assert differences.quantile(0.95) < 2e-6
