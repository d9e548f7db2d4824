# SPDX-License-Identifier: Apache-2.0
"""Looking at what is to be handed on: whether detail of somebody is left, and whether somebody was overlooked."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.anonymization.obscuring import Pixels
from synthkit.anonymization.people import Found
from synthkit.anonymization.regions import Region

_FINE = 0.03  # of a length: detail is what is finer; a face is some 0.1 long
_LEAST_SIGMA_PX = 1.0
_LEAST_DETAIL = 1.5  # grey levels (root of the mean square) below which there is nothing to be recognised
_COVERED = 0.5  # of a find's pixels: somebody of whom more than this is treated is no survivor


def detail_left(before: Pixels, after: Pixels, region: Region) -> float:
    """Return how much of the detail in a region is still there: 1 all of it, 0 none.

    It is the coefficient of the least squares that explain what is fine in one image by what is fine in the other, so
    new detail that has nothing to do with the old does not count.

    Args:
        before, after: (H, W, 3).
    """
    sigma = max(_LEAST_SIGMA_PX, _FINE * region.length_px)
    old, new = (_detail(image, region, sigma) for image in (before, after))
    energy = float(np.square(old).sum())
    if energy < _LEAST_DETAIL**2 * region.area_px:
        return 0.0
    return float(np.clip((old * new).sum() / energy, 0.0, 1.0))


def _detail(image: Pixels, region: Region, sigma: float) -> npt.NDArray[np.float32]:
    """Return what is finer than ``sigma`` pixels inside a region, (n,) grey levels."""
    reach = int(np.ceil(3 * sigma))
    rows, columns = (slice(max(0, part.start - reach), part.stop + reach) for part in region.window)
    grey = cv2.cvtColor(np.ascontiguousarray(image[rows, columns]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    top, left = region.top - rows.start, region.left - columns.start
    height, width = region.mask.shape
    return np.asarray(fine[top : top + height, left : left + width][region.mask], np.float32)


def survivors(found: Sequence[Found], treated: Sequence[Region], size_px: tuple[int, int]) -> list[Found]:
    """Return those of the people found in an image to be handed on who are not among the treated ones.

    Args:
        found: who was found, looked for once more. treated: regions of those who were treated.
    """
    covered = np.zeros(size_px[::-1], bool)
    for region in treated:
        covered[region.window] |= region.mask
    return [
        one for one in found
        if np.count_nonzero(covered[one.region.window] & one.region.mask) <= _COVERED * one.region.area_px
    ]  # fmt: skip
