# SPDX-License-Identifier: Apache-2.0
"""Trainings: what they keep, and that stopped ones go on to the same bytes."""

from __future__ import annotations

import json
import os
import signal

import attrs
import pytest
import torch
from made_discs import BRIEF, bodied, make, small

from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.dataset.mixture import Mixture
from synthkit.errors import DatasetError
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import load_tensors
from synthkit_squeezedet import backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.descent import rate_factor
from synthkit_squeezedet.learner import SqueezeDetLearner


def test_the_last_weights_are_kept_beside_the_best(discs, tmp_path, monkeypatch):
    """Of three evaluations the second is best, so its weights are the checkpoint's, and the third's are the last."""
    f1 = iter([0.2, 0.6, 0.4])

    def judged(learner, validation):
        return {"precision": 0.5, "recall": 0.5, "f1": next(f1), "score": 0.3}

    monkeypatch.setattr(SqueezeDetLearner, "_scores", judged)
    with make(tmp_path, **{**BRIEF, "evaluate_every": 2}) as detector:
        best = detector.fit(small(discs), tmp_path / "a")
    last = Checkpoint.open(tmp_path / "a" / "last.safetensors")
    assert (best.card["steps"], best.card["validation"]["f1"]) == (4, 0.6)
    assert best.card["last"] == {"step": 6, "scores": {"precision": 0.5, "recall": 0.5, "f1": 0.4, "score": 0.3}}
    assert (last.card["steps"], last.card["validation"]["f1"], last.card["chosen_by"]) == (6, 0.4, "last step")
    ours, theirs = load_tensors(best), load_tensors(last)
    assert ours.keys() == theirs.keys()
    assert not torch.equal(ours["conv12.weight"], theirs["conv12.weight"])
    with make(tmp_path, last) as detector:
        assert list(detector.detect(discs(1, 1)))


class Stop(Exception):
    pass


def raise_stop():
    raise Stop


def press_control_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(discs, tmp_path_factory):
    """Return the folder and the checkpoint of a training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with make(folder, **BRIEF) as detector:
        return folder / "whole", detector.fit(small(discs), folder / "whole")


@pytest.mark.parametrize(
    ("how", "at", "error"),
    [
        (raise_stop, 1, Stop),  # after step 3; a state was kept after step 2
        (press_control_c, 1, KeyboardInterrupt),
        (press_control_c, 2, KeyboardInterrupt),  # after the last step
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_bytes(whole, discs, tmp_path, how, at, error):
    data, evaluations = small(discs), []

    def stop(stage, done, total, note=""):
        if stage == "evaluating" and done == 1:
            evaluations.append(stage)
            if len(evaluations) == at:
                how()

    with make(tmp_path, progress=stop, **BRIEF) as detector, pytest.raises(error):
        detector.fit(data, tmp_path / "parts")
    assert not (tmp_path / "parts" / "checkpoint.safetensors").exists()
    with make(tmp_path, **BRIEF) as detector:
        parts = detector.fit(data, tmp_path / "parts")
        again = detector.fit(data, tmp_path / "parts")
    assert parts.sha256 == whole[1].sha256 == again.sha256
    curves = [(folder / "curves.jsonl").read_text() for folder in (whole[0], tmp_path / "parts")]
    assert curves[0] == curves[1]
    last = [(folder / "last.safetensors").read_bytes() for folder in (whole[0], tmp_path / "parts")]
    assert last[0] == last[1]
    lines = [json.loads(line) for line in curves[0].splitlines()]
    assert [line["step"] for line in lines if "val_f1" in line] == [3, 6]
    assert [line["step"] for line in lines if "loss_box" in line] == [1, 2, 3, 4, 5, 6]


def test_the_validation_loss_is_that_of_training_without_its_variation(discs, tmp_path):
    seen = small(discs)["train"]
    still = {"flip": False, "rotate_degrees": 0.0, "drift": 0.0, "zoom": 1.0, "colour": 0.0, "noise": 0.0}
    slow = {"learning_rate": 1e-8, "weight_decay": 0.0, "steps": 2, "evaluate_every": 1, "precision": "float32"}
    with make(tmp_path, **{**BRIEF, **still, **slow, "batch": len(seen)}) as detector:
        detector.fit({"train": seen, "validation": seen}, tmp_path / "a")
    lines = [json.loads(line) for line in (tmp_path / "a" / "curves.jsonl").read_text().splitlines()]
    learned = [line["loss_box"] + line["loss_confidence"] for line in lines if "loss_box" in line]
    judged = [line["val_loss"] for line in lines if "val_loss" in line]
    assert judged == pytest.approx(learned, rel=1e-3)


def test_another_training_in_the_folder_is_refused(whole, discs, tmp_path):
    with (
        make(tmp_path, **{**BRIEF, "learning_rate": 0.02}) as detector,
        pytest.raises(DatasetError, match="other settings"),
    ):
        detector.fit(small(discs), whole[0])
    assert Checkpoint.open(whole[1].path).sha256 == whole[1].sha256


def test_how_a_training_is_kept_and_shown_changes_nothing(whole, discs, tmp_path):
    folder, first = whole
    data = small(discs)
    other = {**BRIEF, "checkpoint_every": 1, "log_every": 4}
    with make(tmp_path, **other) as detector:
        second = detector.fit(data, tmp_path / "b")
        assert detector.fit(data, folder).sha256 == first.sha256  # goes on in the other's folder
    assert second.sha256 == first.sha256
    assert configs.identity(SqueezeDetConfig(**other)) == configs.identity(SqueezeDetConfig(**BRIEF))


def test_a_training_goes_on_without_the_weights_it_began_with(discs, tmp_path, monkeypatch):
    data, settings = small(discs), {**BRIEF, "backbone": "rendered"}
    with make(tmp_path, **settings) as detector:
        whole = detector.fit(data, tmp_path / "whole")

    def stop_at_three(stage, done, total, note=""):
        if stage == "evaluating" and done == 1:
            raise Stop

    with make(tmp_path, progress=stop_at_three, **settings) as detector, pytest.raises(Stop):
        detector.fit(data, tmp_path / "parts")
    monkeypatch.setattr(backbone, "SHIPPED", "synthkit_squeezedet:weights/gone.safetensors")
    with make(tmp_path, **settings) as detector:
        assert detector.fit(data, tmp_path / "parts").sha256 == whole.sha256


AS_RELEASED = {"optimizer": "published", "positives": 1, "dropout": 0.5}
ROTATED = {
    **BRIEF, **AS_RELEASED, "target": "person", "boxes": "rotated", "mosaic": 0.5, "network": "squeezedet-plus"
}  # fmt: skip


def test_rotated_boxes_and_mosaics_of_a_mixture_go_on_to_the_same_bytes(discs, tmp_path):
    def data():
        sets = [discs(3, 1, (64, 48)), discs(9, 2, (80, 48))]
        for part in sets:
            part._samples = [attrs.evolve(s, people=[bodied(p) for p in s.people]) for s in part]
        mixed = Mixture([("real", sets[0], None), ("refined", sets[1], 2)], Seeds(3))
        return {"train": mixed, "validation": sets[0]}

    settings = {**ROTATED, "steps": 4, "evaluate_every": 2}
    with make(tmp_path, **settings) as detector:
        whole = detector.fit(data(), tmp_path / "whole")
    assert [part["samples"] for part in whole.card["data"]["train"]["parts"]] == [3, 6]

    def stop(stage, done, total, note=""):
        if stage.startswith("training") and done == 3:
            raise Stop

    with make(tmp_path, progress=stop, **settings) as detector, pytest.raises(Stop):
        detector.fit(data(), tmp_path / "parts")
    with make(tmp_path, **settings) as detector:
        assert detector.fit(data(), tmp_path / "parts").sha256 == whole.sha256


def test_without_validation_the_last_weights_are_kept(discs, tmp_path):
    with make(tmp_path, **{**BRIEF, "steps": 2}, input_px=(48, 32), anchors=((8.0, 8.0),)) as detector:
        found = detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "b")
    assert found.card["operating_score"] is None
    assert "last" in found.card["chosen_by"]
    assert not (tmp_path / "b" / "last.safetensors").exists()
    assert found.card["design"]["anchors"] == [[8.0, 8.0]]


def test_learning_rates():
    cosine = SqueezeDetConfig(steps=1000)
    assert rate_factor(cosine, 0) == pytest.approx(1 / 50)
    assert rate_factor(cosine, 50) == 1.0
    assert 0 < rate_factor(cosine, 999) < 1e-4
    published = SqueezeDetConfig(schedule="published")
    assert [rate_factor(published, step) for step in (0, 9_999, 10_000, 20_000)] == [1, 1, 0.5, 0.25]
