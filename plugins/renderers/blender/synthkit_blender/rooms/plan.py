# SPDX-License-Identifier: Apache-2.0
"""A room as data: its plan, what stands in it, and where people may sit."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit_blender.furniture import rectangle
from synthkit_blender.geometry import Mesh
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D
from synthkit_blender.places import SeatPlace, Solid
from synthkit_blender.surfaces import Decor, Surface

QUARTER_TURNS = (0.0, math.pi / 2, math.pi, 3 * math.pi / 2)

SIZES_M = {
    "corridor": ((8.0, 14.0), (1.8, 2.8)),
    "lobby": ((7.0, 11.0), (5.5, 8.0)),
    "meeting": ((5.5, 9.0), (4.5, 6.5)),
    "office": ((5.5, 9.0), (4.5, 6.5)),
    "seminar": ((5.5, 9.0), (4.5, 6.5)),
    "shop": ((7.0, 12.0), (6.0, 9.0)),
}
"""Ranges of length and width of each kind of room."""


@attrs.frozen(eq=False)
class Seat:
    """A place at a table's edge; the sitter's pelvis goes ``out_m`` outwards from it.

    ``edge`` has the yaw of a sitter who faces the table.
    """

    table: Placed
    edge: Pose2D

    def sitter(self, out_m: float, aside_m: float = 0.0, turn_rad: float = 0.0) -> Pose2D:
        """Return the pose of a sitter or chair, ``out_m`` metres off the edge."""
        c, s = math.cos(self.edge.yaw_rad), math.sin(self.edge.yaw_rad)
        return Pose2D(
            self.edge.x_m - s * out_m + c * aside_m,
            self.edge.y_m + c * out_m + s * aside_m,
            self.edge.yaw_rad + turn_rad,
        )

    def nearest_gap(self, points_m: Floats, aside_m: float, turn_rad: float, gaps_m: Floats) -> float | None:
        """Return the first of the gaps off the edge at which no point (N, 3) of a body is within the table, or None."""
        table = self.table
        near, far = (self.sitter(out_m, aside_m, turn_rad) for out_m in (0.0, 1.0))
        at_edge = table.pose.local(near.points(points_m))
        origins = table.pose.local(np.array([[pose.x_m, pose.y_m, 0.0] for pose in (near, far)]))
        inside = table.piece.stretches(at_edge, origins[1] - origins[0])
        for gap in gaps_m.tolist():
            if not ((inside[:, 0] < gap) & (gap < inside[:, 1])).any():
                return float(gap)
        return None


@attrs.frozen
class RoomPlan:
    """A room's size and kind; the centre is where the middle of its floor lies."""

    length_m: float
    width_m: float
    height_m: float
    centre_m: tuple[float, float]
    style: str
    layout: str

    @property
    def corners_m(self) -> Floats:
        """Its corners, counter-clockwise."""
        return rectangle(self.length_m, self.width_m, *self.centre_m)

    def at_wall(self, wall: int, x_m: float, off_m: float = 0.0) -> Pose2D:
        """Return a place ``x_m`` along a wall from its middle and ``off_m`` off it, with +y into the room.

        Walls are counted counter-clockwise from that of least y; even ones are along the length.
        """
        yaw = wall * math.pi / 2
        depth = (self.width_m if wall % 2 == 0 else self.length_m) / 2 - off_m
        c, s = math.cos(yaw), math.sin(yaw)
        cx, cy = self.centre_m
        return Pose2D(cx + c * x_m + s * depth, cy + s * x_m - c * depth, yaw)


@attrs.frozen(eq=False)
class Furnishing:
    """What a kind of room has in its midst; see ``Room``."""

    placed: tuple[Placed, ...]
    seats: tuple[Seat, ...] = ()
    places: tuple[SeatPlace, ...] = ()
    solids: tuple[Solid, ...] = ()
    furniture_m: tuple[Floats, ...] = ()


@attrs.frozen
class WallStretch:
    """A stretch of wall with nothing on it or before it; the pose of its middle has +y into the room."""

    middle: Pose2D
    width_m: float


@attrs.frozen(eq=False)
class Room:
    """A furnished room around the camera's axis.

    Args:
        shell: walls, floor and skirting in world coordinates; the first is the floor.
        seats: at tables, for chairs to stand at. places: seats that are there, with what their sitters may not
            reach into: solids; and the outlines of the furniture that has them.
        windows: (matrix (4, 4), width, height) of each window, the matrix's +y into the room.
        free_chairs: whether people sit anywhere in it.
    """

    shell: tuple[tuple[Mesh, Surface], ...]
    placed: tuple[Placed, ...]
    seats: tuple[Seat, ...]
    floor: Floor
    windows: tuple[tuple[Floats, float, float], ...]
    decor: Decor
    style: str
    layout: str
    office_chairs: bool
    free_walls: tuple[WallStretch, ...]
    free_chairs: bool
    places: tuple[SeatPlace, ...] = ()
    solids: tuple[Solid, ...] = ()
    furniture_m: tuple[Floats, ...] = ()
