# SPDX-License-Identifier: Apache-2.0
"""A procedural room: walls, what hangs on and stands along them, tables, and the seats at these."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender import furniture as make
from synthkit_blender import surfaces
from synthkit_blender.furniture import Piece, rectangle
from synthkit_blender.geometry import Mesh, box, polygon, quad, turned_z
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D, inside, overlap
from synthkit_blender.surfaces import Decor, Surface

SEAT_SPACING_M = 0.78
SEAT_CLEARANCE_M = 0.8
DOOR_CLEARANCE_M = 0.9
SKIRTING_M = 0.09
OFF_WALL_M = 0.02
QUARTER_TURNS = (0.0, math.pi / 2, math.pi, 3 * math.pi / 2)
TABLE_CORNERS_M = (0.02, 0.15, 0.4)


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


def furnish(plan: RoomPlan, seeds: Seeds) -> Room:
    """Return the room of a plan; every draw is from its own stream."""
    decor = Decor(plan.style, seeds.stream("decor"))
    floor = Floor(plan.corners_m)
    walls = _Walls(plan, decor, floor, seeds.stream("walls"))
    walls.furnish()
    tables, seats = _tables(plan, decor, floor, seeds.stream("tables"))
    on_tables = _clutter(seats, plan.layout, seeds.stream("clutter"))
    for outline in walls.clearances:
        floor.free(outline)
    rng = seeds.stream("shell")
    return Room(
        shell=_shell(plan, decor, rng),
        placed=(*walls.placed, *tables, *on_tables),
        seats=tuple(seats),
        floor=floor,
        windows=tuple(walls.windows),
        decor=decor,
        style=plan.style,
        layout=plan.layout,
        office_chairs=bool(rng.random() < (0.8 if plan.layout == "office" else 0.35)),
    )


def _shell(plan: RoomPlan, decor: Decor, rng: np.random.Generator) -> tuple[tuple[Mesh, Surface], ...]:
    corners = plan.corners_m
    parts = [(polygon(corners), decor.floor)]
    accent = int(rng.integers(8))  # half of all rooms have an accent wall
    for n in range(4):
        a, b = corners[n], corners[(n + 1) % 4]
        wall = quad([[*b, 0], [*a, 0], [*a, plan.height_m], [*b, plan.height_m]])
        parts.append((wall, decor.accent_wall if n == accent else decor.wall))
        middle, yaw = (a + b) / 2, n * math.pi / 2
        skirting = box(float(np.hypot(*(b - a))) - 0.02, 0.015, SKIRTING_M)
        parts.append((skirting.at(0, 0.008).moved(turned_z(yaw, *middle)), decor.trim))
    if rng.random() < 0.3:
        length, width = (float(v) for v in rng.uniform((1.6, 1.2), (2.8, 2.0)))
        x, y = (float(v) for v in np.asarray(plan.centre_m) + rng.normal(0, 0.4, 2))
        parts.append((box(length, width, 0.008).at(x, y), decor.rug))
    return tuple(parts)


class _Walls:
    """Fills the four walls, keeping things apart along each."""

    def __init__(self, plan: RoomPlan, decor: Decor, floor: Floor, rng: np.random.Generator) -> None:
        self._plan, self._decor, self._floor, self._rng = plan, decor, floor, rng
        self._used: dict[int, list[tuple[float, float]]] = {n: [] for n in range(4)}
        self.placed: list[Placed] = []
        self.windows: list[tuple[Floats, float, float]] = []
        self.clearances: list[Floats] = []

    def furnish(self) -> None:
        """Hang and stand everything."""
        rng = self._rng
        self._door()
        for wall in rng.permutation(4)[: int(rng.integers(1, 3))]:
            for _ in range(int(rng.integers(1, 4))):
                self._window(int(wall))
        if rng.random() < 0.7:
            width = float(rng.uniform(1.4, 2.4))
            self._hang(make.whiteboard(width), width + 0.1)
        if rng.random() < 0.4:
            self._hang(make.screen(), 1.6)
        for _ in range(int(rng.integers(0, 4))):
            self._hang(make.picture(self._decor, rng), 1.2)
        for _ in range(int(rng.integers(1, 4))):
            self._stand(self._cupboard())
        for _ in range(int(rng.integers(0, 3))):
            self._stand(make.plant(float(rng.uniform(0.9, 1.6)), rng))
        self._stand(make.bin_())

    def _door(self) -> None:
        pose = self._hang(make.door(self._decor), 1.1)
        if pose is not None:
            outline = pose.outline(rectangle(1.1, DOOR_CLEARANCE_M, 0, DOOR_CLEARANCE_M / 2))
            self.clearances.append(self._floor.take(outline))

    def _window(self, wall: int) -> None:
        width, height = float(self._rng.uniform(0.9, 1.6)), float(self._rng.uniform(1.0, 1.4))
        glow = float(self._rng.uniform(1.0, 2.0))
        sill = 0.95
        height = min(height, self._plan.height_m - sill - 0.25)
        pose = self._hang(make.window(width, height, sill, self._decor, glow), width + 0.3, wall)
        if pose is not None:
            centre = pose.matrix @ np.array([0, 0.06, sill + height / 2, 1.0])
            matrix = pose.matrix.copy()
            matrix[:3, 3] = centre[:3]
            self.windows.append((matrix, width, height))

    def _cupboard(self) -> Piece:
        rng = self._rng
        if rng.random() < 0.45:
            return make.bookcase(float(rng.uniform(0.8, 1.8)), float(rng.uniform(1.2, 2.0)), self._decor, rng)
        length = float(rng.uniform(0.8, 2.0))
        height = float(rng.choice([0.75, 1.1, 1.9]))
        return make.cabinet(length, float(rng.uniform(0.38, 0.5)), height, self._decor, max(2, round(length / 0.5)))

    def _hang(self, piece: Piece, width_m: float, wall: int | None = None) -> Pose2D | None:
        pose = self._free_stretch(width_m, wall)
        if pose is not None:
            self.placed.append(Placed(piece, pose))
        return pose

    def _stand(self, piece: Piece) -> None:
        width = float(np.ptp(piece.outline_m[:, 0]))
        pose = self._free_stretch(width + 0.1, None)
        if pose is None:
            return
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        forward = Pose2D(pose.x_m - OFF_WALL_M * s, pose.y_m + OFF_WALL_M * c, pose.yaw_rad)
        outline = forward.outline(piece.outline_m)
        if self._floor.fits(outline, 0.005):
            self._floor.take(outline)
            self.placed.append(Placed(piece, forward))

    def _free_stretch(self, width_m: float, wall: int | None) -> Pose2D | None:
        """Return the pose of a free stretch of wall, and mark it as used."""
        for _ in range(12):
            n = int(self._rng.integers(4)) if wall is None else wall
            length = self._plan.length_m if n % 2 == 0 else self._plan.width_m
            slack = length / 2 - width_m / 2 - 0.25
            if slack <= 0:
                continue
            x = float(self._rng.uniform(-slack, slack))
            low, high = x - width_m / 2, x + width_m / 2
            if all(high < a or low > b for a, b in self._used[n]):
                self._used[n].append((low, high))
                return self._on_wall(n, x)
        return None

    def _on_wall(self, wall: int, x_m: float) -> Pose2D:
        yaw = wall * math.pi / 2
        depth = (self._plan.width_m if wall % 2 == 0 else self._plan.length_m) / 2
        c, s = math.cos(yaw), math.sin(yaw)
        cx, cy = self._plan.centre_m
        return Pose2D(cx + c * x_m + s * depth, cy + s * x_m - c * depth, yaw)


@attrs.frozen(eq=False)
class _Cluster:
    """Tables that belong together: each with its place and its seats' (edge x, edge y, yaw) in the cluster's frame."""

    tables: tuple[tuple[Piece, Pose2D, tuple[Pose2D, ...]], ...]
    outline_m: Floats


def _tables(plan: RoomPlan, decor: Decor, floor: Floor, rng: np.random.Generator) -> tuple[list[Placed], list[Seat]]:
    clusters = {"meeting": _meeting, "office": _office, "seminar": _seminar}[plan.layout](plan, decor, rng)
    placed: list[Placed] = []
    seats: list[Seat] = []
    spaced: list[Floats] = []
    for cluster in clusters:
        pose = floor.find(cluster.outline_m, rng, gap_m=0.02, tries=80, yaws=QUARTER_TURNS)
        if pose is None:
            continue
        spaced.append(floor.take(pose.outline(cluster.outline_m)))
        for piece, place, edges in cluster.tables:
            table = Placed(piece, _compose(pose, place))
            placed.append(table)
            floor.take(table.outline_m)
            seats += [Seat(table, _compose(pose, edge)) for edge in edges]
    for outline in spaced:
        floor.free(outline)
    return placed, seats


def _compose(outer: Pose2D, inner: Pose2D) -> Pose2D:
    x, y = outer.outline(np.array([[inner.x_m, inner.y_m]]))[0]
    return Pose2D(float(x), float(y), outer.yaw_rad + inner.yaw_rad)


def _edges(length_m: float, width_m: float, sides: tuple[int, ...], ends: bool) -> tuple[Pose2D, ...]:
    """Return seats along a table's long sides (+1, -1 for +y and -y) and, if wanted, at its ends."""
    count = max(1, int((length_m - 0.1) / SEAT_SPACING_M))
    places = (np.arange(count) - (count - 1) / 2) * (length_m / count)
    found = [Pose2D(float(x), side * width_m / 2, 0.0 if side > 0 else math.pi) for side in sides for x in places]
    if ends:
        found += [Pose2D(length_m / 2, 0.0, -math.pi / 2), Pose2D(-length_m / 2, 0.0, math.pi / 2)]
    return tuple(found)


def _meeting(plan: RoomPlan, decor: Decor, rng: np.random.Generator) -> list[_Cluster]:
    """One long table."""
    length = float(rng.uniform(1.9, max(2.0, min(4.2, plan.length_m - 2.9))))
    width = float(rng.uniform(1.0, 1.3))
    ends = bool(rng.random() < 0.6)
    corner_m = float(rng.choice(TABLE_CORNERS_M))
    piece = make.table(length, width, decor, panel_legs=bool(rng.random() < 0.5), round_m=corner_m)
    outline = rectangle(length + (2 * SEAT_CLEARANCE_M if ends else 0.4), width + 2 * SEAT_CLEARANCE_M)
    return [_Cluster(((piece, Pose2D(0, 0), _edges(length, width, (1, -1), ends)),), outline)]


def _office(plan: RoomPlan, decor: Decor, rng: np.random.Generator) -> list[_Cluster]:
    """Desks, alone or in pairs face to face."""
    length, width = float(rng.uniform(1.4, 1.7)), float(rng.uniform(0.7, 0.8))
    piece = make.table(length, width, decor, panel_legs=bool(rng.random() < 0.5), round_m=0.02)
    clusters = []
    for _ in range(int(rng.integers(2, 6))):
        if rng.random() < 0.5:
            across = (width + 0.02) / 2
            tables = (
                (piece, Pose2D(0, across), (Pose2D(0, across + width / 2, 0.0),)),
                (piece, Pose2D(0, -across), (Pose2D(0, -across - width / 2, math.pi),)),
            )
            clusters.append(_Cluster(tables, rectangle(length + 0.1, 2 * width + 2 * SEAT_CLEARANCE_M + 0.02)))
        else:
            outline = rectangle(length + 0.1, width + SEAT_CLEARANCE_M, 0, SEAT_CLEARANCE_M / 2)
            clusters.append(_Cluster(((piece, Pose2D(0, 0), (Pose2D(0, width / 2, 0.0),)),), outline))
    return clusters


def _seminar(plan: RoomPlan, decor: Decor, rng: np.random.Generator) -> list[_Cluster]:
    """Small tables for two on one side or both."""
    length, width = float(rng.uniform(1.6, 1.9)), float(rng.uniform(0.7, 0.8))
    piece = make.table(length, width, decor, panel_legs=False, round_m=0.02)
    both = bool(rng.random() < 0.4)
    sides = (1, -1) if both else (1,)
    depth = width + SEAT_CLEARANCE_M * len(sides)
    outline = rectangle(length + 0.1, depth, 0, 0.0 if both else SEAT_CLEARANCE_M / 2)
    cluster = _Cluster(((piece, Pose2D(0, 0), _edges(length, width, sides, False)),), outline)
    return [cluster] * int(rng.integers(2, 6))


def _clutter(seats: list[Seat], layout: str, rng: np.random.Generator) -> list[Placed]:
    """Return laptops, monitors, papers and mugs in front of seats, on the table and clear of each other."""
    found: list[Placed] = []
    for seat in seats:
        wanted: list[tuple[Piece, float, float]] = []
        draw = rng.random()
        if layout == "office" and draw < 0.6:
            wanted.append((make.monitor(), 0.52, 0.0))
        elif draw < 0.35:
            wanted.append((make.laptop(rng), 0.36, 0.0))
        if rng.random() < 0.4:
            wanted.append((make.papers(rng), 0.26, -0.22))
        if rng.random() < 0.3:
            wanted.append((make.mug(rng), 0.3, 0.28))
        for piece, inwards, aside in wanted:
            thing = _on_table(piece, seat, inwards, aside, rng)
            on_table = inside(thing.outline_m, seat.table.outline_m)
            if on_table and not any(overlap(thing.outline_m, other.outline_m) for other in found):
                found.append(thing)
    return found


def _on_table(piece: Piece, seat: Seat, inwards_m: float, aside_m: float, rng: np.random.Generator) -> Placed:
    aside = aside_m + float(rng.normal(0, 0.02))
    pose = seat.sitter(-inwards_m + float(rng.normal(0, 0.02)), aside, float(rng.normal(0, 0.08)))
    return Placed(_raised(piece), pose, group="clutter")


def _raised(piece: Piece) -> Piece:
    lift = make.TABLE_TOP_M + 0.001
    solids = piece.solids_m + np.array([0, 0, lift, 0, 0, lift])
    return Piece(tuple((mesh.at(0, 0, lift), surface) for mesh, surface in piece.parts), solids, piece.outline_m)


def plate_decor(seeds: Seeds) -> Decor:
    """Return the look of the chairs that sitting people bring along onto a plate."""
    styles = sorted(surfaces.PALETTES)
    rng = seeds.stream("decor")
    return Decor(styles[int(rng.integers(len(styles)))], rng)
