# SPDX-License-Identifier: Apache-2.0
"""Four looks at one image: turned back exactly, and averaged as they agree."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.detectors import detector_spec
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit_squeezedet.looks import Found, agreed, turned_back


def found(boxes, scores, labels=None):
    labels = np.zeros(len(scores)) if labels is None else labels
    return Found(np.array(boxes, float), np.array(scores, float), np.array(labels, np.int64))


def filled(box, size_px):
    """Return an image (H, W) that is 1 in an upright box of whole pixels."""
    image = np.zeros(size_px[::-1], np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = 1
    return image


def bounds(image):
    """Return the edges around the ones of an image."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_edges_come_back_from_every_turn(quarters):
    size_px, box = (70, 40), [5, 9, 22, 15]
    seen = bounds(np.rot90(filled(box, size_px), quarters))
    assert turned_back(found([seen], [1.0]), quarters, size_px).boxes.tolist() == [box]


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_rotated_boxes_come_back_from_every_turn(quarters):
    size_px = (70, 40)
    x0, y0, x1, y1 = bounds(np.rot90(filled([5, 9, 22, 15], size_px), quarters))
    seen = [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0]
    cx, cy, w, h, degrees = turned_back(found([seen], [1.0]), quarters, size_px).boxes[0]
    assert (cx, cy) == (13.5, 12.0)
    assert (w, h, degrees % 180) in [(17, 6, 0), (6, 17, 90)]


def test_what_two_of_four_looks_saw_is_the_mean_weighed_by_score_and_half_as_sure():
    looks = [found([[0, 0, 10, 10]], [0.9]), found([[2, 0, 12, 10]], [0.3]), found(np.zeros((0, 4)), [])]
    merged = agreed([*looks, looks[2]], overlap=0.5)
    assert np.allclose(merged.boxes, [[0.5, 0, 10.5, 10]])
    assert np.allclose(merged.scores, [0.3])


def test_the_same_box_told_in_another_way_has_the_same_mean():
    first, again = (
        [50, 50, 20, 40, 88.0],
        [50, 50, 40, 20, 0.0],
    )  # 88 degrees, and 90 degrees told with its sides changed
    merged = agreed([found([first], [0.5]), found([again], [0.5])], overlap=0.5)
    assert np.allclose(merged.boxes, [[50, 50, 20, 40, 89.0]])
    half = agreed([found([first], [0.5]), found([[50, 50, 20, 40, -88.0]], [0.5])], overlap=0.5)
    assert np.allclose(half.boxes, [[50, 50, 20, 40, -90.0]])


def test_a_mean_is_told_with_its_longer_side_last():
    looks = [found([[50, 50, 20, 21, 0.0]], [0.5]), found([[50, 50, 16, 30, -90.0]], [0.5])]
    assert np.allclose(agreed(looks, overlap=0.5).boxes, [[50, 50, 18.5, 25, -90.0]])


def test_labels_and_neighbours_stay_apart():
    one = found([[0, 0, 10, 10], [30, 0, 40, 10]], [0.9, 0.8], [0, 0])
    other = found([[0, 0, 10, 10], [30, 0, 40, 10]], [0.7, 0.6], [1, 0])
    merged = agreed([one, other], overlap=0.5)
    assert merged.labels.tolist() == [0, 0, 1]
    assert np.allclose(merged.scores, [0.7, 0.45, 0.35])


def test_nothing_seen_is_nothing_found():
    assert len(agreed([found(np.zeros((0, 5)), [])] * 4, overlap=0.5).scores) == 0


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_fall_and_no_two_finds_overlap(seed):
    draw = np.random.default_rng(seed)
    looks = []
    for count in draw.integers(0, 6, 4):
        boxes = draw.uniform([0, 0, 5, 5, -90], [40, 40, 30, 30, 90], (count, 5))
        looks.append(found(boxes, np.sort(draw.uniform(0.01, 1, count))[::-1]))
    merged = agreed(looks, overlap=0.5)
    assert (np.diff(merged.scores) <= 0).all()
    assert len(merged.scores) <= sum(len(look.scores) for look in looks)
    assert np.isfinite(merged.boxes).all()
    assert (np.abs(merged.boxes[:, 4]) <= 90).all()


def test_a_turned_image_gives_turned_finds(room):
    image, _ = room
    registry = discover()
    spec = detector_spec(registry, registry.get("detector", "squeezedet-ceiling").component.shipped_checkpoint())
    spec = attrs.evolve(spec, options={**spec.options, "four_looks": True})
    with Session(registry, RunSettings(device="cpu", threads=1)).entered(spec) as detector:
        straight, turned = detector.detect(
            [Sample(key="a", image=image), Sample(key="b", image=np.ascontiguousarray(np.rot90(image)))]
        )
    seen = Found(turned.rotated_boxes.astype(float), turned.scores.astype(float), turned.labels.astype(np.int64))
    back = turned_back(seen, 1, (image.shape[1], image.shape[0]))
    sure = straight.scores > 0.1
    assert sure.sum() >= 5
    assert np.allclose(back.scores[: sure.sum()], straight.scores[sure], atol=1e-3)
    assert np.allclose(back.boxes[: sure.sum(), :2], straight.rotated_boxes[sure, :2], atol=0.1)
