# SPDX-License-Identifier: Apache-2.0
"""The room in a photo, in metres: what was drawn in pixels, seen through the photo's camera."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import attrs
import numpy as np

from synthkit.camera import FisheyeCamera
from synthkit_blender.geometry import Mesh, prism, quad
from synthkit_blender.placement import Floats, Floor, Pose2D
from synthkit_blender.places import SeatPlace, Solid
from synthkit_blender.plates.notes import Furniture, PhotoNotes, Point
from synthkit_blender.polygons import convex_pieces, counter_clockwise, hull_and_pockets, signed_area, widest

STEEPEST_RAD = math.radians(88)  # from straight down: what looks farther out meets the floor too far away
TABLE_TOP_M = 0.04  # how thick tables and seats are; below them it is open
SEAT_SINKS_M = 0.015  # sitters press a seat down
PELVIS_BACK_M = 0.04  # behind a seat's middle
FLOOR_CORNERS = 32
PERSON_M = 0.4  # across: on a floor that is nowhere so wide nobody stands


@attrs.frozen(eq=False)
class Space:
    """The room in a photo.

    Args:
        floor_m: (N, 2) outline of its floor, counter-clockwise.
        walls_m: ((a, b), ...) feet of walls, each (2,), which the camera sees from within. ceiling_m: their height.
    """

    floor_m: Floats
    walls_m: tuple[tuple[Floats, Floats], ...]
    ceiling_m: float
    solids: tuple[Solid, ...]
    seats: tuple[SeatPlace, ...]

    def free_floor(self) -> tuple[Floor, tuple[Floats, ...]]:
        """Return the floor as people find it, and what of it furniture takes: convex outlines (N, 2) each."""
        area, pockets = hull_and_pockets(self.floor_m)
        floor = Floor(area)
        for piece in pockets:
            floor.take(piece)
        pieces = [piece for solid in self.solids for piece in convex_pieces(solid.outline_m)]
        return floor, tuple(floor.take(piece) for piece in pieces)

    @property
    def meshes(self) -> tuple[Mesh, ...]:
        """The surfaces of floor, walls and furniture."""
        up = self.ceiling_m
        walls = [quad([[*b, 0], [*a, 0], [*a, up], [*b, up]]) for a, b in self.walls_m]
        return prism(self.floor_m, -0.05, 0.0), *walls, *(solid.mesh for solid in self.solids)


def space_of(notes: PhotoNotes, camera: FisheyeCamera, floor_radius_m: float) -> Space:
    """Return the room that notes in pixels of a camera's image tell of; a round floor where none was drawn.

    Raises:
        ValueError: naming what cannot be so: points that do not look down, furniture above the camera, a floor too
            small for anybody.
    """
    height_m = float(camera.world_from_camera[2, 3])
    problems: list[str] = []
    floor = _floor(notes, camera, floor_radius_m, problems)
    solids, seats = [], []
    for number, thing in enumerate(notes.furniture):
        label = f"furniture[{number}]" + (f" {thing.name!r}" if thing.name else "")
        if thing.height_m >= height_m - 0.05:
            problems.append(f"{label}: height_m {thing.height_m} is not below the camera at {height_m:.2f} m")
            continue
        outline = on_plane(camera, thing.outline_px, thing.height_m, f"{label}.outline_px", problems)
        if outline is None:
            continue
        solids.append(_solid(thing, outline))
        if thing.facing_px is not None:
            ahead = on_plane(camera, [thing.facing_px], thing.height_m, f"{label}.facing_px", problems)
            seats += [] if ahead is None else [_seat(thing, outline, ahead[0])]
    walls = _walls(notes, camera, floor, problems)
    if problems:
        raise ValueError("\n".join(problems))
    return Space(floor, walls, notes.ceiling_m or height_m, tuple(solids), tuple(seats))


def on_plane(
    camera: FisheyeCamera, points_px: Iterable[Point], z_m: float, label: str, problems: list[str]
) -> Floats | None:
    """Return (N, 2) where pixels' rays meet the level ``z_m``; None, with a problem noted, where one does not."""
    rays, valid = camera.unproject(np.array(list(points_px), np.float64))
    down = np.where(valid, -rays[:, 2], 0.0)
    if (bad := np.flatnonzero(down < math.cos(STEEPEST_RAD))).size:
        why = "is at the horizon or above" if valid[bad[0]] else "lies outside the image circle"
        problems.append(f"{label}: corner {bad[0]} {why}")
        return None
    origin = camera.world_from_camera[:3, 3]
    return np.asarray(origin[:2] + rays[:, :2] * ((origin[2] - z_m) / down)[:, None])


def _floor(notes: PhotoNotes, camera: FisheyeCamera, radius_m: float, problems: list[str]) -> Floats:
    drawn = on_plane(camera, notes.floor_px, 0.0, "floor_px", problems) if notes.floor_px else None
    if drawn is not None:
        if widest(drawn) < PERSON_M and not any(thing.kind == "seat" for thing in notes.furniture):
            problems.append(
                f"floor_px: is nowhere {PERSON_M} m wide, as people are; draw all of the floor, or right the camera"
            )
        return counter_clockwise(drawn)
    angles = np.arange(FLOOR_CORNERS) * (2 * math.pi / FLOOR_CORNERS)
    return np.asarray(np.column_stack([np.cos(angles), np.sin(angles)]) * radius_m)


def _walls(
    notes: PhotoNotes, camera: FisheyeCamera, floor: Floats, problems: list[str]
) -> tuple[tuple[Floats, Floats], ...]:
    if notes.walls_px:
        lines = [on_plane(camera, line, 0.0, f"walls_px[{n}]", problems) for n, line in enumerate(notes.walls_px)]
        return tuple(pair for line in lines if line is not None for pair in itertools.pairwise(line))
    if not (notes.walls and notes.floor_px):
        return ()
    x, y = camera.world_from_camera[:2, 3]
    edges = zip(floor, np.roll(floor, -1, axis=0), strict=True)
    # Where the camera hangs outside the floor it looks through between the outline's edges.
    return tuple((a, b) for a, b in edges if (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 0)


def _solid(thing: Furniture, outline_m: Floats) -> Solid:
    outline = counter_clockwise(outline_m)
    if thing.kind == "occluder":
        return Solid(thing.kind, outline, 0.0, thing.height_m)
    top = thing.height_m - (SEAT_SINKS_M if thing.kind == "seat" else 0.0)
    return Solid(thing.kind, outline, max(0.0, top - TABLE_TOP_M), top)


def _seat(thing: Furniture, outline_m: Floats, ahead_m: Floats) -> SeatPlace:
    middle = _centroid(counter_clockwise(outline_m))
    dx, dy = (float(v) for v in ahead_m - middle)
    away = max(math.hypot(dx, dy), 1e-9)
    x, y = float(middle[0]) - dx / away * PELVIS_BACK_M, float(middle[1]) - dy / away * PELVIS_BACK_M
    front = float(((outline_m - (x, y)) @ (dx, dy)).max()) / away
    return SeatPlace(Pose2D(x, y, math.atan2(dx, -dy)), thing.height_m, front)


def _centroid(outline: Floats) -> Floats:
    """Return the centre of area of a counter-clockwise outline."""
    x, y = (outline - outline[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = max(signed_area(outline), 1e-12)
    moments = np.array([((x + np.roll(x, -1)) * cross).sum(), ((y + np.roll(y, -1)) * cross).sum()])
    return np.asarray(outline[0] + moments / (6 * area))
