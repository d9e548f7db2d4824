# SPDX-License-Identifier: Apache-2.0
"""Parts of the body as colours over a picture."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

_STRENGTH = 0.6


def palette(count: int) -> npt.NDArray[np.uint8]:
    """Return colours that are told apart, (count, 3) sRGB: neighbours lie far from each other on the wheel."""
    hues = (np.arange(count) * 0.381966) % 1.0
    return np.array([[round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.8, 1.0)] for hue in hues], np.uint8)


def coloured(image: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.uint8]:
    """Return an image (H, W, 3) with parts (H, W), below ``count``, over it; those below 0 are not drawn."""
    shown = parts >= 0
    result = image.copy()
    mixed = (1 - _STRENGTH) * image[shown] + _STRENGTH * palette(count)[parts[shown]]
    result[shown] = mixed.round().astype(np.uint8)
    return result
