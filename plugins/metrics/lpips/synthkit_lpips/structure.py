# SPDX-License-Identifier: Apache-2.0
"""SSIM and PSNR, as scikit-image defines them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

RADIUS_PX = 5  # of the window: 3.5 deviations, rounded
MOST_DB = 100.0
"""What identical pictures have, whose ratio has no bound."""

_SIGMA_PX = 1.5
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
_OFFSETS = np.arange(-RADIUS_PX, RADIUS_PX + 1)
_WINDOW = np.exp(-0.5 * (_OFFSETS / _SIGMA_PX) ** 2) / np.exp(-0.5 * (_OFFSETS / _SIGMA_PX) ** 2).sum()


def ssim(first: Pixels, second: Pixels, mask: Mask | None = None) -> float:
    """Return the mean structural similarity of two pictures (Wang, Bovik, Sheikh and Simoncelli 2004, equation 13).

    It is scikit-image's ``structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=255, channel_axis=2)``: of each channel by itself, without the border that the window overhangs. With a
    mask the mean is that of the mask's pixels, border or not.

    Args:
        first, second: (H, W, 3), more than ``2 * RADIUS_PX`` on each side. mask: (H, W).

    Raises:
        ValueError: when they are too small.
    """
    height, width = first.shape[:2]
    if min(height, width) <= 2 * RADIUS_PX:
        raise ValueError(f"SSIM needs more than {2 * RADIUS_PX} px on each side, got {width} x {height}")
    similar = _similarity(first.astype(np.float64), second.astype(np.float64))
    if mask is not None:
        return float(similar[mask].mean())
    inside = slice(RADIUS_PX, -RADIUS_PX)
    return float(similar[inside, inside].mean())


def psnr(first: Pixels, second: Pixels, mask: Mask | None = None) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB, at most ``MOST_DB``.

    It is scikit-image's ``peak_signal_noise_ratio(first, second, data_range=255)``, which is infinite for equal ones.

    Args:
        first, second: (H, W, 3). mask: (H, W), the pixels that count.
    """
    difference = first.astype(np.float64) - second
    square = float(np.mean((difference if mask is None else difference[mask]) ** 2))
    return MOST_DB if square == 0 else min(MOST_DB, 10 * math.log10(255.0**2 / square))


def _similarity(first: Floats, second: Floats) -> Floats:
    """Return (H, W, 3) the similarity of the windows around each pixel."""
    mean_1, mean_2 = _blurred(first), _blurred(second)
    squares, product = mean_1**2 + mean_2**2, mean_1 * mean_2
    variances = _blurred(first**2 + second**2) - squares
    covariance = _blurred(first * second) - product
    return (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))


def _blurred(values: Floats) -> Floats:
    return np.asarray(cv2.sepFilter2D(values, cv2.CV_64F, _WINDOW, _WINDOW, borderType=cv2.BORDER_REFLECT))
