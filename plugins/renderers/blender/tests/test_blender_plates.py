# SPDX-License-Identifier: Apache-2.0
"""Plates: listed, checked, fitted; their image circles, and what is only guessed."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from synthkit.errors import SynthkitError
from synthkit_blender.plates import Plates
from synthkit_blender.plates.circle import find_circle
from synthkit_blender.plates.photos import Framing


def save(path, width, height, value=200):
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    save(tmp_path / "a.png", 20, 20)
    (tmp_path / "b.jpg").write_bytes(b"this is text")
    with pytest.raises(SynthkitError, match=r"b\.jpg.*not an image"):
        Plates.open(tmp_path, 32, 32)


def test_photos_are_decoded_once_for_all_processes(tmp_path, monkeypatch):
    photos, cache = tmp_path / "photos", tmp_path / "cache"
    photos.mkdir()
    save(photos / "a.png", 40, 30)
    y, x = np.mgrid[0:300, 0:300]
    disc = np.where(np.hypot(x - 140, y - 150) < 120, 200, 0).astype(np.uint8)
    Image.fromarray(np.repeat(disc[..., None], 3, axis=2)).save(photos / "b.png")
    (photos / "c.png").write_bytes(b"text")
    for _ in range(2):
        with pytest.raises(SynthkitError, match=r"c\.png.*not an image"):
            Plates.open(photos, 40, 30, None, cache)
    (photos / "c.png").unlink()
    first = Plates.open(photos, 40, 30, None, cache)
    decoded = []
    monkeypatch.setattr(
        "synthkit_blender.plates.photo.Image.open", lambda path: decoded.append(path) or Image.new("RGB", (40, 30))
    )
    assert Plates.open(photos, 40, 30, None, cache) == first
    assert first[1].circle_px == pytest.approx((140, 150, 120), abs=1.5)
    assert not decoded
    (photos / "a.png").write_bytes(b"another content")
    Plates.open(photos, 40, 30, None, cache)
    assert set(decoded) == {photos / "a.png"}


def test_missing_and_empty_folders_are_told_apart(tmp_path):
    with pytest.raises(SynthkitError, match="not a folder"):
        Plates.open(tmp_path / "none", 32, 32)
    with pytest.raises(SynthkitError, match="holds no image"):
        Plates.open(tmp_path, 32, 32)


def test_a_truncated_plate_is_told_when_read(tmp_path):
    save(tmp_path / "a.bmp", 64, 64)
    plates = Plates.open(tmp_path, 32, 32)
    (tmp_path / "a.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:200])
    with pytest.raises(SynthkitError, match=r"a\.bmp"):
        plates[0].read()


def test_plates_go_round_in_the_order_of_their_names(tmp_path):
    for value, name in ((10, "b.png"), (20, "a.png")):
        save(tmp_path / name, 32, 24, value)
    plates = Plates.open(tmp_path, 32, 24)
    assert [int(plates[n].read()[0, 0, 0]) for n in range(4)] == [20, 10, 20, 10]


def test_another_size_is_fitted_whole(tmp_path):
    save(tmp_path / "a.png", 100, 100, 255)
    image = Plates.open(tmp_path, 64, 48)[0].read()
    assert image.shape == (48, 64, 3)
    assert (image[:, 8:56] == 255).all()
    assert not image[:, :8].any()


def oversized_text() -> bytes:
    info, stream = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("Comment", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.new("RGB", (32, 32)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def half_a_jpeg() -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()[: len(stream.getvalue()) // 2]


def test_all_damaged_plates_are_told_before_any_work(tmp_path):
    (tmp_path / "a.png").write_bytes(oversized_text())
    (tmp_path / "b.jpg").write_bytes(half_a_jpeg())
    Image.fromarray(np.full((32, 32), 40_000, np.uint16)).save(tmp_path / "c.png")
    save(tmp_path / "d.png", 32, 32)
    with pytest.raises(SynthkitError) as caught:
        Plates.open(tmp_path, 32, 32)
    lines = str(caught.value).splitlines()
    assert ["a.png" in lines[0], "b.jpg" in lines[1], "c.png" in lines[2], len(lines)] == [True, True, True, 3]
    assert "8 bits" in lines[2]


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (4000, 1), (15, 64)])
def test_specks_are_no_plates(tmp_path, size):
    save(tmp_path / "a.png", *size)
    with pytest.raises(SynthkitError, match=rf"a\.png: has {size[0]}x{size[1]} pixels; at least 16"):
        Plates.open(tmp_path, 32, 32)


@pytest.mark.parametrize("size", [(16, 16), (2000, 16), (63, 17)])
def test_small_and_narrow_plates_can_be_used(tmp_path, size):
    save(tmp_path / "a.png", *size, 90)
    opened = Plates.open(tmp_path, 32, 32)[0]
    assert opened.read()[16, 16].tolist() == [90, 90, 90]
    assert opened.seen.camera.circle_px[2] > 0


def test_a_circle_beside_the_photo_is_told(tmp_path):
    save(tmp_path / "a.png", 64, 64)
    (tmp_path / "plates.toml").write_text("camera.circle_px = [3200, 32, 20]")
    with pytest.raises(SynthkitError, match=r"a\.png: shows nothing of its image circle \[3200\.0, 32\.0, 20\.0\]"):
        Plates.open(tmp_path, 32, 32)


def test_a_plate_taken_sideways_is_turned_upright(tmp_path):
    turned = np.zeros((32, 16, 3), np.uint8)
    turned[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned).save(tmp_path / "a.png", exif=exif)
    upright = Plates.open(tmp_path, 32, 16)[0].read()
    assert upright[:8].min() == 255
    assert upright[8:].max() == 0


def test_a_plate_that_cuts_its_circle_is_refused_with_a_size_that_fits(tmp_path):
    save(tmp_path / "a.png", 160, 90)
    (tmp_path / "plates.toml").write_text("camera.circle_px = [80.0, 45.0, 80.0]")
    with pytest.raises(SynthkitError, match=r"a\.png: its 160x90 .* set width_px=") as caught:
        Plates.open(tmp_path, 64, 48)
    words = str(caught.value).replace(",", "").split()
    sizes = [int(word.split("=")[1]) for word in words if word.startswith(("width_px=", "height_px="))]
    assert sizes == [64, 36]
    Plates.open(tmp_path, *sizes)


@pytest.mark.parametrize(("plate", "image"), [((160, 90), (64, 48)), ((48, 64), (64, 48)), ((449, 336), (448, 336))])
def test_the_circles_of_plate_and_image_meet(tmp_path, plate, image):
    save(tmp_path / "a.png", *plate)
    opened = Plates.open(tmp_path, *image)[0]
    assert opened.read().shape == (image[1], image[0], 3)
    assert np.allclose(opened.seen.camera.circle_px, (image[0] / 2, image[1] / 2, min(image) / 2))


def fisheye_photo(width: int, height: int, circle: tuple[float, float, float]) -> np.ndarray:
    """Return a room within a circle: a gradient with dark furniture at the rim, a little light and noise outside."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside = np.hypot(x - circle[0], y - circle[1]) <= circle[2]
    light = 90 + 80 * x / width + rng.normal(0, 6, x.shape)
    light[(y > 0.4 * height) & (y < 0.55 * height) & (x > 0.7 * width)] = 4
    image = np.where(inside, light, 5 + rng.normal(0, 2, x.shape))
    image[8:20, 5:60] = 250  # a time stamp
    return np.repeat(np.clip(image, 0, 255)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "circle"),
    [((320, 240), (160.0, 120.0, 115.0)), ((320, 240), (171.3, 110.6, 140.2)), ((240, 240), (120.0, 120.0, 120.5))],
)
def test_the_image_circle_is_found(size, circle):
    assert np.allclose(find_circle(fisheye_photo(*size, circle)), circle, atol=0.7)


def test_no_circle_is_made_up():
    assert find_circle(np.full((90, 120, 3), 170, np.uint8)) is None
    assert find_circle(np.zeros((90, 120, 3), np.uint8)) is None
    rectangle = np.zeros((240, 320, 3), np.uint8)
    rectangle[40:200, 50:270] = 180
    assert find_circle(rectangle) is None


@settings(deadline=None)
@given(st.floats(0.3, 3), st.floats(-20, 20), st.floats(-20, 20))
def test_a_warped_photo_lies_where_its_points_do(scale, left, top):
    y, x = np.mgrid[0:60, 0:80] + 0.5
    blob = 220 * np.exp(-(((x - 45.3) / 5) ** 2 + ((y - 30.6) / 5) ** 2) / 2)
    photo = np.repeat(np.rint(blob)[..., None], 3, axis=2).astype(np.uint8)
    framing = Framing(scale, left, top)
    image = framing.warped(photo, (240, 200))[..., 0].astype(float)
    cx, cy = framing.point((45.3, 30.6))
    if min(cx, cy) < 18 * scale or cx > 240 - 18 * scale or cy > 200 - 18 * scale:
        return
    y, x = np.mgrid[0:200, 0:240] + 0.5
    assert abs((image * x).sum() / image.sum() - cx) < 0.06 * max(1, scale)  # OpenCV moves by steps of 1/32 px
    assert abs((image * y).sum() / image.sum() - cy) < 0.06 * max(1, scale)  # OpenCV moves by steps of 1/32 px
    assert abs(image.sum() / blob.sum() / scale**2 - 1) < 0.05


def test_what_is_only_guessed_is_told_once_a_folder(tmp_path, caplog):
    for name in ("a.png", "b.png"):
        save(tmp_path / name, 64, 64)
    with caplog.at_level(logging.WARNING, "synthkit"):
        Plates.open(tmp_path, 32, 32)
    assert len(caplog.messages) == 1
    assert "2 of 2 photos" in caplog.messages[0]
    assert f"synthkit plates annotate {tmp_path}" in caplog.messages[0]
    caplog.clear()
    floor = "floor_px = [[10, 10], [50, 10], [50, 50]]\n[camera]\nheight_m = 2.6\nfov_degrees = 180"
    (tmp_path / "plates.toml").write_text(floor)
    Plates.open(tmp_path, 32, 32)
    assert not caplog.messages
