# SPDX-License-Identifier: Apache-2.0
"""What in the layers besides the instances cannot be: each is looked at by itself and beside the instances."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from synthkit.sample import Layer, Sample

AMODAL, SURFACE, NORMALS, DEPTH = "amodal", "surface", "normals", "depth"
BASE_VERTICES = 19_158
"""Vertices of the MPFB base mesh."""

_UNIT_TOLERANCE = 0.02  # of a normal's length: rounding to 8 bits leaves 0.007


def faults(sample: Sample, *, counted: bool) -> Iterator[tuple[str, str]]:
    """Yield (layer, what is wrong) of a sample.

    Args:
        counted: whether its people's numbers come from the layers, so that these must agree.
    """
    numbers = sample.layers.get("instances") if counted else None
    numbers = None if numbers is None or numbers.ndim != 2 else numbers
    for name, check in _CHECKS.items():
        layer = sample.layers.get(name)
        text = None if layer is None else check(layer, numbers)
        if text is not None:
            yield name, text


def _amodal(layer: Layer, numbers: Layer | None) -> str | None:
    if layer.ndim != 2:
        return f"is of shape {layer.shape}, expected height and width"
    if numbers is None:
        return None
    most = int(numbers.max(initial=0))
    if most > 8 * layer.dtype.itemsize:
        return f"has {8 * layer.dtype.itemsize} bits for {most} people"
    rows, columns = np.nonzero(numbers)
    shifts = numbers[rows, columns].astype(layer.dtype) - layer.dtype.type(1)
    missing = int(np.count_nonzero(layer[rows, columns] >> shifts & layer.dtype.type(1) == 0))
    return f"lacks {missing} pixels that people are seen in" if missing else None


def _surface(layer: Layer, numbers: Layer | None) -> str | None:
    if layer.ndim != 2:
        return f"is of shape {layer.shape}, expected height and width"
    high = int(layer.max(initial=0))
    if high > BASE_VERTICES:
        return f"holds {high}, expected 0 to {BASE_VERTICES}"
    stray = 0 if numbers is None else int(np.count_nonzero((layer > 0) & (numbers == 0)))
    return f"holds vertices in {stray} pixels that are nobody's" if stray else None


def _normals(layer: Layer, _: Layer | None) -> str | None:
    if layer.ndim != 3 or layer.shape[2] != 3:
        return f"is of shape {layer.shape}, expected height, width and 3"
    directions = (layer[layer.any(axis=2)].astype(np.float32) - 128) / 127
    odd = int(np.count_nonzero(abs(np.linalg.norm(directions, axis=1) - 1) > _UNIT_TOLERANCE))
    return f"holds {odd} directions that are not of length 1" if odd else None


def _depth(layer: Layer, _: Layer | None) -> str | None:
    if layer.ndim != 2:
        return f"is of shape {layer.shape}, expected height and width"
    odd = int(np.count_nonzero(~(np.isfinite(layer) & (layer >= 0))))
    return f"holds {odd} pixels that are no finite distance >= 0" if odd else None


_CHECKS: Mapping[str, Callable[[Layer, Layer | None], str | None]] = {
    AMODAL: _amodal,
    SURFACE: _surface,
    NORMALS: _normals,
    DEPTH: _depth,
}
