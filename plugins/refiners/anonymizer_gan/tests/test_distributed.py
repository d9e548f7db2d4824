# SPDX-License-Identifier: Apache-2.0
"""Two processes with four crops each learn what one process with eight learns."""

from __future__ import annotations

import attrs
from two_processes import learn_alike

from synthkit_anonymizer_gan.refiner import GeneratingRefiner


def test_two_processes_learn_what_one_does(tiny, data, runtime, tmp_path):
    # Eight are shared in whole groups of four, whose deviation the discriminator sees.
    config = attrs.evolve(tiny, batch=8, images=16, pairs=0.5)
    learn_alike(lambda folder: GeneratingRefiner(config, None, runtime).fit(data, folder), tmp_path, most=2.5e-3)
