# SPDX-License-Identifier: Apache-2.0
"""Anonymizing real images: everybody under a real ceiling fisheye, and every walker of a street in every frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from made_private import written

from synthkit import detectors, inputs
from synthkit.anonymization import run
from synthkit.anonymization.run import Methods
from synthkit.dataset.sidecars import SidecarSet
from synthkit.execution import Local
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.session import Session

ASSETS = Path(__file__).parents[2] / "shared" / "assets"
pytestmark = [
    pytest.mark.assets,
    pytest.mark.slow,
    pytest.mark.skipif(not (ASSETS / "weights/yolox_nano.onnx").is_file(), reason="needs ../shared/assets"),
]
CARD = """
classes = ["person"]
score_threshold = 0.1
nms_iou = 0.45
[input]
name = "images"
size_px = [416, 416]
colour = "BGR"
fit = "corner"
grey = 114
[output.yolo]
rows = "output"
strides = [8, 16, 32]
"""
FIRST, FRAMES = 60, 64


def yolox(folder, **settings):
    card = folder / "yolox.toml"
    card.write_text(CARD)
    model = ASSETS / "weights/yolox_nano.onnx"
    return ComponentSpec("detector", "onnx", {"model": str(model), "card": str(card), **settings})


def anonymized(source, out, detectors, **policy):
    session = Session(discover(), executor=Local(0))
    refiner = ComponentSpec("refiner", "anonymizer-mask")
    return run.anonymize(session, source, refiner, out, Methods(truth=False, detectors=detectors),
                         run.Policy(**policy))  # fmt: skip


def shares(original, image, outlines):
    """Return how much of each outline is no longer what it was."""
    changed = (np.asarray(image) != np.asarray(original)).any(axis=2)
    for corners in outlines:
        inside = np.zeros(changed.shape, np.uint8)
        cv2.fillConvexPoly(inside, np.round(np.asarray(corners) - 0.5).astype(np.int32), 1)
        yield float(changed[inside > 0].mean())


def test_everybody_under_a_ceiling_is_treated(tmp_path):
    """Of all annotated boxes 95 % are covered to three quarters and more, all by half; nothing need be left out."""
    source = ASSETS / "ceiling_real/cepdof_sample"
    images = inputs.open_images(source)
    ceiling = detectors.chosen(discover(), "squeezedet-ceiling", {})
    made = anonymized(source, tmp_path / "out", [ceiling, yolox(tmp_path, windows=12)])
    assert len(made.dataset) == len(images) == 10
    found = []
    for place in range(len(images)):
        original, result = images.read(place), made.dataset.by_key(images.key(place))
        found += shares(original.image, result.image, [p.rotated_box.corners_px() for p in original.people])
    print(f"{len(found)} boxes: {np.mean(np.array(found) >= 0.75):.3f} by 3/4, {min(found):.2f} at least", made.counts)
    assert len(found) == 70
    assert np.mean(np.array(found) >= 0.75) >= 0.95
    assert min(found) >= 0.5


def test_every_walker_is_treated_in_every_frame(tmp_path):
    """Whoever was found in a frame, or must be in it by what was found in the others, is no longer to be seen in it."""
    video = cv2.VideoCapture(str(ASSETS / "video/vtest.avi"))
    video.set(cv2.CAP_PROP_POS_FRAMES, FIRST)
    frames = [np.ascontiguousarray(video.read()[1][..., ::-1]) for _ in range(FRAMES)]
    samples = [Sample(key=f"vtest_{n:06d}", image=image, sequence="vtest", frame=n) for n, image in enumerate(frames)]
    made = anonymized(written(tmp_path / "set", samples), tmp_path / "out", [yolox(tmp_path)], confident=0.4)
    assert [sample.key for sample in made.dataset] == [sample.key for sample in samples]
    sides = [SidecarSet.open(path.name, path) for path in (tmp_path / "out/finds").iterdir() if path.is_dir()]
    assert len(sides) == 2  # the detector's and the tracks
    least, people = 1.0, 0
    for n, original in enumerate(frames):
        boxes = [person.box_xyxy_px for side in sides for person in side.by_key(samples[n].key).people]
        outlines = [[(left, top), (right, top), (right, bottom), (left, bottom)] for left, top, right, bottom in boxes]
        least = min([least, *shares(original, made.dataset[n].image, outlines)])
        people += len(boxes)
    print(f"{people} finds, {least:.3f} at least", made.counts)
    assert people > 5 * FRAMES
    assert least > 0.9
