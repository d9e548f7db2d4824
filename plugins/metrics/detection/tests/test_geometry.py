# SPDX-License-Identifier: Apache-2.0
"""How far outlines agree, against cases worked by hand, sampling, and OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.sample import RotatedBox
from synthkit_detection.geometry import point_agreement, rotated_agreement, shared_area, upright_agreement

ROTATED = st.tuples(
    st.floats(-40, 40), st.floats(-40, 40), st.floats(0.5, 60), st.floats(0.5, 60), st.floats(-400, 400)
)
OCTAGON = 2 * (math.sqrt(2) - 1)  # of a unit square and the same turned by 45 degrees


def alone(*boxes):
    return [np.array([box], dtype=np.float64) for box in boxes]


def whole(count=1):
    return np.zeros(count, dtype=bool)


def test_upright_by_hand():
    first = np.tile([0.0, 0, 2, 2], (4, 1))
    second = np.array([[1.0, 1, 3, 3], [5, 5, 6, 6], [0, 0, 0, 0], [-1, -1, 1, 3]])
    assert upright_agreement(first, second, whole(4)) == pytest.approx([1 / 7, 0, 0, 1 / 5])
    assert upright_agreement(first, second, ~whole(4)) == pytest.approx([1 / 4, 0, 0, 1 / 2])


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ((0, 0, 2, 2, 0), (0, 0, 2, 2, 0), 4),
        ((0, 0, 2, 4, 0), (0, 0, 2, 4, 90), 4),  # a cross
        ((0, 0, 2, 4, 30), (0, 0, 4, 2, -60), 8),  # the same rectangle, written otherwise
        ((0, 0, 1, 1, 0), (0, 0, 1, 1, 45), OCTAGON),
        ((0, 0, 10, 10, 17), (1, 1, 2, 3, 61), 6),  # one within the other
        ((0, 0, 2, 2, 0), (2, 0, 2, 2, 0), 0),  # they touch
        ((0, 0, 2, 2, 0), (2, 0, 2, 2, 45), (math.sqrt(2) - 1) ** 2),  # a corner reaches in: a right triangle
        ((0, 0, 2, 2, 0), (50, 0, 2, 2, 33), 0),
        ((5, 5, 0, 4, 10), (5, 5, 3, 3, 0), 0),  # no area
        ((0, 0, 4, 4, 0), (0, 2, math.sqrt(8), math.sqrt(8), 45), 4),  # half a diamond reaches in
    ],
)
def test_shared_areas_by_hand(first, second, shared):
    assert shared_area(*alone(first, second))[0] == pytest.approx(shared, abs=1e-12)
    assert shared_area(*alone(second, first))[0] == pytest.approx(shared, abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(ROTATED, ROTATED)
def test_agreement_is_symmetric_and_moves_along(first, second):
    value = rotated_agreement(*alone(first, second), whole())[0]
    assert 0 <= value <= 1 + 1e-12
    assert rotated_agreement(*alone(second, first), whole())[0] == pytest.approx(value, abs=1e-9)
    moved = [(y + 7, -x - 3, w, h, a - 90) for x, y, w, h, a in (first, second)]
    assert rotated_agreement(*alone(*moved), whole())[0] == pytest.approx(value, abs=1e-9)
    written = [RotatedBox.normalized(*box).as_tuple() for box in (first, second)]
    assert rotated_agreement(*alone(*written), whole())[0] == pytest.approx(value, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(ROTATED)
def test_a_box_agrees_with_itself(box):
    assert rotated_agreement(*alone(box, box), whole())[0] == pytest.approx(1, abs=1e-12)
    again = (*box[:2], box[3], box[2], box[4] + 90)
    assert rotated_agreement(*alone(box, again), whole())[0] == pytest.approx(1, abs=1e-9)


def test_shared_areas_agree_with_opencv():
    # OpenCV works in single precision and loses the area where sides coincide, so the boxes are drawn at random.
    boxes = np.random.default_rng(4).uniform([-20, -20, 1, 1, -180], [20, 20, 60, 60, 180], (2, 300, 5))
    shared = shared_area(*boxes)
    for first, second, area in zip(*boxes, shared, strict=True):
        kind, corners = cv2.rotatedRectangleIntersection(*((b[:2], b[2:4], b[4]) for b in (first, second)))
        reference = 0.0 if kind == cv2.INTERSECT_NONE else cv2.contourArea(cv2.convexHull(corners))
        assert area == pytest.approx(reference, abs=0.02, rel=1e-3)
    assert (shared > 0).mean() > 0.5


def test_shared_areas_agree_with_sampling():
    generator = np.random.default_rng(1)
    points = (np.stack(np.meshgrid(np.arange(800), np.arange(800)), axis=-1).reshape(-1, 2) + 0.5) / 8 - 50
    for _ in range(10):
        boxes = [(*generator.uniform(-15, 15, 2), *generator.uniform(5, 50, 2), generator.uniform(-180, 180))
                 for _ in range(2)]  # fmt: skip
        reference = (_holds(boxes[0], points) & _holds(boxes[1], points)).sum() / 64
        assert shared_area(*alone(*boxes))[0] == pytest.approx(reference, abs=2.0)


def _holds(box, points):
    cx, cy, w, h, degrees = box
    angle = math.radians(degrees)
    across = (points - [cx, cy]) @ [math.cos(angle), math.sin(angle)]
    along = (points - [cx, cy]) @ [-math.sin(angle), math.cos(angle)]
    return (abs(across) <= w / 2) & (abs(along) <= h / 2)


def test_upright_boxes_are_rotated_boxes_too():
    generator = np.random.default_rng(2)
    corners = generator.uniform(0, 50, (2, 200, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(1, 40, corners.shape)], axis=2)
    turned = np.concatenate(
        [(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2], np.zeros((2, 200, 1))], axis=2
    )
    assert rotated_agreement(*turned, whole(200)) == pytest.approx(upright_agreement(*boxes, whole(200)), abs=1e-12)
    assert rotated_agreement(*turned, ~whole(200)) == pytest.approx(upright_agreement(*boxes, ~whole(200)), abs=1e-12)


def test_points_agree_by_their_distance_in_sizes():
    found = np.array([[0.0, 0, 9], [3, 4, 9], [30, 40, 9], [1, 1, 9]])
    truth = np.array([[0.0, 0, 10], [0, 0, 10], [0, 0, 10], [1, 1, 0]])
    assert point_agreement(found, truth, whole(4)) == pytest.approx([1, 0.5, 0, 0])
