# SPDX-License-Identifier: Apache-2.0
"""The detector that ships, as those find it who installed the package."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from synthkit.checkpoint import sha256_of
from synthkit.evaluation import detector_spec
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.session import Session
from synthkit.settings import RunSettings

WEIGHTS = Path(str(resources.files("synthkit_squeezedet"))) / "weights"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def room():
    """A rendered meeting of seven, 256 x 256, and the middles of the people in it."""
    middles = json.loads((HERE / "meeting.json").read_text())["middles_px"]
    return np.asarray(Image.open(HERE / "meeting.jpg")), np.array(middles)


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


@pytest.mark.parametrize("name", ["ceiling", "ceiling-int8"])
def test_its_files_find_them_too(room, name):
    image, middles = room
    card = json.loads((WEIGHTS / f"{name}.json").read_text())
    file = WEIGHTS / f"{name}.onnx"
    assert card["sha256"] == sha256_of(file)
    assert card["checkpoint_sha256"] == sha256_of(WEIGHTS / "ceiling.safetensors")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    boxes, scores, *_ = session.run(None, {session.get_inputs()[0].name: image[None]})
    assert found_share(boxes[0][scores[0] >= 0.4], middles) >= 0.75
