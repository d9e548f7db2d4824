# SPDX-License-Identifier: Apache-2.0
"""The fisheye: exact both ways, in agreement with OpenCV, axes as documented."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.camera import FisheyeCamera, kannala_brandt, looking_down, quartic

POSE = looking_down(2.7, x_m=0.5, y_m=-1.0, yaw_degrees=25)


@st.composite
def cameras(draw):
    fov = draw(st.floats(90, 200))
    size = draw(st.integers(64, 1024))
    kind = draw(st.sampled_from(["equidistant", "polynomial"]))
    camera = FisheyeCamera.equidistant(size, size, fov, world_from_camera=POSE)
    if kind == "equidistant":
        return camera
    c1 = camera.theta_coefficients[0] * draw(st.floats(0.7, 1.0))
    radius = size / 2
    c3 = draw(st.floats(0, 0.4)) * c1 / radius**2
    return FisheyeCamera(size, size, radius + 3, radius - 2, (c1, 0.0, c3, 0.0), np.radians(fov) / 2, POSE)


@given(cameras(), st.lists(st.tuples(st.floats(0.02, 0.98), st.floats(-np.pi, np.pi)), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_project_inverts_unproject(camera, polar):
    r, angle = np.array(polar).T
    r = r * camera.max_radius_px
    pixels = np.stack([camera.cx_px + r * np.cos(angle), camera.cy_px + r * np.sin(angle)], axis=-1)
    rays, inside = camera.unproject(pixels)
    assert inside.all()
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1, atol=1e-12)
    again, valid = camera.project(POSE[:3, 3] + rays * 3.3)
    assert valid.all()
    np.testing.assert_allclose(again, pixels, atol=1e-6)


def test_equidistant_radius_is_proportional_to_the_angle():
    camera = FisheyeCamera.equidistant(200, 200, 180.0)
    theta = np.array([0, 0.3, 1.0, np.pi / 2])
    np.testing.assert_allclose(camera.radius_px(theta), 100 * theta / (np.pi / 2), atol=1e-9)
    np.testing.assert_allclose(camera.max_radius_px, 100)


def test_the_point_below_a_ceiling_camera_is_the_centre():
    camera = FisheyeCamera.equidistant(100, 80, world_from_camera=looking_down(3.0, x_m=1, y_m=2))
    pixels, valid = camera.project([1.0, 2.0, 0.0])
    assert valid
    np.testing.assert_allclose(pixels, (50, 40))


def test_at_yaw_zero_right_is_x_and_up_is_y():
    camera = FisheyeCamera.equidistant(100, 100, world_from_camera=looking_down(3.0))
    (right, up), _ = camera.project([[1.0, 0, 0], [0, 1.0, 0]])
    assert right[0] > 50
    assert right[1] == pytest.approx(50)
    assert up[0] == pytest.approx(50)
    assert up[1] < 50


def test_yaw_turns_the_camera_clockwise_seen_from_above():
    still = FisheyeCamera.equidistant(100, 100, world_from_camera=looking_down(3.0))
    turned = FisheyeCamera.equidistant(100, 100, world_from_camera=looking_down(3.0, yaw_degrees=90))
    ahead, _ = still.project([0, 1.0, 0])  # at the top of the image
    same, _ = turned.project([1.0, 0, 0])  # the top now points at world +x: a clockwise turn
    np.testing.assert_allclose(same, ahead, atol=1e-9)


def test_tilt_leans_to_the_top_and_roll_to_the_right():
    pose = looking_down(3.0, tilt_degrees=10)
    np.testing.assert_allclose(pose[:3, 2], (0, np.sin(np.radians(10)), -np.cos(np.radians(10))), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 0], (1, 0, 0), atol=1e-12)
    pose = looking_down(3.0, roll_degrees=10)
    np.testing.assert_allclose(pose[:3, 2], (np.sin(np.radians(10)), 0, -np.cos(np.radians(10))), atol=1e-12)
    both = looking_down(3.0, yaw_degrees=40, tilt_degrees=20, roll_degrees=-30)[:3, :3]
    np.testing.assert_allclose(both @ both.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(both) == pytest.approx(1)


def test_behind_the_field_of_view_is_not_valid():
    camera = FisheyeCamera.equidistant(100, 100, 160.0, world_from_camera=looking_down(3.0))
    pixels, valid = camera.project([[0, 0, 5.0], [9.0, 0, 2.9], [1.0, 0, 0]])
    assert valid.tolist() == [False, False, True]
    assert np.isnan(pixels[0]).all()
    _, inside = camera.unproject([[0.5, 0.5], [50, 50]])
    assert inside.tolist() == [False, True]


def test_agrees_with_opencv():
    matrix = np.array([[310.0, 0, 319.5], [0, 310.0, 241.0], [0, 0, 1]])
    distortion = [0.02, -0.01, 0.003, -0.0005]
    camera = FisheyeCamera.from_opencv(640, 480, matrix, distortion, max_theta_rad=1.4)
    points = np.random.default_rng(0).uniform((-1, -1, 0.2), (1, 1, 2.2), (200, 3))
    theirs, _ = cv2.fisheye.projectPoints(
        points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(distortion))  # fmt: skip
    ours, valid = camera.project(points)
    theta = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2])
    assert (valid == (theta <= 1.4)).all()
    np.testing.assert_allclose(ours[valid] - 0.5, theirs[:, 0][valid], atol=0.1)


@pytest.mark.parametrize(
    ("fx", "distortion", "message"),
    [
        (310.0, [-0.0047, 0.0396, -0.0371, 0.0062], r"up to \d\.\d\d px, more than 0\.1: \d\.\d\d px by the quartic"),
        (313.0, [0.0, 0.0, 0.0, 0.0], r"2\.\d\d px because fx is not fy"),
        (310.0, [-0.3, 0.0, 0.0, 0.0], r"stops growing at 60\.\d degrees"),
        (-310.0, [0.0, 0.0, 0.0, 0.0], "positive fx"),
    ],
)
def test_calibrations_that_cannot_be_met_are_refused(fx, distortion, message):
    matrix = np.array([[fx, 0, 319.5], [0, 310.0, 241.0], [0, 0, 1]])
    with pytest.raises(ValueError, match=message):
        FisheyeCamera.from_opencv(640, 480, matrix, distortion, max_theta_rad=1.5)


@given(st.floats(0.5, 1.9), st.floats(0.2, 0.5))
@settings(max_examples=30, deadline=None)
def test_the_quartic_errs_evenly_and_never_more_than_least_squares(half_rad, k):
    theta = np.linspace(0, half_rad, 400)
    radius = 500 * np.sin(k * theta) / np.sin(k * half_rad)
    camera = FisheyeCamera(1000, 1000, 500, 500, quartic(radius, theta), half_rad)
    powers = np.stack([(radius / 500) ** n for n in (1, 2, 3, 4)], axis=1)
    squares = np.linalg.lstsq(powers, theta, rcond=None)[0] / 500.0 ** np.arange(1, 5)
    other = FisheyeCamera(1000, 1000, 500, 500, squares, half_rad * (1 + 1e-9))
    worst, least_squares = (np.abs(one.radius_px(theta) - radius).max() for one in (camera, other))
    assert camera.max_radius_px == pytest.approx(500, abs=1e-6)
    assert worst <= least_squares + 1e-6


@pytest.mark.parametrize("distortion", [[-0.0211, 0.0043, -0.0026, 0.0003], [0.02, -0.01, 0.003, -0.0005]])
def test_a_calibration_is_met_better_when_its_rim_need_not_be_exact(distortion):
    theta = np.linspace(0, np.pi / 2, 400)
    radius = 310 * kannala_brandt(theta, distortion)
    errors = [
        FisheyeCamera(1000, 1000, 500, 500, quartic(radius, theta, rim=rim), np.pi / 2).radius_px(theta) - radius
        for rim in (True, False)
    ]
    exact, free = (np.abs(error).max() for error in errors)
    assert free < 0.87 * exact
    assert abs(errors[0][-1]) < 1e-9
    # Four coefficients: the error is largest five times, with changing signs (de la Vallee Poussin).
    peaks = np.flatnonzero(np.abs(errors[1]) > 0.9 * free)
    assert (np.diff(np.sign(errors[1][peaks])) != 0).sum() == 4
    matrix = np.array([[310.0, 0, 500], [0, 310.0, 500], [0, 0, 1]])
    camera = FisheyeCamera.from_opencv(1000, 1000, matrix, distortion, np.pi / 2, misfit_px=free * 1.01)
    np.testing.assert_allclose(camera.radius_px(theta), errors[1] + radius, atol=0.02 * free)


def test_to_opencv_and_back():
    camera = FisheyeCamera.equidistant(512, 512, 180.0)
    matrix, distortion = camera.to_opencv()
    back = FisheyeCamera.from_opencv(512, 512, matrix, distortion, max_theta_rad=np.pi / 2)
    theta = np.linspace(0, np.pi / 2, 50)
    np.testing.assert_allclose(back.radius_px(theta), camera.radius_px(theta), atol=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"width_px": 0}, {"max_theta_rad": 0.0}, {"max_theta_rad": 4.0}, {"theta_coefficients": (0.0, 0, 0, 0)},
        {"theta_coefficients": (0.01, -0.001, 0, 0)}, {"world_from_camera": np.full((4, 4), np.nan)},
    ],
)  # fmt: skip
def test_impossible_cameras_are_refused(changes):
    good = {"width_px": 100, "height_px": 100, "cx_px": 50.0, "cy_px": 50.0, "max_theta_rad": 1.5}
    good["theta_coefficients"] = (0.03, 0, 0, 0)
    FisheyeCamera(**good)
    with pytest.raises(ValueError):
        FisheyeCamera(**{**good, **changes})
