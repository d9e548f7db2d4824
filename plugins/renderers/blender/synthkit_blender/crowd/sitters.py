# SPDX-License-Identifier: Apache-2.0
"""Sitters: on seats that are there, on chairs at tables, or on a chair anywhere."""

from __future__ import annotations

import functools

import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.crowd.chairs import CALF_GAP_M, calves_y, fitted, legs_hit
from synthkit_blender.crowd.gathering import CHAIR_GAP_M, PERSON_GAP_M, Gathering, Newcomer
from synthkit_blender.crowd.standers import stand
from synthkit_blender.furniture import TABLE_UNDER_M, Piece
from synthkit_blender.placement import Placed, Pose2D, hull
from synthkit_blender.places import SeatPlace, Solid
from synthkit_blender.polygons import holds
from synthkit_blender.rooms import Seat

SEAT_TRIES = 6
FREE_SEAT_SHARE = 0.15
SEAT_BACK_M = (0.0, 0.05, 0.1)  # tried one after the other
MOST_FORWARD_M = 0.2  # how far sitters with short legs move to a seat's front edge
TABLE_REACH_M = 0.5  # before a sitter's pelvis: a table there is one to lay hands on
TABLE_GAPS_M = np.arange(0.1, 0.62, 0.02)  # between the pelvis of a sitter and a table's edge


def seat(there: Gathering, seeds: Seeds) -> None:
    """Seat one person: on a seat that is there, at a table where there is a seat, or anywhere."""
    if there.places_left:
        _sit_down(there, seeds)
        return
    rng = seeds.stream("place")
    seats = there.seats_in_view()
    if not seats and not there.stage.free_chairs:
        stand(there, seeds)
    elif seats and rng.random() >= FREE_SEAT_SHARE:
        _sit_at_table(there, seats, seeds, rng)
    else:
        _sit_free(there, seeds, rng)


def _sit_down(there: Gathering, seeds: Seeds) -> None:
    """Seat one person on one of the seats that are there, unless they would meet somebody or something."""
    rng = seeds.stream("place")
    identity = there.identity(seeds)
    sitters: dict[tuple[float, bool], Newcomer] = {}
    for i in rng.permutation(len(there.places_left)):
        place = there.places_left[int(i)]
        kind = place.height_m, _before_table(place, there.stage.solids)
        if kind not in sitters:
            table = None if kind[1] else False
            sitters[kind] = there.newcomer(seeds, "sitting", identity=identity, table=table, seat_m=place.height_m)
        pose = _pose_on(there, place, sitters[kind])
        if pose is not None:
            there.stage.floor.take(pose.outline(sitters[kind].outline_m))
            there.places_left = [other for other in there.places_left if other is not place]
            there.add(sitters[kind], pose, seeds)
            return


def _before_table(place: SeatPlace, solids: tuple[Solid, ...]) -> bool:
    ahead = place.pose.outline(np.array([[0.0, -TABLE_REACH_M]]))[0]
    return any(solid.kind == "table" and bool(holds(solid.outline_m, ahead)) for solid in solids)


def _pose_on(there: Gathering, place: SeatPlace, sitter: Newcomer) -> Pose2D | None:
    """Return where on a seat somebody has room, a little back from the table at need, or None."""
    stage, suits_m = there.stage, sitter.body.seat_height_m
    if suits_m is None or abs(suits_m - place.height_m) > 1e-6:
        return None  # their legs are too long or too short
    calves_m = -calves_y(sitter.reach_m, place.height_m, place.thick_m)
    most_m = calves_m - place.front_m - CALF_GAP_M  # backwards, until they meet the seat
    if most_m < -MOST_FORWARD_M:
        return None  # they stretch their legs through the seat
    for back_m in dict.fromkeys(min(back_m, most_m) for back_m in SEAT_BACK_M):
        x, y = place.pose.outline(np.array([[0.0, back_m]]))[0].tolist()
        pose = Pose2D(x, y, place.pose.yaw_rad)
        if stage.floor.fits(pose.outline(sitter.outline_m), PERSON_GAP_M, besides=stage.furniture_m):
            points = pose.points(sitter.points_m)
            if not any(solid.holds(points).any() for solid in stage.solids if solid.kind != "seat"):
                return pose
    return None


def _sit_at_table(there: Gathering, seats: list[Seat], seeds: Seeds, rng: np.random.Generator) -> None:
    """Seat one person on a chair at one of some seats, unless there is no room at any."""
    sitter = there.newcomer(seeds, "sitting")

    @functools.cache
    def fitting(*, arms: bool) -> Piece:
        return there.chair(fitted(sitter.body, sitter.reach_m, arms, below_m=TABLE_UNDER_M))

    for i in rng.permutation(len(seats))[:SEAT_TRIES]:
        place = seats[int(i)]
        turn, aside = float(rng.normal(0, 0.06)), float(rng.normal(0, 0.03))
        piece = fitting(arms=bool(rng.random() < 0.5))
        gap = place.nearest_gap(sitter.points_m, aside, turn, TABLE_GAPS_M)
        if gap is None:
            continue
        chair = Placed(piece, place.sitter(gap, aside, turn), group="chairs")
        if _has_room(there, place, sitter, chair):
            there.stage.floor.take(chair.pose.outline(sitter.outline_m))
            there.stage.floor.take(chair.outline_m)
            there.take_seat(place)
            there.add(sitter, chair.pose, seeds, chair=chair)
            return


def _has_room(there: Gathering, place: Seat, sitter: Newcomer, chair: Placed) -> bool:
    """Return whether somebody on a chair meets nothing at a seat, but for their legs under its table."""
    floor, under = there.stage.floor, (place.table.outline_m,)
    return (
        not legs_hit(chair, place.table)
        and floor.fits(chair.pose.outline(sitter.outline_m), PERSON_GAP_M, besides=under)
        and floor.fits(chair.outline_m, CHAIR_GAP_M, besides=under)
    )


def _sit_free(there: Gathering, seeds: Seeds, rng: np.random.Generator) -> None:
    """Seat one person on a chair where there is room."""
    sitter = there.newcomer(seeds, "sitting", table=False)
    chair = there.chair(fitted(sitter.body, sitter.reach_m, arms=bool(rng.random() < 0.5)))
    both = hull(np.concatenate([sitter.reach_m[:, :2], chair.outline_m.astype(np.float32)]))
    pose = there.room_for(both, rng)
    if pose is not None:
        there.add(sitter, pose, seeds, chair=Placed(chair, pose, group="chairs"))
