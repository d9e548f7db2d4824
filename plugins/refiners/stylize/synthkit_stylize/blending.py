# SPDX-License-Identifier: Apache-2.0
"""A part of a picture, and its blend with a person's crop."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_SHADE_SHARE = 0.02  # of a crop's side: details that are finer are cloth rather than form
_LEAST_LIGHT, _MOST_LIGHT = 0.4, 1.6  # times the person's mean


def window(picture: Pixels, size_px: tuple[int, int], span: float, draw: np.random.Generator) -> Pixels:
    """Return a random square part of a picture, turned by a random quarter and mirrored half the time.

    The square lies inside the picture, so that nothing is repeated and no seam can be seen.

    Args:
        picture: (h, w, 3). size_px: (width, height) of the result.
        span: side of the square, of the picture's shorter side, in (0, 1].
    """
    height, width = picture.shape[:2]
    side = max(1, round(span * min(width, height)))
    left = int(draw.integers(width - side + 1))
    top = int(draw.integers(height - side + 1))
    part = np.rot90(picture[top : top + side, left : left + side], int(draw.integers(4)))
    if draw.random() < 0.5:
        part = part[:, ::-1]
    # Averaging over areas does not alias where the picture is finer than the crop.
    smooth = cv2.INTER_AREA if side > max(size_px) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(part), size_px, interpolation=smooth), np.uint8)


def blend(crop: Pixels, texture: Pixels, inside: npt.NDArray[np.bool_], strength: float, shading: float) -> Floats:
    """Return a crop mixed with a texture that has taken on the person's light and shade.

    Args:
        crop, texture: (h, w, 3). inside: (h, w), where the person is.
        strength: share of the texture, 0..1. shading: 0 leaves it flat, 1 shades it as the person is.

    Returns:
        (h, w, 3) float32; values may exceed 255 where a bright texture is lit.
    """
    shade = _shade(crop, inside) ** np.float32(shading)
    return np.asarray(crop + np.float32(strength) * (texture * shade[..., None] - crop), np.float32)


def _shade(crop: Pixels, inside: npt.NDArray[np.bool_]) -> Floats:
    """Return how light each place of a person is beside their mean, (h, w); nothing around them bleeds in."""
    if not inside.any():
        return np.ones(inside.shape, np.float32)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    weight = inside.astype(np.float32)
    sigma = _SHADE_SHARE * max(inside.shape)
    total, near = (cv2.GaussianBlur(plane, (0, 0), sigma) for plane in (grey * weight, weight))
    mean = max(float(grey[inside].mean()), 1.0)
    light = np.where(near > 1e-3, total / np.maximum(near, 1e-3), mean) / mean
    return np.asarray(np.clip(light, _LEAST_LIGHT, _MOST_LIGHT), np.float32)
