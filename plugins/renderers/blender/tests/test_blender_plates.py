# SPDX-License-Identifier: Apache-2.0
"""Plates: listed, checked, fitted."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from synthkit.errors import SynthkitError
from synthkit_blender.plates import Plates, fitted


def save(path, width, height, value=200):
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    save(tmp_path / "a.png", 20, 20)
    (tmp_path / "b.jpg").write_bytes(b"this is text")
    with pytest.raises(SynthkitError, match=r"b\.jpg.*not an image"):
        Plates.open(tmp_path, 32, 32)


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
        plates.read(0)


def test_plates_go_round_in_the_order_of_their_names(tmp_path):
    for value, name in ((10, "b.png"), (20, "a.png")):
        save(tmp_path / name, 8, 6, value)
    plates = Plates.open(tmp_path, 8, 6)
    assert [int(plates.read(n)[0, 0, 0]) for n in range(4)] == [20, 10, 20, 10]


def test_another_size_is_fitted_whole():
    square = np.full((100, 100, 3), 255, np.uint8)
    image = fitted(square, 64, 48)
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


def test_a_plate_taken_sideways_is_turned_upright(tmp_path):
    turned = np.zeros((16, 8, 3), np.uint8)
    turned[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(turned).save(tmp_path / "a.png", exif=exif)
    upright = Plates.open(tmp_path, 16, 8).read(0)
    assert upright[:4].min() == 255
    assert upright[4:].max() == 0


@pytest.mark.parametrize(("plate", "image"), [((160, 90), (64, 48)), ((64, 48), (48, 48)), ((48, 64), (64, 48))])
def test_a_plate_whose_circle_cannot_meet_the_images_is_refused(tmp_path, plate, image):
    save(tmp_path / "a.png", *plate)
    with pytest.raises(SynthkitError, match=r"a\.png: is .* set width_px=") as caught:
        Plates.open(tmp_path, *image)
    words = str(caught.value).replace(",", "").split()
    sizes = [int(word.split("=")[1]) for word in words if word.startswith(("width_px=", "height_px="))]
    Plates.open(tmp_path, *sizes)


@pytest.mark.parametrize(("plate", "image"), [((50, 50), (64, 48)), ((640, 480), (64, 48)), ((449, 336), (448, 336))])
def test_plates_whose_circles_meet_the_images_are_taken(tmp_path, plate, image):
    save(tmp_path / "a.png", *plate)
    assert Plates.open(tmp_path, *image).read(0).shape == (image[1], image[0], 3)
