# SPDX-License-Identifier: Apache-2.0
"""Training as a stage: done once, in a folder of its own, by one process at a time."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from doubles import Double, plugin_of, registry_of
from PIL import Image
from safetensors.numpy import save_file

from synthkit import pipeline
from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.dataset.storage import FolderLock
from synthkit.errors import ConfigError, DatasetError, WorkError
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec, sample_key
from synthkit.plugins import Origin, discover
from synthkit.sample import Person, Sample, Skipped
from synthkit.session import Session
from synthkit.settings import RunSettings

TRAININGS = []
LAYERS = []


class Learner(Double):
    """Notes what it found in its folder, and saves nothing but a card."""

    def fit(self, data, workdir):
        TRAININGS.append(sorted(path.name for path in workdir.iterdir()))
        if self.config.level > 12:
            (workdir / "crops").mkdir()
            (workdir / "crops" / "source.u8").write_bytes(b"x")
            if self.config.level == 14:
                (workdir / "state.safetensors").write_bytes(b"learned")
            raise ConfigError(["level: does not go with these data"])
        card = json.dumps({"kind": "refiner", "name": "learner"})
        save_file({"w": np.zeros(1)}, workdir / "model.safetensors", {CARD_KEY: card})
        return Checkpoint.open(workdir / "model.safetensors")


class Masked(Learner):
    """Learns from masks alone, and notes which layers it got."""

    reads = ("instances",)

    def fit(self, data, workdir):
        LAYERS.append({role: sorted(item[0].layers) for role, item in data.items()})
        return super().fit(data, workdir)


class Blind(Double):
    """A renderer that never gets an image."""

    samples_per_scene = 1

    def render(self, scene, seeds):
        yield Skipped(sample_key(scene, 0), "too dark")


DOUBLES = {"refiner": {"learner": Learner, "masked": Masked}, "renderer": {"blind": Blind}}


@pytest.fixture
def session():
    TRAININGS.clear()
    LAYERS.clear()
    return Session(registry_of(**DOUBLES))


def write(out, *people):
    with DatasetWriter(out, identity={}, scenes=1) as writer:
        image = np.zeros((4, 4, 3), np.uint8)
        writer.spool.put(0, [Sample(key=f"s{n}", image=image, people=known) for n, known in enumerate(people)])
        writer.finished(0)
        writer.finalise()
    return out


@pytest.fixture
def data(tmp_path):
    out = write(tmp_path / "data", None)
    return {"source": out, "target": out}


SPEC = ComponentSpec("refiner", "learner")


def test_a_finished_training_is_not_done_again(session, data, tmp_path):
    first = pipeline.fit(session, SPEC, data, tmp_path / "fit")
    assert pipeline.fit(session, SPEC, data, tmp_path / "fit") == first
    assert len(TRAININGS) == 1


def test_only_layers_that_are_learned_from_are_decoded(session, tmp_path):
    layers = {"instances": np.zeros((4, 4), np.uint8), "depth": np.zeros((4, 4), np.float32)}
    with DatasetWriter(tmp_path / "data", identity={}, scenes=1) as writer:
        writer.spool.put(0, [Sample(key="a", image=np.zeros((4, 4, 3), np.uint8), layers=layers)])
        writer.finished(0)
        writer.finalise()
    place = tmp_path / "data"
    pipeline.fit(session, ComponentSpec("refiner", "masked"), {"source": place, "target": str(place)}, tmp_path / "fit")
    assert LAYERS == [{"source": ["instances"], "target": ["instances"]}]
    assert session.registry.get("refiner", "learner").component.reads is None


def test_what_killed_trainings_left_half_written_is_cleared(session, data, tmp_path):
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit" / ".fit.json.77.tmp").write_bytes(b"{")
    pipeline.fit(session, SPEC, data, tmp_path / "fit")
    (tmp_path / "fit" / "fit.json").write_text(
        json.dumps({**json.loads((tmp_path / "fit" / "fit.json").read_text()), "checkpoint": None})
    )
    (tmp_path / "fit" / ".state.safetensors.77.tmp").write_bytes(b"x")
    pipeline.fit(session, SPEC, data, tmp_path / "fit")
    assert TRAININGS == [["fit.json"], ["fit.json", "model.safetensors"]]


def test_settings_that_data_show_to_be_wrong_take_no_folder(session, data, tmp_path):
    wrong = ComponentSpec("refiner", "learner", {"level": 13})
    with pytest.raises(ConfigError, match="does not go with these data"):
        pipeline.fit(session, wrong, data, tmp_path / "fit")
    assert list((tmp_path / "fit").iterdir()) == []
    pipeline.fit(session, SPEC, data, tmp_path / "fit")
    learned = ComponentSpec("refiner", "learner", {"level": 14})
    with pytest.raises(ConfigError):
        pipeline.fit(session, learned, data, tmp_path / "learned")
    assert (tmp_path / "learned" / "state.safetensors").exists()


def test_another_training_is_refused(session, data, tmp_path):
    pipeline.fit(session, SPEC, data, tmp_path / "fit")
    with pytest.raises(DatasetError, match="another component, seed;"):
        pipeline.fit(session.reseeded(3), attrs.evolve(SPEC, options={"level": 2}), data, tmp_path / "fit")


def test_two_trainings_in_one_folder_are_refused(session, data, tmp_path):
    (tmp_path / "fit").mkdir()
    lock = FolderLock(tmp_path / "fit")
    with pytest.raises(DatasetError, match="another process is writing there"):
        pipeline.fit(session, SPEC, data, tmp_path / "fit")
    lock.close()
    pipeline.fit(session, SPEC, data, tmp_path / "fit")
    assert len(TRAININGS) == 1


class Refining(Learner):
    """Learns nothing, and changes nothing."""

    def refine(self, samples):
        yield from samples


def test_photos_that_a_build_left_out_are_told(tmp_path, monkeypatch):
    registry, told = discover(), []
    registry.add(plugin_of(refiner={"learner": Refining}), Origin("test", "1", "test"))
    monkeypatch.setattr("synthkit.jobs.discover", lambda: registry)
    session = Session(registry, RunSettings(), Local(0), tell=told.append)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / f"{number}.jpg")
    torn = photos / "1.jpg"
    torn.write_bytes(torn.read_bytes()[:900])
    discs = ComponentSpec("renderer", "discs", {"size_px": 32, "samples_per_scene": 1})
    for _ in range(2):
        built = pipeline.build(session, discs, SPEC, tmp_path / "out", 1, real=photos)
        (line,) = [line for line in told if "left out" in line]
        assert line.startswith(f"--real {photos}: 1 of 3 images are damaged and left out: photos/1.jpg: cannot be read")
        assert f"{photos}: images (images in a plain folder, or a single one, without labels)" in told
        assert len(Dataset.open(tmp_path / "out" / "real")) == 2
        assert built.skipped == 0
        told.clear()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(torn)
    with pytest.raises(DatasetError, match="another real"):
        pipeline.build(session, discs, SPEC, tmp_path / "out", 1, real=photos)


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([None], set()),
        ([()], {"people.head", "people.box", "people.rotated_box"}),
        ([(), [Person(head_px=(0.0, 0.0))]], {"people.head"}),
        ([(), [Person(), Person(box_xyxy_px=(0, 0, 1, 1))]], {"people.box"}),
    ],
)
def test_what_a_set_carries_is_seen_where_there_are_people(tmp_path, people, words):
    assert pipeline.provided_by(Dataset.open(write(tmp_path / "set", *people))) == words


def chained(tmp_path):
    """Return a set of discs, the same tinted, and that tinted again."""
    session = Session(discover(), RunSettings(), Local(0))
    discs = ComponentSpec("renderer", "discs", {"size_px": 48, "samples_per_scene": 2})
    tints = [ComponentSpec("refiner", "tint", {"colour": colour}) for colour in ([255, 0, 0], [0, 0, 255])]
    made = [pipeline.render(session, discs, tmp_path / "0", 2)]
    for number, tint in enumerate(tints, start=1):
        made.append(pipeline.refine(session, tint, tmp_path / str(number - 1), tmp_path / str(number)))
    return [part.dataset for part in made]


class Unusable(Double):
    """A refiner whose files cannot be used."""

    def __enter__(self):
        assert self.runtime.device == "cpu"
        raise DatasetError("textures: are no pictures")


def test_a_refiner_that_cannot_begin_claims_no_folder(session, data, tmp_path):
    session.registry.add(plugin_of(refiner={"unusable": Unusable}), Origin("mine", "0", "mine"))
    cuda = attrs.evolve(session, run=attrs.evolve(session.run, device="cuda"))
    with pytest.raises(DatasetError, match="are no pictures"):
        pipeline.refine(cuda, ComponentSpec("refiner", "unusable"), data["source"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_refiners_chain_and_the_record_tells_them_in_order(tmp_path):
    rendered, once, twice = chained(tmp_path)
    stages = twice.manifest.notes["stages"]
    assert [stage["name"] for stage in stages] == ["discs", "tint", "tint"]
    assert [stage["config"]["colour"] for stage in stages[1:]] == [[255, 0, 0], [0, 0, 255]]
    assert twice.manifest.notes["parents"] == [{"path": "../1", "fingerprint": once.fingerprint}]
    assert once.manifest.notes["parents"] == [{"path": "../0", "fingerprint": rendered.fingerprint}]
    assert len({rendered.fingerprint, once.fingerprint, twice.fingerprint}) == 3
    for first, second, third in zip(rendered, once, twice, strict=True):
        people = first.layers["instances"] > 0
        assert first.key == second.key == third.key
        assert (third.image[~people] == first.image[~people]).all()
        assert (third.image[people] != second.image[people]).any()
        assert third.people == first.people


def test_a_build_trains_once_and_then_uses_what_it_trained(tmp_path, monkeypatch):
    TRAININGS.clear()
    registry = discover()
    registry.add(plugin_of(refiner={"learner": Refining}), Origin("test", "1", "test"))
    monkeypatch.setattr("synthkit.jobs.discover", lambda: registry)
    session = Session(registry, RunSettings(), Local(0))
    discs = ComponentSpec("renderer", "discs", {"size_px": 32, "samples_per_scene": 1})
    real = pipeline.render(session, discs, tmp_path / "real", 1).dataset.location
    for expected in (1, 1):
        built = pipeline.build(session, discs, SPEC, tmp_path / "out", 1, real=real)
        assert len(TRAININGS) == expected
    used = built.refined.manifest.notes["stages"][-1]
    assert used["checkpoint_sha256"] == Checkpoint.open(built.checkpoint).sha256
    built_on = pipeline.build(session, discs, SPEC, tmp_path / "again", 1, checkpoint=Path(built.checkpoint))
    assert len(TRAININGS) == 1
    assert built_on.refined.manifest.notes["stages"][-1]["checkpoint_sha256"] == used["checkpoint_sha256"]
    other = pipeline.render(session, discs, tmp_path / "other", 2).dataset.location
    with pytest.raises(DatasetError, match="another real"):
        pipeline.build(session, discs, SPEC, tmp_path / "out", 1, real=other)


def test_a_run_that_makes_nothing_has_failed_and_was_not_asked_wrongly(session, tmp_path, monkeypatch):
    monkeypatch.setattr("synthkit.jobs.discover", lambda: session.registry)
    session = attrs.evolve(session, executor=Local(0))
    with pytest.raises(WorkError, match="not one sample could be made: too dark") as told:
        pipeline.render(session, ComponentSpec("renderer", "blind"), tmp_path / "out", 2)
    assert told.value.exit_code == 1
