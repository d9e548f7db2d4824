# SPDX-License-Identifier: Apache-2.0
"""What a photo tells of the sensor that took it: how blurred its edges are, and how its noise looks."""

from __future__ import annotations

import functools
import math

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.develop import grain
from synthkit_blender.light import LUMINANCE, Image, Linear

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
DIFFERENCE = np.array([[-0.5, 0.0, 0.5]], np.float32)
REBLURS_PX = (1.0, 2.0)
DIFFERENCE_PX = 0.577  # the standard deviation of the blur that a central difference is: over a box of 2 px
MOST_BLUR_PX = 4.0
EDGE_PERCENTILE, SHARP_PERCENTILE = 97.0, 50.0
FEW_EDGES, FEW_PIXELS = 20, 300
LEAST_SLOPE = 0.03  # of an edge, of full scale per pixel
PATCH_PX = 7
FLAT_PERCENTILE = 15.0  # of the patches of a brightness: beyond it texture may be
BANDS = np.linspace(0, 1, 9, dtype=np.float32)  # of brightness in which noise is measured
UNCLIPPED = slice(1, 7)  # of them: not cut off at black or white
NOISIEST = 2.5  # times the least of a band: sRGB's curve makes shot noise nearly as strong everywhere
STEPPED_PIXELS = 1 << 17  # that many pixels are enough to look at
GRAINS_PX = np.array([0.0, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0])
# Brightness and two colours, at right angles: noise that is independent in red, green and blue is so in them too
# (Ohta, Kanade and Sakai, "Color information for region segmentation", 1980, there not scaled to unit length).
PLANES = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], np.float32) / np.sqrt([[3], [2], [6]], dtype=np.float32)


@attrs.frozen(eq=False)
class PlateSensor:
    """What a plate's sensor left in it, in sRGB's values of 0..1.

    Args:
        blur_px: standard deviation of the blur across its sharpest edges.
        spreads: (3, 8) standard deviation of the noise in each of ``PLANES``, by ``BANDS`` of brightness.
        grain_px: standard deviation of the blur that makes its noise of white noise.
    """

    blur_px: float
    spreads: Linear
    grain_px: float

    @classmethod
    def of(cls, plate: Image, circle: Mask) -> PlateSensor:
        """Measure a plate (H, W, 3) within its image circle."""
        rgb = plate.astype(np.float32) / 255
        grey = rgb @ LUMINANCE
        within = cv2.erode(circle.astype(np.uint8), np.ones((PATCH_PX + 4, PATCH_PX + 4), np.uint8)) > 0
        if within.sum() < FEW_PIXELS:
            return cls(0.0, np.zeros((3, len(BANDS) - 1), np.float32), 0.0)
        spreads, grain_px = _noise(rgb @ PLANES.T, grey, within)
        return cls(_edge_blur_px(grey, within), spreads, grain_px)

    def noise(self, luminance: Linear, white: Linear) -> Linear:
        """Return noise (H, W, 3) in RGB as the plate has it where it is as bright.

        Args:
            luminance: (H, W) in 0..1. white: (H, W, 3) independent noise of standard deviation 1, as grainy as wanted.
        """
        middles = (BANDS[1:] + BANDS[:-1]) / 2
        spread = np.stack([np.interp(luminance, middles, row) for row in self.spreads], axis=-1)
        return np.asarray((white * spread.astype(np.float32)) @ PLANES)


def _noise(planes: Linear, grey: Linear, within: Mask) -> tuple[Linear, float]:
    """Return the noise of each plane (H, W, 3) by brightness, and its grain."""
    spreads, alike = _flattest(planes, grey, within)
    known = np.isfinite(spreads[0])
    if not known.any() or alike is None:
        return np.zeros_like(spreads, np.float32), 0.0
    known_alike, known_spreads = _flattest_of_noise()
    grain_px = float(np.interp(alike, known_alike, GRAINS_PX))
    numbers = np.arange(len(known))
    filled = np.stack([np.interp(numbers, numbers[known], row[known]) for row in spreads])
    # More in some brightness than that is the texture of what is so bright there, such as a carpet.
    filled = np.minimum(filled, NOISIEST * filled[:, UNCLIPPED].min(axis=1, keepdims=True))
    return np.asarray(filled / np.interp(grain_px, GRAINS_PX, known_spreads), np.float32), grain_px


def _flattest(planes: Linear, grey: Linear, within: Mask) -> tuple[Floats, float | None]:
    """Return what is left beside local means in the patches with the least of it, where noise is all there is.

    Its spread in each plane by brightness (3, 8), NaN where too little is as bright; and how neighbours correlate in
    the first plane, None where nothing is left.
    """
    smooth = cv2.blur(grey, (PATCH_PX, PATCH_PX))
    residue = planes - cv2.blur(planes, (PATCH_PX, PATCH_PX))
    first = residue[..., 0]
    around = np.asarray(cv2.filter2D(first, -1, np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4))
    step = math.ceil(math.sqrt(grey.size / STEPPED_PIXELS))
    some = slice(None, None, step), slice(None, None, step)
    looked = within[some]
    patches = np.sqrt(np.maximum(cv2.blur(residue**2, (PATCH_PX, PATCH_PX))[some][looked], 0))
    band = np.clip((smooth[some][looked] * (len(BANDS) - 1)).astype(int), 0, len(BANDS) - 2)
    spreads, flat = np.full((3, len(BANDS) - 1), np.nan), np.zeros(len(band), bool)
    for n in range(len(BANDS) - 1):
        where = np.flatnonzero(band == n)
        if len(where) >= FEW_PIXELS:
            spreads[:, n] = np.percentile(patches[where], FLAT_PERCENTILE, axis=0)
            flat[where[patches[where, 0] <= spreads[0, n]]] = True
    own, near = first[some][looked][flat], around[some][looked][flat]
    squares = float((own**2).mean()) if own.size else 0.0
    return spreads, None if squares <= 1e-9 else float((own * near).mean()) / squares


@functools.cache
def _flattest_of_noise() -> tuple[Floats, Floats]:
    """Return correlation and spread, as ``_flattest`` finds them, of noise of spread 1, by ``GRAINS_PX``."""
    size = 256
    grey, within = np.full((size, size), 0.5, np.float32), np.ones((size, size), bool)
    alike, spreads = [], []
    for number, grain_px in enumerate(GRAINS_PX):
        found, near = _flattest(grain((size, size, 3), float(grain_px), np.random.default_rng(number)), grey, within)
        alike.append(near)
        spreads.append(np.nanmean(found))
    return np.maximum.accumulate(np.array(alike, np.float64)), np.array(spreads)


def _edge_blur_px(grey: Linear, within: Mask) -> float:
    """Return the blur of the sharpest edges, from how much less steep known blurs make them.

    Zhuo and Sim, "Defocus map estimation from a single image" (2011), equation 5, with both slopes blurred against
    noise: the slope of an edge of blur s goes with 1 / sqrt(s^2 + b^2) after a blur of b.
    """
    low, high = REBLURS_PX
    before, after = (_slope(np.asarray(cv2.GaussianBlur(grey, (0, 0), blur), np.float32)) for blur in REBLURS_PX)
    crest = before >= cv2.dilate(before, np.ones((3, 3), np.uint8))
    step = math.ceil(grey.size / STEPPED_PIXELS)
    steep = max(LEAST_SLOPE, float(np.percentile(before[within][::step], EDGE_PERCENTILE)))
    edges = within & crest & (before >= steep) & (after > 1e-6)
    if edges.sum() < FEW_EDGES:
        return 0.0
    squared = np.clip((before[edges] / after[edges]) ** 2, 1.01, (high / low) ** 2)
    found = np.percentile((high**2 - squared * low**2) / (squared - 1), SHARP_PERCENTILE)
    return min(MOST_BLUR_PX, math.sqrt(max(0.0, float(found) - DIFFERENCE_PX**2)))


def _slope(plane: Linear) -> Linear:
    across, down = (cv2.filter2D(plane, -1, kernel) for kernel in (DIFFERENCE, DIFFERENCE.T))
    return np.asarray(np.hypot(across, down))
