# SPDX-License-Identifier: Apache-2.0
"""Panoramas of light: read from both formats, of the same strength all, refused when damaged, and seen in renders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest

from synthkit.config import structure
from synthkit.errors import ConfigError, DatasetError
from synthkit.seeds import Seeds
from synthkit_blender.client import WorkerClient
from synthkit_blender.config import BlenderConfig, WorkerConfig
from synthkit_blender.environments import BRIGHTEST, HEIGHT_PX, LUMA, WIDTH_PX, Panorama, open_environments
from synthkit_blender.geometry import ellipsoid
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.request import ROOM, Quality, render_request
from synthkit_blender.scene import Scene, Sky, sample_scene
from synthkit_blender.surfaces import Surface
from synthkit_blender.things import Thing


def write_exr(path: Path, pixels: np.ndarray) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": np.ascontiguousarray(pixels, np.float32)}).write(str(path))


def write_hdr(path: Path, pixels: np.ndarray) -> None:
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1], np.float32))


def a_sky(height: int = 64) -> np.ndarray:
    """Return light that is red on the left, blue on the right, and dark below the horizon."""
    sky = np.full((height, 2 * height, 3), 0.2, np.float32)
    sky[: height // 2, :height] = (3.0, 0.3, 0.3)
    sky[: height // 2, height:] = (0.3, 0.3, 3.0)
    return sky


@pytest.mark.parametrize("write", [write_exr, write_hdr])
@pytest.mark.parametrize("strength", [0.01, 1.0, 50.0])
def test_panoramas_are_of_one_strength(tmp_path, write, strength):
    suffix = {write_exr: "exr", write_hdr: "hdr"}[write]
    write(tmp_path / f"sky.{suffix}", a_sky() * strength)
    (panorama,) = open_environments(tmp_path)
    assert panorama.name == f"sky.{suffix}"
    assert panorama.radiance.shape == (HEIGHT_PX, WIDTH_PX, 3)
    theta = (np.arange(HEIGHT_PX // 2) + 0.5) * np.pi / HEIGHT_PX
    luma = panorama.radiance[: HEIGHT_PX // 2] @ LUMA
    assert (luma * np.sin(theta)[:, None]).sum() / (np.sin(theta).sum() * WIDTH_PX) == pytest.approx(1.0, abs=1e-4)
    left, right = panorama.radiance[10, 20], panorama.radiance[10, WIDTH_PX - 20]
    assert left[0] / left[2] == pytest.approx(10, rel=0.05)
    assert right[2] / right[0] == pytest.approx(10, rel=0.05)


def test_a_small_sun_is_dimmed(tmp_path):
    sky = np.full((64, 128, 3), 0.1, np.float32)
    sky[20, 30] = 20_000
    write_exr(tmp_path / "sun.exr", sky)
    (panorama,) = open_environments(tmp_path)
    assert BRIGHTEST * 0.9 < panorama.radiance.max() < BRIGHTEST * 1.1


def test_colours_out_of_gamut_are_light(tmp_path):
    sky = a_sky()
    sky[:, :, 1] = -0.01
    write_exr(tmp_path / "sunset.exr", sky)
    (panorama,) = open_environments(tmp_path)
    assert panorama.radiance.min() == 0


def test_all_that_is_wrong_with_a_folder_is_told_at_once(tmp_path):
    write_exr(tmp_path / "good.exr", a_sky())
    write_exr(tmp_path / "square.exr", np.ones((32, 32, 3), np.float32))
    write_exr(tmp_path / "broken.exr", np.where(a_sky() > 1, np.nan, a_sky()))
    write_exr(tmp_path / "night.exr", np.zeros((32, 64, 3), np.float32))
    (tmp_path / "noise.exr").write_bytes(b"noise" * 100)
    (tmp_path / "noise.hdr").write_bytes(b"noise" * 100)
    (tmp_path / "bomb.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 200000\n")
    with pytest.raises(DatasetError) as caught:
        open_environments(tmp_path)
    told = str(caught.value)
    assert len(told.splitlines()) == 6
    for name, reason in (
        ("square.exr", "is 32x32; expected a panorama twice as wide"),
        ("broken.exr", "not finite"),
        ("night.exr", "dark above the horizon"),
        ("noise.hdr", "is not a Radiance image"),
        ("bomb.hdr", "are refused"),
    ):
        assert any(name in line and reason in line for line in told.splitlines()), told
    assert "good.exr" not in told


def test_folders_without_panoramas_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="is not a folder"):
        open_environments(tmp_path / "none")
    with pytest.raises(DatasetError, match="holds no panorama"):
        open_environments(tmp_path)


@pytest.mark.parametrize("name", ["gone", "x" * 5000])
def test_missing_folders_are_told_with_their_settings_and_all_at_once(tmp_path, name):
    gone, settings = str(tmp_path / name), ("backgrounds", "camera.calibration", "light.environments")
    with pytest.raises(ConfigError) as caught:
        structure(
            BlenderConfig,
            {"backgrounds": gone, "camera": {"calibration": gone}, "light": {"environments": gone},
             "people": {"assets": gone, "cast": gone, "motions": gone}},
            path="renderer",
        )  # fmt: skip
    for name in (*settings, "people.assets", "people.cast", "people.motions"):
        assert sum(problem.startswith(f"renderer.{name}: {gone} is no f") for problem in caught.value.problems) == 1
    assert len(caught.value.problems) == 6


def test_folders_with_nothing_of_use_are_told_all_at_once(tmp_path, tiny_renderer):
    names = "plates", "skies", "motions"
    for name in names:
        (tmp_path / name).mkdir()
    plates, skies, motions = (str(tmp_path / name) for name in names)
    renderer = tiny_renderer(backgrounds=plates, light={"environments": skies}, people={"motions": motions})
    with pytest.raises(DatasetError) as caught, renderer:
        pass
    told = str(caught.value).splitlines()
    assert [any(name in line for line in told) for name in names] == [True] * 3
    assert len(told) == 3


def test_scenes_draw_their_light_and_tell_it(mannequins):
    skies = [Panorama(name, np.ones((HEIGHT_PX, WIDTH_PX, 3), np.float32)) for name in ("a.hdr", "b.hdr")]
    config = structure(BlenderConfig, {})
    drawn = [sample_scene(config, mannequins, Seeds(n), None, skies) for n in range(8)]
    assert {scene.meta["environment"] for scene in drawn} == {"a.hdr", "b.hdr"}
    assert len({scene.sky.turn_rad for scene in drawn}) == 8
    even = sample_scene(config, mannequins, Seeds(0))
    assert "environment" not in even.meta
    assert even.camera.theta_coefficients == drawn[0].camera.theta_coefficients, "no other draw is shifted"


@pytest.mark.blender
def test_light_comes_from_where_the_panorama_has_it():
    """A ball under a sky whose light comes from one side is bright there; the sky turns about the vertical."""
    radiance = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    # The middle of the image is +x, its left and right edges are -x (Blender's Environment Texture node, manual).
    radiance[: HEIGHT_PX // 2, WIDTH_PX // 2 - 16 : WIDTH_PX // 2 + 16] = 8.0
    camera = ceiling_camera(96, 72, 180, 0.0, 2.5, 0.0)
    ball = Thing(((ellipsoid((0.8, 0.8, 0.8), 32, 24).at(0, 0, 0.8), Surface((0.8, 0.8, 0.8))),), np.eye(4), "room")
    places = []
    with WorkerClient(WorkerConfig(timeout_s=120)) as client:
        for turn in (0.0, np.pi / 2):
            sky = Sky((1.0, 1.0, 1.0), 1.0, Panorama("side", radiance), turn)
            scene = Scene(camera, (ball,), (), sky, (), {})
            reply = client.render(*render_request(scene, (ROOM,), Quality(32, False, 1, 3)))
            light = reply.passes["room"]["color"][..., 1]
            y, x = np.mgrid[0:72, 0:96] + 0.5
            on_ball = np.hypot(x - 48, y - 36) < 14
            weight = light * on_ball
            places.append(((weight * (x - 48)).sum() / weight.sum(), (weight * (y - 36)).sum() / weight.sum()))
    (x0, y0), (x1, y1) = places
    assert x0 > 1.5, "right in the image is +x"
    assert abs(y0) < 0.7
    assert abs(x1) < 0.7
    assert abs(y1) > 1.5, "a quarter turn"
