# SPDX-License-Identifier: Apache-2.0
"""Keeping a photo's own compressed bytes instead of compressing its pixels once more."""

from __future__ import annotations

import numpy as np

from synthkit.dataset import images
from synthkit.sample import Sample

_SCAN = 0xDA
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
        bare = images.needed_chunks(data) if suffix == "png" else without_metadata(data)
        pixels = images.decode(bare, rgb=True)
    except ValueError:
        return None
    return (suffix, bare) if np.array_equal(pixels, sample.image) else None


def without_metadata(jpeg: bytes) -> bytes:
    """Return a JPEG without EXIF, profiles, thumbnails and comments; its pixels stay the same, bit for bit.

    Raises:
        ValueError: when the segments before its first scan are damaged.
    """
    kept, offset = [jpeg[:2]], 2
    while offset + 4 <= len(jpeg) and jpeg[offset] == 0xFF:
        marker = jpeg[offset + 1]
        if marker == _SCAN:
            return b"".join([*kept, jpeg[offset:]])
        if marker == 0xFF or marker in _BARE:
            offset += 1 if marker == 0xFF else 2
            continue
        end = offset + 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")
        if marker not in _DROPPED:
            kept.append(jpeg[offset:end])
        offset = end
    raise ValueError("a JPEG without a scan")
