# SPDX-License-Identifier: Apache-2.0
"""The whole detector on drawn discs: it learns, resumes to the same bytes, detects, and leaves as ONNX."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import weakref
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from synthkit import config as configs
from synthkit import weights
from synthkit.checkpoint import Checkpoint, sha256_of
from synthkit.dataset.mixture import Mixture
from synthkit.deployment.cards import parse_card
from synthkit.deployment.parity import compare
from synthkit.deployment.runner import Runner
from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.interfaces import Deployable, Detector, OnnxForm, Runtime, Scored, Trainable, silent
from synthkit.sample import Person, RotatedBox
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import load_tensors, save_checkpoint
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_squeezedet import backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector
from synthkit_squeezedet.learner import SqueezeDetLearner, rate_factor
from synthkit_squeezedet.model import Design
from synthkit_squeezedet.network import ARCHITECTURES, SqueezeDet, normalize

BRIEF = {"backbone": "none", "steps": 6, "batch": 2, "checkpoint_every": 2, "evaluate_every": 3, "log_every": 1}


PLAIN = {"zoom": 1.0, "colour": 0.0, "noise": 0.0}  # what few steps can do without


def make(tmp_path, checkpoint=None, progress=silent, **settings):
    runtime = Runtime(seeds=Seeds(1), cache_dir=tmp_path, threads=1, progress=progress)
    return SqueezeDetector(SqueezeDetConfig(**settings), checkpoint, runtime)


def small(discs, train=4, validation=2):
    return {"train": discs(train, 1, (64, 48)), "validation": discs(validation, 2, (64, 48))}


def test_it_learns_from_scratch(trained, discs, tmp_path):
    held_out = discs(20, 3)
    with make(tmp_path, trained) as detector:
        scored = [Scored(s, d) for s, d in zip(held_out, detector.detect(held_out), strict=True)]
        assert isinstance(detector, Detector)
        assert isinstance(detector, Trainable)
        assert isinstance(detector, Deployable)
        assert list(detector.class_names) == ["head"]
    config = DetectionConfig(score=trained.card["operating_score"], bootstrap=0)
    metric = DetectionMetric(config, None, Runtime(Seeds(0), tmp_path))
    f1 = metric.compute({"scored": metric.observe("scored", scored)})[2]
    assert f1.value > 0.75, f1


def test_the_card_tells_how_it_was_made(trained):
    card = trained.card
    assert card["kind"] == "detector"
    assert card["backbone"]["weights"] == "none"
    assert card["validation"]["f1"] > 0.75
    assert card["design"]["input_px"] == [128, 96]
    assert card["steps"] % 75 == 0
    assert card["last"]["step"] == 300
    assert card["last"]["scores"]["f1"] <= card["validation"]["f1"]
    assert configs.structure(SqueezeDetConfig, card["config"]) == SqueezeDetConfig(
        backbone="none", steps=300, batch=4, evaluate_every=75, **PLAIN
    )


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


@pytest.mark.parametrize(
    ("how", "at", "error"),
    [
        (raise_stop, 1, Stop),  # after step 3; a state was kept after step 2
        (press_control_c, 1, KeyboardInterrupt),
        (press_control_c, 2, KeyboardInterrupt),  # after the last step
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_bytes(discs, tmp_path, how, at, error):
    data = small(discs)
    with make(tmp_path, **BRIEF) as detector:
        whole = detector.fit(data, tmp_path / "whole")

    evaluations = []

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
    assert parts.sha256 == whole.sha256 == again.sha256
    curves = [(tmp_path / name / "curves.jsonl").read_text() for name in ("whole", "parts")]
    assert curves[0] == curves[1]
    last = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("whole", "parts")]
    assert last[0] == last[1]
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


def test_how_a_training_is_kept_and_shown_changes_nothing(discs, tmp_path):
    data = small(discs)
    with make(tmp_path, **BRIEF) as detector:
        first = detector.fit(data, tmp_path / "a")
    other = {**BRIEF, "checkpoint_every": 1, "log_every": 4}
    with make(tmp_path, **other) as detector:
        second = detector.fit(data, tmp_path / "b")
        assert detector.fit(data, tmp_path / "a").sha256 == first.sha256  # goes on in the other's folder
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
    monkeypatch.setattr(backbone, "RENDERED_FILE", "gone.safetensors")
    with make(tmp_path, **settings) as detector:
        assert detector.fit(data, tmp_path / "parts").sha256 == whole.sha256


ROTATED = {**BRIEF, "target": "person", "boxes": "rotated", "mosaic": 0.5, "network": "squeezedet-plus"}


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


@pytest.mark.slow
def test_it_learns_the_angle(bars, tmp_path):
    settings = {"target": "person", "boxes": "rotated", "backbone": "rendered", "steps": 400, "batch": 4, **PLAIN}
    with make(tmp_path, **settings, evaluate_every=100) as detector:
        checkpoint = detector.fit({"train": bars(48, 1), "validation": bars(12, 2)}, tmp_path)
    assert checkpoint.card["validation"]["f1"] > 0.8  # at an overlap of 0.5, which bars 40 degrees apart have not
    held_out, off = bars(20, 3), []
    with make(tmp_path, checkpoint, **settings) as detector:
        for sample, found in zip(held_out, detector.detect(held_out), strict=True):
            for box in (person.rotated_box for person in sample.people):
                near = np.hypot(*(found.rotated_boxes[:, :2] - [box.cx, box.cy]).T) < 8
                best = found.rotated_boxes[np.argmax(near)]  # the first has the best score
                off.append(abs((best[4] - box.degrees + 90) % 180 - 90) if near.any() else 90.0)
    assert np.median(off) < 12
    assert np.mean(np.array(off) < 30) > 0.9


class Watched:
    """A set whose images are made anew each time, and that knows how many of them were alive at once."""

    def __init__(self, data):
        self.fingerprint, self._data, self._alive, self.most = data.fingerprint, data, 0, 0

    def __len__(self):
        return len(self._data)

    def __getitem__(self, index):
        fresh = attrs.evolve(self._data[index], image=np.array(self._data[index].image))
        self._alive += 1
        self.most = max(self.most, self._alive)
        weakref.finalize(fresh.image, self._gone)
        return fresh

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def _gone(self):
        self._alive -= 1


def test_a_validation_set_need_not_fit_in_memory(discs, tmp_path):
    validation = Watched(discs(12, 2, (64, 48)))
    with make(tmp_path, **{**BRIEF, "steps": 1}) as detector:
        detector.fit({"train": discs(2, 1, (64, 48)), "validation": validation}, tmp_path / "a")
    assert validation.most <= 3


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (None, "no validation sample says who is in it"),
        ((Person(box_xyxy_px=(5, 5, 20, 20)),), "validation set cannot judge.*none of its people has a head box"),
    ],
)
def test_a_validation_set_that_cannot_judge_is_told_before_training(people, message, discs, tmp_path):
    told = []
    data = small(discs)
    data["validation"]._samples = [attrs.evolve(sample, people=people) for sample in data["validation"]]
    make_ = make(tmp_path, progress=lambda stage, *_: told.append(stage), **BRIEF)
    with make_ as detector, pytest.raises(DatasetError, match=message):
        detector.fit(data, tmp_path / "a")
    assert "training squeezedet" not in told


def test_a_validation_set_without_rotated_boxes_is_told(discs, tmp_path):
    data = small(discs)
    data["train"]._samples = [attrs.evolve(s, people=[bodied(p) for p in s.people]) for s in data["train"]]
    upright = (Person(box_xyxy_px=(5, 5, 20, 20)),)
    data["validation"]._samples = [attrs.evolve(s, people=upright) for s in data["validation"]]
    message = "cannot judge the detector: sample .*none of its people has a person rotated box; .*boxes=upright"
    with make(tmp_path, **ROTATED) as detector, pytest.raises(DatasetError, match=message):
        detector.fit(data, tmp_path / "a")


def test_without_validation_the_last_weights_are_kept(discs, tmp_path):
    with make(tmp_path, **{**BRIEF, "steps": 2}, input_px=(48, 32), anchors=((8.0, 8.0),)) as detector:
        found = detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "b")
    assert found.card["operating_score"] is None
    assert "last" in found.card["chosen_by"]
    assert not (tmp_path / "b" / "last.safetensors").exists()
    assert found.card["design"]["anchors"] == [[8.0, 8.0]]


def test_boxes_that_are_not_there_are_named(discs, tmp_path):
    with make(tmp_path, **BRIEF, target="both") as detector, pytest.raises(DatasetError, match="person box"):
        detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "a")


def test_boxes_too_small_for_the_input_are_named(discs, tmp_path):
    with (
        make(tmp_path, **BRIEF, input_px=(16, 16)) as detector,
        pytest.raises(DatasetError, match=r"set a larger detector\.input_px \(now \[16, 16\]\)"),
    ):
        detector.fit({"train": discs(2, 1, (256, 192), (8, 9))}, tmp_path / "a")


def test_an_empty_training_set_is_an_error(tmp_path, discs):
    with make(tmp_path) as detector, pytest.raises(DatasetError, match="empty"):
        detector.fit({"train": discs(0, 1)}, tmp_path / "a")


def test_without_weights_it_says_what_to_do(tmp_path, discs):
    with make(tmp_path) as detector, pytest.raises(WeightsError, match="synthkit train"):
        list(detector.detect(discs(1, 1)))


def test_rotated_boxes_are_learned_found_and_exported(discs, tmp_path):
    data = small(discs)
    for part in data.values():
        part._samples = [attrs.evolve(s, people=[bodied(p) for p in s.people]) for s in part]
    settings = {**BRIEF, "steps": 2, "target": "person", "boxes": "rotated", "mosaic": 0.5}
    with make(tmp_path, **settings) as detector:
        checkpoint = detector.fit(data, tmp_path / "a")
    assert checkpoint.card["design"]["boxes"] == "rotated"
    large = discs(1, 5, (150, 100), (20, 30))[0]
    with make(tmp_path, checkpoint, **settings) as detector:
        (found,) = detector.detect([large])
        network = detector.onnx_graph(OnnxForm("network"))
        whole = detector.onnx_graph(OnnxForm("complete"))
    assert len(found.scores) > 0
    for box, around in zip(found.rotated_boxes, found.boxes_xyxy_px, strict=True):
        assert RotatedBox(*box) == RotatedBox.normalized(*box)
        corners = RotatedBox(*box).corners_px().clip(0, [150, 100])
        assert [*corners.min(axis=0), *corners.max(axis=0)] == pytest.approx(around, abs=1e-3)
    for graph in (network, whole):
        runner = Runner.of(parse_card(graph.card, "card"), graph.model, "file")
        again = runner.detect(large.key, np.asarray(large.image))
        assert compare([found], [again], 0.005).matched == 1.0
        assert again.rotated_boxes[0, :4] == pytest.approx(found.rotated_boxes[0, :4], abs=0.01)


def test_the_larger_network_is_the_same_detector(discs, tmp_path):
    settings = {**BRIEF, "steps": 1, "network": "squeezedet-plus", "backbone": "auto"}
    with make(tmp_path, **settings) as detector:
        checkpoint = detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "a")
    assert checkpoint.card["backbone"] == {"weights": "none"}
    with make(tmp_path, checkpoint) as detector:
        assert [found.key for found in detector.detect(discs(2, 1))] == ["1_000", "1_001"]


def bodied(person):
    left, top, right, bottom = person.head_box_xyxy_px
    box = RotatedBox.normalized((left + right) / 2, (top + bottom) / 2, right - left, 1.3 * (bottom - top), 40)
    return attrs.evolve(person, rotated_box=box, box_xyxy_px=person.head_box_xyxy_px)


DESIGN = {
    "classes": ["head"],
    "input_px": [64, 48],
    "anchors": [[8.0, 8.0]],
    "centres": "cells",
    "boxes": "upright",
    "network": "squeezedet",
}


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": [7]},
        {"input_px": [10**7, 10**7]},
        {"input_px": [64, 40]},
        {"input_px": ["64", 48]},
        {"input_px": [64]},
        {"anchors": []},
        {"anchors": [[8.0, 8.0]] * 10**4},
        {"anchors": [[8.0, -1.0]]},
        {"anchors": 3},
        {"centres": "edges"},
        {"boxes": "round"},
        {"network": "yolo"},
    ],
)
def test_cards_of_no_detector_are_refused(change, tmp_path):
    card = {"kind": "detector", "name": "squeezedet", "design": {**DESIGN, **change}}
    network = Design.from_card({"design": DESIGN}, tmp_path).build()
    checkpoint = save_checkpoint(tmp_path / "c.safetensors", network.state_dict(), card)
    with pytest.raises(WeightsError, match=r"c\.safetensors: its card"), make(tmp_path, checkpoint):
        pass


@pytest.mark.parametrize("part", ["boxes", "network"])
def test_cards_of_older_releases_are_told(part, tmp_path):
    design = {name: value for name, value in DESIGN.items() if name != part}
    card = {"kind": "detector", "name": "squeezedet", "design": design}
    checkpoint = save_checkpoint(tmp_path / "c.safetensors", {"a": torch.zeros(1)}, card)
    message = rf"c\.safetensors: its card does not tell the detector's {part}; .*train the detector anew"
    with pytest.raises(WeightsError, match=message), make(tmp_path, checkpoint):
        pass


def _most_memory_bytes():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _opened(checkpoint, folder, results):
    before = _most_memory_bytes()
    try:
        with make(folder, checkpoint):
            results.put(("was opened", 0))
    except BaseException as error:
        results.put((f"{type(error).__name__}: {error}", _most_memory_bytes() - before))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs to know its own memory")
def test_a_card_that_claims_more_than_its_file_holds_takes_no_memory(tmp_path):
    """Such a network has 180 MB; it must not be built before it is refused."""
    design = {**DESIGN, "network": "squeezedet-plus", "classes": [str(n) for n in range(64)], "anchors": [[8, 8]] * 64}
    card = {"kind": "detector", "name": "squeezedet", "design": design}
    checkpoint = save_checkpoint(tmp_path / "c.safetensors", {"conv1.weight": torch.zeros(1)}, card)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_opened, args=(checkpoint, tmp_path, results))
    child.start()
    message, taken_bytes = results.get(timeout=60)
    child.join(60)
    assert message.startswith("WeightsError: ")
    assert "does not fit its network" in message
    assert taken_bytes < 40_000_000


def test_a_backbone_that_cannot_be_had(monkeypatch):
    def nowhere(name, progress):
        raise WeightsError("not to be had: put it there")

    monkeypatch.setattr(weights, "find", nowhere)
    chosen = backbone.choose_backbone(SqueezeDetConfig(), silent)
    assert chosen.card()["weights"] == "rendered"
    assert "not to be had" in chosen.card()["because"]
    assert backbone.chosen_before(chosen.card()).card() == chosen.card()
    with pytest.raises(WeightsError, match="put it there"):
        backbone.choose_backbone(SqueezeDetConfig(backbone="squeezenet1_1"), silent)


def test_the_backbone_that_ships_fits():
    network = SqueezeDet(1, 9)
    network.initialize(torch.Generator().manual_seed(0))
    last = network.conv12.weight.clone()
    chosen = backbone.choose_backbone(SqueezeDetConfig(backbone="rendered"), silent)
    chosen.start(network)
    assert torch.equal(network.conv12.weight, last)
    assert torch.equal(network.fires["fire11"].squeeze.weight, chosen.tensors["fires.fire11.squeeze.weight"])


def caffe_weights(seed=0):
    """Return drawn weights under the names of the published Caffe model."""
    generator = np.random.default_rng(seed)
    shapes = {"conv1": (64, 3, 3), "conv10": (1000, 512, 1)}
    channels = 64
    for number, (squeeze, expand) in enumerate(ARCHITECTURES["squeezedet"].fires[:8], start=2):
        shapes[f"fire{number}__squeeze1x1"] = (squeeze, channels, 1)
        shapes[f"fire{number}__expand1x1"] = (expand, squeeze, 1)
        shapes[f"fire{number}__expand3x3"] = (expand, squeeze, 3)
        channels = 2 * expand
    arrays = {}
    for name, (out, into, side) in shapes.items():
        arrays[f"{name}.w"] = generator.normal(0, 0.01, (out, into, side, side)).astype(np.float16)
        arrays[f"{name}.b"] = generator.normal(0, 0.1, out).astype(np.float16)
    return arrays


def test_a_backbone_from_a_file_of_caffes_weights(tmp_path):
    arrays = caffe_weights()
    np.savez(tmp_path / "weights.npz", **arrays)
    config = SqueezeDetConfig(backbone_file=tmp_path / "weights.npz")
    chosen = backbone.choose_backbone(config, silent)
    network = SqueezeDet(1, 1)
    network.initialize(torch.Generator().manual_seed(0))
    chosen.start(network)
    assert chosen.card() == {
        "weights": "squeezenet1_1", "source": "weights.npz", "sha256": sha256_of(tmp_path / "weights.npz"),
    }  # fmt: skip
    assert not network.conv1.weight.requires_grad
    assert network.fires["fire9"].expand3x3.bias.detach().numpy() == pytest.approx(arrays["fire9__expand3x3.b"])
    # The first layer sees normalised RGB as Caffe's saw BGR less its mean.
    image = torch.randint(0, 256, (1, 9, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    ours = network.conv1(normalize(image))
    bgr = image.flip(-1).float().permute(0, 3, 1, 2) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    theirs = torch.nn.functional.conv2d(
        bgr, torch.from_numpy(arrays["conv1.w"]).float(), torch.from_numpy(arrays["conv1.b"]).float(), stride=2
    )
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_a_backbone_from_a_file_that_is_none(tmp_path):
    arrays = caffe_weights()
    del arrays["fire4__expand1x1.b"]
    np.savez(tmp_path / "part.npz", **arrays)
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    (tmp_path / "text.pth").write_text("weights")
    for name, message in (
        ("part.npz", r"is no SqueezeNet 1\.1: has no features\.6\.expand1x1\.bias"),
        ("objects.npz", "cannot be read as plain tensors"),
        ("text.pth", "cannot be read as plain tensors"),
    ):
        with pytest.raises(WeightsError, match=message):
            backbone.choose_backbone(SqueezeDetConfig(backbone_file=tmp_path / name), silent)


def test_settings_are_checked():
    with pytest.raises(ConfigError) as caught:
        configs.structure(SqueezeDetConfig, {"input_px": [100, 96], "anchors": [[0, 5]], "target": "foot"})
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["sitting"]}, "ATTRIBUTE=VALUE"),
        ({"classes": ["a=b", "a=b"], "target": "person"}, "all different"),
        ({"classes": ["a=b"]}, "target is head"),
        ({"network": "squeezedet-plus", "backbone": "rendered"}, "use none"),
        ({"backbone": "rendered", "backbone_file": "x.npz"}, "not for backbone rendered"),
        ({"boxes": "rotated", "augmentation": "published"}, "use ceiling"),
    ],
)
def test_settings_that_do_not_fit_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        configs.structure(SqueezeDetConfig, settings, path="detector")


def test_learning_rates():
    cosine = SqueezeDetConfig(steps=1000)
    assert rate_factor(cosine, 0) == pytest.approx(1 / 50)
    assert rate_factor(cosine, 50) == 1.0
    assert 0 < rate_factor(cosine, 999) < 1e-4
    published = SqueezeDetConfig(schedule="published")
    assert [rate_factor(published, step) for step in (0, 9_999, 10_000, 20_000)] == [1, 1, 0.5, 0.25]
