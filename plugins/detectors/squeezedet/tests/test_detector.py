# SPDX-License-Identifier: Apache-2.0
"""The whole detector on drawn discs: it learns, resumes to the same bytes, detects, and leaves as ONNX."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import onnxruntime
import pytest
import torch

from synthkit import config as configs
from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.interfaces import Detector, Exportable, Runtime, Scored, Trainable, silent
from synthkit.seeds import Seeds
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_squeezedet import backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector
from synthkit_squeezedet.network import SqueezeDet
from synthkit_squeezedet.training import rate_factor

BRIEF = {"backbone": "none", "steps": 6, "batch": 2, "save_every": 2, "evaluate_every": 3, "log_every": 1}


def make(tmp_path, checkpoint=None, progress=silent, **settings):
    runtime = Runtime(seeds=Seeds(1), cache_dir=tmp_path, threads=1, progress=progress)
    return SqueezeDetector(SqueezeDetConfig(**settings), checkpoint, runtime)


def small(discs, train=4, validation=2):
    return {"train": discs(train, 1, (64, 48)), "validation": discs(validation, 2, (64, 48))}


@pytest.fixture(scope="session")
def trained(discs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained")
    data = {"train": discs(48, 1), "validation": discs(12, 2)}
    settings = {"backbone": "none", "steps": 260, "batch": 4, "evaluate_every": 65}
    with make(workdir, **settings) as detector:
        return detector.fit(data, workdir)


def test_it_learns_from_scratch(trained, discs, tmp_path):
    held_out = discs(20, 3)
    with make(tmp_path, trained) as detector:
        scored = [Scored(s, d) for s, d in zip(held_out, detector.detect(held_out), strict=True)]
        assert isinstance(detector, Detector)
        assert isinstance(detector, Trainable)
        assert isinstance(detector, Exportable)
        assert list(detector.class_names) == ["head"]
    config = DetectionConfig(score=trained.card["operating_score"], bootstrap=0)
    metric = DetectionMetric(config, None, Runtime(Seeds(0), tmp_path))
    f1 = metric.compute({"scored": metric.observe("scored", scored)})[2]
    assert f1.value > 0.8, f1


def test_the_card_tells_how_it_was_made(trained):
    card = trained.card
    assert card["kind"] == "detector"
    assert card["backbone"]["weights"] == "none"
    assert card["validation"]["f1"] > 0.8
    assert card["design"]["input_px"] == [128, 96]
    assert configs.structure(SqueezeDetConfig, card["config"]) == SqueezeDetConfig(
        backbone="none", steps=260, batch=4, evaluate_every=65
    )


def test_detections_lie_in_the_image_and_fall_in_score(trained, discs, tmp_path):
    large = discs(1, 5, (301, 200), (20, 30))[0]
    with make(tmp_path, trained) as detector:
        (found,) = detector.detect([large])
    assert (found.boxes_xyxy_px >= 0).all()
    assert (found.boxes_xyxy_px <= [301, 200, 301, 200]).all()
    assert (np.diff(found.scores) <= 0).all()
    assert len(found.scores) <= 64


def test_neighbours_do_not_matter(trained, discs, tmp_path):
    samples = list(discs(3, 6))
    with make(tmp_path, trained) as detector:
        together = list(detector.detect(samples))
        (alone,) = detector.detect(samples[2:])
    assert np.array_equal(together[2].boxes_xyxy_px, alone.boxes_xyxy_px)
    assert np.array_equal(together[2].scores, alone.scores)


class Stop(Exception):
    pass


def raise_stop():
    raise Stop


def press_control_c():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("how", "error"), [(raise_stop, Stop), (press_control_c, KeyboardInterrupt)])
def test_an_interrupted_training_goes_on_to_the_same_bytes(discs, tmp_path, how, error):
    data = small(discs)
    with make(tmp_path, **BRIEF) as detector:
        whole = detector.fit(data, tmp_path / "whole")

    def stop_at_three(stage, done, total, note=""):
        if stage == "evaluating" and done == 1:  # after step 3; a state was kept after step 2
            how()

    with make(tmp_path, progress=stop_at_three, **BRIEF) as detector, pytest.raises(error):
        detector.fit(data, tmp_path / "parts")
    assert not (tmp_path / "parts" / "checkpoint.safetensors").exists()
    with make(tmp_path, **BRIEF) as detector:
        parts = detector.fit(data, tmp_path / "parts")
        again = detector.fit(data, tmp_path / "parts")
    assert parts.sha256 == whole.sha256 == again.sha256
    curves = [(tmp_path / name / "curves.jsonl").read_text() for name in ("whole", "parts")]
    assert curves[0] == curves[1]
    lines = [json.loads(line) for line in curves[0].splitlines()]
    assert [line["step"] for line in lines if "val_f1" in line] == [3, 6]
    assert [line["step"] for line in lines if "loss_box" in line] == [1, 2, 3, 4, 5, 6]


def test_another_training_in_the_folder_is_refused(discs, tmp_path):
    data = small(discs)
    with make(tmp_path, **BRIEF) as detector:
        detector.fit(data, tmp_path / "a")
    with (
        make(tmp_path, **{**BRIEF, "learning_rate": 0.02}) as detector,
        pytest.raises(DatasetError, match="other settings"),
    ):
        detector.fit(data, tmp_path / "a")


def test_without_validation_the_last_weights_are_kept(discs, tmp_path):
    with make(tmp_path, **{**BRIEF, "steps": 2}, input_px=(48, 32), anchors=((8.0, 8.0),)) as detector:
        found = detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "b")
    assert found.card["operating_score"] is None
    assert "last" in found.card["chosen_by"]
    assert found.card["design"]["anchors"] == [[8.0, 8.0]]


def test_boxes_that_are_not_there_are_named(discs, tmp_path):
    with make(tmp_path, **BRIEF, target="both") as detector, pytest.raises(DatasetError, match="person box"):
        detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "a")


def test_an_empty_training_set_is_an_error(tmp_path, discs):
    with make(tmp_path) as detector, pytest.raises(DatasetError, match="empty"):
        detector.fit({"train": discs(0, 1)}, tmp_path / "a")


def test_without_weights_it_says_what_to_do(tmp_path, discs):
    with make(tmp_path) as detector, pytest.raises(WeightsError, match="synthkit train"):
        list(detector.detect(discs(1, 1)))


def test_one_onnx_file_gives_the_same_boxes(trained, discs, tmp_path):
    path = tmp_path / "detector.onnx"
    with make(tmp_path, trained) as detector:
        card = detector.export_onnx(path)
        samples = list(discs(5, 7))
        ours = list(detector.detect(samples))
    assert [file.name for file in tmp_path.iterdir()] == ["detector.onnx"]
    assert card["sha256"] == sha256_of(path)
    assert card["bytes"] == path.stat().st_size
    assert card["input"]["shape"] == [1, 96, 128, 3]
    assert card["agreement"] >= 0.98
    assert str(tmp_path.parent).encode() not in path.read_bytes()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["synthkit.card"])["classes"] == ["head"]
    for sample, wanted in zip(samples, ours, strict=True):
        boxes, scores, labels, count = session.run(None, {"image": sample.image[np.newaxis]})
        sure = wanted.scores > 0.05
        rows = slice(0, int(sure.sum()))
        assert count[0] >= sure.sum()
        assert boxes[0, rows] == pytest.approx(wanted.boxes_xyxy_px[sure], abs=1e-2)
        assert scores[0, rows] == pytest.approx(wanted.scores[sure], abs=1e-4)
        assert (labels[0, rows] == wanted.labels[sure]).all()


def test_a_backbone_that_cannot_be_had(monkeypatch):
    def nowhere(name):
        raise WeightsError("not to be had: put it there")

    monkeypatch.setattr(weights, "find", nowhere)
    chosen = backbone.choose_backbone("auto", None, silent)
    assert chosen.card()["weights"] == "rendered"
    assert "not to be had" in chosen.card()["because"]
    assert backbone.choose_backbone("auto", chosen.card(), silent).card() == chosen.card()
    with pytest.raises(WeightsError, match="put it there"):
        backbone.choose_backbone("squeezenet1_1", None, silent)


def test_the_backbone_that_ships_fits():
    network = SqueezeDet(1, 9)
    network.initialize(torch.Generator().manual_seed(0))
    last = network.conv12.weight.clone()
    chosen = backbone.choose_backbone("rendered", None, silent)
    chosen.start(network)
    assert torch.equal(network.conv12.weight, last)
    assert torch.equal(network.fires["fire11"].squeeze.weight, chosen.tensors["fires.fire11.squeeze.weight"])


def test_settings_are_checked():
    with pytest.raises(ConfigError) as caught:
        configs.structure(SqueezeDetConfig, {"input_px": [100, 96], "anchors": [[0, 5]], "target": "foot"})
    assert len(caught.value.problems) == 3


def test_learning_rates():
    cosine = SqueezeDetConfig(steps=1000)
    assert rate_factor(cosine, 0) == pytest.approx(1 / 50)
    assert rate_factor(cosine, 50) == 1.0
    assert 0 < rate_factor(cosine, 999) < 1e-4
    published = SqueezeDetConfig(schedule="published")
    assert [rate_factor(published, step) for step in (0, 9_999, 10_000, 20_000)] == [1, 1, 0.5, 0.25]
