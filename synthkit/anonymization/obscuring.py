# SPDX-License-Identifier: Apache-2.0
"""Making people unrecognisable without putting anything in their place: filled, pixelated, blurred.

A Gaussian blur is a known filter, and what it leaves above the noise comes back by deconvolution (Richardson:
Bayesian-based iterative method of image restoration, JOSA 62, 1972, for one). So both methods here first take means
over cells, a few over a person's length, and what they write depends on these means alone: finer detail is not weakened
but gone. How many cells there are over a person, not how many pixels, decides who can be recognised (for pixelated
faces: McPherson, Shokri, Shmatikov: Defeating image obfuscation with deep learning, 2016), so strength goes with size.
What is left of a few cells are the colours of clothes, by which people are still told apart; so each cell becomes one
of a few shades of grey, from which no colour can be computed.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.anonymization.regions import Region

Pixels = npt.NDArray[np.uint8]

IMAGE_CELLS = 8
"""Cells over the longer side of an image of which all is blurred; whoever fills it has no more than these."""

SHADES = 3
"""How many shades of grey a cell may have."""

_LEAST_CELL_PX = 4.0  # smaller people have fewer cells
_SMOOTHING = 0.5  # of a cell: how far neighbouring cells run into each other


def fill(image: Pixels, region: Region, colour: tuple[int, int, int]) -> None:
    """Give all pixels of a region one colour.

    Args:
        image: (H, W, 3), changed in place.
    """
    image[region.window][region.mask] = colour


def pixelate(image: Pixels, region: Region, length_px: float, cells: float, shades: int = SHADES) -> None:
    """Give each square cell of a region the shade of its mean.

    Args:
        image: (H, W, 3), changed in place. length_px: of the person. cells: how many go over that length.
        shades: of how many one is taken; 0 keeps the mean colour.
    """
    means, side, (height, width) = _means(image, region, length_px, cells)
    means = _shaded(means, shades)
    rows, columns = (np.minimum((np.arange(n) / side).astype(int), m - 1)
                     for n, m in ((height, means.shape[0]), (width, means.shape[1])))  # fmt: skip
    _write(image, region, means[np.ix_(rows, columns)])


def blur(image: Pixels, region: Region, length_px: float, cells: float, shades: int = SHADES) -> None:
    """Give a region the shades of its cells' means, run into each other softly.

    Args:
        image: (H, W, 3), changed in place. length_px: of the person. cells: how many go over that length.
        shades: of how many one is taken; 0 keeps the mean colour.
    """
    means, side, (height, width) = _means(image, region, length_px, cells)
    means = _shaded(means, shades)
    full = math.ceil(means.shape[1] * side), math.ceil(means.shape[0] * side)
    spread = cv2.resize(means, full, interpolation=cv2.INTER_LINEAR)
    smooth = cv2.GaussianBlur(spread, (0, 0), _SMOOTHING * side, borderType=cv2.BORDER_REPLICATE)
    _write(image, region, np.asarray(smooth, np.float32)[:height, :width])


def blur_all(image: Pixels) -> Pixels:
    """Return a whole image (H, W, 3) blurred."""
    height, width = image.shape[:2]
    result = image.copy()
    blur(result, Region(0, 0, np.ones((height, width), bool)), max(height, width), IMAGE_CELLS)
    return result


def _means(
    image: Pixels, region: Region, length_px: float, cells: float
) -> tuple[npt.NDArray[np.float32], float, tuple[int, int]]:
    """Return the mean colours of the cells that a region's window is cut into, a cell's side, and the window's size.

    The window's rim is continued where its last cells go beyond it.
    """
    window = image[region.window]
    height, width = window.shape[:2]
    side = max(_LEAST_CELL_PX, length_px / cells)
    rows, columns = max(1, math.ceil(height / side)), max(1, math.ceil(width / side))
    padding = math.ceil(rows * side) - height, math.ceil(columns * side) - width
    padded = cv2.copyMakeBorder(window, 0, padding[0], 0, padding[1], cv2.BORDER_REPLICATE).astype(np.float32)
    means = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float32).reshape(rows, columns, 3), side, (height, width)


def _shaded(means: npt.NDArray[np.float32], shades: int) -> npt.NDArray[np.float32]:
    """Return the nearest of some evenly spaced greys for each colour (rows, columns, 3); of 0 shades the colour."""
    if not shades:
        return means
    step = 256 / shades
    grey = cv2.cvtColor(means, cv2.COLOR_RGB2GRAY)
    shade = (np.clip(np.floor(grey / step), 0, shades - 1) + 0.5) * step
    return np.asarray(np.repeat(shade[..., None], 3, axis=2), np.float32)


def _write(image: Pixels, region: Region, values: npt.NDArray[np.float32]) -> None:
    rounded = np.clip(np.round(values), 0, 255).astype(np.uint8)
    image[region.window][region.mask] = rounded[region.mask]
