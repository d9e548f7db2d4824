# SPDX-License-Identifier: Apache-2.0
"""What a thing in a room is: meshes, the solids that nothing may enter, and a footprint."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.geometry import Mesh
from synthkit_blender.surfaces import Surface

Floats = NDArray[np.float64]
Parts = tuple[tuple[Mesh, Surface], ...]


@attrs.frozen(eq=False)
class Piece:
    """A thing in its own frame.

    Args:
        parts: meshes and what they are made of.
        solids_m: (N, 6) boxes (low corner, high corner) that hold its matter.
        outline_m: (M, 2) convex outline of its footprint, counter-clockwise.
    """

    parts: Parts
    solids_m: Floats
    outline_m: Floats

    def holds(self, points_m: Floats) -> int:
        """Return how many points (N, 3) of its frame lie within its solids."""
        inside = np.zeros(len(points_m), bool)
        x, y, z = np.ascontiguousarray(points_m.T)
        for x0, y0, z0, x1, y1, z1 in self.solids_m:
            inside |= (x > x0) & (x < x1) & (y > y0) & (y < y1) & (z > z0) & (z < z1)
        return int(inside.sum())

    def stretches(self, points_m: Floats, along: Floats) -> Floats:
        """Return when points (N, 3) of its frame that move by ``along`` (3,) a step are within its solids.

        Returns:
            (M, 2) the step at which one enters a solid and the one at which it leaves; points that never do are
            left out.
        """
        found = [np.zeros((0, 2))]
        for solid in self.solids_m:
            low, high = solid[:3], solid[3:]
            still = np.abs(along) < 1e-9  # along these axes a point is within the solid always or never
            near = points_m[((points_m[:, still] > low[still]) & (points_m[:, still] < high[still])).all(axis=1)]
            to_low, to_high = ((face - near)[:, ~still] / along[~still] for face in (low, high))
            enter, leave = np.minimum(to_low, to_high).max(axis=1), np.maximum(to_low, to_high).min(axis=1)
            found.append(np.column_stack([enter, leave])[enter < leave])
        return np.concatenate(found)


def rectangle(size_x_m: float, size_y_m: float, x: float = 0.0, y: float = 0.0) -> Floats:
    """Return the corners of a rectangle about (x, y), counter-clockwise."""
    a, b = size_x_m / 2, size_y_m / 2
    return np.array([[x - a, y - b], [x + a, y - b], [x + a, y + b], [x - a, y + b]])


def block(size_x_m: float, size_y_m: float, low_m: float, high_m: float, x: float = 0.0, y: float = 0.0) -> Floats:
    """Return the box (6,) about (x, y) from one height to another: its low corner, then its high one."""
    return np.array([x - size_x_m / 2, y - size_y_m / 2, low_m, x + size_x_m / 2, y + size_y_m / 2, high_m])


def standing(parts: Parts, length_m: float, depth_m: float, height_m: float) -> Piece:
    """Return a piece that stands at a wall and fills a box."""
    solid = np.array([block(length_m, depth_m, 0, height_m, 0, depth_m / 2)])
    return Piece(parts, solid, rectangle(length_m, depth_m, 0, depth_m / 2))


def hanging(parts: Parts) -> Piece:
    """Return a piece that hangs on a wall and is in nobody's way."""
    return Piece(parts, np.zeros((0, 6)), np.zeros((0, 2)))


def upright(width_m: float, height_m: float, y_m: float, low_m: float) -> list[tuple[float, float, float]]:
    """Return the corners of a sheet for those who look towards -y: lower left, lower right and so on."""
    half, high_m = width_m / 2, low_m + height_m
    return [(half, y_m, low_m), (-half, y_m, low_m), (-half, y_m, high_m), (half, y_m, high_m)]
