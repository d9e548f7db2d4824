# SPDX-License-Identifier: Apache-2.0
"""Chairs: such as fit their sitters, and empty ones."""

from __future__ import annotations

import itertools
import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.crowd.gathering import CHAIR_GAP_M, Gathering
from synthkit_blender.furniture import (
    POSTS_BEHIND_M,
    SEAT_DEPTH_M,
    SWIVEL_FEET,
    SWIVEL_REACH_M,
    TABLE_TOP_M,
    ChairFit,
    Piece,
    arm_solids,
    leg_lines,
    meeting_chair,
    rectangle,
)
from synthkit_blender.people.types import FloatArray, PosedPerson
from synthkit_blender.placement import Floats, Placed, Pose2D, hull, overlap
from synthkit_blender.places import SEAT_THICK_M
from synthkit_blender.rooms import Seat

LEAST_SEAT_DEPTH_M, CALF_GAP_M = 0.28, 0.02
THIGH_SINKS_M = 0.055  # below it are no thighs, which press the seat down, but calves
SWIVEL_FOOT_M = 0.13
FEET_M = 0.15  # below it is what a chair stands on
LEGS_X_M = (0.2, 0.212, 0.185, 0.17, 0.15)  # of a chair, tried one after the other, for each of
LEGS_INSET_M = (0.06, 0.03, 0.1, 0.14)
LEG_APART_M, FOOT_APART_M = 0.018, 0.02  # from the middle of a leg, and of a swivel chair's foot
EMPTY_CHAIR_SHARE = 0.8
ROW_SHARE = 0.45  # of free walls that have chairs along them
CHAIR_SPACING_M, CHAIR_OFF_WALL_M = 0.6, 0.42


def fitted(body: PosedPerson, points: FloatArray, arms: bool, *, below_m: float = math.inf) -> ChairFit:
    """Return the chair that fits a sitter: as high as the seat, its back at theirs, its front before their calves.

    Args:
        points: (N, 3) where the sitter's surface gets to. arms: whether it shall have armrests, where there is room
            for them. below_m: what these must stay below.
    """
    seat_m = body.seat_height_m if body.seat_height_m is not None else ChairFit().seat_m
    middle = points[np.abs(points[:, 0]) < 0.21]
    low_y, high_y = (_rearmost(middle, seat_m + z) for z in (0.18, 0.46))
    lean = float(np.clip(math.atan2(high_y - low_y, 0.28), 0.05, 0.3))
    # Where the body bulges over the line from hips to shoulders the back gives way.
    above = middle[(middle[:, 2] > seat_m + 0.12) & (middle[:, 2] < seat_m + 0.75)]
    back_y = float((above[:, 1] - (above[:, 2] - seat_m - 0.15) * math.tan(lean)).max()) + 0.008
    below = middle[(middle[:, 2] > seat_m) & (middle[:, 2] < seat_m + 0.12)]  # there are but the posts of the back
    back_y = max(back_y, float(below[:, 1].max(initial=-math.inf)) - POSTS_BEHIND_M + 0.003)
    front_y = calves_y(points, seat_m) + CALF_GAP_M
    back_y = max(back_y, front_y + LEAST_SEAT_DEPTH_M)  # who is too short for the least seat sits away from its back
    depth = min(SEAT_DEPTH_M, back_y - front_y)
    fit = ChairFit(seat_m - 0.006, back_y, lean, arms, depth)
    fit = _with_feet_apart(points, _with_legs_apart(points, fit))
    fits = fit.arms_m[1] < below_m and _free(points, arm_solids(fit))
    return fit if not arms or fits else attrs.evolve(fit, arms=False)


def calves_y(points_m: NDArray[Any], seat_m: float, thick_m: float = SEAT_THICK_M) -> float:
    """Return how far back the legs reach below the thighs, beside the front edge of a seat so thick."""
    below = points_m[(points_m[:, 2] < seat_m - THIGH_SINKS_M) & (points_m[:, 2] > seat_m - thick_m)]
    return float(below[:, 1].max()) if len(below) else -math.inf


def _with_feet_apart(points_m: NDArray[Any], fit: ChairFit) -> ChairFit:
    """Return a chair that, if it swivels, has its feet as far from those of its sitter as they can be."""
    low = points_m[points_m[:, 2] < SWIVEL_FOOT_M][:, :2] - (0.0, fit.seat_y_m)
    away = np.hypot(*low.T)
    low, away = low[away < SWIVEL_REACH_M + 0.03], away[away < SWIVEL_REACH_M + 0.03]
    if not len(low):
        return fit
    turns = np.arange(0.0, 1.0, 1 / 24) * (2 * math.pi / SWIVEL_FEET)
    share = (np.arctan2(low[:, 1], low[:, 0]) - turns[:, None]) * SWIVEL_FEET / (2 * math.pi)
    aside = np.abs(share - np.round(share)) * (2 * math.pi / SWIVEL_FEET)
    apart_m = (away * np.sin(aside)).min(axis=1)
    swivels = bool(apart_m.max() > FOOT_APART_M)
    return attrs.evolve(fit, foot_rad=float(turns[apart_m.argmax()]), swivels=swivels)


def _with_legs_apart(points_m: NDArray[Any], fit: ChairFit) -> ChairFit:
    """Return a chair whose legs stay clear of those of its sitter, or come least near."""
    low = points_m[points_m[:, 2] < fit.seat_m - 0.02].astype(np.float64)
    best_m, best = -math.inf, fit
    for inset_m, x_m in itertools.product(LEGS_INSET_M, LEGS_X_M):
        tried = attrs.evolve(fit, leg_x_m=x_m, leg_inset_m=inset_m)
        apart_m = min(_apart_m(low, np.array(top), np.array(foot)) for top, foot in leg_lines(tried))
        if apart_m > LEG_APART_M:
            return tried
        if apart_m > best_m:
            best_m, best = apart_m, tried
    return best


def _apart_m(points_m: Floats, start_m: Floats, end_m: Floats) -> float:
    """Return how near points (N, 3) come to a straight line between two."""
    along, offset = end_m - start_m, points_m - start_m
    share = np.clip(offset @ along / (along @ along), 0, 1)
    # Axis by axis: NumPy's functions for short axes take several times as long.
    x, y, z = (column - share * way for column, way in zip(offset.T, along, strict=True))
    return math.sqrt((x * x + y * y + z * z).min(initial=math.inf))


def _rearmost(points_m: NDArray[Any], z_m: float) -> float:
    near = points_m[np.abs(points_m[:, 2] - z_m) < 0.05]
    return float(near[:, 1].max()) if len(near) else 0.1


def _free(points_m: NDArray[Any], solids_m: Floats) -> bool:
    return Piece((), solids_m, np.zeros((0, 2))).holds(np.asarray(points_m, np.float64)) == 0


def empty_chairs(there: Gathering, rng: np.random.Generator) -> list[Placed]:
    """Return chairs at most of the seats nobody took."""
    piece = there.chair(ChairFit(arms=bool(rng.random() < 0.5)))
    found = []
    for seat in there.seats_left:
        wanted, out = rng.random() < EMPTY_CHAIR_SHARE, float(rng.uniform(0.1, 0.45))
        turn = float(rng.normal(0, 0.18 if rng.random() < 0.7 else 0.9))
        pose = seat.sitter(out, float(rng.normal(0, 0.05)), turn)
        placed = Placed(piece, pose, group="chairs")
        if wanted and _clear(there, placed, seat):
            there.stage.floor.take(placed.outline_m)
            found.append(placed)
    return found


def chairs_at_walls(there: Gathering, rng: np.random.Generator) -> list[Placed]:
    """Return rows of chairs along some of the free walls."""
    piece = meeting_chair(there.stage.decor, ChairFit(arms=bool(rng.random() < 0.5)))
    found = []
    for wall in there.stage.free_walls:
        wanted, gap = rng.random() < ROW_SHARE, CHAIR_SPACING_M + float(rng.uniform(0, 0.1))
        count = min(int(rng.integers(1, 7)), int(wall.width_m / gap))
        first = float(rng.uniform(0, 1)) * (wall.width_m - count * gap) - wall.width_m / 2 + gap / 2
        for n in range(count if wanted else 0):
            aside = first + n * gap + float(rng.normal(0, 0.015))
            out = CHAIR_OFF_WALL_M + float(rng.uniform(0, 0.1))
            x, y = wall.middle.outline(np.array([[aside, out]]))[0].tolist()
            yaw = wall.middle.yaw_rad + math.pi + float(rng.normal(0, 0.05))
            placed = Placed(piece, Pose2D(x, y, yaw), group="chairs")
            if there.stage.floor.fits(placed.outline_m, CHAIR_GAP_M):
                there.stage.floor.take(placed.outline_m)
                found.append(placed)
    return found


def _clear(there: Gathering, chair: Placed, seat: Seat) -> bool:
    """Return whether an empty chair stands clear, but for its seat under its own table."""
    under = (seat.table.outline_m,)
    hits = _backrest_hits(chair, seat.table) or legs_hit(chair, seat.table)
    return there.stage.floor.fits(chair.outline_m, CHAIR_GAP_M, besides=under) and not hits


def legs_hit(chair: Placed, table: Placed) -> bool:
    """Return whether a chair's seat or feet reach into what a table stands on."""
    seat = chair.pose.outline(_seen_from_above(chair.piece.solids_m[0]))
    points = np.concatenate([mesh.vertices_m for mesh, _ in chair.piece.parts])
    feet = chair.pose.outline(hull(points[points[:, 2] < FEET_M]))
    legs = [solid for solid in table.piece.solids_m if solid[2] < chair.piece.solids_m[0][5]]
    outlines = [table.pose.outline(_seen_from_above(leg)) for leg in legs]
    return any(overlap(low, leg, 0.005) for low in (seat, feet) for leg in outlines)


def _seen_from_above(solid_m: Floats) -> Floats:
    x0, y0, _, x1, y1, _ = solid_m.tolist()
    return rectangle(x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2)


def _backrest_hits(chair: Placed, table: Placed) -> bool:
    low, high = chair.piece.solids_m[-1][:3], chair.piece.solids_m[-1][3:]
    if high[2] < TABLE_TOP_M - 0.03:
        return False
    size, middle = high - low, (high + low) / 2
    back = chair.pose.outline(rectangle(float(size[0]), float(size[1]), float(middle[0]), float(middle[1])))
    return overlap(back, table.outline_m, 0.01)
