# SPDX-License-Identifier: Apache-2.0
"""The generator that ships, as those find it who installed the package, on a rendered room that it has not seen."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from synthkit import pipeline
from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Person, Sample
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit_anonymizer_gan import people
from synthkit_anonymizer_gan.config import SHIPPED, GeneratingConfig
from synthkit_anonymizer_gan.making import Maker
from synthkit_anonymizer_gan.people import BLANK, OWN

HERE = Path(__file__).parent
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def room() -> Sample:
    """Return eight people whose masks and surfaces are known."""
    layers = {name: np.asarray(Image.open(HERE / f"room_{name}.png")) for name in ("instances", "surface")}
    layers["surface"] = layers["surface"].astype(np.uint16)
    there = [Person(instance=n, identity=f"p{n}") for n in range(1, 1 + int(layers["instances"].max()))]
    return Sample(key="room", image=np.asarray(Image.open(HERE / "room.jpg")), people=there, layers=layers)


@pytest.fixture(scope="module")
def shipped() -> Checkpoint:
    component = discover().get("refiner", "anonymizer-small").component
    assert component.demo_checkpoint == SHIPPED
    return Checkpoint.open(component.shipped_checkpoint())


@pytest.fixture(scope="module")
def maker(shipped: Checkpoint) -> Maker:
    torch.set_num_threads(1)
    return Maker(shipped, GeneratingConfig(), torch.device("cpu"))


@pytest.fixture(scope="module")
def crops(room: Sample, maker: Maker) -> list[people.Crop]:
    numbered, _ = people.numbered(room)
    plans = people.plans_of(numbered, maker.size_px, maker.alignment)
    return [people.cut(numbered, plan, maker.cut.surface) for plan in plans]


def test_it_is_small_and_says_what_it_is(shipped):
    assert shipped.path.stat().st_size <= MOST_BYTES
    shipped.require("refiner", "anonymizer-gan")
    assert shipped.card["licence"].startswith("Apache-2.0")
    defaults = discover().get("refiner", "anonymizer-small").component.defaults
    preset = attrs.evolve(GeneratingConfig(), **{**defaults, "crop_px": tuple(defaults["crop_px"])})
    learned = shipped.card["config"]
    for name in ("crop_px", "channels", "discriminator_channels", "latent", "discriminator_sees", "learning_rate"):
        assert learned[name] in (getattr(preset, name), list(np.ravel(getattr(preset, name)))), name


def test_without_a_checkpoint_it_puts_somebody_in_everybodys_place(room):
    session = Session(discover(), RunSettings(device="cpu", threads=1))
    spec = pipeline.with_weights(session, ComponentSpec("refiner", "anonymizer-small"), None)
    with session.entered(spec) as refiner:
        (made,) = refiner.refine([room])
        (again,) = refiner.refine([room])
    there = room.layers["instances"] > 0
    assert made.meta["refined_by"][-1]["people"] == len(room.people)
    assert np.array_equal(made.image, again.image)
    assert (made.image[there] != BLANK).any(axis=-1).mean() > 0.95
    assert (made.image[there] != room.image[there]).any(axis=-1).mean() > 0.95


def test_a_latent_stands_for_a_look(maker, crops):
    """Made again from their own look, people are mostly nearer to themselves than made from somebody else's."""
    looks = [maker.look_of(crop) for crop in crops]
    apart = np.array([[_distance(maker.make(crop, look), crop) for look in looks] for crop in crops])
    others = (apart.sum(axis=1) - apart.diagonal()) / (len(crops) - 1)
    assert (apart.diagonal() < others).sum() >= len(crops) - 1
    assert apart.diagonal().mean() < 0.8 * others.mean()


def test_people_drawn_are_as_bright_as_people_and_differ(maker, crops):
    made = [maker.make(crop, np.random.default_rng(n).standard_normal(maker.shape.latent, np.float32))
            for crop in crops for n in range(4)]  # fmt: skip
    masks = [crop.whose == OWN for crop in crops for _ in range(4)]
    means = np.array([image[mask].mean(axis=0) for image, mask in zip(made, masks, strict=True)]).reshape(-1, 4, 3)
    real = np.array([crop.image[crop.whose == OWN].mean() for crop in crops])
    assert abs(means.mean() - real.mean()) < 40
    assert means.std(axis=1).mean() > 5


def _distance(made: np.ndarray, crop: people.Crop) -> float:
    mask = crop.whose == OWN
    return float(np.abs(made[mask] - crop.image[mask]).mean())
