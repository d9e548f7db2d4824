# SPDX-License-Identifier: Apache-2.0
"""The body's surface as a space for coordinates: where each vertex of the skin lies at rest, and on which part."""

from __future__ import annotations

import functools
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.errors import ConfigError
from synthkit.surfaces import MPFB

SPACE = MPFB
"""The mesh whose vertices the finder's maps tell; of these only the skin, which comes first."""

MOST_VERTICES = 65_534
MOST_PARTS = 64
LEAST_VERTICES = 2
"""Of a part of the body."""
_AT_ONCE = 4096  # pixels whose distances to all vertices of a part are held together

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@attrs.frozen(eq=False)
class Surface:
    """The skin of the base mesh.

    Args:
        names: of the parts of the body. vertices_m: (V, 3) at rest, x to the body's left. parts: (V,) the part of each.
    """

    names: tuple[str, ...]
    vertices_m: Floats
    parts: Numbers

    @functools.cached_property
    def middle_m(self) -> Floats:
        """The middle of each part's vertices, (P, 3)."""
        return np.stack([self.vertices_m[self.parts == n].mean(axis=0) for n in range(len(self.names))])

    @functools.cached_property
    def reach_m(self) -> Floats:
        """How far each part reaches from its middle at most, (P,)."""
        away = np.linalg.norm(self.vertices_m - self.middle_m[self.parts], axis=1)
        return np.array([away[self.parts == n].max() for n in range(len(self.names))], np.float32)

    @functools.cached_property
    def mirrored(self) -> Numbers:
        """The part that each becomes in a mirror, (P,): left and right change places."""
        swapped = {"left": "right", "right": "left"}
        others = []
        for name in self.names:
            side, mark, rest = name.partition("_")
            others.append(self.names.index(f"{swapped[side]}{mark}{rest}" if side in swapped else name))
        return np.array(others, np.int64)

    def places(self, vertices: Numbers) -> Floats:
        """Return where vertices (N,) lie in their parts: (N, 3), offsets from the middle over the part's reach."""
        part = self.parts[vertices]
        offset = self.vertices_m[vertices] - self.middle_m[part]
        return np.asarray(offset / self.reach_m[part][:, None], np.float32)

    def nearest(self, parts: Numbers, places: Floats) -> Numbers:
        """Return the vertices (N,) of the given parts (N,) that lie nearest to places (N, 3) in them."""
        found = np.zeros(len(parts), np.int64)
        for part in np.unique(parts).tolist():
            members = np.flatnonzero(self.parts == part)
            known = self.places(members).astype(np.float64)
            rows = np.flatnonzero(parts == part)
            for some in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)):
                squares = (known**2).sum(axis=1) - 2.0 * places[some].astype(np.float64) @ known.T
                found[some] = members[squares.argmin(axis=1)]
        return found

    @classmethod
    def checked(cls, names: tuple[str, ...], vertices_m: Floats, parts: Numbers) -> Surface:
        """Return a surface of which nothing is known to be right.

        Raises:
            ValueError: saying what is wrong with it.
        """
        counts = np.bincount(parts, minlength=len(names))
        if len(counts) > len(names) or counts.min() < LEAST_VERTICES:
            raise ValueError("its surface has parts of the body without vertices, or without names")
        surface = cls(names, vertices_m, parts)
        if not (surface.reach_m > 0).all():
            raise ValueError("its surface has parts of the body without extent")
        return surface


@functools.cache
def base_surface() -> Surface:
    """Return the surface that the renderer's layer ``surface`` is of, for training; a checkpoint brings its own.

    Raises:
        ConfigError: where the renderer's package, which knows the mesh, is not installed.
    """
    try:
        from synthkit_blender.people.mpfb import BODY, find_data_dir, parse_base_mesh
        from synthkit_blender.people.surface import BODY_PARTS, body_parts
    except ImportError:
        raise ConfigError(
            ["training needs the mesh that synthkit-blender knows: pip install 'synthkit-surface-finder[train]'"]
        ) from None
    mesh = parse_base_mesh(find_data_dir())
    skin: npt.NDArray[Any] = mesh.group_vertices(BODY)
    if skin[-1] != len(skin) - 1:
        raise ConfigError(["surface: the installed body data has another order of vertices than its skin first"])
    # In half precision, as checkpoints ship, so that what is learned and what is found later are the same places.
    vertices_m = mesh.vertices_m[skin].astype(np.float16).astype(np.float32)
    return Surface(BODY_PARTS, vertices_m, body_parts()[skin].astype(np.int64))
