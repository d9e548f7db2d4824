# SPDX-License-Identifier: Apache-2.0
"""How deep the bodies of a scene reach into each other, in metres, from the meshes that are rendered.

Nothing here is shared with how places are found: no footprint, no solid of a piece of furniture. A mesh falls apart
into what hangs together, and each piece stands for its convex hull: exact for boxes, plates, posts and tubes, too much
(never too little) for anything hollow.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from synthkit_blender.geometry import Mesh
from synthkit_blender.placement import hull
from synthkit_blender.polygons import holds
from synthkit_blender.things import Thing

Floats = NDArray[np.float64]
FLAT_M = 1e-5  # what is thinner holds nothing


@attrs.frozen(eq=False)
class Solid:
    """A convex body in the world: its corners (N, 3)."""

    points_m: Floats

    @cached_property
    def faces(self) -> Floats:
        """(F, 4) outward normals and offsets: a point p lies within where normal . p + offset < 0 for all."""
        equations: Floats = ConvexHull(self.points_m).equations
        return equations

    @cached_property
    def box_m(self) -> tuple[Floats, Floats]:
        """The low and the high corner of the box around it."""
        return self.points_m.min(axis=0), self.points_m.max(axis=0)

    @property
    def top_m(self) -> float:
        """How high it reaches."""
        return float(self.box_m[1][2])

    def meets(self, box_m: tuple[Floats, Floats]) -> bool:
        """Return whether the box around it meets another."""
        (low, high), (other_low, other_high) = self.box_m, box_m
        return bool((low < other_high).all() and (other_low < high).all())

    def depth(self, points_m: Floats) -> float:
        """Return how far the deepest of points (N, 3) lies within, 0 where none does."""
        return max(0.0, float(self._depths(points_m)[1].max(initial=0.0)))

    def sunk(self, points_m: Floats) -> float:
        """Return how far below its top the lowest of the points (N, 3) within it lies, 0 where none does."""
        near, depths = self._depths(points_m)
        return max(0.0, self.top_m - float(near[depths > 0, 2].min(initial=self.top_m)))

    def _depths(self, points_m: Floats) -> tuple[Floats, Floats]:
        """Return the points (M, 3) in the box around it, and how far within it they lie (M,), negative without."""
        low, high = self.box_m
        near = points_m[((points_m > low) & (points_m < high)).all(axis=1)]
        if not len(near):
            return near, np.zeros(0)
        return near, -(near @ self.faces[:, :3].T + self.faces[:, 3]).max(axis=1)

    def overlap(self, other: Solid) -> float:
        """Return how far two would have to be moved apart along a face's normal of either, 0 where they are apart."""
        apart = [
            (points @ faces[:, :3].T + faces[:, 3]).min(axis=0).max()
            for faces, points in ((self.faces, other.points_m), (other.faces, self.points_m))
        ]
        return max(0.0, -float(max(apart)))


@attrs.frozen(eq=False)
class Body:
    """Furniture as it is rendered: the convex solids of its meshes."""

    thing: Thing

    @cached_property
    def solids(self) -> list[Solid]:
        """Its solids; what is flat is none."""
        found = [Solid(points) for mesh, _ in self.thing.parts for points in _pieces(mesh.moved(self.thing.matrix))]
        return [solid for solid in found if _has_volume(solid)]

    @cached_property
    def box_m(self) -> tuple[Floats, Floats]:
        """The low and the high corner of the box around it."""
        points = np.concatenate([mesh.moved(self.thing.matrix).vertices_m for mesh, _ in self.thing.parts])
        return points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)

    def near(self, box_m: tuple[Floats, Floats]) -> list[Solid]:
        """Return the solids whose boxes meet another box."""
        low, high = self.box_m
        if (low >= box_m[1]).any() or (high <= box_m[0]).any():
            return []
        return [solid for solid in self.solids if solid.meets(box_m)]

    def depth(self, points_m: Floats) -> float:
        """Return how deep points (N, 3) reach into it."""
        box_m = points_m.min(axis=0), points_m.max(axis=0)
        return max((solid.depth(points_m) for solid in self.near(box_m)), default=0.0)

    def overlap(self, other: Body) -> float:
        """Return how deep two reach into each other."""
        ours, theirs = self.near(other.box_m), other.near(self.box_m)
        return max((a.overlap(b) for a in ours for b in theirs if a.meets(b.box_m)), default=0.0)

    def seat_m(self, x_m: float, y_m: float, below_m: float) -> float | None:
        """Return the height of what one sits on over a place, below a height; None where there is nothing."""
        column = [s for s in self.solids if _over(s.points_m[:, :2], x_m, y_m) and s.top_m < below_m]
        return max((solid.top_m for solid in column), default=None)


def hulls_apart_m(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the distance of two bodies' footprints (points (N, 3)) along an edge's normal, negative where they meet.

    Where it is positive the bodies do not meet, and are at least that far apart.
    """
    apart = -np.inf
    first, second = hull(a), hull(b)
    for one, other in ((first, second), (second, first)):
        edges = np.roll(one, -1, axis=0) - one
        normals = np.column_stack([edges[:, 1], -edges[:, 0]]) / np.maximum(np.hypot(*edges.T), 1e-12)[:, None]
        away = (other @ normals.T).min(axis=0) - (one * normals).sum(axis=1)
        apart = max(apart, float(away[np.hypot(*edges.T) > 1e-9].max()))
    return apart


def _pieces(mesh: Mesh) -> list[Floats]:
    """Return the vertices (N, 3) of each part of a mesh that hangs together."""
    count = len(mesh.vertices_m)
    starts = np.repeat(mesh.faces[:, 0], 3)
    ends = mesh.faces[:, 1:].ravel()
    graph = coo_array((np.ones(len(starts), bool), (starts, ends)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    cuts = np.flatnonzero(np.diff(label[order])) + 1
    return [np.asarray(mesh.vertices_m[part], np.float64) for part in np.split(order, cuts)]


def _has_volume(solid: Solid) -> bool:
    spread = np.linalg.svd(solid.points_m - solid.points_m.mean(axis=0), compute_uv=False)
    if len(spread) < 3 or spread[2] < FLAT_M:
        return False
    try:
        return len(solid.faces) > 3
    except QhullError:
        return False


def _over(points_m: Floats, x_m: float, y_m: float) -> bool:
    return bool(holds(hull(points_m), np.array([x_m, y_m])))
