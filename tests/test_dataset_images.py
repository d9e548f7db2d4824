# SPDX-License-Identifier: Apache-2.0
"""Decoding images: what Pillow gives, byte for byte, within limits that hold before a decoder runs."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthkit.dataset import images

PIXELS = np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8)


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RGB = Image.fromarray(PIXELS)
KINDS = {
    "png rgb": stored(RGB, "PNG"),
    "png grey": stored(RGB.convert("L"), "PNG"),
    "png 16 bit": stored(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257), "PNG"),
    "png palette": stored(RGB.convert("P"), "PNG"),
    "png 1 bit": stored(RGB.convert("1"), "PNG"),
    "png alpha": stored(RGB.convert("RGBA"), "PNG"),
    "png grey alpha": stored(RGB.convert("LA"), "PNG"),
    "jpeg 444": stored(RGB, "JPEG", quality=95, subsampling=0),
    "jpeg 420": stored(RGB, "JPEG", quality=80, subsampling=2),
    "jpeg progressive": stored(RGB, "JPEG", progressive=True),
    "jpeg grey": stored(RGB.convert("L"), "JPEG"),
    "jpeg cmyk": stored(RGB.convert("CMYK"), "JPEG"),
    "jpeg turned": stored(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"png 16 bit"}))
def test_pixels_are_those_of_pillow(kind: str) -> None:
    with Image.open(io.BytesIO(KINDS[kind])) as image:
        expected = np.asarray(image.convert("RGB"))
    found = images.decode(KINDS[kind], rgb=True)
    assert np.array_equal(found, expected)
    assert not found.flags.writeable
    assert images.size_px(KINDS[kind]) == (53, 37)


def test_16_bits_of_grey_are_scaled_to_8() -> None:
    found = images.decode(KINDS["png 16 bit"], rgb=True)
    assert np.array_equal(found, np.repeat(PIXELS[..., :1], 3, axis=2))
    assert not found.flags.writeable


@pytest.mark.parametrize(("kind", "dtype", "shape"), [
    ("png grey", "uint8", (37, 53)), ("png rgb", "uint8", (37, 53, 3)), ("png 16 bit", "uint16", (37, 53)),
    ("jpeg grey", "uint8", (37, 53)),
])  # fmt: skip
def test_layers_come_as_stored(kind: str, dtype: str, shape: tuple[int, ...]) -> None:
    with Image.open(io.BytesIO(KINDS[kind])) as image:
        expected = np.asarray(image)
    found = images.decode(KINDS[kind], rgb=False)
    assert (found.dtype, found.shape) == (dtype, shape)
    assert np.array_equal(found, expected)


def test_round_trip() -> None:
    assert np.array_equal(images.decode(images.png(PIXELS), rgb=True), PIXELS)
    smooth = np.indices((40, 50, 3)).sum(axis=0).astype(np.uint8) * 2
    assert np.abs(images.decode(images.jpeg(smooth, 95), rgb=True).astype(int) - smooth).max() <= 3


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(kind: bytes, data: bytes) -> bytes:
    """Put a chunk right after the header of a PNG."""
    return KINDS["png rgb"][:33] + chunk(kind, data) + KINDS["png rgb"][33:]


def test_compressed_text_and_profiles_are_never_unpacked() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    for kind, start in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        assert np.array_equal(images.decode(with_chunk(kind, start + bomb), rgb=True), PIXELS)


def header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(100_000, 100_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "100000x100000 pixels is refused"),
        (header(0, 5) + chunk(b"IEND", b""), "0x5 pixels is refused"),
        (header(4, 4), "without an end"),
        (header(4, 4) + chunk(b"tEXt", b"") * (images.MAX_PNG_CHUNKS + 1) + chunk(b"IEND", b""), "without an end"),
        (KINDS["png rgb"][:-600], "without an end"),
        (KINDS["jpeg 444"].replace(struct.pack(">HH", 37, 53), struct.pack(">HH", 60_000, 60_000)), "60000x60000"),
        (KINDS["jpeg 444"][:200], "JPEG without a frame|truncated|damaged"),
        (KINDS["jpeg 444"] + b"\xff\xda" * 70, "scans is refused"),
        (b"GIF89a" + bytes(100), "no PNG or JPEG"),
        (b"", "no PNG or JPEG"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        images.decode(data, rgb=True)


def test_a_truncated_jpeg_is_damaged() -> None:
    with pytest.raises(ValueError, match="damaged"):
        images.decode(KINDS["jpeg 444"][:-300], rgb=True)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_damaged_bytes_are_an_image_or_an_error(kind: str, data: st.DataObject) -> None:
    spoilt = bytearray(KINDS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert images.decode(bytes(spoilt), rgb=True).shape[2] == 3
