# SPDX-License-Identifier: Apache-2.0
"""Keeping a photo's own compressed bytes, without what they tell besides the pixels."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from synthkit.dataset import images

_PNG = b"\x89PNG"
_GREY_16 = b"\x10\0"  # bits and kind in a PNG's header
_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in compressed data: no stuffed byte, restart or filling
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
# Application segments hold places, owners, thumbnails and profiles; only these two say how to read the colours.
_JFIF, _ADOBE = 0xE0, 0xEE
_DROPPED = frozenset({*range(0xE0, 0xF0), 0xFE}) - {_JFIF, _ADOBE}

Pixels = npt.NDArray[np.uint8]


def taken_over(data: bytes) -> tuple[str, bytes, Pixels] | None:
    """Return an image file without its metadata, and its pixels, (H, W, 3) uint8.

    Returns:
        ``jpg`` or ``png``, the bytes, and what they decode to; None where they do not, or would lose grey levels.
    """
    suffix = "png" if data.startswith(_PNG) else "jpg"
    if suffix == "png" and data[24:26] == _GREY_16:
        return None
    try:
        kept = bare(suffix, data)
        return suffix, kept, images.decode(kept, rgb=True)
    except ValueError:
        return None


def same_without_metadata(suffix: str, data: bytes) -> bytes | None:
    """Return an image file without its metadata, None where its pixels would not stay the same."""
    try:
        kept = bare(suffix, data)
        if kept == data or np.array_equal(images.decode(kept, rgb=False), images.decode(data, rgb=False)):
            return kept
    except ValueError:
        return None
    return None


def bare(suffix: str, data: bytes) -> bytes:
    """Return a PNG or JPEG with nothing but what its pixels depend on.

    Raises:
        ValueError: when it is damaged.
    """
    if suffix != "png":
        return without_metadata(data)
    kept = images.needed_chunks(data)
    offset, kind = 8, b""
    while kind != b"IEND":
        length, kind = int.from_bytes(kept[offset : offset + 4], "big"), kept[offset + 4 : offset + 8]
        offset += 12 + length
    return kept[:offset]


def without_metadata(jpeg: bytes) -> bytes:
    """Return a JPEG without EXIF, profiles, thumbnails, comments and what follows its end; each pixel stays.

    Raises:
        ValueError: when the segments before its first scan are damaged.
    """
    kept, offset, scans = [jpeg[:2]], 2, 0
    while offset + 2 <= len(jpeg) and jpeg[offset] == 0xFF:
        marker = jpeg[offset + 1]
        if marker == _END:
            kept.append(jpeg[offset : offset + 2])
            break
        if marker == 0xFF or marker in _BARE:
            offset += 1 if marker == 0xFF else 2
            continue
        end = offset + 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")
        if marker == _SCAN:
            following = _MARKER.search(jpeg, end)
            end = following.start() if following else len(jpeg)
            scans += 1
        if marker not in _DROPPED:
            kept.append(jpeg[offset:end])
        offset = end
    if not scans:
        raise ValueError("a JPEG without a scan")
    return b"".join(kept)
