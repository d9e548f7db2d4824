# SPDX-License-Identifier: Apache-2.0
"""Who and what stands where: convex footprints that never overlap, found by rejection sampling."""

from __future__ import annotations

import math
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.furniture import Piece
from synthkit_blender.geometry import Matrix, turned_z

Floats = NDArray[np.float64]


@attrs.frozen
class Pose2D:
    """A place on the floor in metres and a turn, counter-clockwise seen from above."""

    x_m: float
    y_m: float
    yaw_rad: float = 0.0

    @property
    def matrix(self) -> Matrix:
        """The (4, 4) transform from the local frame to the world."""
        return turned_z(self.yaw_rad, self.x_m, self.y_m)

    def outline(self, outline_m: Floats) -> Floats:
        """Return a local outline (N, 2) in the world."""
        c, s = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        return np.asarray(outline_m @ np.array([[c, s], [-s, c]]) + (self.x_m, self.y_m))

    def points(self, points_m: Floats) -> Floats:
        """Return local points (N, 3) in the world."""
        m = self.matrix
        return np.asarray(points_m @ m[:3, :3].T + m[:3, 3])

    def local(self, points_m: Floats) -> Floats:
        """Return world points (N, 3) in the local frame."""
        m = self.matrix
        return np.asarray((points_m - m[:3, 3]) @ m[:3, :3])


@attrs.frozen(eq=False)
class Placed:
    """A piece in its place; ``outline_m`` is its footprint in the world, the same array at every look."""

    piece: Piece
    pose: Pose2D
    group: str = "furniture"
    outline_m: Floats = attrs.field(init=False)

    @outline_m.default
    def _outline(self) -> Floats:
        return self.pose.outline(self.piece.outline_m)

    def holds(self, points_m: Floats) -> int:
        """Return how many world points (N, 3) lie within its solids."""
        return self.piece.holds(self.pose.local(points_m))


def hull(points_m: NDArray[Any]) -> Floats:
    """Return the convex outline (M, 2), counter-clockwise, of points seen from above."""
    flat = np.ascontiguousarray(points_m[:, :2], dtype=np.float32)
    return cv2.convexHull(flat, clockwise=False)[:, 0].astype(np.float64)


def overlap(a: Floats, b: Floats, gap_m: float = 0.0) -> bool:
    """Return whether two convex outlines come closer than a gap (separating axes over both outlines' edges).

    With a gap the test errs towards "yes" near corners.
    """
    for outline in (a, b):
        edges = np.roll(outline, -1, axis=0) - outline
        lengths = np.hypot(edges[:, 0], edges[:, 1])
        edges, lengths = edges[lengths > 1e-9], lengths[lengths > 1e-9]
        normals = np.column_stack([edges[:, 1], -edges[:, 0]]) / lengths[:, None]
        on_a, on_b = normals @ a.T, normals @ b.T
        apart = np.maximum(on_b.min(axis=1) - on_a.max(axis=1), on_a.min(axis=1) - on_b.max(axis=1))
        if (apart > gap_m).any():
            return False
    return True


def inside(outline: Floats, area: Floats, margin_m: float = 0.0) -> bool:
    """Return whether an outline lies within a convex area (counter-clockwise), ``margin_m`` from its edges."""
    edges = np.roll(area, -1, axis=0) - area
    normals = np.column_stack([-edges[:, 1], edges[:, 0]]) / np.hypot(edges[:, 0], edges[:, 1])[:, None]
    depth = outline @ normals.T - (normals * area).sum(axis=1)
    return bool((depth >= margin_m).all())


class Floor:
    """The free floor: a convex area and what stands on it."""

    def __init__(self, area_m: Floats) -> None:
        self.area_m = area_m
        self._taken: list[Floats] = []

    def fits(self, outline_m: Floats, gap_m: float = 0.02, *, besides: tuple[Floats, ...] = ()) -> bool:
        """Return whether an outline is within the area and clear of everything but ``besides``."""
        if not inside(outline_m, self.area_m, gap_m):
            return False
        ignored = {id(other) for other in besides}
        return not any(overlap(outline_m, other, gap_m) for other in self._taken if id(other) not in ignored)

    def take(self, outline_m: Floats) -> Floats:
        """Mark an outline as taken and return it."""
        self._taken.append(outline_m)
        return outline_m

    def free(self, outline_m: Floats) -> None:
        """Give an outline back that ``take`` returned."""
        self._taken = [other for other in self._taken if other is not outline_m]

    def find(self, outline_m: Floats, rng: np.random.Generator, *, gap_m: float = 0.05, tries: int = 60,
             reach_m: float = math.inf, yaws: tuple[float, ...] | None = None) -> Pose2D | None:  # fmt: skip
        """Return a random free pose for a local outline, within ``reach_m`` of the origin, or None."""
        low, high = self.area_m.min(axis=0), self.area_m.max(axis=0)
        for _ in range(tries):
            x, y = (float(v) for v in rng.uniform(low, high))
            yaw = float(rng.uniform(-math.pi, math.pi)) if yaws is None else yaws[int(rng.integers(len(yaws)))]
            pose = Pose2D(x, y, yaw)
            if math.hypot(x, y) <= reach_m and self.fits(pose.outline(outline_m), gap_m):
                return pose
        return None
