# SPDX-License-Identifier: Apache-2.0
"""Plain folders of images: nothing is known of the people, and nothing else is taken for an image."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthkit.dataset import formats
from synthkit.errors import DatasetError


def picture(path: Path, grey=100, size=(8, 6), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), grey, np.uint8)
    pixels[0, 0] = 255
    Image.fromarray(pixels).save(path, **options)
    return path


def test_people_are_unknown(tmp_path):
    picture(tmp_path / "set/b/two.PNG", 50)
    picture(tmp_path / "set/one.jpeg", 90)
    picture(tmp_path / "set/.hidden/no.png")
    (tmp_path / "set/notes.txt").write_text("x")
    (tmp_path / "set/old.webp").write_bytes(b"x")
    told = []
    data = formats.convert(tmp_path / "set", tmp_path / "out", tell=told.append)
    assert list(data.keys()) == ["two", "one"]
    assert [sample.people for sample in data] == [None, None]
    assert data[0].meta["source"] == {"format": "images", "file": "b/two.PNG", "size_px": [8, 6]}
    assert data[0].meta["licence"] == "not stated"
    assert any(".txt (1), .webp (1)" in line for line in told), "labels among them would be lost in silence"


def test_the_same_stem_in_two_folders(tmp_path):
    for name in ("train/1.png", "val/1.png", "1.jpg"):
        picture(tmp_path / "set" / name)
    data = formats.convert(tmp_path / "set", tmp_path / "out")
    assert sorted(data.keys()) == ["1", "train_1", "val_1"]
    assert {sample.key: sample.meta.get("split") for sample in data} == {"1": None, "train_1": "train", "val_1": "val"}


def test_images_are_turned_as_their_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(tmp_path / "set/a.png", exif=exif)
    formats.export(tmp_path / "set", tmp_path / "made", "images")
    assert formats.convert(tmp_path / "set", tmp_path / "out")[0].size_px == (6, 8)
    assert Image.open(tmp_path / "made/a.png").size == (6, 8), "programs that know no EXIF see the same"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12), st.booleans()), min_size=1, max_size=4), st.randoms())
def test_files_come_back_byte_by_byte(sizes, random):
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for n, (width, height, png) in enumerate(sizes):
            picture(root / "set" / f"{n}.{'png' if png else 'jpg'}", random.randrange(256), (width, height))
        for out in ("one", "two"):
            formats.export(root / "set", root / out, "images")
        formats.export(formats.convert(root / "one", root / "data").path, root / "three", "images")
        for path in sorted((root / "set").iterdir()):
            assert (root / "one" / path.name).read_bytes() == path.read_bytes()
            assert (root / "two" / path.name).read_bytes() == path.read_bytes()
        images = {path.name for path in (root / "three").iterdir() if path.suffix in (".jpg", ".png")}
        assert images == {path.name for path in (root / "set").iterdir()}, "a data set keeps what it was given"


def test_people_are_dropped_and_that_is_told(tmp_path):
    picture(tmp_path / "set/Lab/1.png")
    (tmp_path / "set/Lab/1.txt").write_text("person 4 3 2 3 0\n")
    made = formats.export(tmp_path / "set", tmp_path / "made", "images")
    assert made.remarks == ("dropped, as images has no place for them: people (1)",)


def test_what_is_called_like_an_image_and_is_none_is_a_hole(tmp_path):
    picture(tmp_path / "set/good.png")
    (tmp_path / "set/bad.jpg").write_bytes(b"GIF89a")
    (tmp_path / "set/worse.png").write_bytes(b"")
    made = formats.convert(tmp_path / "set", tmp_path / "out")
    assert list(made.keys()) == ["good"]
    reasons = dict(made.skipped)
    assert sorted(reasons) == ["bad", "worse"]
    assert all(reason.startswith(f"set/{key}.") and "is no JPEG or PNG" in reason for key, reason in reasons.items())
    assert str(tmp_path) not in str(reasons)


def test_a_folder_of_nothing_that_can_be_an_image_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/bad.jpg").write_bytes(b"GIF89a")
    (tmp_path / "set/worse.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"2 problems:(.|\n)*bad\.jpg(.|\n)*worse\.png"):
        formats.convert(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bombs_are_refused(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "set").mkdir()
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "set/bomb.png").write_bytes(data)
    with pytest.raises(DatasetError, match=r"60000|bomb"):
        formats.convert(tmp_path / "set", tmp_path / "out")


def test_links_to_folders_are_not_followed(tmp_path):
    picture(tmp_path / "set/a.png")
    (tmp_path / "set/round").symlink_to(tmp_path / "set", target_is_directory=True)
    assert len(formats.convert(tmp_path / "set", tmp_path / "out")) == 1


def test_empty_folders(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DatasetError, match="no known format"):
        formats.convert(tmp_path / "set", tmp_path / "out")
    with pytest.raises(DatasetError, match="has no images"):
        formats.convert(tmp_path / "set", tmp_path / "out", form="images")
