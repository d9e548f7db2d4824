# SPDX-License-Identifier: Apache-2.0
"""The meshes by whose vertices layers tell what is where on a body, each by its name; nothing says who is who of two.

A layer of such a space holds 1 + the vertex that a pixel shows, and 0 where it shows none. There is one layer for each
space, so that no map is taken for one of another mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from synthkit.errors import DatasetError
from synthkit.sample import Layer


@attrs.frozen
class SurfaceSpace:
    """A mesh of the body's surface.

    Args:
        name: what sets, checkpoints and errors call it. layer: the layer of maps on it.
        vertices: how many it has. mesh: which one, for people.
    """

    name: str
    layer: str
    vertices: int
    mesh: str


MPFB = SurfaceSpace("mpfb", "surface", 19_158, "the base mesh of MPFB (MakeHuman's HM08), of which 13,380 are skin")
SMPL = SurfaceSpace("smpl_27554", "surface_smpl", 27_554, "SMPL's mesh with its edges halved once, as DensePose CSE's")

SPACES: Mapping[str, SurfaceSpace] = MappingProxyType({space.name: space for space in (MPFB, SMPL)})
LAYERS = tuple(space.layer for space in SPACES.values())
"""The layers of surface maps."""


def space_of(layers: Mapping[str, Any], name: str | None = None) -> SurfaceSpace | None:
    """Return the space of the one surface map among some layers, None where there is none.

    Args:
        name: of the space that alone counts; None: any.

    Raises:
        DatasetError: when there are maps of several spaces.
    """
    found = [space for space in SPACES.values() if space.layer in layers and name in (None, space.name)]
    if len(found) > 1:
        names = " and ".join(space.name for space in found)
        raise DatasetError(f"has surface maps of {names}: say which one is meant")
    return found[0] if found else None


def checked(surface: Layer, space: SurfaceSpace) -> Layer:
    """Return a surface map, looked at.

    Raises:
        DatasetError: when it is no map of that space: (H, W) whole numbers from 0 to the number of vertices.
    """
    if surface.ndim != 2 or surface.dtype.kind not in "iu":
        raise DatasetError(
            f"has a layer {space.layer} of {surface.dtype} {surface.shape}, expected whole numbers (H, W)"
        )
    low, high = (int(surface.min()), int(surface.max())) if surface.size else (0, 0)
    if low < 0 or high > space.vertices:
        raise DatasetError(f"has a layer {space.layer} with {low}..{high}, expected 0..{space.vertices} ({space.mesh})")
    return surface
