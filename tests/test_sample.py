# SPDX-License-Identifier: Apache-2.0
"""Samples: frozen, checked, and honest about what is unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.sample import Detections, Keypoint, Person, RotatedBox, Sample, Skipped, evolve, normalized_rotated


def image(height=6, width=8):
    return np.zeros((height, width, 3), np.uint8)


def test_arrays_are_private_and_read_only():
    pixels = image()
    sample = Sample(key="a", image=pixels, layers={"alpha": np.zeros((6, 8), np.uint8)})
    pixels[:] = 9
    assert sample.image.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        sample.image[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        sample.layers["alpha"][0, 0] = 1
    with pytest.raises(TypeError):
        sample.layers["other"] = pixels


def test_read_only_arrays_are_not_copied():
    first = Sample(key="a", image=image())
    assert np.shares_memory(evolve(first, key="b").image, first.image)


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "a\\b", "a\nb"])
def test_keys_that_would_break_a_shard_are_refused(key):
    with pytest.raises(ValueError, match="key"):
        Sample(key=key, image=image())
    with pytest.raises(ValueError, match="key"):
        Skipped(key, "reason")


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_images_are_uint8_rgb(pixels):
    with pytest.raises(ValueError, match="image must be uint8"):
        Sample(key="a", image=pixels)


def test_layers_fit_the_image_and_their_type():
    with pytest.raises(ValueError, match="'depth' is"):
        Sample(key="a", image=image(), layers={"depth": np.zeros((5, 8), np.float32)})
    with pytest.raises(ValueError, match="must be float32"):
        Sample(key="a", image=image(), layers={"depth": np.zeros((6, 8), np.float64)})
    Sample(key="a", image=image(), layers={"strange": np.zeros((6, 8, 2), np.int8)})


def test_unknown_people_differ_from_nobody():
    assert Sample(key="a", image=image()).people is None
    assert Sample(key="a", image=image(), people=[]).people == ()


def test_size_is_width_then_height():
    assert Sample(key="a", image=image(6, 8)).size_px == (8, 6)


@pytest.mark.parametrize("box", [(3, 0, 1, 2), (0, 0, math.nan, 1), (0, 0, 1)])
def test_boxes_are_checked(box):
    with pytest.raises(ValueError):
        Person(box_xyxy_px=box)


def test_keypoints_keep_what_is_known():
    point = Keypoint(1, 2, visible=None, world_m=(0, 1, 2))
    assert point.visible is None
    assert point.world_m == (0.0, 1.0, 2.0)


sizes = st.floats(0.1, 500)


@settings(deadline=None)
@given(cx=st.floats(-100, 100), cy=st.floats(-100, 100), w=sizes, h=sizes, degrees=st.floats(-720, 720))
def test_normalized_is_the_same_rectangle_in_the_convention(cx, cy, w, h, degrees):
    box = RotatedBox.normalized(cx, cy, w, h, degrees)
    assert box.w <= box.h
    assert -90 <= box.degrees < 90
    same = RotatedBox(cx, cy, w, h, degrees)
    np.testing.assert_allclose(
        sorted(map(tuple, np.round(box.corners_px(), 6) + 0.0)),
        sorted(map(tuple, np.round(same.corners_px(), 6) + 0.0)),
        atol=1e-4,
    )


def test_degrees_turn_clockwise_on_the_screen():
    """A box upright at 0 degrees leans its top to the right when turned by a small positive angle."""
    top = RotatedBox(0, 0, 2, 10, 30).corners_px()[:2].mean(axis=0)
    assert top[0] > 0
    assert top[1] < 0


def test_corners_start_top_left_and_go_clockwise():
    np.testing.assert_allclose(RotatedBox(5, 5, 2, 4, 0).corners_px(), [(4, 3), (6, 3), (6, 7), (4, 7)])


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(-500, 500)] * 2, *[st.floats(0, 300)] * 2, st.floats(-720, 720)), max_size=4))
def test_many_rotated_boxes_are_normalized_like_one(boxes):
    found = normalized_rotated(np.array(boxes).reshape(-1, 5))
    assert found.tolist() == [list(RotatedBox.normalized(*box).as_tuple()) for box in boxes]


def test_detections_have_one_row_a_find():
    one = {"key": "a", "boxes_xyxy_px": np.zeros((1, 4)), "scores": np.ones(1), "labels": np.zeros(1, int)}
    assert Detections(**one, rotated_boxes=np.zeros((1, 5)), points_px=np.zeros((1, 2))).points_px.shape == (1, 2)
    for wrong in ({"rotated_boxes": np.zeros((2, 5))}, {"points_px": np.zeros((1, 3))}, {"labels": np.zeros(2, int)}):
        with pytest.raises(ValueError, match=f"a: {next(iter(wrong))} must be .*one row a find"):
            Detections(**{**one, **wrong})


@pytest.mark.parametrize(
    "image", [np.full((4, 4, 3), np.nan), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)]
)
def test_an_image_is_of_whole_numbers_and_of_some_size(image):
    with pytest.raises(ValueError, match=r"a: image must be uint8 \(H, W, 3\), got "):
        Sample(key="a", image=image)
