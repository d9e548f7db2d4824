# SPDX-License-Identifier: Apache-2.0
"""Small meshes with rounded edges, made of quads: the stuff furniture is built from.

Metres, z up. Faces are (F, 4) int32; a triangle repeats its last vertex (as in ``people.types.MeshPart``).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthkit_blender.polygons import triangles

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Matrix = NDArray[np.float64]


CORNERS = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])  # of a rectangle, in halves of its size
QUARTER_TURNS = tuple(np.linalg.matrix_power(np.array([[0.0, 1.0], [-1.0, 0.0]]), k) for k in range(4))


@attrs.frozen(eq=False)
class Mesh:
    """Vertices (V, 3) float32 in metres, faces (F, 4) int32, and whether to shade it smoothly.

    ``uv`` (F, 4, 2) are texture coordinates of the faces' corners, None for a mesh that shows no texture.
    """

    vertices_m: FloatArray
    faces: IntArray
    smooth: bool = False
    uv: FloatArray | None = None

    def moved(self, matrix: ArrayLike) -> Mesh:
        """Return the mesh under a (4, 4) transform."""
        m = np.asarray(matrix, dtype=np.float64)
        vertices = self.vertices_m @ m[:3, :3].T + m[:3, 3]
        return Mesh(vertices.astype(np.float32), self.faces, self.smooth, self.uv)

    def at(self, x: float, y: float, z: float = 0.0) -> Mesh:
        """Return the mesh shifted."""
        return Mesh((self.vertices_m + np.array((x, y, z))).astype(np.float32), self.faces, self.smooth, self.uv)


def turned_z(radians: float, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Matrix:
    """Return a (4, 4) turn about the vertical, counter-clockwise seen from above, then a shift."""
    c, s = math.cos(radians), math.sin(radians)
    return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1.0]])


def turned_x(radians: float) -> Matrix:
    """Return a (4, 4) turn about x."""
    c, s = math.cos(radians), math.sin(radians)
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])


def merged(meshes: Iterable[Mesh]) -> Mesh:
    """Return several meshes as one; it is smooth when the first is."""
    parts = list(meshes)
    offsets = np.cumsum([0, *(len(part.vertices_m) for part in parts[:-1])])
    faces = [part.faces + np.int32(offset) for part, offset in zip(parts, offsets, strict=True)]
    uv = None
    if any(part.uv is not None for part in parts):
        uv = np.concatenate([np.zeros((len(p.faces), 4, 2), np.float32) if p.uv is None else p.uv for p in parts])
    vertices = np.concatenate([part.vertices_m for part in parts])
    return Mesh(vertices, np.concatenate(faces).astype(np.int32), parts[0].smooth, uv)


def box(size_x_m: float, size_y_m: float, size_z_m: float) -> Mesh:
    """Return a box that stands on z = 0, centred in x and y, with a slight bevel that catches light."""
    bevel = min(0.004, size_x_m / 4, size_y_m / 4, size_z_m / 4)
    return slab(size_x_m, size_y_m, size_z_m, corner_m=bevel, bevel_m=bevel, steps=1)


def quad(corners_m: ArrayLike) -> Mesh:
    """Return one four-cornered face; counter-clockwise corners face the viewer."""
    return Mesh(np.asarray(corners_m, np.float32).reshape(4, 3), np.array([[0, 1, 2, 3]], np.int32))


def prism(outline_m: ArrayLike, low_m: float, high_m: float) -> Mesh:
    """Return an upright prism over a simple outline (N, 2), convex or not, given counter-clockwise."""
    outline = np.asarray(outline_m, np.float64)
    count = len(outline)
    levels = [np.column_stack([outline, np.full(count, z)]) for z in (low_m, high_m)]
    around = np.arange(count)
    following = (around + 1) % count
    sides = np.column_stack([around, following, following + count, around + count])
    lid = triangles(outline)[:, [0, 1, 2, 2]]
    bottom = lid[:, [2, 1, 0, 0]]
    return Mesh(
        np.concatenate(levels).astype(np.float32), np.concatenate([sides, bottom, lid + count]).astype(np.int32)
    )


def polygon(outline_m: ArrayLike, z_m: float = 0.0) -> Mesh:
    """Return a flat convex polygon (N, 2) at a height, facing up."""
    outline = np.asarray(outline_m, np.float64)
    points = np.column_stack([outline, np.full(len(outline), z_m)])
    vertices = np.vstack([points, points.mean(axis=0)])
    return Mesh(vertices.astype(np.float32), _fan(0, len(outline), len(outline), up=True))


def slab(size_x_m: float, size_y_m: float, thickness_m: float, *, corner_m: float, bevel_m: float,
         steps: int = 3, smooth: bool = False) -> Mesh:  # fmt: skip
    """Return a plate with round corners and bevelled edges that stands on z = 0, centred in x and y."""
    bevel = min(bevel_m, thickness_m / 2, corner_m)
    inner = (size_x_m - 2 * bevel, size_y_m - 2 * bevel, max(corner_m - bevel, 1e-4))
    outer = (size_x_m, size_y_m, corner_m)
    heights = (0.0, bevel, thickness_m - bevel, thickness_m)
    inmost, outmost = (_round_rectangle(*sizes, steps) for sizes in (inner, outer))
    return _stacked((inmost, outmost, outmost, inmost), heights, smooth)


def cylinder(radius_m: float, height_m: float, sides: int = 12, top_radius_m: float | None = None) -> Mesh:
    """Return a round post that stands on z = 0, tapering to ``top_radius_m``."""
    angles = np.arange(sides) * (2 * math.pi / sides)
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    top = radius_m if top_radius_m is None else top_radius_m
    return _stacked([ring * radius_m, ring * top], (0.0, height_m), smooth=True)


def tube(points_m: Sequence[Sequence[float]], radius_m: float, sides: int = 8) -> Mesh:
    """Return a bent tube through points, one straight piece per leg."""
    pieces = []
    for start, end in itertools.pairwise(points_m):
        a, b = np.asarray(start, float), np.asarray(end, float)
        length = float(np.linalg.norm(b - a))
        pieces.append(cylinder(radius_m, length, sides).moved(_along((b - a) / length, a)))
    return merged(pieces)


def ellipsoid(radii_m: Sequence[float], sides: int = 10, rings: int = 6) -> Mesh:
    """Return a smooth ellipsoid about the origin."""
    polar = np.linspace(0.08, math.pi - 0.08, rings)
    angles = np.arange(sides) * (2 * math.pi / sides)
    outlines = [np.column_stack([np.cos(angles), np.sin(angles)]) * math.sin(p) for p in polar[::-1]]
    unit = _stacked(outlines, [math.cos(p) for p in polar[::-1]], smooth=True)
    return Mesh((unit.vertices_m * np.asarray(radii_m, np.float32)).astype(np.float32), unit.faces, True)


def _round_rectangle(size_x_m: float, size_y_m: float, corner_m: float, steps: int) -> Matrix:
    corner = min(corner_m, size_x_m / 2, size_y_m / 2)
    half = size_x_m / 2 - corner, size_y_m / 2 - corner
    return _quarters(steps) * corner + np.repeat(CORNERS * half, steps + 1, axis=0)


@functools.cache
def _quarters(steps: int) -> Matrix:
    """Return a circle (4 * (steps + 1), 2) in quarters, whose ends come twice."""
    arc = np.linspace(0, math.pi / 2, steps + 1)
    quarter = np.column_stack([np.cos(arc), np.sin(arc)])
    return np.concatenate([quarter @ turn for turn in QUARTER_TURNS])


def _stacked(outlines: Sequence[Matrix], heights_m: Sequence[float], smooth: bool) -> Mesh:
    """Join outlines of equal length, lowest first, into a closed body."""
    count, levels = len(outlines[0]), len(outlines)
    vertices = np.empty((levels * count + 2, 3), np.float32)
    rings, caps = vertices[:-2].reshape(levels, count, 3), vertices[-2:]
    for ring, outline, height_m in zip(rings, outlines, heights_m, strict=True):
        ring[:, :2], ring[:, 2] = outline, height_m
    for cap, end in zip(caps, (0, -1), strict=True):
        cap[:2], cap[2] = outlines[end].sum(axis=0) / count, heights_m[end]
    return Mesh(vertices, _stacked_faces(count, levels), smooth)


@functools.lru_cache(maxsize=64)
def _stacked_faces(count: int, levels: int) -> IntArray:
    """Return the faces of ``_stacked``, read-only: most bodies have the same."""
    around = np.arange(count)
    following = (around + 1) % count
    side = np.column_stack([around, following, following + count, around + count])
    sides = [side + level * count for level in range(levels - 1)]
    last = (levels - 1) * count
    bottom, top = _fan(0, count, levels * count, up=False), _fan(last, count, levels * count + 1, up=True)
    faces: IntArray = np.concatenate([*sides, bottom, top]).astype(np.int32)
    faces.flags.writeable = False
    return faces


def _fan(first: int, count: int, centre: int, *, up: bool) -> IntArray:
    a = np.arange(count) + first
    b = (np.arange(count) + 1) % count + first
    if not up:
        a, b = b, a
    middle = np.full(count, centre)
    return np.column_stack([a, b, middle, middle]).astype(np.int32)


def _along(direction: Matrix, origin: Matrix) -> Matrix:
    """Return the transform that turns +z into a unit direction and moves to an origin."""
    helper = np.array([1.0, 0, 0]) if abs(direction[0]) < 0.9 else np.array([0, 1.0, 0])
    side = np.cross(helper, direction)
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([side, np.cross(direction, side), direction])
    matrix[:3, 3] = origin
    return matrix
