# SPDX-License-Identifier: Apache-2.0
"""Two processes with one crop each learn what one process with two learns."""

from __future__ import annotations

import attrs
from two_processes import in_two, learn_alike

from synthkit.errors import ConfigError
from synthkit_cyclegan.refiner import CycleGANRefiner


def test_two_processes_learn_what_one_does(tiny, data, runtime, tmp_path):
    config = attrs.evolve(tiny, batch=2, steps=3)  # the pool of 2 is full after the first step
    learn_alike(lambda folder: CycleGANRefiner(config, None, runtime).fit(data, folder), tmp_path, most=1.5e-3)


def test_a_batch_that_cannot_be_shared_is_told_before_anything_is_cut(tiny, data, runtime, tmp_path):
    found = in_two(lambda _: CycleGANRefiner(tiny, None, runtime).fit(data, tmp_path))
    assert all(isinstance(error, ConfigError) for error in found)
    assert "batch: 1 cannot be shared by 2 processes" in str(found[0])
    assert not (tmp_path / "crops").exists()
