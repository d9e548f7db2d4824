# SPDX-License-Identifier: Apache-2.0
"""Two processes with one crop each learn what one process with two learns."""

from __future__ import annotations

import attrs
import torch
from two_processes import in_two

from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError
from synthkit.training import checkpoints
from synthkit_cyclegan.refiner import CycleGANRefiner


def test_two_processes_learn_what_one_does(tiny, data, runtime, tmp_path):
    config = attrs.evolve(tiny, batch=2, steps=3)  # the pool of 2 is full after the first step
    alone = CycleGANRefiner(config, None, runtime).fit(data, tmp_path / "alone")
    found = in_two(lambda _: CycleGANRefiner(config, None, runtime).fit(data, tmp_path / "two").sha256)
    together = Checkpoint.open(tmp_path / "two" / "checkpoint.safetensors")
    assert found == [together.sha256] * 2
    assert together.card == alone.card
    wanted, ours = checkpoints.load_tensors(alone), checkpoints.load_tensors(together)
    for name, tensor in wanted.items():
        # Adam's first steps are as long as the rate, 2e-4, whichever way a gradient that is nearly zero points.
        assert torch.allclose(ours[name], tensor, atol=1.5e-3), name
    differences = torch.cat([(ours[name] - tensor).abs().reshape(-1) for name, tensor in wanted.items()])
    assert differences.quantile(0.95) < 2e-6


def test_a_batch_that_cannot_be_shared_is_told_before_anything_is_cut(tiny, data, runtime, tmp_path):
    found = in_two(lambda _: CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path))
    assert all(isinstance(error, ConfigError) for error in found)
    assert "batch: 1 cannot be shared by 2 processes" in str(found[0])
    assert not (tmp_path / "crops").exists()
