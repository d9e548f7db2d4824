# SPDX-License-Identifier: Apache-2.0
"""Lobbies and corridors: sofas and benches to sit on, low tables, a reception, pillars."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender import surfaces
from synthkit_blender.furniture import Piece, rectangle
from synthkit_blender.geometry import box, cylinder, merged, slab
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D
from synthkit_blender.places import SeatPlace, Solid
from synthkit_blender.rooms import goods
from synthkit_blender.rooms.plan import QUARTER_TURNS, Furnishing, RoomPlan
from synthkit_blender.surfaces import Decor, Surface

SEAT_M = 0.44
CUSHION_M, SOFT_M = 0.62, 0.15  # of a sofa, for one: how long, and how thick
BACK_Y_M = 0.25  # where a sofa's back begins, behind its sitters' pelvises
FRONT_Y_M = -0.29
BASE_INSET_M = 0.12  # behind a sofa's front edge: room for heels
BENCH_DEPTH_M = 0.42


@attrs.frozen(eq=False)
class _Settee:
    """Something to sit on.

    Args:
        places_m: x of each. front_m: the front edge. thick_m: the seat. solids_m: the boxes about sitters' legs, and
            behind and beside them.
    """

    piece: Piece
    places_m: tuple[float, ...]
    front_m: float
    thick_m: float
    solids_m: Floats


class _Lounge:
    """Collects what a room gets."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._placed: list[Placed] = []
        self._places: list[SeatPlace] = []
        self._solids: list[Solid] = []
        self._furniture_m: list[Floats] = []

    def add(self, piece: Piece, pose: Pose2D) -> Placed:
        """Place a piece."""
        thing = Placed(piece, pose)
        self._floor.take(thing.outline_m)
        self._placed.append(thing)
        return thing

    def seat(self, settee: _Settee, pose: Pose2D) -> None:
        """Place something to sit on."""
        self._furniture_m.append(self.add(settee.piece, pose).outline_m)
        for x_m in settee.places_m:
            x, y = pose.outline(np.array([[x_m, 0.0]]))[0].tolist()
            self._places.append(SeatPlace(Pose2D(x, y, pose.yaw_rad), SEAT_M, settee.front_m, settee.thick_m))
        for x0, y0, z0, x1, y1, z1 in settee.solids_m.tolist():
            corners = rectangle(x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2)
            self._solids.append(Solid("furniture", pose.outline(corners), z0, z1))

    def furnishing(self) -> Furnishing:
        """Return all of it."""
        return Furnishing(tuple(self._placed), (), tuple(self._places), tuple(self._solids), tuple(self._furniture_m))


def lobby(plan: RoomPlan, decor: Decor, floor: Floor, seeds: Seeds) -> Furnishing:
    """Return groups of sofas about low tables, a reception desk, and pillars in large rooms."""
    rng = seeds.stream("lobby")
    lounge = _Lounge(floor)
    desk = goods.counter(float(rng.uniform(1.8, 3.0)), decor, till=False)
    pose = floor.find(desk.outline_m, rng, gap_m=0.9, yaws=QUARTER_TURNS)
    if pose is not None and rng.random() < 0.7:
        lounge.add(desk, pose)
    for _ in range(int(rng.integers(1, 4))):
        _group(lounge, decor, floor, rng)
    for _ in range(int(rng.integers(0, 3)) if plan.length_m > 8 else 0):
        pillar = _pillar(plan.height_m, decor, rng)
        pose = floor.find(pillar.outline_m, rng, gap_m=0.5)
        if pose is not None and math.hypot(pose.x_m, pose.y_m) > 1.2:
            lounge.add(pillar, pose)
    return lounge.furnishing()


def corridor(plan: RoomPlan, decor: Decor, floor: Floor, seeds: Seeds) -> Furnishing:
    """Return benches along the walls of a corridor."""
    rng = seeds.stream("corridor")
    lounge = _Lounge(floor)
    for _ in range(int(rng.integers(0, 4))):
        bench = _bench(int(rng.integers(2, 4)), decor)
        wall = 2 * int(rng.integers(2))
        slack = plan.length_m / 2 - float(np.ptp(bench.piece.outline_m[:, 0])) / 2 - 0.3
        at = plan.at_wall(wall, float(rng.uniform(-slack, slack)), BENCH_DEPTH_M / 2 + 0.04)
        pose = attrs.evolve(at, yaw_rad=at.yaw_rad + math.pi)  # what stands at a wall faces +y, sitters face -y
        if floor.fits(pose.outline(bench.piece.outline_m), 0.02):
            lounge.seat(bench, pose)
    return lounge.furnishing()


def _group(lounge: _Lounge, decor: Decor, floor: Floor, rng: np.random.Generator) -> None:
    """Place a low table with sofas at one to three of its sides, all or nothing."""
    length, width = float(rng.uniform(0.7, 1.2)), float(rng.uniform(0.5, 0.7))
    reach = 0.45 - FRONT_Y_M  # from the table's edge to the pelvises, with room for legs
    sides = [(width / 2 + reach, 0.0), (width / 2 + reach, math.pi), (length / 2 + reach, -math.pi / 2)]
    chosen = [sides[int(n)] for n in rng.permutation(3)[: int(rng.integers(1, 4))]]
    whole = rectangle(length + 2 * (reach + 0.5), width + 2 * (reach + 0.5))
    middle = floor.find(whole, rng, gap_m=0.05, tries=80, yaws=QUARTER_TURNS)
    if middle is None:
        return
    lounge.add(_low_table(length, width, decor), middle)
    cushion = Surface(surfaces.varied(decor.seat.color, rng, 0.25), roughness=0.9, bump=0.2)
    for out, yaw in chosen:
        settee = _sofa(int(rng.integers(1, 4)) if yaw in (0.0, math.pi) else 1, cushion, decor)
        # Sitters of yaw 0 face -y: their seat is at +y of the table.
        x, y = middle.outline(np.array([[-math.sin(yaw) * out, math.cos(yaw) * out]]))[0].tolist()
        pose = Pose2D(x, y, middle.yaw_rad + yaw)
        if floor.fits(pose.outline(settee.piece.outline_m), 0.02):
            lounge.seat(settee, pose)


def _sofa(seats: int, cloth: Surface, decor: Decor) -> _Settee:
    """Return a sofa or an armchair; sitters face -y with their pelvises on y = 0."""
    length, arm, back = seats * CUSHION_M, 0.16, 0.2
    whole = length + 2 * arm
    depth = BACK_Y_M + back - FRONT_Y_M
    middle = (BACK_Y_M + back + FRONT_Y_M) / 2
    places = tuple((n - (seats - 1) / 2) * CUSHION_M for n in range(seats))
    soft = [
        slab(CUSHION_M - 0.015, BACK_Y_M - FRONT_Y_M, 0.16, corner_m=0.06, bevel_m=0.035, smooth=True).at(
            x, (BACK_Y_M + FRONT_Y_M) / 2, SEAT_M - SOFT_M
        )
        for x in places
    ]
    soft += [slab(whole, back, 0.78, corner_m=0.08, bevel_m=0.05, smooth=True).at(0, BACK_Y_M + back / 2, 0.05)]
    soft += [
        slab(arm, depth, 0.55, corner_m=0.06, bevel_m=0.04, smooth=True).at(x, middle, 0.05)
        for x in (-(length + arm) / 2, (length + arm) / 2)
    ]
    base = box(whole - 0.04, depth - BASE_INSET_M - 0.02, 0.2).at(0, middle + BASE_INSET_M / 2 - 0.01, 0.07)
    feet = merged([box(0.05, 0.05, 0.07).at(x, y) for x in (-whole / 2 + 0.06, whole / 2 - 0.06)
                   for y in (FRONT_Y_M + 0.06, BACK_Y_M + back - 0.06)])  # fmt: skip
    solids = np.array(
        [
            [-whole / 2, BACK_Y_M, 0.05, whole / 2, BACK_Y_M + back, 0.83],
            [-whole / 2, FRONT_Y_M, 0.05, -length / 2, BACK_Y_M, 0.6],
            [length / 2, FRONT_Y_M, 0.05, whole / 2, BACK_Y_M, 0.6],
            [-whole / 2, FRONT_Y_M + BASE_INSET_M, 0.07, whole / 2, BACK_Y_M, 0.27],
        ]
    )
    seat = np.array([[-length / 2, FRONT_Y_M, 0.05, length / 2, BACK_Y_M, SEAT_M]])
    parts = ((merged(soft), cloth), (base, cloth), (feet, decor.frame))
    piece = Piece(parts, np.concatenate([solids, seat]), rectangle(whole, depth, 0, middle))
    return _Settee(piece, places, -FRONT_Y_M, SOFT_M, solids)


def _bench(seats: int, decor: Decor) -> _Settee:
    """Return a bench without a back; sitters face -y."""
    length = seats * 0.6
    under, inner = SEAT_M - 0.05, BENCH_DEPTH_M / 2 - 0.03
    top = slab(length, BENCH_DEPTH_M, 0.05, corner_m=0.02, bevel_m=0.008).at(0, 0, under)
    ends = [x * (length / 2 - 0.045) for x in (-1, 1)]  # beside the feet of sitters
    legs = [box(0.05, 2 * inner, under).at(x, 0) for x in ends]
    places = tuple((n - (seats - 1) / 2) * 0.6 for n in range(seats))
    half = BENCH_DEPTH_M / 2
    piece = Piece(
        ((top, decor.table), (merged(legs), decor.frame)),
        np.array([[-length / 2, -half, 0.0, length / 2, half, SEAT_M]]),
        rectangle(length, BENCH_DEPTH_M),
    )
    solids = np.array([[x - 0.025, -inner, 0.0, x + 0.025, inner, under] for x in ends])
    return _Settee(piece, places, half, SEAT_M - under, solids)


def _low_table(length_m: float, width_m: float, decor: Decor) -> Piece:
    top = slab(length_m, width_m, 0.035, corner_m=0.04, bevel_m=0.006).at(0, 0, 0.37)
    legs = [
        cylinder(0.02, 0.37, 8).at(x, y)
        for x in (-length_m / 2 + 0.07, length_m / 2 - 0.07)
        for y in (-width_m / 2 + 0.07, width_m / 2 - 0.07)
    ]
    solids = np.array([[-length_m / 2, -width_m / 2, 0.0, length_m / 2, width_m / 2, 0.405]])
    return Piece(((top, decor.table), (merged(legs), decor.frame)), solids, rectangle(length_m, width_m))


def _pillar(height_m: float, decor: Decor, rng: np.random.Generator) -> Piece:
    side = float(rng.uniform(0.3, 0.5))
    body = box(side, side, height_m) if rng.random() < 0.5 else cylinder(side / 2, height_m, 24)
    solids = np.array([[-side / 2, -side / 2, 0.0, side / 2, side / 2, height_m]])
    return Piece(((body, decor.wall),), solids, rectangle(side, side))
