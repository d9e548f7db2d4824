# SPDX-License-Identifier: Apache-2.0
"""What photos and records tell of places and owners stays behind, and the pixels stay as they are."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import DatasetWriter, formats
from synthkit.dataset.formats.originals import without_metadata
from synthkit.dataset.notes import without_folders
from synthkit.sample import Sample

SECRET = b"serial 0815 of Jane Doe"
PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


def photo(kind, **options):
    exif = Image.Exif()
    exif[0x010F] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def folder_of(path, **files):
    path.mkdir()
    for suffix, data in files.items():
        (path / f"a_{suffix}.{suffix}").write_bytes(data)
    return path


def as_array(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("to", ["images", "yolo", "coco"])
def test_exports_of_other_formats_tell_nothing_of_the_owner(tmp_path, to):
    photos = {"jpg": photo("JPEG", quality=70), "png": photo("PNG")}
    made = formats.export(folder_of(tmp_path / "set", **photos), tmp_path / "out", to)
    written = {path.suffix[1:]: path.read_bytes() for path in made.path.rglob("a_*.*") if path.suffix != ".txt"}
    assert sorted(written) == ["jpg", "png"]
    for suffix, data in written.items():
        assert SECRET not in data
        assert b"Exif" not in data
        assert np.array_equal(as_array(data), as_array(photos[suffix]))
    assert photos["jpg"].endswith(written["jpg"][written["jpg"].index(b"\xff\xda") :]), "not compressed again"


def test_what_follows_the_end_goes_too():
    jpeg = photo("JPEG", progressive=True)
    assert without_metadata(jpeg + SECRET) == without_metadata(jpeg)
    assert without_metadata(jpeg).endswith(b"\xff\xd9")
    assert np.array_equal(as_array(without_metadata(jpeg)), as_array(jpeg))


def test_a_png_with_something_behind_its_end(tmp_path):
    made = formats.export(folder_of(tmp_path / "set", png=photo("PNG") + SECRET), tmp_path / "out", "images")
    assert SECRET not in next(made.path.glob("*.png")).read_bytes()


def test_folders_of_the_machine_stay_behind(tmp_path):
    notes = {"stages": [{"config": {"backgrounds": "/home/jane/flat"}, "file": "C:\\Users\\jane\\x.blend"}]}
    with DatasetWriter(tmp_path / "data", identity={"test": 1}, notes=notes, scenes=1) as writer:
        writer.spool.put(0, [Sample(key="a", image=PIXELS, people=())])
        writer.finished(0)
        writer.finalise()
    made = formats.export(tmp_path / "data", tmp_path / "out", "coco")
    text = (made.path / "synthkit.json").read_text()
    assert "jane" not in text
    assert json.loads(text)["notes"] == {"stages": [{"config": {"backgrounds": "flat"}, "file": "x.blend"}]}


def test_only_folders_are_cut():
    assert without_folders(["a/b", 3, None, "see https://example.org/a/b", "~/x/y"]) == [
        "a/b", 3, None, "see https://example.org/a/b", "y",
    ]  # fmt: skip


def test_sixteen_bits_of_grey_are_scaled(tmp_path):
    grey = np.linspace(0, 65535, 40 * 60).reshape(40, 60).round().astype(np.uint16)
    (tmp_path / "set").mkdir()
    Image.fromarray(grey).save(tmp_path / "set" / "a.png")
    (sample,) = formats.convert(tmp_path / "set", tmp_path / "out")
    difference = sample.image.astype(float) - (grey / 257)[..., None]
    assert np.abs(difference).max() < 8, "JPEG at worst"
    assert sample.image.std() > 60


def malformed_exif():
    """A photo to be turned, whose width is a text, so that its EXIF cannot be written again."""
    entries = bytes.fromhex("0100 0002 00000004 61626300 0112 0003 00000001 00060000")
    exif = b"Exif\0\0MM\0*" + bytes.fromhex("00000008 0002") + entries + bytes(4)
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_malformed_exif_is_no_reason_to_stop(tmp_path):
    from PIL import ImageOps

    with Image.open(io.BytesIO(malformed_exif())) as image, pytest.raises(struct.error):
        ImageOps.exif_transpose(image)
    folder = folder_of(tmp_path / "set", jpg=malformed_exif())
    (sample,) = formats.convert(folder, tmp_path / "out")
    assert sample.size_px == (40, 60)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_as_viewers_turn_them(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", exif=exif)
    opened = formats.find(folder_of(tmp_path / "set", png=buffer.getvalue())).open(tmp_path / "set")
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        assert np.array_equal(opened.sample(0).image, np.asarray(ImageOps.exif_transpose(image)))
