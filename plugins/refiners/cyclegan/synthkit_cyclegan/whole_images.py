# SPDX-License-Identifier: Apache-2.0
"""A generator that learned from crops, applied to whole images of any size: it is fully convolutional."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from synthkit.training import tiling
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.networks import Generator, Residual

_MULTIPLE = 4  # the generator halves its input twice


def translate(
    generator: Generator, image: npt.NDArray[np.uint8], tile_px: int, device: torch.device
) -> npt.NDArray[np.uint8]:
    """Return an image (H, W, 3) as a generator makes it: at once if it fits into a tile, else as ``tiling.apply`` says.

    Args:
        generator: on ``device``. image: of any size; where it is no multiple of 4, it is continued by its mirror image
            for the generator to see. tile_px: the side of the parts that the device holds at a time.
    """
    height, width = image.shape[:2]
    down, right = -height % _MULTIPLE, -width % _MULTIPLE
    seen = functional.pad(as_images(np.array(image)[None]), (0, right, 0, down), mode="reflect")
    if max(seen.shape[2:]) <= tile_px:
        with torch.inference_mode():
            made = as_crops(generator(seen.to(device)))
    else:
        made = as_crops(generator.finished(seen, _change(generator, seen, tile_px, device)))
    return np.asarray(np.clip(np.rint(made[0, :height, :width]), 0, 255), dtype=np.uint8)


def _change(generator: Generator, seen: torch.Tensor, tile_px: int, device: torch.device) -> torch.Tensor:
    """Return what the generator's layers make of an image (1, 3, H, W)."""
    layers = [tiling.Added(list(one.layers)) if isinstance(one, Residual) else one for one in generator.layers]
    return tiling.apply(layers, seen[0], tile_px, device)[None]
