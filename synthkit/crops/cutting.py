# SPDX-License-Identifier: Apache-2.0
"""Cutting crops out of images, and the resampling for it and for the way back."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.crops.planning import CropPlan, Floats, apply

Pixels = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.float32]


def extract(image: Pixels, plan: CropPlan) -> Pixels:
    """Cut a crop out of an image: (h, w, 3) uint8, black where it leaves the image."""
    return as_pixels(warp(image, plan.crop_from_image, plan.size_px, plan.scale))


def extract_mask(instances: npt.NDArray[Any], plan: CropPlan) -> npt.NDArray[np.bool_]:
    """Cut the mask of a plan's person out of an instance layer (H, W), by nearest neighbour: (h, w) bool."""
    return np.asarray(extract_layer(instances, plan) == plan.instance)


def extract_layer(layer: npt.NDArray[Any], plan: CropPlan) -> npt.NDArray[Any]:
    """Cut numbers that must not be mixed out of a layer (H, W) of 8 or 16 bits: the nearest pixel's, 0 beyond it."""
    cut = cv2.warpAffine(layer, _for_cv2(plan.crop_from_image), plan.size_px, flags=cv2.INTER_NEAREST)
    return np.asarray(cut)


def transfer(crop: npt.NDArray[Any], plan: CropPlan, other: CropPlan) -> Picture:
    """Return a crop (h, w, 3) of one plan as another plan of the same image shows it; its rim goes on beyond it."""
    matrix = np.vstack([other.crop_from_image, (0, 0, 1)]) @ np.vstack([plan.image_from_crop, (0, 0, 1)])
    return warp(crop, matrix[:2], other.size_px, other.scale / plan.scale, border=cv2.BORDER_REPLICATE)


def warp(
    image: npt.NDArray[Any],
    matrix: Floats,
    size_px: tuple[int, int],
    scale: float,
    *,
    border: int = cv2.BORDER_CONSTANT,
) -> Picture:
    """Resample (H, W) or (H, W, 3) by a similarity; when it shrinks, blur first so that nothing aliases.

    Args:
        image, matrix, size_px: what, by which (2, 3) matrix, to which (width, height).
        scale: of the matrix. border: OpenCV's name of what lies beyond the image, else black.
    """
    sigma = 0.5 * math.sqrt(1 / scale**2 - 1) if scale < 1 else 0.0
    matrix, part = _window(matrix, image, size_px, reach=math.ceil(4 * sigma) + 2)
    if 0 in part.shape:
        return np.zeros((size_px[1], size_px[0], *image.shape[2:]), np.float32)
    pixels = part.astype(np.float32)
    if sigma:
        blurred = cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        pixels = np.asarray(blurred, dtype=np.float32)
    warped = cv2.warpAffine(pixels, _for_cv2(matrix), size_px, flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(warped, dtype=np.float32)


def as_pixels(image: Picture) -> Pixels:
    """Round and clip to uint8."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _window(
    matrix: Floats, image: npt.NDArray[Any], size_px: tuple[int, int], reach: int
) -> tuple[Floats, npt.NDArray[Any]]:
    """Return the part of the image that a warp looks at, and the matrix that starts from there."""
    width, height = size_px
    back = np.asarray(cv2.invertAffineTransform(matrix), dtype=np.float64)
    corners = apply(back, [[0, 0], [width, 0], [width, height], [0, height]])
    low = np.floor(corners.min(axis=0)).astype(int) - reach
    high = np.ceil(corners.max(axis=0)).astype(int) + reach
    limit = np.array([image.shape[1], image.shape[0]])
    (left, top), (right, bottom) = np.clip(low, 0, limit), np.clip(high, 0, limit)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (left, top)
    return moved, image[top:bottom, left:right]


def _for_cv2(matrix: Floats) -> Floats:
    """Return the matrix for OpenCV, which counts pixels from the centre of the top-left one."""
    result = np.array(matrix)
    result[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return result
