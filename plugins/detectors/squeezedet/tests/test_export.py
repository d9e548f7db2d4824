# SPDX-License-Identifier: Apache-2.0
"""The detector on its way to a device: both forms, 8 bits, comparison, card, and the plugin that runs the result."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from synthkit import pipeline
from synthkit.checkpoint import sha256_of
from synthkit.dataset import DatasetWriter
from synthkit.deployment import exporting, quantising
from synthkit.deployment.exporting import Wishes
from synthkit.deployment.files import OnnxFile
from synthkit.deployment.profiles import NETWORK_OPERATORS
from synthkit.errors import ConfigError, WorkError
from synthkit.interfaces import ComponentSpec, OnnxForm, Runtime, Scored
from synthkit.plugins import discover
from synthkit.sample import Detections, Person, Sample
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit_squeezedet import export
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector
from synthkit_squeezedet.export import Maps
from synthkit_squeezedet.judging import judge
from synthkit_squeezedet.model import Design
from synthkit_squeezedet.network import normalize

MOST_F1_LOSS = 0.05  # one of some twenty people; test_shipped.py looks at a long training's

_MAKE = SqueezeDetector.onnx_graph


@pytest.fixture(scope="module", autouse=True)
def _each_form_once():
    """Let a detector's graph be made once for all tests here: that is what takes the seconds."""
    made = {}

    def graph(detector, form):
        key = detector._checkpoint.sha256, form
        if key not in made:
            made[key] = _MAKE(detector, form)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqueezeDetector, "onnx_graph", graph)
        yield


@pytest.fixture
def anew(monkeypatch):
    """Let graphs be made anew."""
    monkeypatch.setattr(SqueezeDetector, "onnx_graph", _MAKE)


@pytest.fixture(scope="module")
def session():
    return Session(discover(), RunSettings(device="cpu", threads=1))


@pytest.fixture(scope="module")
def seen(discs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("seen") / "set"
    with DatasetWriter(folder, identity={"what": "discs"}, scenes=24) as writer:
        for number, sample in enumerate(discs(24, 5)):
            writer.spool.put(number, [sample])
            writer.finished(number)
        writer.finalise()
    return str(folder)


@pytest.fixture(scope="module")
def small(trained, seen, session, tmp_path_factory):
    """Return a folder with the network in 8 bits, for STM32N6."""
    folder = tmp_path_factory.mktemp("small")
    pipeline.export(
        session,
        trained.path.parent,
        folder / "n6.onnx",
        Wishes(profile="stm32n6", calibrate=seen, images=8, most_f1_loss=MOST_F1_LOSS),
    )
    return folder


def detector_of(checkpoint, tmp_path):
    return SqueezeDetector(SqueezeDetConfig(), checkpoint, Runtime(Seeds(1), tmp_path, threads=1))


def test_one_file_gives_the_same_boxes(trained, discs, session, tmp_path):
    path = tmp_path / "detector.onnx"
    card = pipeline.export(session, trained.path, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["detector.json", "detector.md", "detector.onnx"]
    assert (card["sha256"], card["bytes"]) == (sha256_of(path), path.stat().st_size)
    assert card == json.loads((tmp_path / "detector.json").read_text())
    assert card["checks"]["float"]["matched"] >= 0.98
    assert str(tmp_path.parent).encode() not in path.read_bytes()
    file = OnnxFile.read(path)
    assert (file.opset, file.model.ir_version) == (17, 8)
    assert file.card["detector"]["classes"] == ["head"]
    runtime = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with detector_of(trained, tmp_path) as detector:
        samples = list(discs(5, 7))
        for sample, wanted in zip(samples, detector.detect(samples), strict=True):
            boxes, scores, labels, count = runtime.run(None, {"image": sample.image[np.newaxis]})
            sure = wanted.scores > 0.05
            rows = slice(0, int(sure.sum()))
            assert count[0] >= sure.sum()
            assert boxes[0, rows] == pytest.approx(wanted.boxes_xyxy_px[sure], abs=1e-2)
            assert scores[0, rows] == pytest.approx(wanted.scores[sure], abs=1e-4)
            assert (labels[0, rows] == wanted.labels[sure]).all()


def test_the_network_alone_in_eight_bits(trained, small):
    card = json.loads((small / "n6.json").read_text())
    file = OnnxFile.read(small / "n6.onnx")
    assert set(file.operators) <= NETWORK_OPERATORS | {"QuantizeLinear", "DequantizeLinear"}
    assert card["bytes"] < 0.3 * trained.path.stat().st_size
    assert (card["variant"], card["quantisation"], card["findings"]) == ("network", "per-channel", [])
    metrics = card["checks"]["metrics"]
    assert metrics["before"]["f1"] > 0.8
    assert metrics["f1_loss"] <= MOST_F1_LOSS
    assert card["checks"]["quantised"]["mean_iou"] >= 0.95
    assert card["checks"]["quantised"]["mean_score_difference"] <= 0.02
    assert metrics["before"]["score"] == metrics["after"]["score"]
    assert card["calibration"]["images"] == 8
    assert card["budget"]["parameters"] == sum(
        layer.weight.numel() + layer.bias.numel()
        for layer in _maps(trained).modules()
        if hasattr(layer, "weight") and layer is not None
    )
    assert card["data"]["train"]["samples"] == 48
    page = (small / "n6.md").read_text()
    for words in ("n6.onnx", "parameters", "before quantisation", card["sha256"], "flash", "Conv 34"):
        assert words in page


def _maps(checkpoint):
    design = Design.from_card(checkpoint.card, checkpoint.path)
    maps = Maps(design, design.build(), confidence=True)
    del maps.network.conv12  # which the parts stand for
    return maps


def test_the_plugin_runs_what_was_exported(trained, small, discs, session, tmp_path):
    spec = ComponentSpec("detector", "onnx", {"model": str(small / "n6.onnx")})
    held_out = list(discs(12, 8))
    with session.entered(spec) as other, detector_of(trained, tmp_path) as detector:
        assert list(other.class_names) == ["head"]
        scored = [Scored(s, d) for s, d in zip(held_out, other.detect(held_out), strict=True)]
        assert detector.judged(scored)["f1"] > 0.8


def test_any_size_of_the_network(trained, tmp_path):
    with detector_of(trained, tmp_path) as detector:
        graph = detector.onnx_graph(OnnxForm("network", dynamic=True))
    runtime = onnxruntime.InferenceSession(graph.model, providers=["CPUExecutionProvider"])
    confidence, deltas = runtime.run(None, {"image": np.zeros((3, 3, 48, 80), np.float32)})
    assert (confidence.shape[0], confidence.shape[2:]) == (3, (3, 5))
    assert deltas.shape[1] == 4 * confidence.shape[1]


def test_the_complete_graph_takes_several_images(trained, discs, tmp_path):
    with detector_of(trained, tmp_path) as detector:
        graph = detector.onnx_graph(OnnxForm("complete", dynamic=True))
        samples = list(discs(3, 7))
        wanted = list(detector.detect(samples))
    runtime = onnxruntime.InferenceSession(graph.model, providers=["CPUExecutionProvider"])
    _, scores, _, _ = runtime.run(None, {"image": np.stack([sample.image for sample in samples])})
    for row, one in zip(scores, wanted, strict=True):
        assert row[: len(one.scores)][:3] == pytest.approx(one.scores[:3], abs=1e-4)


def test_normalisation_is_a_layer(trained):
    design = Design.from_card(trained.card, trained.path)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    maps = Maps(design, design.build(), confidence=True)
    ours = maps.normalize(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
    assert torch.allclose(ours, normalize(torch.from_numpy(pixels)), atol=1e-5)


def spoilt(data, *_):
    model = onnx.load_model_from_string(data)
    bias = next(t for t in model.graph.initializer if t.name == "confidence.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 9.0, bias.name))
    return model.SerializeToString()


class HeadsAndPeople:
    """A detector with two classes, of which each is best at a score of its own."""

    def __init__(self, runtime):
        self._runtime = runtime

    def judged(self, scored, score=None):
        return judge(SqueezeDetConfig(target="both").object_classes, "upright", scored, self._runtime, score)


def test_several_classes_are_judged_before_and_after_at_the_same_score(session, tmp_path):
    person = Person(head_px=(15, 15), head_box_xyxy_px=(10, 10, 20, 20), box_xyxy_px=(10, 10, 40, 60))
    sample = Sample(key="a", image=np.zeros((64, 64, 3), np.uint8), people=[person])
    boxes = np.array([[10, 10, 20, 20], [40, 40, 50, 50], [10, 10, 40, 60]], np.float32)
    found = Detections(
        key="a", boxes_xyxy_px=boxes, scores=np.array([0.9, 0.5, 0.3], np.float32), labels=np.array([0, 0, 1], np.int32)
    )
    detector = HeadsAndPeople(Runtime(Seeds(1), tmp_path, threads=1))
    comparison = exporting._Comparison(session, detector, None, [sample], Wishes())
    told = comparison._metrics([found], [found])
    assert told["f1_loss"] == 0
    assert told["before"] == told["after"]


def test_eight_bits_that_find_other_boxes_are_refused(trained, seen, session, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "quantise", spoilt)
    wishes = Wishes(variant="network", int8=True, calibrate=seen, images=4)
    with pytest.raises(WorkError, match="8 bits find other boxes"):
        pipeline.export(session, trained.path, tmp_path / "a.onnx", wishes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("anew")
def test_a_file_that_differs_from_torch_is_refused(trained, session, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_normalisation", lambda: torch.nn.Conv2d(3, 3, 1))
    with pytest.raises(WorkError, match="ONNX Runtime's boxes differ from torch's"):
        pipeline.export(session, trained.path, tmp_path / "a.onnx", Wishes(variant="network"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_device_does_not_take_is_refused(trained, session, tmp_path):
    with pytest.raises(ConfigError, match="--profile hailo: error: operators that do not run"):
        pipeline.export(session, trained.path, tmp_path / "a.onnx", Wishes(profile="hailo", variant="complete"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("anew")
def test_the_same_file_every_time(trained, seen, small, session, tmp_path):
    wishes = Wishes(profile="stm32n6", calibrate=seen, images=8, most_f1_loss=MOST_F1_LOSS)
    again = pipeline.export(session, trained.path, tmp_path / "n6.onnx", wishes)
    assert again["sha256"] == sha256_of(small / "n6.onnx")


@pytest.mark.usefixtures("anew")
def test_settings_over_those_of_the_training_are_in_the_file(trained, session, tmp_path):
    card = pipeline.export(session, trained.path, tmp_path / "a.onnx", options={"score_threshold": 0.31})
    assert card["detector"]["score_threshold"] == 0.31


@pytest.mark.usefixtures("anew")
def test_four_looks_are_no_file(trained, session, tmp_path):
    with pytest.raises(ConfigError, match="ONNX files look once"):
        pipeline.export(session, trained.path, tmp_path / "a.onnx", options={"four_looks": True})
    with pytest.raises(ConfigError, match=r"nms_oiu.*nms_iou"):
        pipeline.export(session, trained.path, tmp_path / "a.onnx", options={"nms_oiu": 0.5})
    assert not list(tmp_path.iterdir())


def test_exporting_leaves_the_detector_as_it_is(trained, discs, tmp_path, monkeypatch):
    def spoil(design, whole, *_, **__):
        whole.network.conv12.weight.data.zero_()

    monkeypatch.setattr("synthkit_squeezedet.export.onnx_graph", spoil)
    with detector_of(trained, tmp_path) as detector:
        (before,) = detector.detect([discs(1, 7)[0]])
        detector.onnx_graph(OnnxForm())
        (after,) = detector.detect([discs(1, 7)[0]])
    assert np.array_equal(before.scores, after.scores)


def test_both_schemes_are_what_they_say(trained, seen, tmp_path):
    with detector_of(trained, tmp_path) as detector:
        graph = detector.onnx_graph(OnnxForm("network"))
    batches = [np.zeros((1, 3, 96, 128), np.float32), np.full((1, 3, 96, 128), 255, np.float32)]
    files = {
        s: quantising.quantise(graph.model, "image", batches, s, graph.ranges) for s in ("per-channel", "per-tensor")
    }
    assert len(files["per-channel"]) > len(files["per-tensor"])
