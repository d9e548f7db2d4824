# SPDX-License-Identifier: Apache-2.0
"""Image bytes to arrays and back: headers are read and limits kept before any decoder sees the bytes.

The usual kinds (8-bit grey and RGB PNG, grey and colour JPEG) go to strict, fast decoders. What those do
not take, because it is of another kind or not quite in order, goes to Pillow, which decides.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_PIXELS = 80_000_000  # more is taken for a decompression bomb
MAX_PNG_CHUNKS = 100_000
MAX_JPEG_SCANS = 64  # each makes the decoder go over the whole image again

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = struct.Struct(">IIBB")
_PNG_CHUNK = struct.Struct(">I4s")
# All that pixels depend on. Others may hold compressed text or profiles, which nobody needs to unpack.
_PNG_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PNG_GREY, _PNG_RGB = 0, 2
_PNG_WITH_ALPHA = (4, 6)
_OPAQUE = 255
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_JPEG_SCAN = b"\xff\xda"
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive Huffman
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_PNG_LEVEL = 4
_WHITE_16, _STEP_16 = 65535, 257  # of 16 bits: white, and what is one of 8 bits
_MODES = {"1": "L", "LA": "L", "RGBA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "I": "I;16", "F": "L"}


def size_px(data: bytes) -> tuple[int, int]:
    """Return (width, height) of PNG or JPEG bytes from their header.

    Raises:
        ValueError: when they are neither, damaged, or of more than ``MAX_PIXELS``.
    """
    return checked_size(*(_png_header(data)[:2] if data[:8] == _PNG_SIGNATURE else _jpeg_size(data)))


def decode(data: bytes, *, rgb: bool) -> npt.NDArray[Any]:
    """Return PNG or JPEG bytes as an array.

    Args:
        rgb: (H, W, 3) uint8 whatever is stored; else as stored: (H, W) or (H, W, 3), uint8 or uint16.

    Returns:
        A read-only array.

    Raises:
        ValueError: when the bytes are damaged, of another kind, or exceed a limit.
    """
    if data[:8] == _PNG_SIGNATURE:
        width, height, depth, colour = _png_header(data)
        checked_size(width, height)
        data = needed_chunks(data)
        array = _fast_png(data, rgb) if depth == 8 and colour in (_PNG_GREY, _PNG_RGB) else None
    else:
        width, height = checked_size(*_jpeg_size(data))
        if data.count(_JPEG_SCAN) > MAX_JPEG_SCANS:
            raise ValueError(f"a JPEG of more than {MAX_JPEG_SCANS} scans is refused")
        array = _fast_jpeg(data, rgb)
    if array is None:
        return _patient(data, rgb, (width, height))
    if array.shape[:2] != (height, width):
        raise ValueError(f"an image states {width}x{height} pixels and holds {array.shape[1]}x{array.shape[0]}")
    array.flags.writeable = False  # so that a sample takes it without a copy
    return array


def hides(data: bytes) -> bool:
    """Return whether transparency hides anything of PNG or JPEG bytes, which ``decode`` shows.

    A colour that is to be transparent counts as seen in images whose values are not of 8 bits: Pillow looks for it
    among values of 8 bits.

    Raises:
        ValueError: when the bytes are damaged, or exceed a limit.
    """
    if data[:8] != _PNG_SIGNATURE:
        return False
    width, height, depth, colour = _png_header(data)
    checked_size(width, height)
    data = needed_chunks(data)
    if colour not in _PNG_WITH_ALPHA and b"tRNS" not in data:
        return False
    if depth != 8 and colour in (_PNG_GREY, _PNG_RGB):
        return True
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return bool(np.asarray(image.convert("RGBA"))[..., 3].min() < _OPAQUE)
    except (OSError, SyntaxError, EOFError, OverflowError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"its image is damaged: {error}") from None


def png(array: npt.NDArray[Any]) -> bytes:
    """Return (H, W) uint8 or uint16, or (H, W, 3) uint8, as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()


def jpeg(array: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Return (H, W, 3) as JPEG bytes without chroma subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=quality, subsampling=0, optimize=False)
    return buffer.getvalue()


def checked_size(width: int, height: int) -> tuple[int, int]:
    """Return a size that images may have.

    Raises:
        ValueError: when it is of no pixels, or of more than ``MAX_PIXELS``.
    """
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"an image of {width}x{height} pixels is refused")
    return width, height


def eight_bits(image: Image.Image) -> Image.Image:
    """Return an image as 8-bit RGB; 16 bits of grey are scaled, not cut off at 255 as Pillow would."""
    if not image.mode.startswith("I"):
        return image if image.mode == "RGB" else image.convert("RGB")
    grey = np.clip(np.asarray(image).astype(np.int64), 0, _WHITE_16)
    return Image.fromarray(((grey + _STEP_16 // 2) // _STEP_16).astype(np.uint8)).convert("RGB")


def _png_header(data: bytes) -> tuple[int, int, int, int]:
    """Return width, height, bits per value and colour type."""
    if data[12:16] != b"IHDR" or len(data) < 29:
        raise ValueError("its image is damaged: a PNG without a header")
    width, height, depth, colour = _PNG_HEADER.unpack_from(data, 16)
    return width, height, depth, colour


def needed_chunks(data: bytes) -> bytes:
    """Return a PNG without the chunks that pixels do not depend on; the same bytes when there are none."""
    kept: list[bytes] = [_PNG_SIGNATURE]
    offset, count = 8, 0
    complete = False
    while offset + 12 <= len(data) and not complete:
        length, kind = _PNG_CHUNK.unpack_from(data, offset)
        end = offset + 12 + length
        count += 1
        if end > len(data) or count > MAX_PNG_CHUNKS:
            break
        if kind in _PNG_NEEDED:
            kept.append(data[offset:end])
        complete = kind == b"IEND"
        offset = end
    if not complete:
        raise ValueError("its image is damaged: a PNG without an end")
    return data if len(kept) == count + 1 else b"".join(kept)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    if data[:3] != _JPEG_SIGNATURE:
        raise ValueError("its image is no PNG or JPEG")
    offset = 2
    while offset + 4 <= len(data):
        if data[offset] != 0xFF:
            break
        marker = data[offset + 1]
        if marker == 0xFF or marker in _JPEG_BARE:
            offset += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if marker not in _JPEG_FRAMES or offset + 9 > len(data):
                raise ValueError("its image is a JPEG of a rare kind, or damaged")
            height, width = struct.unpack_from(">HH", data, offset + 5)
            return int(width), int(height)
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    raise ValueError("its image is damaged: a JPEG without a frame")


def _fast_png(data: bytes, rgb: bool) -> npt.NDArray[np.uint8] | None:
    import pyspng

    try:
        return np.asarray(pyspng.load(data, format="RGB" if rgb else None), np.uint8)
    except (RuntimeError, ValueError):
        return None


def _fast_jpeg(data: bytes, rgb: bool) -> npt.NDArray[np.uint8] | None:
    import simplejpeg

    try:
        stored = simplejpeg.decode_jpeg_header(data)[2]
        if stored not in ("YCbCr", "Gray"):
            return None
        grey = stored == "Gray" and not rgb
        array: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB")
    except (RuntimeError, ValueError):
        return None
    return array[..., 0] if grey else array


def _patient(data: bytes, rgb: bool, size: tuple[int, int]) -> npt.NDArray[Any]:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.size != size:  # a second header would get around the limit
                raise ValueError(f"it states two sizes, {size} and {image.size}")
            if rgb:
                return np.asarray(eight_bits(image))
            target = _MODES.get(image.mode, image.mode)
            return np.asarray(image if image.mode == target else image.convert(target))
    except (OSError, SyntaxError, EOFError, OverflowError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"its image is damaged or no PNG or JPEG: {error}") from None
