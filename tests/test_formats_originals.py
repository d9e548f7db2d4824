# SPDX-License-Identifier: Apache-2.0
"""Photos keep their own bytes in a data set, without what they tell of the photographer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthkit.dataset import Dataset, formats
from synthkit.dataset.formats.originals import without_metadata

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
EXIF = Image.Exif()
EXIF[0x010F] = "A camera that tells on its owner"


def photo(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, exif=EXIF, **options)
    return buffer.getvalue()


def converted(folder: Path, **options: object) -> tuple[Dataset, dict[str, bytes]]:
    data = formats.convert(folder, folder.parent / "out", **options)
    _, members = data.members(0)
    return data, members


def test_a_jpeg_is_not_compressed_again(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    jpeg = photo("JPEG", quality=60, comment="at home")
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg)
    data, members = converted(tmp_path / "photos")
    scan = jpeg[jpeg.index(b"\xff\xda") :]
    assert members["jpg"].endswith(scan)
    assert b"owner" not in members["jpg"]
    assert b"at home" not in members["jpg"]
    with Image.open(io.BytesIO(jpeg)) as image:
        assert np.array_equal(data[0].image, np.asarray(image))


def test_a_png_stays_lossless(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(photo("PNG"))
    data, members = converted(tmp_path / "photos")
    assert b"owner" not in members["png"]
    assert np.array_equal(data[0].image, PIXELS)


def test_what_is_shrunk_is_compressed_anew(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(photo("PNG"))
    data, members = converted(tmp_path / "photos", max_size_px=30)
    assert data[0].size_px == (30, 20)
    assert "jpg" in members


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\xff\xff", photo("JPEG")[:40]])
def test_damaged_segments_are_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="without a scan"):
        without_metadata(data)
