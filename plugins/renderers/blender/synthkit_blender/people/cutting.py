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
from scipy.sparse import csr_array


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
        flat = values.reshape(len(values), -1)
        # Corner by corner: NumPy's mean over so short an axis takes several times as long.
        middles = [sum(flat[corner] for corner in ends.T) / len(ends.T) for ends in (self.edges, self.coarse)]
        return np.concatenate([flat, *middles], dtype=np.float32).reshape(-1, *values.shape[1:])

    def spread(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Give what per-vertex labels (V,) say to the refined vertices: middles take that of their first corner."""
        return np.concatenate([labels, labels[self.edges[:, 0]], labels[self.coarse[:, 0]]])


@attrs.frozen(eq=False)
class Facets:
    """The faces around some vertices of a mesh, which tell its normals there; made once, for it serves every shape.

    `corners` (4, F) are the faces' vertices, `meeting` (N, F) is how often each face meets each of the vertices.
    """

    corners: NDArray[np.intp]
    meeting: csr_array

    @classmethod
    def of(cls, faces: NDArray[np.int32], vertices: NDArray[np.integer[Any]]) -> Facets:
        """Collect the faces, of (F, 4), that meet vertices (N,)."""
        place = np.full(max(faces.max(initial=-1), vertices.max(initial=-1)) + 1, -1)
        place[vertices] = np.arange(len(vertices))
        near = faces[(place[faces] >= 0).any(axis=1)]
        at = place[near].reshape(-1)
        order = np.argsort(at, kind="stable")[np.count_nonzero(at < 0) :]
        starts = np.concatenate([[0], np.cumsum(np.bincount(at[order], minlength=len(vertices)))])
        meeting = csr_array((np.ones(len(order)), order // 4, starts), shape=(len(vertices), len(near)))
        return cls(np.ascontiguousarray(near.T, np.intp), meeting)

    def normals(self, vertices_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return unit normals (N, 3), the area-weighted mean of the faces around; zero where there is none."""
        # Axis by axis: NumPy's functions for short axes take several times as long.
        columns = np.ascontiguousarray(vertices_m.T)
        a, b = ([c[self.corners[n + 2]] - c[self.corners[n]] for c in columns] for n in (0, 1))
        across = np.stack([a[u] * b[v] - a[v] * b[u] for u, v in ((1, 2), (2, 0), (0, 1))], axis=1)
        x, y, z = np.ascontiguousarray((self.meeting @ across).T)
        length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)
        return np.asarray(np.stack([x / length, y / length, z / length], axis=1), np.float32)


@attrs.frozen(eq=False)
class Ground:
    """What of a mesh a piece is cut from: the vertices (N,), the faces around them, and the piece upon them alone."""

    vertices: NDArray[np.intp]
    facets: Facets
    piece: Piece

    @classmethod
    def of(cls, piece: Piece, faces: NDArray[np.int32]) -> Ground:
        """Find it among the mesh's faces (F, 4)."""
        used = np.unique(np.concatenate([piece.a, piece.b])).astype(np.intp)
        a, b = (np.searchsorted(used, ends).astype(np.int32) for ends in (piece.a, piece.b))
        return cls(used, Facets.of(faces, used), attrs.evolve(piece, a=a, b=b))


def vertex_normals(vertices_m: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return unit normals (V, 3) of a mesh that is looked at once, as ``Facets`` does."""
    return Facets.of(faces, np.arange(len(vertices_m))).normals(vertices_m)


@attrs.frozen(eq=False)
class Neighbours:
    """Which vertices of a mesh meet at an edge: ``used`` (U,) are those of any face, the rest number these.

    `meeting` (U, U) is how many faces have the edge between two of them, `degree` (U,) the sum over the others.
    """

    used: NDArray[np.intp]
    meeting: csr_array
    degree: NDArray[np.float64]

    @classmethod
    def of(cls, faces: NDArray[np.int32]) -> Neighbours:
        """Collect the edges of (F, 4) faces."""
        used, compact = np.unique(faces, return_inverse=True)
        quads = compact.reshape(-1, 4)
        edges = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
        ends = np.concatenate([edges, edges[:, ::-1]])
        meeting = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(used), len(used)))
        return cls(used, meeting, np.maximum(meeting.sum(axis=1), 1))


def smoothed(
    vertices_m: NDArray[np.float32], around: Neighbours, strength: NDArray[np.float32]
) -> NDArray[np.float32]:  # fmt: skip
    """Draw each vertex of a mesh (V, 3) towards the mean of its neighbours by `strength` (V,)."""
    share = strength[around.used]
    columns = np.ascontiguousarray(vertices_m[around.used].T)
    for column in columns:
        way = around.meeting @ column / around.degree - column
        column += share * way
    result = vertices_m.copy()
    result[around.used] = columns.T
    return result
