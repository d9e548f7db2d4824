# SPDX-License-Identifier: Apache-2.0
"""Two processes with one crop each learn what one process with two learns, before the switch and after it."""

from __future__ import annotations

import attrs
import pytest
from two_processes import learn_alike

from synthkit_aggan.refiner import AGGANRefiner


@pytest.mark.parametrize("attention", ["learned", "instances"])
def test_two_processes_learn_what_one_does(attention, tiny, data, runtime, tmp_path):
    # The pool of 2 is full after the first step, attention is fixed from the third.
    config = attrs.evolve(tiny, batch=2, steps=3, switch=0.67, attention=attention)
    learn_alike(lambda folder: AGGANRefiner(config, None, runtime).fit(data, folder), tmp_path, most=1.5e-3)
