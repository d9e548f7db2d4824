# SPDX-License-Identifier: Apache-2.0
"""The whole detector on drawn discs and bars: it learns, detects, and leaves as ONNX."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from made_discs import BRIEF, PLAIN, bodied, make, small

from synthkit import config as configs
from synthkit.deployment.cards import parse_card
from synthkit.deployment.parity import compare
from synthkit.deployment.runner import Runner
from synthkit.errors import WeightsError
from synthkit.interfaces import Deployable, Detector, OnnxForm, Runtime, Scored, Trainable
from synthkit.sample import RotatedBox
from synthkit.seeds import Seeds
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_squeezedet.config import SqueezeDetConfig


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
