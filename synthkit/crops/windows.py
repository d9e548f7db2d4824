# SPDX-License-Identifier: Apache-2.0
"""Windows of whole images, for networks that learn small what they are to do to images of any size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from synthkit.sample import Sample
from synthkit.seeds import Seeds

MOST_WINDOWS = 16
"""Of one image."""

REVISION = 1
"""Raised when the same sample yields other windows; part of the fingerprint of everything cut with them."""

_SHOWN_LEVELS = 3.0  # deviation below which a window shows nothing, such as the black around a fisheye's circle


def cut_windows(sample: Sample, side_px: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield windows (side_px, side_px, 3) of an image at its own scale, without those that show nothing.

    They are spread evenly where that many cover the image, and else drawn, the same ones each time for a key. An
    image that is smaller has none.
    """
    width, height = sample.size_px
    if min(width, height) < side_px:
        return
    down, across = math.ceil(height / side_px), math.ceil(width / side_px)
    if down * across <= MOST_WINDOWS:
        rows, columns = (np.linspace(0, length - side_px, count) for length, count in ((height, down), (width, across)))
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2).round().astype(int)
    else:
        draw = Seeds(0).child("windows", sample.key).stream("places")
        places = draw.integers(0, (height - side_px + 1, width - side_px + 1), (MOST_WINDOWS, 2))
    for top, left in places:
        window = sample.image[top : top + side_px, left : left + side_px]
        if window.std() >= _SHOWN_LEVELS:
            yield np.ascontiguousarray(window)
