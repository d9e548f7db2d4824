# SPDX-License-Identifier: Apache-2.0
"""How images become a network's input. Scores differ by it, so each way has a name that results tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Planes = npt.NDArray[np.float32]
Resizing = Callable[[Pixels, int], Planes]

_BICUBIC = Image.Resampling.BICUBIC


def tf1(image: Pixels, side: int) -> Planes:
    """Return (3, side, side) in 0..255 as TensorFlow 1's resize_bilinear: corners aligned at 0, no antialiasing."""
    (rows, below, down), (columns, right, across) = (_taps(length, side) for length in image.shape[:2])
    planes = image.transpose(2, 0, 1).astype(np.float32)
    upper, lower = planes[:, rows], planes[:, below]
    top = upper[:, :, columns] + (upper[:, :, right] - upper[:, :, columns]) * across
    bottom = lower[:, :, columns] + (lower[:, :, right] - lower[:, :, columns]) * across
    return np.asarray(top + (bottom - top) * down[:, None], dtype=np.float32)


def clean(image: Pixels, side: int) -> Planes:
    """Return the image as clean-fid resizes (Parmar et al., CVPR 2022): Pillow's bicubic of floats, clipped."""
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., n]).astype(np.float32)).resize((side, side), _BICUBIC)
        for n in range(3)
    ]
    return np.asarray(np.stack([np.asarray(plane) for plane in planes]).clip(0, 255), dtype=np.float32)


def pillow(image: Pixels, side: int) -> Planes:
    """Return the image squeezed to a square by Pillow's bicubic, antialiased, in whole grey levels."""
    if image.shape[:2] == (side, side):
        return _planes(image)
    return _planes(np.asarray(Image.fromarray(image).resize((side, side), _BICUBIC)))


def squash(image: Pixels, side: int) -> Planes:
    """Return the image squeezed to a square by torch's bicubic without antialiasing, as DeepPrivacy2 does."""
    planes = torch.from_numpy(_planes(image))[None]
    return np.asarray(F.interpolate(planes, size=(side, side), mode="bicubic", align_corners=False)[0].numpy())


def centre_crop(image: Pixels, side: int) -> Planes:
    """Return the middle square after Pillow's bicubic made the shorter side fit, in whole grey levels, as CLIP does."""
    height, width = image.shape[:2]
    short = min(height, width)
    size = (int(side * width / short), int(side * height / short))
    resized = np.asarray(Image.fromarray(image).resize(size, _BICUBIC) if short != side else image)
    top, left = (round((length - side) / 2) for length in resized.shape[:2])
    return _planes(resized[top : top + side, left : left + side])


RESIZINGS: Mapping[str, tuple[Resizing, str]] = {
    "tf1": (tf1, "TensorFlow 1's bilinear (not antialiased) to {0} x {0}"),
    "clean": (clean, "Pillow bicubic (antialiased, of floats) to {0} x {0}"),
    "pillow": (pillow, "Pillow bicubic (antialiased) to {0} x {0}"),
    "squash": (squash, "torch bicubic (not antialiased) to {0} x {0}"),
    "centre-crop": (centre_crop, "Pillow bicubic (antialiased) to a shorter side of {0}, its middle {0} x {0}"),
}
"""The ways by name, and what results tell of them."""


def _taps(length: int, side: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return for each place of the output the two of the input it lies between, and how far along."""
    place = np.arange(side, dtype=np.float32) * np.float32(length / side)
    low = place.astype(np.intp)
    return low, np.minimum(low + 1, length - 1), place - low.astype(np.float32)


def _planes(image: Pixels) -> Planes:
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
