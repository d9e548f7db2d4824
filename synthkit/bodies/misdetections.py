# SPDX-License-Identifier: Apache-2.0
"""Telling surface maps that a finder got wrong from right ones (thesis 002, appendix A).

Where a finder fails it mostly gives few vertices, and these from all parts of the body at once. So what counts is how
many different vertices a crop shows for each part of the body that it shows (sections A.1 and A.2).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.dataset import codec
from synthkit.errors import ConfigError
from synthkit.files import small_file
from synthkit.surfaces import MPFB, SMPL, SurfaceSpace

LEAST_PER_PART: Mapping[str, float] = MappingProxyType({SMPL.name: 135.0, MPFB.name: 7.0})
"""From how many vertices for each part on a map of a space is believed, in crops of 160x288 pixels: of CSE's mesh with
DensePose's 24 parts, thesis 002, section A.4; of MPFB's as docs/fdh.md tells."""

_SHIPPED = {MPFB.name: "mpfb_parts.npy"}  # as synthkit-blender's surface.body_parts() gives them
_MOST_BYTES = 1 << 20

Parts = npt.NDArray[np.uint8]


def parts_of(space: SurfaceSpace, path: Path | None = None) -> Parts:
    """Return which part of the body each vertex of a space belongs to, (vertices,) uint8.

    Args:
        path: an ``.npy`` file of whole numbers below 256, one for each vertex; None takes the table that ships.

    Raises:
        ConfigError: when it is no such file, or none ships for the space.
    """
    try:
        if path is not None:
            return _table(small_file(path, _MOST_BYTES, "a table of parts"), space)
        if space.name in _SHIPPED:
            shipped = importlib.resources.files("synthkit.bodies").joinpath(_SHIPPED[space.name])
            return _table(shipped.read_bytes(), space)
    except ValueError as error:
        raise ConfigError([f"--parts {path}: {error}"]) from None
    raise ConfigError(
        [f"--parts FILE: which vertices of {space.mesh} are of which part of the body must be told by a file, as its"
         " licence does not let it ship (docs/fdh.md tells how to make it); --least 0 believes all maps"]
    )  # fmt: skip


def unique_vertices(surface: npt.NDArray[Any]) -> int:
    """Return how many different vertices a surface map shows (section A, first criterion)."""
    return int(np.count_nonzero(np.bincount(surface.ravel())[1:]))


def vertices_per_part(surface: npt.NDArray[Any], parts: Parts) -> float:
    """Return the mean number of different vertices of the parts of the body that a surface map shows (section A.1).

    Args:
        surface: (H, W), 1 + vertex, 0 where there is none, within the space of ``parts``.

    Returns:
        Unique vertices over the number of parts that they belong to; 0 for a map without any.
    """
    shown = np.flatnonzero(np.bincount(surface.ravel())[1:])
    return len(shown) / max(len(np.unique(parts[shown])), 1)


def _table(data: bytes, space: SurfaceSpace) -> Parts:
    table = codec.decode_npy(data, kinds="iu")
    if table.shape != (space.vertices,):
        raise ValueError(f"has the shape {table.shape}, expected a number for each of {space.vertices} vertices")
    if table.min() < 0 or table.max() > 255:
        raise ValueError(f"has parts from {table.min()} to {table.max()}, expected 0 to 255")
    return table.astype(np.uint8)
