# SPDX-License-Identifier: Apache-2.0
"""A room as data: its plan, what stands in it, and where people may sit."""

from __future__ import annotations

import math

import attrs

from synthkit_blender.furniture import rectangle
from synthkit_blender.geometry import Mesh
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D
from synthkit_blender.surfaces import Decor, Surface


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
        windows: (matrix (4, 4), width, height) of each window, the matrix's +y into the room.
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
