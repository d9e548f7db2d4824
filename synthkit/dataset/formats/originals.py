# SPDX-License-Identifier: Apache-2.0
"""Keeping a photo's own compressed bytes, without what they tell besides the pixels."""

from __future__ import annotations

import re

import numpy as np

from synthkit.dataset import images
from synthkit.sample import Sample

_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in compressed data: no stuffed byte, restart or filling
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
# Application segments hold places, owners, thumbnails and profiles; only these two say how to read the colours.
_JFIF, _ADOBE = 0xE0, 0xEE
_DROPPED = frozenset({*range(0xE0, 0xF0), 0xFE}) - {_JFIF, _ADOBE}


def original(sample: Sample, suffix: str, data: bytes) -> tuple[str, bytes] | None:
    """Return the file's own image without its metadata, if that is exactly the sample's image.

    Args:
        suffix: ``jpg`` or ``png``. data: the file.

    Returns:
        The suffix and the bytes, or None where the image was turned, shrunk or cannot be taken over.
    """
    try:
        kept = bare(suffix, data)
        pixels = images.decode(kept, rgb=True)
    except ValueError:
        return None
    return (suffix, kept) if np.array_equal(pixels, sample.image) else None


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
