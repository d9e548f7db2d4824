# SPDX-License-Identifier: Apache-2.0
"""Upright windows: where people around a nadir are found by what only knows people who stand upright."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from made_onnx import constant_outputs, save

from synthkit.deployment.overlaps import iou_table
from synthkit.errors import WeightsError
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Detections, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_onnx.windows import look, windows

SIDE = 400
ROWS = np.array([[[16, 16, 8, 20, 0.9, 0.8]]], np.float32)


def bars(azimuths, distance=0.6, length=70, width=24):
    """Return a dark image with bright bars, each pointing away from its middle, and their boxes."""
    image, boxes = np.zeros((SIDE, SIDE, 3), np.uint8), []
    for degrees in azimuths:
        away = np.array([math.sin(math.radians(degrees)), -math.cos(math.radians(degrees))])
        middle = SIDE / 2 + distance * SIDE / 2 * away
        box = RotatedBox.normalized(*middle, width, length, degrees)
        cv2.fillConvexPoly(image, np.round(box.corners_px() - 0.5).astype(np.int32), (255, 255, 255))
        boxes.append(box.as_tuple())
    return Sample(key="a", image=image), np.array(boxes)


def upright(image):
    """Find what is bright and upright, the surer the more upright."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype(np.uint8))
    found = [(x, y, x + w, y + h, min(0.99, h / w / 4)) for x, y, w, h, area in stats[1:] if h > 1.6 * w and area > 50]
    rows = np.array(found, np.float32).reshape(-1, 5)
    labels = np.zeros(len(rows), np.int32)
    return Detections(key="window", boxes_xyxy_px=rows[:, :4], scores=rows[:, 4], labels=labels)


@pytest.mark.parametrize("distance", [0.35, 0.6, 0.8])
def test_everybody_around_the_nadir_is_found_once_where_they_are(distance):
    sample, boxes = bars((0, 65, 130, 222, 300), distance)
    assert len(upright(np.asarray(sample.image)).scores) < 5  # as it is, those who lie aslant are not people
    found = look(sample, 12, upright)
    assert len(found.scores) == 5
    overlaps = iou_table(found.rotated_boxes.astype(np.float64), boxes)
    assert overlaps.max(axis=0).min() > 0.5
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes_xyxy_px >= 0).all()
    assert (found.boxes_xyxy_px <= SIDE).all()


def test_a_point_comes_back_to_where_it_was():
    """Each window shows a dot where it says that it does, to half a pixel."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[90:94, 250:254] = 255  # around (252, 92)
    shown = 0
    for window in windows(Sample(key="a", image=image), 8):
        cut = window.cut(image)[..., 0].astype(float)
        if cut[2:-2, 2:-2].sum() < 3500:
            continue
        shown += 1
        rows, columns = np.indices(cut.shape) + 0.5
        x, y = (columns * cut).sum() / cut.sum(), (rows * cut).sum() / cut.sum()
        box = np.array([[x - 2, y - 3, x + 2, y + 3]], np.float32)
        assert window.rotated(box)[0] == pytest.approx([252, 92, 4, 6, window.degrees], abs=0.5)
    assert shown >= 2


def test_nobody_is_found_where_nothing_is():
    found = look(Sample(key="a", image=np.zeros((90, 120, 3), np.uint8)), 4, upright)
    assert found.rotated_boxes.shape == (0, 5)


def test_who_is_found_whole_stays_beside_a_surer_find_of_a_part_of_them():
    """A part of somebody who was found is dropped; what shows more of them than a surer find does is not."""

    def found(sides, scores):
        def detect(image):
            rows, columns = np.nonzero(image[..., 0] > 100)
            middle = np.array([columns.mean(), rows.mean()]) if rows.size else np.zeros(2)
            boxes = [[*(middle - side / 2), *(middle + side / 2)] for side in (sides if rows.size else ())]
            return Detections(
                key="window",
                boxes_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
                scores=np.array(scores if boxes else (), np.float32),
                labels=np.zeros(len(boxes), np.int32),
            )

        sample, _ = bars([0], length=10, width=10)
        return sorted(look(sample, 1, detect).rotated_boxes[:, 3].round().tolist())

    assert found((20, 60), (0.9, 0.8)) == [20, 60]
    assert found((20, 60), (0.8, 0.9)) == [60]


def test_nobody_is_lost_by_the_low_score_of_a_window_that_shows_all_of_them():
    """The window about the nadir cuts somebody and is sure, the one that shows them whole is not."""
    sample, (bar,) = bars([0], distance=0.45, length=60)

    def detect(image):
        rows, columns = np.nonzero(image[..., 0] > 100)
        if not rows.size:
            boxes, scores = np.zeros((0, 4)), []
        else:
            boxes = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
            at_edge = boxes.min() < 2 or boxes.max() > image.shape[0] - 2
            scores = [0.9 if at_edge else 0.24]
        return Detections(key="window", boxes_xyxy_px=boxes.astype(np.float32), scores=np.array(scores, np.float32),
                          labels=np.zeros(len(boxes), np.int32))  # fmt: skip

    found = look(sample, 1, detect)
    assert found.scores.tolist() == pytest.approx([0.9])
    assert iou_table(found.rotated_boxes.astype(np.float64), bar[None]).min() > 0.8


def test_people_of_different_labels_are_not_the_same():
    def twice(image):
        found = upright(image)
        count = len(found.scores)
        return Detections(
            key="window",
            boxes_xyxy_px=np.tile(found.boxes_xyxy_px, (2, 1)),
            scores=np.tile(found.scores, 2),
            labels=np.repeat(np.arange(2, dtype=np.int32), count),
        )

    assert sorted(look(bars((40,))[0], 12, twice).labels) == [0, 1]


def test_the_detector_onnx_looks_at_windows_when_asked(tmp_path):
    card = 'classes = ["person"]\ninput = { name = "image", size_px = [32, 32] }\n[output.yolo]\nrows = "o"\n'
    model = save(constant_outputs([1, 3, 32, 32], {"o": ROWS}), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(card)
    spec = ComponentSpec("detector", "onnx", {"model": str(model), "windows": 4})
    with discover().build(spec, Runtime(Seeds(0), tmp_path, threads=1)) as detector:
        (found,) = detector.detect([Sample(key="a", image=np.zeros((64, 64, 3), np.uint8))])
    assert found.key == "a"
    assert found.rotated_boxes is not None
    # In the middle of each window: four around the nadir, and those of the inner windows, which are theirs in part.
    assert len(found.scores) >= 4


def test_detectors_of_rotated_boxes_need_no_windows(tmp_path):
    rows = {
        "boxes": np.array([[[16, 16, 6, 9, 10]]], np.float32),
        "scores": np.array([[0.9]], np.float32),
        "labels": np.array([[0]], np.float32),
        "count": np.array([1], np.float32),
    }
    card = 'classes = ["person"]\ninput = { name = "image", size_px = [32, 32] }\n[output.boxes]\n'
    model = save(constant_outputs([1, 3, 32, 32], rows), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(card)
    spec = ComponentSpec("detector", "onnx", {"model": str(model), "windows": 4})
    with (
        discover().build(spec, Runtime(Seeds(0), tmp_path, threads=1)) as detector,
        pytest.raises(WeightsError, match="needs no windows"),
    ):
        list(detector.detect([Sample(key="a", image=np.zeros((64, 64, 3), np.uint8))]))
