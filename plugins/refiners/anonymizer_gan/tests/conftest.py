# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from sample_sets import Samples

from synthkit.interfaces import Runtime
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds
from synthkit.surfaces import MPFB
from synthkit_anonymizer_gan import surface
from synthkit_anonymizer_gan.config import GeneratingConfig

COLOURS = {"anna": (200, 60, 60), "ben": (60, 60, 200), "cleo": (60, 190, 80)}


def one_sample(seed: int, names: tuple[str, ...] = ("anna", "ben"), *, size: int = 96) -> Sample:
    """Return an image of upright people, each of one colour, whose surface is known; they do not overlap."""
    stream = Seeds(seed).stream("sample")
    image = stream.integers(90, 150, (size, size, 3), dtype=np.uint8)
    instances, places = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint16)
    people = []
    for number, name in enumerate(names, start=1):
        left = int(stream.integers(4, 16)) + (number - 1) * 44
        top, width, height = int(stream.integers(8, 24)), int(stream.integers(14, 22)), int(stream.integers(44, 60))
        part = np.s_[top : top + height, left : left + width]
        image[part], instances[part] = COLOURS[name], number
        places[part] = np.arange(1, 1 + height)[:, None] * 20
        box = (left, top, left + width, top + height)
        people.append(Person(instance=number, identity=name, box_xyxy_px=box, head_px=(left + width / 2, top + 6)))
    return Sample(key=f"s{seed:03d}", image=image, people=people, layers={"instances": instances, "surface": places})


@pytest.fixture
def sample():
    return one_sample


@pytest.fixture
def data() -> dict[str, Samples]:
    names = [("anna", "ben"), ("ben", "cleo"), ("anna", "ben")]
    return {"target": Samples([one_sample(n, each) for n, each in enumerate(names)], "sha-target")}


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(seeds=Seeds(7).child("refiner"), cache_dir=tmp_path / "cache")


@pytest.fixture(autouse=True)
def quick_embedding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers in the place of the mesh's eigenfunctions, which take seconds; ``real_mesh`` marks who wants these."""
    if "real_mesh" in request.fixturenames:
        return
    table = Seeds(0).stream("table").standard_normal((MPFB.vertices, surface.CHANNELS)).astype(np.float32)
    monkeypatch.setattr(surface, "mesh_embedding", lambda: table)
    monkeypatch.setattr(surface, "_mirrored_vertices", lambda: np.arange(MPFB.vertices)[::-1])


@pytest.fixture
def real_mesh() -> None:
    """The mesh's own embedding is wanted."""


@pytest.fixture
def tiny() -> GeneratingConfig:
    return GeneratingConfig(
        crop_px=(16, 32), alignment="box", channels=2, discriminator_channels=2, latent=6, images=20, batch=4,
        r1_every=2, checkpoint_every=2, log_every=2, picture_every=4, ema=0.9,
    )  # fmt: skip


@pytest.fixture
def baseline(tiny: GeneratingConfig) -> GeneratingConfig:
    return attrs.evolve(tiny, appearance=False, co_modulation=False, discriminator_sees="mask")
