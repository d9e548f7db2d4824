# SPDX-License-Identifier: Apache-2.0
"""From a set to a checkpoint to anonymized images, as the commands do it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from made_sets import written

from synthkit import pipeline
from synthkit.anonymization import run
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.errors import ConfigError
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Keypoint
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.people import BLANK
from synthkit_anonymizer_gan.refiner import GeneratingRefiner

SETTINGS = {
    "crop_px": [16, 32], "alignment": "box", "channels": 2, "discriminator_channels": 2, "latent": 6, "images": 8,
    "batch": 4, "surface": "none", "discriminator_sees": "mask", "flip": False,
}  # fmt: skip


@pytest.fixture
def session(monkeypatch) -> Session:
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-anonymizer-gan,synthkit-cyclegan")
    return Session(discover(), RunSettings(), Local(0))


@pytest.fixture
def people(tmp_path, sample):
    samples = [sample(n) for n in range(2)]
    with DatasetWriter(tmp_path / "people", identity={}, scenes=2, scenes_per_shard=2) as writer:
        for scene, one in enumerate(samples):
            writer.spool.put(scene, [one])
            writer.finished(scene)
        writer.finalise()
    return tmp_path / "people"


def test_one_set_is_learned_from_and_people_are_replaced(session, people, tmp_path):
    learns = ComponentSpec("refiner", "anonymizer-consistent", SETTINGS)
    made = pipeline.fit(session, learns, {"target": people}, tmp_path / "fitted")
    applied = pipeline.with_weights(session, ComponentSpec("refiner", "anonymizer-stylegan"), made.path)
    pipeline.refine(session, applied, people, tmp_path / "refined")
    run.anonymize(session, people, applied, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "audit.jsonl").read_text().splitlines()]
    assert {line["treated"] for line in lines} == {"anonymizer-stylegan"}
    originals = Dataset.open(people)
    for folder in (tmp_path / "refined", tmp_path / "out" / "dataset"):
        for before, after in zip(originals, Dataset.open(folder), strict=True):
            masks = before.layers["instances"] > 0
            assert np.array_equal(after.layers["instances"] > 0, masks)
            assert (after.image[masks] != before.image[masks]).any(axis=-1).mean() > 0.9
            assert (after.image[masks] != BLANK).any(axis=-1).mean() > 0.9


def test_people_are_replaced_by_what_labels_tell_of_their_key_points(session, sample, tmp_path):
    samples = []
    for number in range(2):
        one = sample(number)
        anna, ben = one.people
        x, y = anna.head_px
        points = {name: Keypoint(x + 3 * n, y + 4 * n) for n, name in enumerate(("nose", "left_hip", "right_ankle"))}
        known = [attrs.evolve(anna, keypoints=points), ben]
        samples.append(attrs.evolve(one, people=known, layers={"instances": one.layers["instances"]}))
    data = written(tmp_path / "data", samples)
    learns = ComponentSpec("refiner", "anonymizer-consistent", {**SETTINGS, "surface": "keypoints"})
    made = pipeline.fit(session, learns, {"target": data}, tmp_path / "fitted")
    applied = pipeline.with_weights(session, ComponentSpec("refiner", "anonymizer-small"), made.path)
    told: list[str] = []
    run.anonymize(attrs.evolve(session, tell=told.append), data, applied, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "audit.jsonl").read_text().splitlines()]
    # Of ben no key points are known: nobody could be put in his place, which is told.
    assert sorted(line["treated"] for line in lines) == ["anonymizer-small"] * 2 + ["left blank"] * 2
    for before, after in zip(samples, Dataset.open(tmp_path / "out" / "dataset"), strict=True):
        blank = (after.image == BLANK).all(axis=-1)
        anna, ben = (before.layers["instances"] == number for number in (1, 2))
        assert blank[ben].all()
        assert blank[anna].mean() < 0.1
    assert told[-1].startswith(
        "2 of 4 people are left blank: refiner 'anonymizer-small' could put nobody in their place"
    )


def test_a_set_that_tells_no_surfaces_is_refused(session, people, tmp_path):
    unknown = [
        attrs.evolve(one, layers={"instances": one.layers["instances"]}) for one in Dataset.open(people)
    ]  # fmt: skip
    data = written(tmp_path / "data", unknown)
    with pytest.raises(ConfigError, match="refiner 'anonymizer-small' needs surface; before it there is only"):
        pipeline.refine(session, ComponentSpec("refiner", "anonymizer-small"), data, tmp_path / "refined")
    for surface, needs in (("mpfb", {"surface"}), ("smpl", {"surface_smpl"}), ("keypoints", set()), ("none", set())):
        options = {"surface": surface, "discriminator_sees": "mask"}
        if surface == "smpl":
            options["embedding_file"] = str(tmp_path / "table")
            (tmp_path / "table").touch()
        assert session.registry.declared(ComponentSpec("refiner", "anonymizer-small", options)).needs == needs


def test_which_sets_a_refiner_learns_from_is_checked(session, people, tmp_path):
    spec = ComponentSpec("refiner", "anonymizer-consistent", SETTINGS)
    with pytest.raises(ConfigError, match="--source: refiner 'anonymizer-consistent' learns nothing from it"):
        pipeline.fit(session, spec, {"source": people, "target": people}, tmp_path / "a")
    with pytest.raises(ConfigError, match="--source: refiner 'cyclegan-dfm' learns from it too"):
        pipeline.fit(session, ComponentSpec("refiner", "cyclegan-dfm"), {"target": people}, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_is_shipped_is_the_generator_in_half_precision(tiny, data, runtime, tmp_path):
    path = Path(__file__).parents[1] / "ship_small.py"
    spec = importlib.util.spec_from_file_location("ship_small", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made = GeneratingRefiner(tiny, None, runtime).fit(data, tmp_path / "fitted")
    shipped = script.ship(tmp_path / "fitted", tmp_path / "small.safetensors")
    assert shipped.card["licence"].startswith("Apache-2.0")
    assert shipped.path.stat().st_size < 0.7 * made.path.stat().st_size
    results = []
    for checkpoint in (made, shipped):
        with GeneratingRefiner(GeneratingConfig(), checkpoint, runtime) as refiner:
            results += list(refiner.refine([data["target"][0]]))
    assert np.abs(results[0].image.astype(int) - results[1].image).max() <= 3
