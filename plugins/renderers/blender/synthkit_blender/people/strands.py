# SPDX-License-Identifier: Apache-2.0
"""The texture of the library's own hair: grey strands that run down the shell, to be multiplied by a colour."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.assets.textures import STRAND_GREY, encoded
from synthkit_blender.people.types import Texture

WIDTH_PX, HEIGHT_PX = 512, 64  # around the head, and from the crown down
# Strands, locks and partings: width in pixels, length in pixels, share.
LAYERS = ((1.0, 24.0, 0.5), (3.5, 30.0, 0.75), (14.0, 20.0, 0.5))
CONTRAST = 0.42  # standard deviation of the logarithm of brightness


@functools.cache
def strand_texture() -> Texture:
    """Return the texture, which repeats around the head, of mean linear brightness `STRAND_GREY`."""
    rng = np.random.Generator(np.random.Philox(key=7))
    total = np.zeros((HEIGHT_PX, WIDTH_PX))
    for across_px, along_px, share in LAYERS:
        layer = _softened(_softened(rng.normal(size=total.shape), across_px, 1), along_px, 0)
        total += share * layer / layer.std()
    logs = CONTRAST * total / total.std()
    light = np.exp(logs) * (STRAND_GREY / np.exp(logs).mean())
    pixels = np.repeat(encoded(light.astype(np.float32))[..., None], 3, axis=2)
    return Texture(hashlib.sha256(pixels.tobytes()).hexdigest(), pixels)


def _softened(values: NDArray[np.float64], sigma_px: float, axis: int) -> NDArray[np.float64]:
    """Blur along an axis that goes round."""
    reach = int(np.ceil(3 * sigma_px))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    shifted = [weight * np.roll(values, step - reach, axis) for step, weight in enumerate(weights.tolist())]
    return np.asarray(np.sum(shifted, axis=0) / weights.sum())
