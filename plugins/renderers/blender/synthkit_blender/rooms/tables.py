# SPDX-License-Identifier: Apache-2.0
"""Rooms with tables: meetings, offices, seminars; the seats at the tables and what lies on them."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender import furniture as make
from synthkit_blender.furniture import Piece, rectangle
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D, inside, overlap
from synthkit_blender.printed import Prints
from synthkit_blender.rooms.plan import QUARTER_TURNS, Furnishing, RoomPlan, Seat
from synthkit_blender.surfaces import Decor

SEAT_SPACING_M = 0.78
SEAT_CLEARANCE_M = 0.8
TABLE_CORNERS_M = (0.02, 0.15, 0.4)


@attrs.frozen(eq=False)
class _Cluster:
    """Tables that belong together: each with its place and its seats' (edge x, edge y, yaw) in the cluster's frame."""

    tables: tuple[tuple[Piece, Pose2D, tuple[Pose2D, ...]], ...]
    outline_m: Floats


def tables(plan: RoomPlan, decor: Decor, floor: Floor, seeds: Seeds) -> Furnishing:
    """Return the tables of a plan's layout where there is room for them, the seats at them, and what lies on them."""
    rng = seeds.stream("tables")
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
    return Furnishing((*placed, *_clutter(seats, plan.layout, decor.prints, seeds)), tuple(seats))


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


def _clutter(seats: list[Seat], layout: str, prints: Prints, seeds: Seeds) -> list[Placed]:
    """Return laptops, monitors, papers and the like in front of seats, on the table and clear of each other."""
    rng, more = seeds.stream("clutter"), seeds.stream("more clutter")
    found: list[Placed] = []
    for number, seat in enumerate(seats):
        wanted: list[tuple[Piece, float, float]] = []
        draw = rng.random()
        if layout == "office" and draw < 0.6:
            wanted.append((make.monitor(prints.screens, number), 0.52, 0.0))
        elif draw < 0.35:
            wanted.append((make.laptop(rng, prints.screens, number), 0.36, 0.0))
        if rng.random() < 0.4:
            wanted.append((make.papers(rng, prints.pages, 3 * number), 0.26, -0.22))
        if rng.random() < 0.3:
            wanted.append((make.mug(rng), 0.3, 0.28))
        if more.random() < 0.3:
            wanted.append((make.bottle(more), float(more.uniform(0.3, 0.42)), -0.34))
        if more.random() < 0.3:
            wanted.append((make.notebook(more), float(more.uniform(0.16, 0.36)), 0.3))
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
