# SPDX-License-Identifier: Apache-2.0
"""Keeping arms out of the body and hands upon it: a surface that tells points how deep they are in it."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import Facets
from synthkit_blender.people.rotations import Vec
from synthkit_blender.people.skeleton import PosedSkeleton, Skin, moved

SKIN_ROUNDS = 7
CLOSE_M = 0.002


@attrs.frozen(eq=False)
class Flesh:
    """A surface with its outward normals, both (N, 3); `over_m` (N,) is how far clothes stand off it."""

    points_m: NDArray[np.float32]
    normals: NDArray[np.float32]
    over_m: NDArray[np.float32]

    def joined(self, other: Flesh) -> Flesh:
        """Return both surfaces as one."""
        pairs = ((self.points_m, other.points_m), (self.normals, other.normals), (self.over_m, other.over_m))
        return Flesh(*(np.concatenate(pair) for pair in pairs))

    @cached_property
    def _exact(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The points (N, 3) in double precision, and the squares (N,) of their distances from the origin."""
        x, y, z = self.points_m.T.astype(np.float64)
        return self.points_m.astype(np.float64), x * x + y * y + z * z

    def depths(self, balls_m: NDArray[np.float64], radii_m: NDArray[np.float64]) -> tuple[Vec, NDArray[np.float64]]:
        """Return how deep balls (K, 3) reach below the surface, and the way out of each, (K, 3).

        The distance is to the tangent plane of the nearest vertex: exact where the surface is flat, and below a
        millimetre off where it bends by a hand's breadth.
        """
        points, squares = self._exact
        nearest = (squares - 2 * balls_m @ points.T).argmin(axis=1)
        normals = self.normals[nearest].astype(np.float64)
        above = ((balls_m - points[nearest]) * normals).sum(axis=1)
        return radii_m + self.over_m[nearest] - above, normals


@attrs.frozen(eq=False)
class FleshPart:
    """Some of the body's vertices, which follow the bones that move them alone."""

    vertices: NDArray[np.intp]
    facets: Facets
    skin: Skin

    @classmethod
    def of(cls, skin: Skin, faces: NDArray[np.int32], chosen: NDArray[np.bool_]) -> FleshPart:
        """Take the vertices for which `chosen` (V,) is set, and the faces (F, 4) among them."""
        inside = faces[chosen[faces].all(axis=1)]
        used = np.unique(inside)
        place = np.full(len(chosen), -1, np.int32)
        place[used] = np.arange(len(used))
        return cls(used, Facets.of(place[inside], np.arange(len(used))), skin.only(used))

    def posed(
        self, shape_m: NDArray[np.float32], rest: dict[str, Vec], posed: PosedSkeleton, over_m: NDArray[np.float32]
    ) -> Flesh:  # fmt: skip
        """Return the surface of a shape (V, 3) in a pose, clothes standing off it by `over_m` (V,)."""
        points = moved(self.skin.motions(rest, posed), shape_m[self.vertices])
        return Flesh(points, self.facets.normals(points), over_m[self.vertices])
