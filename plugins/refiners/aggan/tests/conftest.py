# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from sample_sets import Samples

from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_aggan.config import AGGANConfig


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(seeds=Seeds(7).child("refiner"), cache_dir=tmp_path / "cache")


@pytest.fixture
def data(runtime: Runtime) -> dict[str, Samples]:
    """Circles of both domains, without masks in the target as real sets are."""

    def drawn(name: str, seed: int) -> list[Sample]:
        with discover().build(ComponentSpec("renderer", name, {"circles": [2, 2]}), runtime) as renderer:
            return [sample for n in range(3) for sample in renderer.render(n, Seeds(seed).child("scene", n))]

    real = [
        attrs.evolve(s, layers={}, people=[attrs.evolve(p, instance=None) for p in s.people])
        for s in drawn("circles-y1", 2)
    ]
    return {"source": Samples(drawn("circles-x1", 1), "sha-source"), "target": Samples(real, "sha-target")}


@pytest.fixture
def tiny() -> AGGANConfig:
    return AGGANConfig(
        steps=5, crop_px=32, generator_filters=2, discriminator_filters=2, attention_filters=2, pool=2, switch=0.6,
        cyclic_pixel_weight=10.0, checkpoint_every=2, log_every=2, picture_every=4,
    )  # fmt: skip
