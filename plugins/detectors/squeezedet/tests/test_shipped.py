# SPDX-License-Identifier: Apache-2.0
"""The detector that ships, as those find it who installed the package."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from synthkit.checkpoint import sha256_of
from synthkit.deployment.overlaps import iou_table
from synthkit.detectors import chosen, detector_spec, known_as
from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec
from synthkit.letterbox import Letterbox
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.session import Session
from synthkit.settings import RunSettings

WEIGHTS = Path(str(resources.files("synthkit_squeezedet"))) / "weights"
MOST_SCORE_DIFFERENCE = 0.1  # of eight bits


def found_share(boxes, middles):
    """Return the share of people whose middle is within 12 pixels of a box's."""
    away = np.linalg.norm(middles[:, None] - boxes[None, :, :2], axis=2)
    return float((away.min(axis=1, initial=np.inf) < 12).mean())


def test_it_finds_people_below_a_ceiling(room):
    image, middles = room
    registry = discover()
    component = registry.get("detector", "squeezedet-ceiling").component
    session = Session(registry, RunSettings(device="cpu", threads=1))
    spec = detector_spec(registry, component.shipped_checkpoint())
    with session.entered(spec) as detector:
        (found,) = detector.detect([Sample(key="room", image=image)])
        least = detector.operating_score
    sure = found.rotated_boxes[found.scores >= least]
    assert found_share(sure, middles) >= 0.75
    assert len(sure) <= len(middles) + 2


def test_it_is_told_by_its_own_name():
    registry = discover()
    assert known_as(registry, chosen(registry, "squeezedet-ceiling", {})) == "squeezedet-ceiling"
    assert known_as(registry, ComponentSpec("detector", "squeezedet")) == "squeezedet"


def test_what_training_settled_cannot_be_set_otherwise():
    registry = discover()
    same = {"target": "person", "input_px": [320, 320], "nms_iou": 0.4}
    assert chosen(registry, "squeezedet-ceiling", same).options["nms_iou"] == 0.4
    with pytest.raises(ConfigError) as caught:
        chosen(registry, "squeezedet-ceiling", {**same, "input_px": [640, 640], "boxes": "upright"})
    assert [problem.partition(" by ")[0] for problem in caught.value.problems] == [
        "detector.input_px: was settled",
        "detector.boxes: was settled",
    ]


def card_of(name):
    return json.loads((WEIGHTS / f"{name}.json").read_text())


def found_by(name, image):
    """Return the boxes, in the image's pixels, and scores that a file gives."""
    session = onnxruntime.InferenceSession(WEIGHTS / f"{name}.onnx", providers=["CPUExecutionProvider"])
    _, height_px, width_px, _ = session.get_inputs()[0].shape
    fit = Letterbox((image.shape[1], image.shape[0]), (width_px, height_px))
    boxes, scores, *_ = session.run(None, {session.get_inputs()[0].name: fit.apply(image)[None]})
    boxes = boxes[0].astype(np.float64)
    boxes[:, :4] = (boxes[:, :4] - [*fit.offset_px, 0, 0]) / fit.scale_xy[0]
    return boxes, scores[0]


@pytest.mark.parametrize("name", ["ceiling", "ceiling-int8"])
def test_its_files_find_them_too(room, name):
    image, middles = room
    assert card_of(name)["sha256"] == sha256_of(WEIGHTS / f"{name}.onnx")
    assert card_of(name)["checkpoint_sha256"] == sha256_of(WEIGHTS / "ceiling.safetensors")
    boxes, scores = found_by(name, image)
    assert found_share(boxes[scores >= card_of(name)["detector"]["operating_score"]], middles) >= 0.75


def test_eight_bits_find_the_same_people(room):
    image, _ = room
    (boxes, scores), (others, other_scores) = (found_by(name, image) for name in ("ceiling", "ceiling-int8"))
    least = card_of("ceiling-int8")["checks"]["quantised"]["score"]
    near = least - MOST_SCORE_DIFFERENCE  # a score at the limit may fall on either side of it
    for sure, sure_scores, all_boxes, all_scores in (
        (boxes[scores >= least], scores[scores >= least], others[other_scores >= near], other_scores),
        (others[other_scores >= least], other_scores[other_scores >= least], boxes[scores >= near], scores),
    ):
        overlaps = iou_table(sure, all_boxes)
        assert len(sure) >= 5
        assert len(set(overlaps.argmax(axis=1))) == len(sure)
        assert overlaps.max(axis=1).min() >= 0.8
        assert overlaps.max(axis=1).mean() >= 0.9
        assert np.abs(sure_scores - all_scores[overlaps.argmax(axis=1)]).max() <= MOST_SCORE_DIFFERENCE


def test_eight_bits_are_as_good_and_small_as_said():
    card = card_of("ceiling-int8")
    assert card["bytes"] == (WEIGHTS / "ceiling-int8.onnx").stat().st_size <= 2.1e6
    before, after = (card["checks"]["metrics"][when] for when in ("before", "after"))
    assert before["score"] == after["score"]
    assert abs(before["f1"] - after["f1"]) <= 0.01
