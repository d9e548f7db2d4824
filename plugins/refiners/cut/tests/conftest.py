# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_sets import Samples

from synthkit.interfaces import Runtime
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_cut.config import CUTConfig


def one_sample(seed: int, low: int, high: int) -> Sample:
    """Return a dark image with a person: an upright box of one colour between low and high, with a stripe."""
    stream = Seeds(seed).stream("sample")
    image = stream.integers(0, 60, (64, 64, 3), dtype=np.uint8)
    instances = np.zeros((64, 64), np.uint8)
    instances[8:48, 20:40] = 1
    image[instances > 0] = stream.integers(low, high, 3)
    image[24:30, 20:40] = 255 - image[24:30, 20:40]
    person = Person(instance=1, rotated_box=RotatedBox(30, 28, 20, 40, 0))
    return Sample(key=f"s{seed:03d}", image=image, people=(person,), layers={"instances": instances})


@pytest.fixture
def data() -> dict[str, Samples]:
    source = [one_sample(n, 60, 120) for n in range(3)]
    target = [one_sample(100 + n, 160, 250) for n in range(2)]
    return {"source": Samples(source, "sha-source"), "target": Samples(target, "sha-target")}


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(seeds=Seeds(7).child("refiner"), cache_dir=tmp_path / "cache")


@pytest.fixture
def tiny() -> CUTConfig:
    return CUTConfig(
        steps=5, crop_px=32, generator_filters=2, discriminator_filters=2, patches=16, head_width=8,
        checkpoint_every=2, log_every=2, picture_every=4,
    )  # fmt: skip
