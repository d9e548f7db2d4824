# SPDX-License-Identifier: Apache-2.0
"""Truth from coverage: ids, boxes, silhouettes, and the sensor's arithmetic."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthkit.seeds import Seeds
from synthkit_blender.config import SensorConfig
from synthkit_blender.crowd import Figure
from synthkit_blender.develop import Sensor, composite, decode, develop, encode, image_circle, metered_gain
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.placement import Pose2D
from synthkit_blender.truth import annotate, asset_coverage, fill, murmur3, rotated_box, silhouette, upright_box


def test_murmur3_agrees_with_published_vectors():
    assert murmur3(b"") == 0
    assert murmur3(b"hello") == 0x248BFA47
    assert murmur3(b"hello, world") == 0x149BBB7F
    assert murmur3(b"The quick brown fox jumps over the lazy dog") == 0x2E4FF723


@given(st.integers(20, 60), st.integers(20, 60), st.integers(4, 14), st.integers(15, 30), st.floats(-90, 89.9))
def test_rotated_boxes_fit_drawn_rectangles(cx, cy, width, height, degrees):
    mask = np.zeros((80, 80), np.uint8)
    corners = cv2.boxPoints(((float(cx), float(cy)), (float(width), float(height)), degrees))
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    box = rotated_box(mask.astype(bool))
    assert abs(box.cx - cx - 0.5) < 1.5
    assert abs(box.cy - cy - 0.5) < 1.5
    y, x = np.nonzero(mask)
    low, high = box.corners_px().min(axis=0), box.corners_px().max(axis=0)
    assert low[0] - 1e-3 <= x.min()
    assert x.max() + 1 <= high[0] + 1e-3
    assert low[1] - 1e-3 <= y.min()
    assert y.max() + 1 <= high[1] + 1e-3


def test_boxes_of_a_single_pixel():
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    assert upright_box(mask) == (3.0, 2.0, 4.0, 3.0)
    box = rotated_box(mask)
    assert (box.cx, box.cy, box.w, box.h) == (3.5, 2.5, 1.0, 1.0)


@given(st.lists(st.tuples(*[st.floats(-10, 60)] * 6), min_size=1, max_size=6))
def test_filled_triangles_cover_the_centres_inside_them(corners):
    triangles = np.array(corners).reshape(-1, 3, 2)
    mask = np.zeros((40, 50), bool)
    fill(mask, triangles)
    y, x = np.mgrid[0:40, 0:50] + 0.5
    expected = np.zeros_like(mask)
    for a, b, c in triangles:
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        hit = (np.minimum.reduce(sides) >= 0) | (np.maximum.reduce(sides) <= 0)
        # A triangle without area holds no centre off its own extent.
        hit &= (x >= min(a[0], b[0], c[0])) & (x <= max(a[0], b[0], c[0]))
        hit &= (y >= min(a[1], b[1], c[1])) & (y <= max(a[1], b[1], c[1]))
        expected |= hit
    assert np.array_equal(mask, expected)


def test_coverage_is_summed_over_ranks():
    ids = np.zeros((4, 2, 2), np.float32)
    first, second = (np.uint32(murmur3(name)).view(np.float32) for name in (b"person_001", b"person_002"))
    ids[2, 0, 0] = ids[0, 0, 0] = ids[3, 1, 1] = first
    ids[1, 0, 0] = second
    ranks = np.full((4, 2, 2), 0.25, np.float32)
    ranks[3] = 0
    one, other = asset_coverage(["person_001", "person_002"], ids, ranks)
    assert one.tolist() == [[0.5, 0], [0, 0]]
    assert other.tolist() == [[0.25, 0], [0, 0]]


def test_a_frame_without_people_has_empty_truth():
    camera = ceiling_camera(32, 24, 180, 0, 2.7, 0)
    zero = np.zeros((6, 24, 32), np.float32)
    truth = annotate((), camera, zero, zero, np.zeros((24, 32), np.float32), 1)
    assert truth.people == ()
    assert not truth.instances.any()


def test_people_end_where_the_image_circle_does(mannequins):
    camera = ceiling_camera(96, 72, 90, 0, 2.7, 0)
    circle, _ = image_circle(camera)
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figure = Figure(1, "00", body, Pose2D(2.2, 0.0))
    on_rim = silhouette(figure, camera)
    assert on_rim.any(), "the person stands across the rim"
    assert not camera.project(figure.world(body.surface_vertices_m))[1].all()
    wider = cv2.dilate(on_rim.astype(np.uint8), np.ones((25, 25))) > 0
    assert (wider & ~circle).any(), "more is rendered than the image shows"
    ids = np.zeros((6, 72, 96), np.float32)
    ids[0] = np.uint32(murmur3(b"person_001")).view(np.float32)
    ranks = np.zeros((6, 72, 96), np.float32)
    ranks[0] = wider
    truth = annotate((figure,), camera, ids, ranks, np.ones((72, 96), np.float32), 1)
    assert np.array_equal(truth.instances > 0, wider & circle)
    assert not truth.coverage[~circle].any()
    assert truth.people[0].box_xyxy_px == upright_box(wider & circle)


@pytest.fixture
def camera():
    return ceiling_camera(64, 48, 180, 0.2, 2.7, 0)


def neutral(**changes) -> Sensor:
    values = {"exposure_ev": 0.0, "white_balance": 0.0, "green_tint": 0.0, "saturation": 1.0, "gamma": 1.0,
              "vignette": 0.0, "noise": 0.0, "blur_px": 0.0}  # fmt: skip
    return Sensor(**{**values, **changes})


def test_a_neutral_sensor_keeps_greys_and_blackens_the_outside(camera):
    image = develop(np.full((48, 64, 3), 0.5, np.float32), 0.4, neutral(), camera, np.random.default_rng(0))
    circle, _ = image_circle(camera)
    assert (image[~circle] == 0).all()
    assert set(np.unique(image[circle])) == {124}


def test_sensor_settings_do_what_they_say(camera):
    light, rng = np.full((48, 64, 3), 0.5, np.float32), np.random.default_rng(0)
    circle, _ = image_circle(camera)
    warm = develop(light, 0.5, neutral(white_balance=0.5), camera, rng)[24, 32]
    assert warm[0] > warm[1] > warm[2]
    assert develop(light, 0.5, neutral(noise=0.05), camera, rng)[circle].std() > 3
    dark = develop(light, 0.5, neutral(vignette=0.5), camera, rng)
    assert dark[24, 32, 0] > dark[24, 10, 0]
    sampled = Sensor.sample(SensorConfig(noise=(0.01, 0.01)), rng)
    assert sampled.noise == 0.01


def test_the_meter_keeps_highlights(camera):
    circle, _ = image_circle(camera)
    light = np.full((48, 64, 3), 0.02, np.float32)
    light[:, :32] = 9.0
    assert light.max() * metered_gain(light, circle) <= 0.86


def test_srgb_round_trip():
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (1, 1, 3))
    assert np.array_equal(encode(decode(ramp), np.ones((1, 256), bool), 1.0), ramp)


def test_a_plate_without_people_and_shadows_stays_as_it_is(camera):
    circle, _ = image_circle(camera)
    plate = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    lit = np.ones((24, 32, 4), np.float32)
    image = composite(np.zeros((48, 64, 4), np.float32), lit, lit, plate, 0.0, camera)
    assert np.array_equal(image[circle], plate[circle])
    darker = composite(np.zeros((48, 64, 4), np.float32), lit * 0.5, lit, plate, 0.0, camera)
    assert (darker[circle] <= plate[circle]).all()
