# SPDX-License-Identifier: Apache-2.0
"""Plates: listed, checked, fitted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from synthkit.errors import SynthkitError
from synthkit_blender.plates import Plates, fitted


def save(path, width, height, value=200):
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    save(tmp_path / "a.png", 20, 10)
    (tmp_path / "b.jpg").write_bytes(b"this is text")
    with pytest.raises(SynthkitError, match=r"b\.jpg.*not an image"):
        Plates.open(tmp_path)


def test_missing_and_empty_folders_are_told_apart(tmp_path):
    with pytest.raises(SynthkitError, match="not a folder"):
        Plates.open(tmp_path / "none")
    with pytest.raises(SynthkitError, match="holds no image"):
        Plates.open(tmp_path)


def test_a_truncated_plate_is_told_when_read(tmp_path):
    save(tmp_path / "a.bmp", 64, 64)
    plates = Plates.open(tmp_path)
    (tmp_path / "a.bmp").write_bytes((tmp_path / "a.bmp").read_bytes()[:200])
    with pytest.raises(SynthkitError, match=r"a\.bmp"):
        plates.read(0, 32, 32)


def test_plates_go_round_in_the_order_of_their_names(tmp_path):
    for value, name in ((10, "b.png"), (20, "a.png")):
        save(tmp_path / name, 8, 6, value)
    plates = Plates.open(tmp_path)
    assert [int(plates.read(n, 8, 6)[0, 0, 0]) for n in range(4)] == [20, 10, 20, 10]


def test_another_size_is_fitted_whole():
    square = np.full((100, 100, 3), 255, np.uint8)
    image = fitted(square, 64, 48)
    assert image.shape == (48, 64, 3)
    assert (image[:, 8:56] == 255).all()
    assert not image[:, :8].any()
