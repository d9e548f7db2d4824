# SPDX-License-Identifier: Apache-2.0
"""Rotated boxes in the network's numbers, against values worked by hand and against polygons that are cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.sample import RotatedBox
from synthkit_squeezedet import rotated
from synthkit_squeezedet.anchors import assign
from synthkit_squeezedet.decoding import Predictions, Targets, decode, filter_boxes, loss

boxes = st.builds(
    RotatedBox.normalized,
    st.floats(20, 80), st.floats(20, 80), st.floats(2, 60), st.floats(2, 60), st.floats(-90, 90),
)  # fmt: skip

NONE = torch.zeros(0, dtype=torch.int64)


def overlap(first, second, dtype=torch.float32):
    return rotated.iou(*(torch.tensor(box, dtype=dtype) for box in (first, second))).item()


def cut_overlap(first, second):
    """Return the overlap by cutting one polygon by the other's edges, one after the other."""
    left = first.corners_px()
    corners = second.corners_px()
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inward = np.array([start[1] - end[1], end[0] - start[0]])
        depth, kept = (left - start) @ inward, []
        for n in range(len(left)):
            after = (n + 1) % len(left)
            if depth[n] >= 0:
                kept.append(left[n])
            if (depth[n] < 0) != (depth[after] < 0):
                kept.append(left[n] + (left[after] - left[n]) * depth[n] / (depth[n] - depth[after]))
        left = np.array(kept).reshape(-1, 2)
    x, y = left.T
    shared = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return shared / (first.w * first.h + second.w * second.h - shared)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((10, 10, 4, 8, 30), (10, 10, 4, 8, 30), 1.0),  # all edges lie on one another
        ((10, 10, 4, 8, 30), (10, 10, 8, 4, -60), 1.0),  # the same, written otherwise
        ((10, 10, 4, 8, 0), (10, 14, 4, 8, 0), 1 / 3),  # sides along one another
        ((10, 10, 4, 8, 0), (14, 10, 4, 8, 0), 0.0),  # side by side
        ((0, 0, 2, 2, 0), (0, 0, 2, 2, 45), math.sqrt(0.5)),  # an octagon of 8 (sqrt 2 - 1)
        ((0, 0, 2, 6, 0), (0, 0, 2, 6, 90), 4 / 20),  # a cross
        ((5, 5, 8, 8, 17), (5, 5, 2, 4, -40), 8 / 64),  # one in the other
        ((0, 0, 2, 2, 45), (10, 0, 2, 2, 0), 0.0),
        ((0, 0, 0, 0, 0), (0, 0, 2, 2, 0), 0.0),
    ],
)
def test_overlaps_by_hand(first, second, wanted):
    assert overlap(first, second) == pytest.approx(wanted, abs=2e-3)
    assert overlap(second, first) == pytest.approx(wanted, abs=2e-3)


@settings(deadline=None, max_examples=200)
@given(boxes, boxes)
def test_overlaps_are_those_of_cut_polygons(first, second):
    ours = overlap(first.as_tuple(), second.as_tuple(), torch.float64)
    assert ours == pytest.approx(cut_overlap(first, second), abs=2e-3)
    assert overlap(first.as_tuple(), second.as_tuple()) == pytest.approx(ours, abs=2e-3)


anchor_sides = st.lists(st.floats(5, 40), min_size=2, max_size=2)


@settings(deadline=None)
@given(boxes, anchor_sides)
def test_decoding_inverts_encoding(box, sides):
    anchor = np.array([[50.0, 44.0, *sides]])
    deltas = rotated.encode(np.array([box.as_tuple()]), anchor)
    raw = torch.cat([torch.zeros(1, 2), torch.tensor(deltas)], dim=1).unsqueeze(0)
    found = decode(raw, torch.tensor(anchor), (1000, 1000), rotated.NUMBERS).boxes_px[0, 0].numpy()
    if max(np.log(np.array([box.w, box.h]) / anchor[0, 2:])) > 1:
        return  # where the exponential is a line instead
    assert found[:4] == pytest.approx(box.as_tuple()[:4], abs=1e-4)
    if box.h > 1.001 * box.w:  # the angle of a square is not told
        assert math.cos(2 * math.radians(found[4] - box.degrees)) == pytest.approx(1, abs=1e-6)
    assert -90 <= found[4] < 90


def test_a_half_turn_changes_nothing_and_a_small_one_little():
    anchor = np.array([[50.0, 50.0, 20.0, 40.0]])

    def encoded(*box):
        return rotated.encode(np.array([RotatedBox.normalized(*box).as_tuple()]), anchor)[0]

    assert encoded(50, 50, 20, 40, 30) == pytest.approx(encoded(50, 50, 20, 40, 210))
    assert encoded(50, 50, 20, 40, 89.5) == pytest.approx(encoded(50, 50, 20, 40, 90.5), abs=0.03)
    # Sides change places where they are equal: the box hardly changes, and so do its numbers.
    assert encoded(50, 50, 29.9, 30.1, 10) == pytest.approx(encoded(50, 50, 30.1, 29.9, 10), abs=0.02)


def test_numbers_by_hand():
    truth = np.array([[54.0, 47.0, 10.0, 20.0, 30.0]])
    found = rotated.encode(truth, np.array([[50.0, 50.0, 8.0, 18.0]]))[0]
    twice = math.radians(60)
    length = math.log(2)
    assert found == pytest.approx(
        [4 / 12, -3 / 12, math.log(10 / 8), math.log(20 / 18), length * math.cos(twice), length * math.sin(twice)]
    )


def test_decoded_sides_that_changed_places():
    raw = torch.tensor([[[0.0, 0.0, 0.0, 0.0, math.log(1.5), 0.0, 0.0, 0.5]]])
    found = decode(raw, torch.tensor([[40.0, 40.0, 12.0, 16.0]]), (100, 60), rotated.NUMBERS)
    # 18 wide and 16 high at 45 degrees is 16 wide and 18 high at 135, which is -45.
    assert found.boxes_px[0, 0].tolist() == pytest.approx([40, 40, 16, 18, -45], abs=1e-4)
    assert found.classes.shape == (1, 1, 1)


def test_anchors_are_turned_as_the_truth_is():
    anchors = np.array([[30, 30, 10, 40], [42, 30, 10, 40], [30, 42, 10, 40]], float)
    lying = np.array([[42.0, 30.0, 10.0, 40.0, 90.0]])
    assert assign(lying, anchors)[1].tolist() == [1]
    # Along the truth the first is 12 away, which leaves 28 of 40; the third is 12 away across it, and beyond it.
    assert assign(np.concatenate([lying, lying]), anchors)[1].tolist() == [1, 0]


def test_loss_by_hand():
    anchors = torch.tensor([[10.0, 10.0, 10.0, 10.0], [30.0, 10.0, 10.0, 10.0]])
    raw = torch.zeros(1, 2, 8, requires_grad=True)
    predictions = decode(raw, anchors, (64, 32), rotated.NUMBERS)
    targets = Targets(
        image=torch.tensor([0]),
        anchor=torch.tensor([0]),
        label=torch.tensor([0]),
        deltas=torch.tensor([[0.1, 0, 0, 0, 0.3, -0.4]]),
        boxes_px=torch.tensor([[10.0, 10.0, 10.0, 10.0, 45.0]]),
        ignored_image=NONE,
        ignored_anchor=NONE,
    )
    parts = loss(predictions, targets)
    assert parts.box.item() == pytest.approx(5 * (0.01 + 0.09 + 0.16))
    elsewhere = 100 / 1 * 0.25
    assert parts.confidence.item() == pytest.approx(75 * (math.sqrt(0.5) - 0.5) ** 2 + elsewhere, rel=1e-2)
    parts.total.backward()
    assert torch.isfinite(raw.grad).all()


def test_the_filter_compares_rotated_boxes():
    """Crossed people have the same upright boxes and are two; the same again, half a turn away, is one."""
    found = [[20.0, 20, 6, 30, 45], [20.0, 20, 6, 30, -45], [20.0, 20, 30, 6, -45], [60.0, 20, 6, 30, 0]]
    table = Predictions(
        torch.ones(1, 4, 1), torch.tensor([[0.9, 0.8, 0.7, 0.6]]), torch.zeros(1, 4, 6), torch.tensor([found])
    )
    kept, scores, _, count = filter_boxes(table, score=0.01, overlap=0.4)
    assert count.item() == 3
    assert scores[0].tolist() == pytest.approx([0.9, 0.8, 0.6, 0])
    assert kept[0, :3].tolist() == [found[0], found[1], found[3]]
