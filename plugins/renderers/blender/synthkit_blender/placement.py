# SPDX-License-Identifier: Apache-2.0
"""Who and what stands where: convex footprints that never overlap, found by rejection sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.furniture import Piece
from synthkit_blender.geometry import Matrix, turned_z

Floats = NDArray[np.float64]
Sight = Callable[[float, float], bool]  # of a place (x, y) in metres


@attrs.frozen
class Pose2D:
    """A place on the floor in metres, and a turn, counter-clockwise seen from above."""

    x_m: float
    y_m: float
    yaw_rad: float = 0.0

    @property
    def matrix(self) -> Matrix:
        """The (4, 4) transform from the local frame to the world."""
        return turned_z(self.yaw_rad, self.x_m, self.y_m)

    def ahead(self, distance_m: float) -> Pose2D:
        """Return the pose further on in the direction that a person there faces."""
        dx, dy = math.sin(self.yaw_rad) * distance_m, -math.cos(self.yaw_rad) * distance_m
        return attrs.evolve(self, x_m=self.x_m + dx, y_m=self.y_m + dy)

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

    @property
    def extent_m(self) -> tuple[Floats, Floats]:
        """The low and the high corner of a box in the world, a little larger than that around its solids."""
        solids = self.piece.solids_m
        corners = np.concatenate([solids[:, [i, j, k]] for i in (0, 3) for j in (1, 4) for k in (2, 5)])
        world = self.pose.points(corners)
        return world.min(axis=0) - 1e-6, world.max(axis=0) + 1e-6

    def holds(self, points_m: Floats) -> int:
        """Return how many world points (N, 3) lie within its solids."""
        return self.piece.holds(self.pose.local(points_m))


MANY_POINTS = 1000  # from so many on it pays to leave out those that are well inside


def hull(points_m: NDArray[Any]) -> Floats:
    """Return the convex outline (M, 2), counter-clockwise, of points seen from above."""
    flat = np.ascontiguousarray(points_m[:, :2], dtype=np.float32)
    if len(flat) >= MANY_POINTS:
        flat = flat[_not_well_inside(flat)]
    return cv2.convexHull(flat, clockwise=False)[:, 0].astype(np.float64)


def _not_well_inside(points_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which of points (N, 2) may be corners of their hull: not those within the octagon of the outermost.

    Source: Akl and Toussaint, A fast convex hull algorithm, Information Processing Letters 7 (1978).
    """
    ways = np.array([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1], [0, -1], [1, -1]], np.float32)
    octagon = points_m[(ways @ points_m.T).argmax(axis=1)]
    edges = np.roll(octagon, -1, axis=0) - octagon
    inwards = np.column_stack([-edges[:, 1], edges[:, 0]])
    depth = inwards @ points_m.T - (inwards * octagon).sum(axis=1, keepdims=True)
    return np.asarray(depth.min(axis=0) <= 1e-5)


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


def anywhere(_: float, __: float) -> bool:
    """Tell of every place that it will do."""
    return True


@attrs.frozen(eq=False)
class _Taken:
    """An outline on the floor and the box around it."""

    outline_m: Floats
    low_m: Floats
    high_m: Floats

    def meets(self, low_m: Floats, high_m: Floats) -> bool:
        """Return whether the box around it meets another."""
        (x0, y0), (x1, y1) = self.low_m.tolist(), self.high_m.tolist()
        (a0, b0), (a1, b1) = low_m.tolist(), high_m.tolist()
        return bool(x0 <= a1 and a0 <= x1 and y0 <= b1 and b0 <= y1)


class Floor:
    """The free floor: a convex area and what stands on it."""

    def __init__(self, area_m: Floats) -> None:
        self.area_m = area_m
        self._taken: list[_Taken] = []

    def fits(self, outline_m: Floats, gap_m: float = 0.02, *, besides: tuple[Floats, ...] = ()) -> bool:
        """Return whether an outline is within the area and clear of everything but ``besides``."""
        if not inside(outline_m, self.area_m, gap_m):
            return False
        ignored = {id(other) for other in besides}
        # At this distance of the boxes around two outlines one of their edges tells them apart too, unless a corner
        # is sharper than 20 degrees.
        far = 4 * max(gap_m, 0.0) + 0.05
        low, high = outline_m.min(axis=0) - far, outline_m.max(axis=0) + far
        return not any(
            overlap(outline_m, other.outline_m, gap_m)
            for other in self._taken
            if other.meets(low, high) and id(other.outline_m) not in ignored
        )

    def take(self, outline_m: Floats) -> Floats:
        """Mark an outline as taken and return it."""
        self._taken.append(_Taken(outline_m, outline_m.min(axis=0), outline_m.max(axis=0)))
        return outline_m

    def free(self, outline_m: Floats) -> None:
        """Give an outline back that ``take`` returned."""
        self._taken = [other for other in self._taken if other.outline_m is not outline_m]

    def find(self, outline_m: Floats, rng: np.random.Generator, *, gap_m: float = 0.05, tries: int = 60,
             seen: Sight = anywhere, yaws: tuple[float, ...] | None = None) -> Pose2D | None:  # fmt: skip
        """Return a random free pose for a local outline, where ``seen`` has it, or None."""
        low, high = self.area_m.min(axis=0), self.area_m.max(axis=0)
        for _ in range(tries):
            x, y = (float(v) for v in rng.uniform(low, high))
            yaw = float(rng.uniform(-math.pi, math.pi)) if yaws is None else yaws[int(rng.integers(len(yaws)))]
            pose = Pose2D(x, y, yaw)
            if seen(x, y) and self.fits(pose.outline(outline_m), gap_m):
                return pose
        return None
