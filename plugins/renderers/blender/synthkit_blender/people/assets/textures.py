# SPDX-License-Identifier: Apache-2.0
"""What is read off textures: a skin's tone, strands without their colour, which faces are see-through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.types import FloatArray

STRAND_GREY = 0.25  # mean linear brightness of grey strands; hair is coloured by multiplication
STRAND_CONTRAST = 0.45  # at most, standard deviation of the logarithm of their brightness
LEAST_ALPHA = 0.15  # mean over a face that counts as there


def sampled(pixels: NDArray[np.uint8], uv: FloatArray) -> NDArray[np.uint8]:
    """Return the texels at coordinates (..., 2), the nearest ones, repeating; v points up from the last row."""
    height, width = pixels.shape[:2]
    column = np.floor((uv[..., 0] % 1.0) * width).astype(np.int64).clip(0, width - 1)
    row = np.floor((1.0 - uv[..., 1] % 1.0) * height).astype(np.int64).clip(0, height - 1)
    return np.asarray(pixels[row, column])


def linear(levels: NDArray[np.uint8]) -> FloatArray:
    """Return sRGB bytes as linear light (IEC 61966-2-1)."""
    share = np.arange(256) / 255
    table = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return np.asarray(table[levels])


def encoded(light: FloatArray) -> NDArray[np.uint8]:
    """Return linear light as sRGB bytes."""
    light = np.clip(light, 0, 1)
    share = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(np.maximum(light, 0.0031308), 1 / 2.4) - 0.055)
    return np.asarray(np.rint(share * 255), np.uint8)


def mean_tone(pixels: NDArray[np.uint8], body_uv: FloatArray) -> FloatArray:
    """Return the median linear colour (3,) of a skin over the faces (F, 4, 2) of a body."""
    return np.asarray(np.median(linear(sampled(pixels, body_uv.mean(axis=1))[:, :3]), axis=0), np.float32)


def seen_faces(pixels: NDArray[np.uint8], uv: FloatArray) -> NDArray[np.bool_]:
    """Return which faces (F, 4, 2) are more than a few strands, by their corners, edges and middle."""
    looks = np.concatenate([uv, (uv + np.roll(uv, 1, axis=1)) / 2, uv.mean(axis=1, keepdims=True)], axis=1)
    return np.asarray(sampled(pixels, looks)[..., 3].mean(axis=1) >= LEAST_ALPHA * 255)


def grey_strands(pixels: NDArray[np.uint8], uv: FloatArray) -> NDArray[np.uint8]:
    """Return a hair's texture (H, W, 4) without its colour, of mean brightness `STRAND_GREY` over faces (F, 4, 2).

    What is glossy black in the texture would be glaring in white hair: contrasts are bounded.
    """
    light = linear(pixels[..., :3]) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    at_faces = sampled(np.dstack([encoded(light), pixels[..., 3]]), uv.mean(axis=1))
    opaque = at_faces[at_faces[:, 1] > 127]
    logs = np.log(np.maximum(linear(opaque[:, 0]), 1e-3)) if len(opaque) else np.zeros(1, np.float32)
    power = min(1.0, STRAND_CONTRAST / max(float(logs.std()), 1e-3))
    mean = float(np.exp(power * logs).mean())
    grey = encoded(np.maximum(light, 1e-3) ** power * (STRAND_GREY / mean))
    return np.dstack([grey, grey, grey, pixels[..., 3]])
