# SPDX-License-Identifier: Apache-2.0
"""What a pass looks like on disk: the layers of a multilayer OpenEXR file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray

CRYPTOMATTE_RANKS = tuple(f"CryptoAsset{n:02d}" for n in range(3))  # two ids each
CHANNELS = {
    "color": tuple(f"Combined.{c}" for c in "RGBA"),
    "depth": ("Depth.Z",),
    "normals": tuple(f"Normal.{c}" for c in "XYZ"),
    "ids": tuple(f"{rank}.{c}" for rank in CRYPTOMATTE_RANKS for c in "rb"),
    "coverage": tuple(f"{rank}.{c}" for rank in CRYPTOMATTE_RANKS for c in "ga"),
}


def read_layers(path: Path, size: tuple[int, int], region: tuple[int, int, int, int]) -> dict[str, NDArray[Any]]:
    """Read the layers that a file has, as float32 images of the whole size (H, W), 0 outside the region.

    Args:
        region: (top, bottom, left, right) in the whole image that the file holds.

    Returns:
        ``color`` (H, W, 4) linear, ``depth`` (H, W) metres along the ray, ``normals`` (H, W, 3) in world axes,
        ``ids`` and ``coverage`` (6, H, W).

    Raises:
        RuntimeError, ValueError: for a file that is not there, damaged, or of another size.
    """
    top, bottom, left, right = region
    with OpenEXR.File(str(path), separate_channels=True) as file:
        parts = [file.channels(number) for number in range(len(file.parts))]  # Blender 5.0 writes one for each layer
        stored = {name.split(".", 1)[1]: channel.pixels for part in parts for name, channel in part.items()}
    layers: dict[str, NDArray[Any]] = {}
    for layer, names in CHANNELS.items():
        if not all(name in stored for name in names):
            continue
        planes = np.zeros((len(names), *size), np.float32)
        for plane, name in zip(planes, names, strict=True):
            plane[top:bottom, left:right] = stored.pop(name)
        layers[layer] = planes
    for name in ("color", "normals"):
        if name in layers:
            layers[name] = np.ascontiguousarray(layers[name].transpose(1, 2, 0))
    if "depth" in layers:
        layers["depth"] = layers["depth"][0]
    return layers
