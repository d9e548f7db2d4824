# SPDX-License-Identifier: Apache-2.0
"""Lenses: rendered where they are projected, by name and from OpenCV's calibrations, upright and leaning."""

from __future__ import annotations

import json
import math
import re

import attrs
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthkit.config import structure
from synthkit.errors import ConfigError, DatasetError
from synthkit.seeds import Seeds
from synthkit_blender.calibration import Calibration
from synthkit_blender.client import WorkerClient
from synthkit_blender.config import BlenderConfig, CameraConfig, WorkerConfig
from synthkit_blender.geometry import ellipsoid
from synthkit_blender.optics import ceiling_camera, draw_camera, fisheye
from synthkit_blender.plates import Plates
from synthkit_blender.request import ROOM, Quality, render_request
from synthkit_blender.scene import Scene, Sky, plate_camera, sample_scene
from synthkit_blender.surfaces import Surface
from synthkit_blender.things import Thing

MATRIX = np.array([[286.4, 0.0, 417.3], [0.0, 286.4, 296.8], [0.0, 0.0, 1.0]])
DISTORTION = np.array([-0.0211, 0.0043, -0.0026, 0.0003])
SIZE_PX = (840, 600)  # of the calibration's images
MARKER_RAD = 0.035


def camera_of(width_px: int, height_px: int, **options):
    config = structure(CameraConfig, {"height_m": [2.7, 2.7], "yaw_degrees": [33, 33], **options})
    return draw_camera(config, width_px, height_px, np.random.default_rng(0))


def write_opencv(path, matrix=MATRIX, distortion=DISTORTION, size_px=SIZE_PX):
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("calibration_time", "Tue 5 May 2026 10:00:00")
    storage.write("image_width", size_px[0])
    storage.write("image_height", size_px[1])
    storage.write("camera_matrix", matrix)
    storage.write("distortion_coefficients", distortion.reshape(-1, 1))
    storage.release()
    return path


@pytest.fixture(scope="module")
def client():
    with WorkerClient(WorkerConfig(timeout_s=120.0)) as client:
        yield client


def spread_pixels(camera) -> np.ndarray:
    """Return (N, 2) places in the image and its circle, far enough apart for markers."""
    reach = camera.radius_px(camera.max_theta_rad - 1.5 * MARKER_RAD)
    rows, columns = np.mgrid[9 : camera.height_px - 9 : 21, 9 : camera.width_px - 9 : 21]
    pixels = np.column_stack([columns.ravel() + 0.37 * (rows.ravel() % 5), rows.ravel() + 0.41]).astype(float)
    return pixels[np.hypot(*(pixels - (camera.cx_px, camera.cy_px)).T) < reach]


def rendered_places(client, camera, places_m) -> np.ndarray:
    """Return (N, 2) the centroids of glowing spheres rendered at places, each looked for near its projection."""
    glow = Surface((1.0, 1.0, 1.0), emission=1.0)
    distances = np.linalg.norm(places_m - camera.world_from_camera[:3, 3], axis=1)
    # All spheres look alike in size, so that none shows the curvature of the projection.
    things = [
        Thing(((ellipsoid((MARKER_RAD * d,) * 3, 24, 24).at(*place), glow),), np.eye(4), "room")
        for place, d in zip(places_m, distances, strict=True)
    ]
    scene = Scene(camera, tuple(things), (), Sky((0.0, 0.0, 0.0), 0.0), (), {})
    reply = client.render(*render_request(scene, (ROOM,), Quality(100, False, 1, 3)))
    light = reply.passes["room"]["color"][..., 0]
    y, x = np.mgrid[0 : camera.height_px, 0 : camera.width_px] + 0.5
    centroids = []
    for cx, cy in camera.project(places_m)[0]:
        window = light * (np.hypot(x - cx, y - cy) < 8)
        centroids.append(((window * x).sum() / window.sum(), (window * y).sum() / window.sum()))
    return np.array(centroids)


def places_for(camera) -> np.ndarray:
    rays, valid = camera.unproject(spread_pixels(camera))
    assert valid.all()
    distances = np.linspace(0.8, 4.0, len(rays))[:, None]
    return camera.world_from_camera[:3, 3] + rays * distances


LEANING = {"tilt_degrees": [24, 24], "roll_degrees": [-11, -11]}
OFF_CENTRE = {"centre_x_share": [0.456, 0.456], "centre_y_share": [0.533, 0.533]}


@pytest.mark.blender
@pytest.mark.parametrize(
    ("size_px", "options"),
    [
        ((160, 120), {"lens": "equidistant", **LEANING}),
        ((120, 160), {"lens": "equisolid", **OFF_CENTRE, **LEANING}),
        ((140, 140), {"lens": "stereographic", "fov_degrees": [170, 170], "circle_share": [0.9, 0.9]}),
        ((160, 120), {"lens": "equisolid", "circle_share": [1.33, 1.33], **OFF_CENTRE}),
        ((121, 90), {"lens": "mixed", "equisolid": [-0.4, -0.4], "fov_degrees": [200, 200], **LEANING}),
        ((160, 120), {"lens": "polynomial", "lens_polynomial": [340.0, -32.0, 48.3, -7.2], **OFF_CENTRE}),
    ],
)
def test_projection_meets_rendered_markers(client, size_px, options):
    camera = camera_of(*size_px, **options)
    places = places_for(camera)
    errors = np.hypot(*(rendered_places(client, camera, places) - camera.project(places)[0]).T)
    assert len(errors) > 12
    assert errors.max() < 0.1
    assert errors.mean() < 0.04


@pytest.mark.blender
@pytest.mark.parametrize("size_px", [(168, 120), (120, 120)])
def test_a_calibrated_lens_is_rendered_where_opencv_projects(client, tmp_path, size_px):
    path = write_opencv(tmp_path / "lens.yml")
    camera = camera_of(*size_px, calibration=str(path), **LEANING)
    places = places_for(camera)
    inverse = np.linalg.inv(camera.world_from_camera)
    local = places @ inverse[:3, :3].T + inverse[:3, 3]
    theirs = cv2.fisheye.projectPoints(local[:, None], np.zeros(3), np.zeros(3), MATRIX, DISTORTION)[0][:, 0]
    scale = min(size_px[0] / SIZE_PX[0], size_px[1] / SIZE_PX[1])
    margin = (np.array(size_px) - np.array(SIZE_PX) * scale) / 2
    expected = (theirs + 0.5) * scale + margin
    assert np.abs(camera.project(places)[0] - expected).max() < 0.05
    assert np.hypot(*(rendered_places(client, camera, places) - expected).T).max() < 0.1


@pytest.mark.parametrize("suffix", [".yml", ".yaml", ".xml", ".json"])
def test_calibrations_are_read_as_opencv_writes_them(tmp_path, suffix):
    read = Calibration.read(write_opencv(tmp_path / f"lens{suffix}"))
    assert (read.width_px, read.height_px) == SIZE_PX
    assert np.array_equal(read.matrix, MATRIX)
    assert read.distortion == tuple(DISTORTION)


def test_calibrations_are_read_as_others_write_them(tmp_path):
    plain = {"K": MATRIX.tolist(), "D": [[v] for v in DISTORTION], "image_size": SIZE_PX}
    (tmp_path / "a.json").write_text(json.dumps(plain))
    rows = f"{{rows: 3, cols: 3, data: {MATRIX.ravel().tolist()}}}"
    (tmp_path / "b.yaml").write_text(
        f"image_width: 840\nimage_height: 600\ndistortion_model: equidistant\ncamera_matrix: {rows}\n"
        f"distortion_coefficients: {{rows: 1, cols: 4, data: {DISTORTION.tolist()}}}\n"
    )
    (tmp_path / "c.json").write_text(json.dumps(plain), encoding="utf-8-sig")  # as Windows writes it
    for name in ("a.json", "b.yaml", "c.json"):
        read = Calibration.read(tmp_path / name)
        assert np.array_equal(read.matrix, MATRIX)
        assert read.distortion == tuple(DISTORTION)


GOOD = {"K": MATRIX.tolist(), "D": DISTORTION.tolist(), "image_size": SIZE_PX}
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "expected .yml"),
        ("a.json", "{", "Expecting property"),
        ("a.json", "[]", "no table"),
        ("a.json", json.dumps({**GOOD, "D": [0, 0, 0, 0, 0]}), "4 numbers, got 5; cv2.calibrateCamera"),
        ("a.json", json.dumps({**GOOD, "K": [[1, 2], [3, 4]]}), "camera matrix must be 9"),
        ("a.json", json.dumps({**GOOD, "K": "camera"}), "camera matrix must be 9"),
        ("a.json", json.dumps({**GOOD, "D": [0, 0, 0, float("nan")]}), "4 finite"),
        ("a.json", json.dumps({k: v for k, v in GOOD.items() if k != "image_size"}), "no image_width"),
        ("a.json", json.dumps({**GOOD, "image_size": [0, 3]}), "must be positive"),
        ("a.json", json.dumps({**GOOD, "distortion_model": "plumb_bob"}), "plumb_bob"),
        ("a.json", json.dumps({**GOOD, "distortion_model": "omnidir"}), "omnidir"),
        ("a.json", json.dumps({**GOOD, "K": [[0] * 3] * 3}), r"fx and fy above 0"),
        ("a.json", json.dumps({**GOOD, "K": MATRIX.T.tolist()}), r"must be \[\[fx, 0, cx\]"),
        ("a.json", json.dumps({**GOOD, "image_size": [400, 200]}), r"within the image of 400x200"),
        ("a.json", json.dumps({**GOOD, "K": [[286, 2, 417], [0, 286, 296], [0, 0, 1]]}), "skew of 2; .*FIX_SKEW"),
        ("a.json", json.dumps({**GOOD, "K": [10**400] * 9}), "camera matrix must be 9 numbers"),
        ("a.json", json.dumps({**GOOD, "D": [1e300, 0, 0, 0]}), "finite numbers up to 1e\\+06"),
        ("a.json", json.dumps({**GOOD, "D": [-100, 0, 0, 0]}), "degrees only; expected a fisheye of 30"),
        ("a.json", "1" * 5000, "is not JSON"),
        ("a.yml", "K: \xe9".encode("latin1"), "is not UTF-8: byte 3 is 0xe9"),
        ("a.yml", "K: !!timestamp soon\nD: [0, 0, 0, 0]\nimage_size: [1, 1]", "must be 9 numbers"),
        ("a.json", "[" * 100_000, "lens|recursion|nested"),
        ("a.json", " " * (2 << 20), "larger than 1 MiB"),
        ("a.yml", BOMB, "aliases"),
        (
            "a.yml",
            "K: !!python/object/apply:os.system ['true']\nD: [0, 0, 0, 0]\nimage_size: [1, 1]",
            "must be 9 numbers",
        ),
        ("a.yml", "K: [", "is not YAML"),
        ("a.xml", "<a><b></a>", "is not XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "is not XML"),
    ],
)
def test_what_is_no_calibration_is_told(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message) as caught:
        camera_of(160, 120, calibration=str(tmp_path / name))
    assert f"camera.calibration: {tmp_path / name}" in str(caught.value)


def test_a_missing_calibration_is_told_before_any_work(tiny_renderer, tmp_path):
    with (
        pytest.raises(ConfigError, match=r"camera\.calibration: .*none\.yml is no file"),
        tiny_renderer(camera={"calibration": str(tmp_path / "none.yml")}),
    ):
        pass


@pytest.mark.parametrize(
    ("distortion", "options", "message"),
    [
        (
            [-0.0047, 0.0396, -0.0371, 0.0062],
            {},
            r"by up to 1\.\d\d px, more than 0.1: .* px by the quartic.*misfit_px",
        ),
        (DISTORTION, {"fov_degrees": [219, 219]}, r"0\.23 px, more than 0\.1"),
        (DISTORTION, {"fov_degrees": [185, 185]}, None),
        ([-0.3, 0, 0, 0], {"fov_degrees": [170, 170]}, "stops growing at 6.* degrees; lower camera.fov_degrees"),
    ],
)
def test_lenses_that_cannot_be_met_are_refused(tmp_path, distortion, options, message):
    path = write_opencv(tmp_path / "lens.yml", distortion=np.array(distortion))
    options = {"calibration": str(path), **options}
    if message is None:
        camera_of(448, 320, **options)
        return
    with pytest.raises(ConfigError, match=message):
        camera_of(448, 320, **options)


def test_a_refused_lens_is_told_how_far_it_can_be_met(tmp_path):
    path = write_opencv(tmp_path / "lens.yml", distortion=np.array([-0.0047, 0.0396, -0.0371, 0.0062]))
    with pytest.raises(ConfigError) as told:
        camera_of(448, 320, calibration=str(path))
    first, second = map(
        int, re.search(r"it is met with camera\.fov_degrees=\[(\d+), (\d+)\]", str(told.value)).groups()
    )
    assert first == second
    assert camera_of(448, 320, calibration=str(path), fov_degrees=[first, first])
    with pytest.raises(ConfigError, match="misses"):
        camera_of(448, 320, calibration=str(path), fov_degrees=[first + 1, first + 1])


def test_pixels_that_are_not_square_count_as_misfit(tmp_path):
    matrix = MATRIX.copy()
    matrix[1, 1] *= 1.01
    path = write_opencv(tmp_path / "lens.yml", matrix=matrix)
    with pytest.raises(ConfigError, match=r"1\.\d\d px because fx is not fy"):
        camera_of(448, 320, calibration=str(path))
    camera_of(448, 320, calibration=str(path), misfit_px=2.0)


def test_a_calibration_is_used_as_far_as_it_holds(tmp_path):
    narrow = write_opencv(
        tmp_path / "lens.yml", matrix=MATRIX * [[3], [3], [1]] - [[0, 0, 840], [0, 0, 590], [0, 0, 0]]
    )
    camera = camera_of(168, 120, calibration=str(narrow))
    corners = np.hypot(*(np.array([[0, 0], [168, 0], [0, 120], [168, 120]]) - (camera.cx_px, camera.cy_px)).T)
    assert math.degrees(camera.max_theta_rad) < 60
    assert abs(camera.max_radius_px - corners.max()) < 0.5
    turning = write_opencv(tmp_path / "turning.yml", distortion=np.array([-0.3, 0.0, 0.0, 0.0]))
    assert math.degrees(camera_of(168, 120, calibration=str(turning), misfit_px=10).max_theta_rad) < 61


def test_lenses_by_name_are_what_their_names_say():
    theta = np.linspace(0, 1.5, 40)
    np.testing.assert_allclose(fisheye(1.0, theta), 2 * np.sin(theta / 2))
    np.testing.assert_allclose(fisheye(0.0, theta), theta)
    np.testing.assert_allclose(fisheye(-1.0, theta), 2 * np.tan(theta / 2))
    for name, radii in (("equisolid", np.sin(theta / 2)), ("stereographic", np.tan(theta / 2)), ("equidistant", theta)):
        camera = camera_of(448, 336, lens=name)
        edge = {"equisolid": math.sin(math.pi / 4), "stereographic": 1.0, "equidistant": math.pi / 2}[name]
        np.testing.assert_allclose(camera.radius_px(theta), radii / edge * 168, atol=0.05)


@settings(deadline=None)
@given(st.floats(40, 220), st.floats(-1, 1), st.sampled_from([(448, 336), (300, 400)]))
def test_the_quartic_is_within_a_twentieth_of_a_percent(fov_degrees, mix, size_px):
    camera = ceiling_camera(*size_px, fov_degrees, mix, 2.7, 30.0)
    theta = np.linspace(0, camera.max_theta_rad, 300)
    radii = fisheye(mix, theta)
    assert np.abs(camera.radius_px(theta) / camera.max_radius_px - radii / radii[-1]).max() < 1.1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lens": "polynomial"}, "needs lens_polynomial"),
        ({"lens_polynomial": [1.0]}, "needs lens_polynomial"),
        ({"lens": "polynomial", "lens_polynomial": [1.0, 1e308]}, "lens_polynomial: must lie between"),
        (
            {"lens": "polynomial", "lens_polynomial": [1.0] * 13},
            r"^renderer\.camera\.lens_polynomial: must have at most 12 coefficients \(fit the lens .*\), got 13$",
        ),
        ({"lens": "equisolid", "calibration": __file__}, "leave one of them out"),
        ({"lens": "pinhole"}, "renderer.camera.lens: expected one of"),
        ({"fov_degrees": [10, 20]}, "renderer.camera.fov_degrees"),
    ],
)
def test_settings_of_the_camera_that_do_not_fit_are_told(options, message):
    with pytest.raises(ConfigError, match=message):
        structure(BlenderConfig, {"camera": options}, path="renderer")


def test_a_polynomial_that_turns_back_is_refused():
    with pytest.raises(ConfigError, match=r"camera\.lens_polynomial: the radius must grow .* 28\.\d degrees"):
        camera_of(448, 336, lens="polynomial", lens_polynomial=[1.0, -1.0])


def test_ranges_of_the_camera_are_drawn_for_each_scene(mannequins):
    ranges = {"tilt_degrees": [-5, 5], "roll_degrees": [-5, 5], "centre_x_share": [0.45, 0.55],
              "centre_y_share": [0.4, 0.6], "circle_share": [0.9, 1.2], "fov_degrees": [160, 200]}  # fmt: skip
    config = structure(BlenderConfig, {"camera": ranges})
    cameras = [sample_scene(config, mannequins, Seeds(n)).camera for n in range(6)]
    for values in zip(*((c.cx_px, c.cy_px, c.max_theta_rad, c.max_radius_px) for c in cameras), strict=True):
        assert len(set(values)) == 6
    axes = np.array([camera.world_from_camera[:3, 2] for camera in cameras])
    leaning = np.degrees(np.arccos(-axes[:, 2]))
    assert (leaning > 0.01).all()
    assert leaning.max() < 7.1


@pytest.mark.parametrize("scene", range(4))
def test_heads_are_in_view_of_a_leaning_camera(scene, mannequins):
    options = {
        "tilt_degrees": [35, 35],
        "centre_x_share": [0.6, 0.6],
        "circle_share": [1.4, 1.4],
        "lens": "equidistant",
    }
    drawn = sample_scene(structure(BlenderConfig, {"camera": options}), mannequins, Seeds(5).child("scene", scene))
    assert drawn.figures
    for figure in drawn.figures:
        pixels, valid = drawn.camera.project(figure.world(figure.body.head_vertices_m))
        assert valid.all()
        assert (pixels > 0).all()
        assert (pixels < (448, 336)).all()


def test_a_calibration_tells_the_circle_of_plates(tmp_path, caplog):
    """Photos of twice the calibrated size, framed by their circle: pixels of the image are the photo's, moved."""
    path = write_opencv(tmp_path / "lens.yml")
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (SIZE_PX[0] * 2, SIZE_PX[1] * 2), (90, 90, 90)).save(photos / "a.png")
    floor = "floor_px = [[200, 200], [900, 200], [900, 900]]"
    (photos / "plates.toml").write_text(f"{floor}\ncamera = {{height_m = 2.5, tilt_degrees = 4, fov_degrees = 120}}")
    config = structure(
        BlenderConfig,
        {"width_px": 120, "height_px": 120, "camera": {"calibration": str(path)}, "backgrounds": str(photos)},
    )
    plate = Plates.open(photos, 120, 120, config.camera)[0]
    camera = plate_camera(config, plate, Seeds(1))
    assert math.degrees(camera.max_theta_rad) == pytest.approx(60)
    assert camera.max_radius_px == pytest.approx(60, abs=0.01)
    rng = np.random.default_rng(1)
    points = rng.uniform((-2, -2, 0), (2, 2, 1), (50, 3))
    seen, valid = camera.project(points)
    inverse = np.linalg.inv(camera.world_from_camera)
    local = points @ inverse[:3, :3].T + inverse[:3, 3]
    theirs = cv2.fisheye.projectPoints(local[:, None], np.zeros(3), np.zeros(3), MATRIX, DISTORTION)[0][:, 0]
    photo = (theirs[valid] + 0.5) * 2
    framing = plate.framing
    assert valid.any()
    assert np.abs(photo * framing.scale + (framing.left_px, framing.top_px) - seen[valid]).max() < 0.05
    assert not caplog.messages
    noted = "camera = {height_m = 2.5, fov_degrees = 120}\n[photos.'a.png']\ncamera = {equisolid = 0.5}"
    (photos / "plates.toml").write_text(f"{floor}\n{noted}")
    Plates.open(photos, 120, 120, config.camera)
    (told,) = caplog.messages
    assert "goes before circle_px and equisolid in plates.toml, which 1 of 1 photos have, such as a.png" in told
    Image.new("RGB", (600, 600)).save(photos / "b.png")
    with pytest.raises(DatasetError, match=r"b\.png: camera\.calibration: .* is of images of 840x600, and this one"):
        Plates.open(photos, 120, 120, config.camera)


@pytest.mark.blender
def test_a_leaning_camera_sees_a_ceiling_that_takes_no_light(client, mannequins):
    upright, leaning = (
        sample_scene(
            structure(BlenderConfig, {"width_px": 80, "height_px": 60, "camera": {"tilt_degrees": [tilt, tilt]}}),
            mannequins,
            Seeds(3),
        )
        for tilt in (0, 20)
    )
    assert not any(thing.only_seen for thing in upright.things)
    assert any(thing.only_seen for thing in leaning.things)
    open_above = attrs.evolve(leaning, things=tuple(thing for thing in leaning.things if not thing.only_seen))
    with_ceiling, without = (
        client.render(*render_request(one, (ROOM,), Quality(4, False, 1, 3))).passes["room"]["color"][..., :3]
        for one in (leaning, open_above)
    )
    y, x = np.mgrid[0:60, 0:80] + 0.5
    rays, valid = leaning.camera.unproject(np.stack([x, y], axis=-1))
    down, up = valid & (rays[..., 2] < -0.15), valid & (rays[..., 2] > 0.15)
    assert up.sum() > 50
    assert np.abs(with_ceiling - without)[down].max() < 1e-4
    assert np.abs(with_ceiling - without)[up].max() > 0.05
