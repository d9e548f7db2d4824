# SPDX-License-Identifier: Apache-2.0
"""Cutting a piece out of a quad mesh where a field on its vertices is positive, with clean edges.

Faces that the zero line crosses are split at it, so a hem is a smooth curve whatever the mesh.  The piece is kept
as recipes (vertex a, vertex b, share), so one cut serves every shape and pose of the mesh.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen(eq=False)
class Piece:
    """A cut piece: vertex k lies at (1 - share[k]) * a[k] + share[k] * b[k] of the source mesh.

    `faces` (F, 4) index the piece's vertices; `rim` (E, 2) are its boundary edges in face order.
    """

    a: NDArray[np.int32]
    b: NDArray[np.int32]
    share: NDArray[np.float32]
    faces: NDArray[np.int32]
    rim: NDArray[np.int32]

    def sample(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Interpolate per-vertex values (V, ...) of the source at the piece's vertices."""
        share = self.share.reshape(-1, *(1,) * (values.ndim - 1))
        return np.asarray(values[self.a] * (1 - share) + values[self.b] * share, np.float32)

    @property
    def nearest(self) -> NDArray[np.int32]:
        """The source's vertex nearest to each of the piece's (N,)."""
        return np.where(self.share < 0.5, self.a, self.b)


def cut(faces: NDArray[np.int32], field: NDArray[np.float32]) -> Piece:
    """Cut the part where `field` (V,) is positive out of (F, 4) quads."""
    inside = field > 0
    count = inside[faces].sum(axis=1)
    corners: dict[tuple[int, int], int] = {}
    polygons = [face.tolist() for face in faces[count == 4]]
    whole = len(polygons)
    for face in faces[(count > 0) & (count < 4)].tolist():
        polygons.extend(_clip(face, field, inside))
    keys: list[tuple[int, int]] = []
    quads = np.empty((len(polygons), 4), np.int32)
    for row, polygon in enumerate(polygons):
        for column, corner in enumerate(polygon):
            key = (corner, corner) if row < whole or isinstance(corner, int) else corner
            if key not in corners:
                corners[key] = len(keys)
                keys.append(key)
            quads[row, column] = corners[key]
    ends = np.array(keys, np.int32).reshape(-1, 2)
    before, after = field[ends[:, 0]], field[ends[:, 1]]
    gap = np.where(ends[:, 0] == ends[:, 1], 1.0, before - after)
    share = np.where(ends[:, 0] == ends[:, 1], 0.0, np.clip(before / gap, 0.02, 0.98))
    return Piece(ends[:, 0].copy(), ends[:, 1].copy(), share.astype(np.float32), quads, rim_edges(quads))


def _clip(face: list[int], field: NDArray[np.float32], inside: NDArray[np.bool_]) -> list[list[Any]]:
    """Clip one face (Sutherland and Hodgman) into faces of four corners; a corner is a vertex or an edge."""
    ring = [v for k, v in enumerate(face) if v != face[k - 1]]
    polygon: list[Any] = []
    for k, vertex in enumerate(ring):
        previous = ring[k - 1]
        if inside[vertex] != inside[previous]:
            polygon.append((min(vertex, previous), max(vertex, previous)))
        if inside[vertex]:
            polygon.append(vertex)
    if len(polygon) == 3:
        return [[*polygon, polygon[-1]]]
    if len(polygon) == 5:
        return [polygon[:4], [polygon[0], polygon[3], polygon[4], polygon[4]]]
    return [polygon] if len(polygon) == 4 else []


def rim_edges(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the edges (E, 2) that only one face has, directed as in that face."""
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    edges = edges[edges[:, 0] != edges[:, 1]]
    keys = np.sort(edges, axis=1)
    _, where, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(edges[counts[where.reshape(-1)] == 1], np.int32)


@attrs.frozen(eq=False)
class Refinement:
    """A mesh with each face split in four: vertices are the old ones, then edge middles, then face middles."""

    edges: NDArray[np.int32]
    coarse: NDArray[np.int32]
    faces: NDArray[np.int32]

    @classmethod
    def of(cls, faces: NDArray[np.int32], vertex_count: int) -> Refinement:
        """Refine (F, 4) quads over `vertex_count` vertices."""
        sides = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
        keys, where = np.unique(sides[:, 0].astype(np.int64) * vertex_count + sides[:, 1], return_inverse=True)
        edges = np.stack([keys // vertex_count, keys % vertex_count], axis=1).astype(np.int32)
        middle = where.reshape(-1, 4) + vertex_count
        centre = np.arange(len(faces)) + vertex_count + len(edges)
        quads = [np.stack([faces[:, k], middle[:, k], centre, middle[:, k - 1]], axis=1) for k in range(4)]
        return cls(edges, faces, np.stack(quads, axis=1).reshape(-1, 4).astype(np.int32))

    def sample(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate per-vertex values (V, ...) at the refined vertices."""
        between = values[self.edges].mean(axis=1)
        return np.asarray(np.concatenate([values, between, values[self.coarse].mean(axis=1)]), np.float32)

    def spread(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give what per-vertex labels (V,) say to the refined vertices: middles take that of their first corner."""
        return np.concatenate([labels, labels[self.edges[:, 0]], labels[self.coarse[:, 0]]])


def vertex_normals(vertices_m: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return unit normals (V, 3), the area-weighted mean of the faces around; zero where there is none."""
    # Axis by axis: NumPy's functions for short axes take several times as long.
    columns = np.ascontiguousarray(vertices_m.T)
    corners = np.ascontiguousarray(faces.T)
    a, b = ([c[corners[n + 2]] - c[corners[n]] for c in columns] for n in (0, 1))
    flat = faces.reshape(-1)
    total = np.empty((3, len(vertices_m)))
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        total[axis] = np.bincount(flat, np.repeat(a[u] * b[v] - a[v] * b[u], 4), len(vertices_m))
    length = np.sqrt(total[0] * total[0] + total[1] * total[1] + total[2] * total[2])
    return np.ascontiguousarray((total / np.maximum(length, 1e-12)).T, np.float32)


@attrs.frozen(eq=False)
class Neighbours:
    """Which vertices of a mesh meet at an edge: ``used`` (U,) are those of any face, the rest number these.

    `start` and `end` (E,) are the ends of each edge, both ways, `times` (E,) how many faces have it.
    """

    used: NDArray[np.intp]
    start: NDArray[np.intp]
    end: NDArray[np.intp]
    times: NDArray[np.float64]
    degree: NDArray[np.float64]

    @classmethod
    def of(cls, faces: NDArray[np.int32]) -> Neighbours:
        """Collect the edges of (F, 4) faces."""
        used, compact = np.unique(faces, return_inverse=True)
        quads = compact.reshape(-1, 4)
        edges = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
        ends = np.concatenate([edges, edges[:, ::-1]])
        keys, times = np.unique(ends[:, 0] * len(used) + ends[:, 1], return_counts=True)
        start, end = keys // len(used), keys % len(used)
        degree = np.maximum(np.bincount(start, times, len(used)), 1)
        return cls(used, start, end, times.astype(np.float64), degree)


def smoothed(
    vertices_m: NDArray[np.float32], around: Neighbours, rounds: int, strength: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Draw each vertex of a mesh (V, 3) towards the mean of its neighbours, `rounds` times, by `strength` (V,)."""
    share = strength[around.used]
    columns = np.ascontiguousarray(vertices_m[around.used].T)
    for _ in range(rounds):
        for column in columns:
            mean = np.bincount(around.start, around.times * column[around.end], len(column)) / around.degree
            column += share * (mean - column)
    result = vertices_m.copy()
    result[around.used] = columns.T
    return result
