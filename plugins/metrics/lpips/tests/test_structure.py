# SPDX-License-Identifier: Apache-2.0
"""SSIM and PSNR against scikit-image: as frozen values, and beside it where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit_lpips.structure import MOST_DB, psnr, ssim

FROZEN_SSIM, FROZEN_DB = 0.9526298255239153, 21.100844485290715  # of scikit-image 0.26.0


def drawn_pair():
    generator = np.random.default_rng(0)
    first = generator.integers(0, 256, (40, 56, 3)).astype(np.uint8)
    second = np.clip(first.astype(int) + generator.integers(-40, 41, first.shape), 0, 255).astype(np.uint8)
    return first, second


def test_equal_what_scikit_image_gave():
    first, second = drawn_pair()
    assert ssim(first, second) == pytest.approx(FROZEN_SSIM, rel=1e-12)
    assert psnr(first, second) == pytest.approx(FROZEN_DB, rel=1e-12)


def test_equal_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    first, second = drawn_pair()
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    wanted = metrics.structural_similarity(first, second, data_range=255, channel_axis=2, **wang)
    assert ssim(first, second) == pytest.approx(wanted, rel=1e-12)
    assert psnr(first, second) == pytest.approx(metrics.peak_signal_noise_ratio(first, second, data_range=255))


def test_equal_pictures():
    first, _ = drawn_pair()
    assert ssim(first, first) == pytest.approx(1)
    assert psnr(first, first) == MOST_DB


def test_known_values():
    """A flat picture that is lighter by 16: no structure to differ in, and 20 log10(255 / 16) dB."""
    first, second = (np.full((20, 20, 3), grey, np.uint8) for grey in (100, 116))
    c1 = (0.01 * 255) ** 2
    assert ssim(first, second) == pytest.approx((2 * 100 * 116 + c1) / (100**2 + 116**2 + c1))
    assert psnr(first, second) == pytest.approx(20 * np.log10(255 / 16))


def test_a_mask_says_what_counts():
    first, second = drawn_pair()
    mask = np.zeros(first.shape[:2], bool)
    mask[:10] = True
    inside = np.where(mask[..., None], first, second)
    assert psnr(inside, first, mask) == MOST_DB
    assert psnr(inside, first, ~mask) == pytest.approx(psnr(first[10:], second[10:]))
    assert ssim(inside, first, mask) > ssim(inside, first) > ssim(inside, first, ~mask)


def test_too_small():
    with pytest.raises(ValueError, match="more than 10 px on each side, got 12 x 10"):
        ssim(np.zeros((10, 12, 3), np.uint8), np.zeros((10, 12, 3), np.uint8))
