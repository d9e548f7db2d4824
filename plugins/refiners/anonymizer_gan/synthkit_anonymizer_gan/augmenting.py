# SPDX-License-Identifier: Apache-2.0
"""Pairs made of one picture (thesis 002, section 7.2.1): one person, turned, moved, scaled and in another light."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from synthkit_anonymizer_gan.people import Crop

DRAWS = 7
"""Numbers that a change takes: angle, size, both shifts, and a gain of each colour."""

_ANGLE_DEGREES = 20.0
_OCTAVES = 0.3  # of size
_SHIFT = 0.08  # of the crop's sides
_GAIN = 0.15  # of the logarithm of each colour's


def changed(crop: Crop, strength: float, draws: npt.NDArray[np.float64]) -> Crop:
    """Return a crop as another picture of the same person might be, for what is learned from looks alone.

    Args:
        strength: in 0..1; 0 changes nothing. draws: (``DRAWS``,) in -1..1.
    """
    angle, octaves, right, down, *gains = draws * strength
    height, width = crop.whose.shape
    middle = (width - 1) / 2, (height - 1) / 2
    turned = np.array(cv2.getRotationMatrix2D(middle, float(angle) * _ANGLE_DEGREES, float(2 ** (octaves * _OCTAVES))))
    matrix = turned + np.array([[0, 0, right * _SHIFT * width], [0, 0, down * _SHIFT * height]])
    image = cv2.warpAffine(crop.image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lit = np.clip(np.rint(image * np.exp(np.array(gains) * _GAIN)), 0, 255).astype(np.uint8)
    return Crop(lit, _moved(crop.whose, matrix), _moved(crop.places, matrix))


def _moved(layer: npt.NDArray[Any], matrix: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Return a layer (h, w) moved by a (2, 3) matrix, each pixel the nearest one's; nobody is beyond it."""
    return np.asarray(cv2.warpAffine(layer, matrix, layer.shape[::-1], flags=cv2.INTER_NEAREST))
