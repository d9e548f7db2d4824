# SPDX-License-Identifier: Apache-2.0
"""Networks that learned from crops, applied to whole images of any size: they are fully convolutional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from synthkit.training import tiling
from synthkit_cyclegan.crop_learner import as_crops, as_images

Image = npt.NDArray[np.uint8]

_MULTIPLE = 4  # the networks halve their input twice


class Divisible(Protocol):
    """A network that can be applied to an image at once, or layer by layer in tiles."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return what it makes of images (N, 3, H, W)."""

    def parts(self) -> Sequence[nn.Module | tiling.Added]:
        """Return its layers, as ``tiling.apply`` takes them."""

    def finished(self, images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """Return what it makes of images, from what the layers made of them."""


def translate(generator: Divisible, image: Image, tile_px: int, device: torch.device) -> Image:
    """Return an image (H, W, 3), of any size, as a generator makes it; see ``apply``."""
    return as_pixels(apply(generator, as_seen(image), tile_px, device), image.shape[:2])


def apply(network: Divisible, seen: torch.Tensor, tile_px: int, device: torch.device) -> torch.Tensor:
    """Return what a network makes of an image: at once if it fits into a tile, else as ``tiling.apply`` says.

    Args:
        network: on ``device``. seen: the image, from ``as_seen``. tile_px: the side of the parts that the device holds
            at a time.

    Returns:
        (1, C, H, W) on the host.
    """
    if max(seen.shape[2:]) <= tile_px:
        with torch.inference_mode():
            return network(seen.to(device)).cpu()
    return network.finished(seen, tiling.apply(network.parts(), seen[0], tile_px, device)[None])


def as_seen(image: Image) -> torch.Tensor:
    """Return an image (H, W, 3) as (1, 3, H', W') in -1..1; to a multiple of 4 it is continued by its mirror image."""
    height, width = image.shape[:2]
    sides = (0, -width % _MULTIPLE, 0, -height % _MULTIPLE)
    return functional.pad(as_images(np.array(image)[None]), sides, mode="reflect")


def as_pixels(made: torch.Tensor, size: tuple[int, ...]) -> Image:
    """Return an image (height, width, 3) of a size from (1, 3, H', W') in -1..1, without what was continued."""
    height, width = size
    return np.asarray(np.clip(np.rint(as_crops(made)[0, :height, :width]), 0, 255), dtype=np.uint8)
