# SPDX-License-Identifier: Apache-2.0
"""Those who lean: their back against a wall, on a table's edge, or over a table."""

from __future__ import annotations

import math

import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.crowd.gathering import PERSON_GAP_M, Gathering, Newcomer
from synthkit_blender.placement import Pose2D

EDGE_TRIES = 6
LEAN_GAPS_M = np.arange(-0.1, 0.5, 0.01)
WALL_GAP_M = 0.01


def may_lean(there: Gathering) -> bool:
    """Return whether there is anything to lean on."""
    return bool(there.stage.free_walls or there.seats_left)


def lean(there: Gathering, seeds: Seeds) -> bool:
    """Place one person against a wall or at a table's edge, and return whether there was room."""
    rng = seeds.stream("lean")
    leaner = there.newcomer(seeds, "leaning")
    support, pose = leaner.body.support, None
    if support == "wall":
        pose = _at_wall(there, leaner, rng)
    elif support in ("table behind", "table before"):
        pose = _at_edge(there, leaner, math.pi if support == "table behind" else 0.0, rng)
    if pose is None:
        there.dismiss(leaner)
        return False
    there.stage.floor.take(pose.outline(leaner.outline_m))
    there.add(leaner, pose, seeds)
    return True


def _at_wall(there: Gathering, leaner: Newcomer, rng: np.random.Generator) -> Pose2D | None:
    """Return where somebody has their back against a free stretch of wall, or None."""
    stage, walls = there.stage, there.stage.free_walls
    half = float(np.abs(leaner.points_m[:, 0]).max())
    for i in rng.permutation(len(walls)):
        wall, slack = walls[int(i)].middle, walls[int(i)].width_m / 2 - half - PERSON_GAP_M
        if slack <= 0:
            continue
        aside, out = float(rng.uniform(-slack, slack)), float(leaner.points_m[:, 1].max()) + WALL_GAP_M
        x, y = wall.outline(np.array([[aside, out]]))[0].tolist()
        pose = Pose2D(x, y, wall.yaw_rad + math.pi)
        if stage.sees(x, y) and stage.floor.fits(pose.outline(leaner.outline_m), WALL_GAP_M / 2):
            return pose
    return None


def _at_edge(there: Gathering, leaner: Newcomer, turn_rad: float, rng: np.random.Generator) -> Pose2D | None:
    """Return where somebody leans on a table at one of the seats left, which is then taken, or None."""
    seats = there.seats_in_view()
    for i in rng.permutation(len(seats))[:EDGE_TRIES]:
        seat = seats[int(i)]
        turn, aside = turn_rad + float(rng.normal(0, 0.05)), float(rng.normal(0, 0.08))
        gap = seat.nearest_gap(leaner.points_m, aside, turn, LEAN_GAPS_M)
        if gap is None:
            continue
        pose = seat.sitter(gap, aside, turn)
        outline = pose.outline(leaner.outline_m)
        if there.stage.floor.fits(outline, PERSON_GAP_M, besides=(seat.table.outline_m,)):
            there.take_seat(seat)
            return pose
    return None
