# SPDX-License-Identifier: Apache-2.0
"""People in their places: sitters on chairs that fit them, the others where there is room to stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.seeds import Seeds
from synthkit_blender.config import PeopleConfig
from synthkit_blender.furniture import (
    SEAT_DEPTH_M,
    SWIVEL_FEET,
    SWIVEL_REACH_M,
    TABLE_TOP_M,
    ChairFit,
    Piece,
    arm_solids,
    meeting_chair,
    office_chair,
    rectangle,
)
from synthkit_blender.people.idling import PERIOD_S
from synthkit_blender.people.types import FloatArray, Looks, PersonRanges, PosedPerson
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D, Sight, hull, overlap
from synthkit_blender.places import SeatPlace, Solid
from synthkit_blender.polygons import holds
from synthkit_blender.rooms import Seat, WallStretch
from synthkit_blender.surfaces import Decor
from synthkit_blender.walks import PHASES, STAYING, STRIDES_S, Walk, swept, walks, widened

PERSON_GAP_M = 0.04
SEAT_TRIES = 6
HEAD_BEHIND_M = 0.5
LEAST_SEAT_DEPTH_M, CALF_GAP_M = 0.32, 0.02
THIGH_SINKS_M = 0.055  # below it are no thighs, which press the seat down, but calves
SWIVEL_FOOT_M = 0.13
FREE_SEAT_SHARE = 0.15
SEAT_BACK_M = (0.0, 0.05, 0.1)  # tried one after the other
MOST_FORWARD_M = 0.2  # how far sitters with short legs move to a seat's front edge
TABLE_REACH_M = 0.5  # before a sitter's pelvis: a table there is one to lay hands on
EMPTY_CHAIR_SHARE = 0.8
ROW_SHARE = 0.45  # of free walls that have chairs along them
CHAIR_SPACING_M, CHAIR_OFF_WALL_M = 0.6, 0.42
TABLE_GAPS_M = np.arange(0.1, 0.62, 0.02)  # between the pelvis of a sitter and a table's edge
LEAN_GAPS_M = np.arange(-0.1, 0.5, 0.01)
WALL_GAP_M = 0.01
STIR_M = 0.04  # how far who walks may get beyond the outline of their stride as it was looked at
LOOK_S = 0.8  # between looks at somebody who stirs
SPEED_M_S = {"sitting": 0.06, "standing": 0.12, "walking": 1.2, "leaning": 0.06}
SHUTTER_FRAMES = 0.5  # how much of a frame the shutter is open


class PeopleSource(Protocol):
    """Draws and builds people."""

    def identity(self, seeds: Seeds, taken: Collection[str]) -> str:
        """Return who somebody is: the same text is the same person everywhere."""

    def person(
        self, seeds: Seeds, identity: str, posture: str, ranges: PersonRanges, *, table: bool | None,
        seat_m: float | None = None,
    ) -> PosedPerson:  # fmt: skip
        """Return somebody in a posture.

        Args:
            table: with hands on a table, without, or either way.
            seat_m: how high the seat is that is there; None for one that suits them.
        """

    def moved(self, body: PosedPerson, time_s: float, walked_m: float) -> PosedPerson:
        """Return the same person at a time of a clip, when they have walked so far."""


@attrs.frozen(eq=False)
class Figure:
    """A person in a scene.

    Args:
        motion_m: (3,) how far the body moves in one frame, around its place.
        chair: what a sitter sits on.
        walk: how they go ahead in a clip.
        reach_m: (N, 3) where the surface of somebody who stays gets to in a clip, in the person frame.
    """

    number: int
    identity: str
    body: PosedPerson
    pose: Pose2D
    motion_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    chair: Placed | None = None
    walk: Walk = STAYING
    reach_m: FloatArray = attrs.field()

    @reach_m.default
    def _still(self) -> FloatArray:
        return self.body.surface_vertices_m

    def at(self, time_s: float, source: PeopleSource) -> Figure:
        """Return the figure at a time of a clip."""
        if time_s == 0:
            return self
        walked_m, pace = self.walk.gone_m(time_s), self.walk.pace(time_s)
        motion_m = (self.motion_m[0] * pace, self.motion_m[1] * pace, self.motion_m[2] * pace)
        body = source.moved(self.body, time_s, walked_m)
        return attrs.evolve(self, body=body, pose=self.pose.ahead(walked_m), motion_m=motion_m)

    @property
    def name(self) -> str:
        """Its name in the rendered scene."""
        return f"person_{self.number:03d}"

    def world(self, points_m: NDArray[Any]) -> Floats:
        """Return points (..., 3) of the person frame in the world."""
        points = np.asarray(points_m, np.float64)
        return self.pose.points(points.reshape(-1, 3)).reshape(points.shape)


@attrs.frozen(eq=False)
class Crowd:
    """Everybody, and the chairs: those sat on first, then the empty ones."""

    figures: tuple[Figure, ...]
    chairs: tuple[Placed, ...]


@attrs.frozen(eq=False)
class Stage:
    """Where people may be.

    Args:
        floor: what of it is free. seats: at tables, for chairs to stand at.
        sees: whether the camera sees people well at a place. empty_chairs: whether the seats left get a chair.
        free_chairs: whether sitters may bring a chair to anywhere; else those without a seat stand.
        places: seats that are there already. solids: what sitters on them may not reach into.
        furniture_m: outlines of the solids among what of the floor is taken, (N, 2) each.
        free_walls: where somebody may lean against a wall.
    """

    floor: Floor
    seats: tuple[Seat, ...]
    decor: Decor
    office_chairs: bool
    sees: Sight
    empty_chairs: bool
    free_chairs: bool = True
    places: tuple[SeatPlace, ...] = ()
    solids: tuple[Solid, ...] = ()
    furniture_m: tuple[Floats, ...] = ()
    free_walls: tuple[WallStretch, ...] = ()


def populate(
    stage: Stage, config: PeopleConfig, source: PeopleSource, seeds: Seeds, shutter_s: float,
    times_s: tuple[float, ...] = (0.0,),
) -> Crowd:  # fmt: skip
    """Place people and chairs; where no room is found, there are fewer of them.

    Args:
        times_s: of a clip's images, in all of which everybody needs room.
    """
    counts = seeds.stream("counts")
    sitting = int(counts.integers(config.sitting[0], config.sitting[1] + 1))
    standing = int(counts.integers(config.standing[0], config.standing[1] + 1))
    director = _Director(stage, config, source, shutter_s, times_s)
    for n in range(sitting):
        director.seat(seeds.child("sitting", n))
    for n in range(standing):
        director.stand(seeds.child("standing", n))
    empty = director.empty_chairs(seeds.stream("empty chairs")) if stage.empty_chairs else []
    if stage.empty_chairs and stage.free_chairs:
        empty += director.chairs_at_walls(seeds.stream("chairs at walls"))
    taken = [figure.chair for figure in director.figures if figure.chair is not None]
    return Crowd(tuple(director.figures), (*taken, *empty))


def person_ranges(config: PeopleConfig) -> PersonRanges:
    """Return what people are drawn from."""
    return PersonRanges(
        age_years=config.age_years,
        female_share=config.female_share,
        pattern_share=config.pattern_share,
        accessory_share=config.accessory_share,
        motions_share=config.motions_share,
        pose_amount=config.pose_amount,
        assets_share=config.assets_share,
        looks=Looks(**attrs.asdict(config.looks)),
    )


def fitted(body: PosedPerson, points: FloatArray, arms: bool) -> ChairFit:
    """Return the chair that fits a sitter: as high as the seat, its back touching theirs.

    Args:
        points: (N, 3) where the sitter's surface gets to.
    """
    seat_m = body.seat_height_m if body.seat_height_m is not None else ChairFit().seat_m
    middle = points[np.abs(points[:, 0]) < 0.21]
    low_y, high_y = (_rearmost(middle, seat_m + z) for z in (0.18, 0.46))
    lean = float(np.clip(math.atan2(high_y - low_y, 0.28), 0.05, 0.3))
    # Where the body bulges over the line from hips to shoulders the back gives way.
    above = middle[(middle[:, 2] > seat_m + 0.12) & (middle[:, 2] < seat_m + 0.75)]
    back_y = float((above[:, 1] - (above[:, 2] - seat_m - 0.15) * math.tan(lean)).max()) + 0.008
    depth = min(SEAT_DEPTH_M, max(LEAST_SEAT_DEPTH_M, back_y - _calves_y(points, seat_m) - CALF_GAP_M))
    fit = ChairFit(seat_m - 0.006, back_y, lean, arms, depth)
    fit = attrs.evolve(fit, foot_rad=_feet_apart(points, fit))
    return fit if not arms or _free(points, arm_solids(fit)) else attrs.evolve(fit, arms=False)


def _calves_y(points_m: NDArray[Any], seat_m: float) -> float:
    """Return how far back the legs reach below the thighs, beside the seat's front edge."""
    below = points_m[(points_m[:, 2] < seat_m - THIGH_SINKS_M) & (points_m[:, 2] > seat_m - 0.11)]
    return float(below[:, 1].max()) if len(below) else -math.inf


def _feet_apart(points_m: NDArray[Any], fit: ChairFit) -> float:
    """Return the turn of a swivel chair's feet at which they are farthest from those of its sitter."""
    low = points_m[points_m[:, 2] < SWIVEL_FOOT_M][:, :2] - (0.0, fit.seat_y_m)
    away = np.hypot(*low.T)
    low, away = low[away < SWIVEL_REACH_M + 0.03], away[away < SWIVEL_REACH_M + 0.03]
    if not len(low):
        return fit.foot_rad
    turns = np.arange(0.0, 1.0, 1 / 24) * (2 * math.pi / SWIVEL_FEET)
    share = (np.arctan2(low[:, 1], low[:, 0]) - turns[:, None]) * SWIVEL_FEET / (2 * math.pi)
    aside = np.abs(share - np.round(share)) * (2 * math.pi / SWIVEL_FEET)
    return float(turns[(away * np.sin(aside)).min(axis=1).argmax()])


def _outwards(x_m: float, y_m: float) -> tuple[float, float]:
    """Return the place behind a seat, away from the point below the camera, where its sitter's head may be."""
    factor = 1 + HEAD_BEHIND_M / max(math.hypot(x_m, y_m), 1e-6)
    return x_m * factor, y_m * factor


def _rearmost(points_m: NDArray[Any], z_m: float) -> float:
    near = points_m[np.abs(points_m[:, 2] - z_m) < 0.05]
    return float(near[:, 1].max()) if len(near) else 0.1


def _free(points_m: NDArray[Any], solids_m: Floats) -> bool:
    return Piece((), solids_m, np.zeros((0, 2))).holds(np.asarray(points_m, np.float64)) == 0


class _Sitter:
    """A sitting person on the way from seat to seat; what every seat asks for is worked out once."""

    def __init__(
        self, body: PosedPerson, identity: str, reach_m: FloatArray, chair: Callable[[ChairFit], Piece]
    ) -> None:
        self.body, self.identity, self.reach_m = body, identity, reach_m
        self.outline_m = hull(reach_m)
        self.points_m = np.asarray(reach_m, np.float64)
        self._make_chair = chair
        self._chairs: dict[bool, Piece] = {}

    def chair(self, *, arms: bool) -> Piece:
        """Return a chair that fits, with arms where they are wanted and there is room for them."""
        if arms not in self._chairs:
            self._chairs[arms] = self._make_chair(fitted(self.body, self.reach_m, arms))
        return self._chairs[arms]


def nearest_gap(points_m: Floats, seat: Seat, aside_m: float, turn_rad: float, gaps_m: Floats) -> float | None:
    """Return the first of the gaps off a table's edge at which no point of a body is within the table, or None."""
    table = seat.table
    near, far = (seat.sitter(out_m, aside_m, turn_rad) for out_m in (0.0, 1.0))
    at_edge = table.pose.local(near.points(points_m))
    origins = table.pose.local(np.array([[pose.x_m, pose.y_m, 0.0] for pose in (near, far)]))
    inside = table.piece.stretches(at_edge, origins[1] - origins[0])
    for gap in gaps_m.tolist():
        if not ((inside[:, 0] < gap) & (gap < inside[:, 1])).any():
            return float(gap)
    return None


class _Director:
    """Gives people their places one after the other."""

    def __init__(
        self, stage: Stage, config: PeopleConfig, source: PeopleSource, shutter_s: float, times_s: tuple[float, ...]
    ) -> None:  # fmt: skip
        self._stage, self._config, self._source, self._shutter_s = stage, config, source, shutter_s
        self._lasts_s = times_s[-1]
        self._ranges = person_ranges(config)
        self._seats_left = list(stage.seats)
        self._taken: list[str] = []
        self._places_left = list(stage.places)
        self.figures: list[Figure] = []

    def seat(self, seeds: Seeds) -> None:
        """Seat one person: on a seat that is there, at a table where there is a seat, or anywhere."""
        if self._places_left:
            self._sit_down(seeds)
            return
        rng = seeds.stream("place")
        seen = [s for s in self._seats_left if self._stage.sees(*_outwards(s.edge.x_m, s.edge.y_m))]
        if not seen and not self._stage.free_chairs:
            self.stand(seeds)
            return
        at_table = bool(seen) and rng.random() >= FREE_SEAT_SHARE
        body, identity = self._person(seeds, "sitting", table=None if at_table else False)
        if at_table:
            sitter = _Sitter(body, identity, self._reach(body), self._chair)
            for i in rng.permutation(len(seen))[:SEAT_TRIES]:
                if self._sit_at(seen[int(i)], sitter, seeds, rng):
                    break
        else:
            self._sit_free(body, identity, seeds, rng)

    def stand(self, seeds: Seeds) -> None:
        """Place one person on their feet."""
        leaning = self._may_lean and seeds.stream("leaning").random() < self._config.leaning_share
        if leaning and self._lean(seeds):
            return
        rng = seeds.stream("place")
        posture = "walking" if rng.random() < self._config.walking_share else "standing"
        body, identity = self._person(seeds, posture, table=None)
        if self._lasts_s > 0 and body.stride_m > 0:
            self._walk(body, identity, seeds, rng)
            return
        reach = self._reach(body)
        pose = self._room_for(hull(reach), rng)
        if pose is not None:
            self._add(body, identity, pose, None, seeds, reach, Walk(body.stride_m * STRIDES_S))

    def _walk(self, body: PosedPerson, identity: str, seeds: Seeds, rng: np.random.Generator) -> None:
        """Let one person walk through the clip, or as far as there is room to."""
        stride = [self._source.moved(body, 0.0, body.stride_m * n / PHASES) for n in range(PHASES)]
        outline = widened(hull(np.concatenate([one.surface_vertices_m for one in stride])), STIR_M)
        for walk in walks(body.stride_m, body.spec.pose.phase if body.spec else 0.0, self._lasts_s):
            pose = self._room_for(swept(outline, min(walk.length_m, walk.gone_m(self._lasts_s))), rng)
            if pose is not None:
                self._add(body, identity, pose, None, seeds, body.surface_vertices_m, walk)
                return

    def _room_for(self, outline_m: Floats, rng: np.random.Generator) -> Pose2D | None:
        """Return a free and well-seen place for an outline, which is then taken, or None."""
        pose = self._stage.floor.find(outline_m, rng, gap_m=PERSON_GAP_M, seen=self._stage.sees)
        if pose is not None:
            self._stage.floor.take(pose.outline(outline_m))
        return pose

    def _reach(self, body: PosedPerson) -> FloatArray:
        """Return (N, 3) where the surface of somebody who stays gets to in the clip: what they do comes again."""
        stirs_s = min(self._lasts_s, PERIOD_S)
        looks_s = np.linspace(0.0, stirs_s, math.ceil(stirs_s / LOOK_S) + 1)[1:].tolist()
        later = [self._source.moved(body, time_s, 0.0).surface_vertices_m for time_s in looks_s]
        return np.concatenate([body.surface_vertices_m, *later])

    @property
    def _may_lean(self) -> bool:
        return bool(self._stage.free_walls or self._seats_left)

    def _lean(self, seeds: Seeds) -> bool:
        """Place one person against a wall or at a table's edge, and return whether there was room."""
        rng = seeds.stream("lean")
        body, identity = self._person(seeds, "leaning", table=None)
        reach = self._reach(body)
        points, outline = np.asarray(reach, np.float64), hull(reach)
        found = self._at_wall(points, outline, rng) if body.support == "wall" else None
        if body.support in ("table behind", "table before"):
            found = self._at_edge(points, outline, math.pi if body.support == "table behind" else 0.0, rng)
        if found is None:
            self._taken.remove(identity)
            return False
        self._stage.floor.take(found.outline(outline))
        self._add(body, identity, found, None, seeds, reach)
        return True

    def _at_wall(self, points_m: Floats, outline_m: Floats, rng: np.random.Generator) -> Pose2D | None:
        """Return where a body has its back against a free stretch of wall, or None."""
        walls = self._stage.free_walls
        half = float(np.abs(points_m[:, 0]).max())
        for i in rng.permutation(len(walls)):
            wall, slack = walls[int(i)].middle, walls[int(i)].width_m / 2 - half - PERSON_GAP_M
            if slack <= 0:
                continue
            aside, out = float(rng.uniform(-slack, slack)), float(points_m[:, 1].max()) + WALL_GAP_M
            x, y = wall.outline(np.array([[aside, out]]))[0].tolist()
            pose = Pose2D(x, y, wall.yaw_rad + math.pi)
            if self._stage.sees(x, y) and self._stage.floor.fits(pose.outline(outline_m), WALL_GAP_M / 2):
                return pose
        return None

    def _at_edge(
        self, points_m: Floats, outline_m: Floats, turn_rad: float, rng: np.random.Generator
    ) -> Pose2D | None:  # fmt: skip
        """Return where a body leans on a table at one of the seats left, which is then taken, or None."""
        seats = [s for s in self._seats_left if self._stage.sees(*_outwards(s.edge.x_m, s.edge.y_m))]
        for i in rng.permutation(len(seats))[:SEAT_TRIES]:
            seat = seats[int(i)]
            turn, aside = turn_rad + float(rng.normal(0, 0.05)), float(rng.normal(0, 0.08))
            gap = nearest_gap(points_m, seat, aside, turn, LEAN_GAPS_M)
            if gap is None:
                continue
            pose = seat.sitter(gap, aside, turn)
            if self._stage.floor.fits(pose.outline(outline_m), PERSON_GAP_M, besides=(seat.table.outline_m,)):
                self._seats_left = [other for other in self._seats_left if other is not seat]
                return pose
        return None

    def _person(self, seeds: Seeds, posture: str, *, table: bool | None) -> tuple[PosedPerson, str]:
        """Return somebody who is not in the scene yet, and their identity."""
        identity = self._identity(seeds)
        return self._source.person(seeds, identity, posture, self._ranges, table=table), identity

    def _identity(self, seeds: Seeds) -> str:
        identity = self._source.identity(seeds, self._taken)
        self._taken.append(identity)
        return identity

    def empty_chairs(self, rng: np.random.Generator) -> list[Placed]:
        """Return chairs at most of the seats nobody took."""
        piece = self._chair(ChairFit(arms=bool(rng.random() < 0.5)))
        found = []
        for seat in self._seats_left:
            wanted, out = rng.random() < EMPTY_CHAIR_SHARE, float(rng.uniform(0.1, 0.45))
            turn = float(rng.normal(0, 0.18 if rng.random() < 0.7 else 0.9))
            pose = seat.sitter(out, float(rng.normal(0, 0.05)), turn)
            placed = Placed(piece, pose, group="chairs")
            if wanted and self._clear(placed, seat):
                self._stage.floor.take(placed.outline_m)
                found.append(placed)
        return found

    def chairs_at_walls(self, rng: np.random.Generator) -> list[Placed]:
        """Return rows of chairs along some of the free walls."""
        piece = meeting_chair(self._stage.decor, ChairFit(arms=bool(rng.random() < 0.5)))
        found = []
        for wall in self._stage.free_walls:
            wanted, gap = rng.random() < ROW_SHARE, CHAIR_SPACING_M + float(rng.uniform(0, 0.1))
            count = min(int(rng.integers(1, 7)), int(wall.width_m / gap))
            first = float(rng.uniform(0, 1)) * (wall.width_m - count * gap) - wall.width_m / 2 + gap / 2
            for n in range(count if wanted else 0):
                aside, out = (
                    first + n * gap + float(rng.normal(0, 0.015)),
                    CHAIR_OFF_WALL_M + float(rng.uniform(0, 0.1)),
                )
                x, y = wall.middle.outline(np.array([[aside, out]]))[0].tolist()
                yaw = wall.middle.yaw_rad + math.pi + float(rng.normal(0, 0.05))
                placed = Placed(piece, Pose2D(x, y, yaw), group="chairs")
                if self._stage.floor.fits(placed.outline_m, 0.01):
                    self._stage.floor.take(placed.outline_m)
                    found.append(placed)
        return found

    def _clear(self, chair: Placed, seat: Seat) -> bool:
        """Return whether an empty chair stands clear, but for its seat under its own table."""
        under = (seat.table.outline_m,)
        hits = _backrest_hits(chair, seat.table) or _legs_hit(chair, seat.table)
        return self._stage.floor.fits(chair.outline_m, 0.01, besides=under) and not hits

    def _sit_at(self, seat: Seat, sitter: _Sitter, seeds: Seeds, rng: np.random.Generator) -> bool:
        turn, aside = float(rng.normal(0, 0.06)), float(rng.normal(0, 0.03))
        own = seat.table.outline_m
        chair = sitter.chair(arms=bool(rng.random() < 0.5))
        gap = nearest_gap(sitter.points_m, seat, aside, turn, TABLE_GAPS_M)
        if gap is None:
            return False
        pose = seat.sitter(gap, aside, turn)
        placed = Placed(chair, pose, group="chairs")
        outline = pose.outline(sitter.outline_m)
        clear = self._stage.floor.fits(outline, PERSON_GAP_M, besides=(own,))
        if _legs_hit(placed, seat.table):
            return False
        if not clear or not self._stage.floor.fits(placed.outline_m, 0.01, besides=(own,)):
            return False
        self._stage.floor.take(outline)
        self._stage.floor.take(placed.outline_m)
        self._seats_left = [other for other in self._seats_left if other is not seat]
        self._add(sitter.body, sitter.identity, pose, placed, seeds, sitter.reach_m)
        return True

    def _sit_down(self, seeds: Seeds) -> None:
        """Seat one person on one of the seats that are there, unless they would meet somebody or something."""
        rng = seeds.stream("place")
        identity = self._identity(seeds)
        bodies: dict[tuple[float, bool], tuple[PosedPerson, FloatArray]] = {}
        for i in rng.permutation(len(self._places_left)):
            place = self._places_left[int(i)]
            kind = place.height_m, self._before_table(place)
            if kind not in bodies:
                table = None if kind[1] else False
                sitter = self._source.person(
                    seeds, identity, "sitting", self._ranges, table=table, seat_m=place.height_m
                )
                bodies[kind] = sitter, self._reach(sitter)
            body, reach = bodies[kind]
            outline = hull(reach)
            pose = self._pose_on(place, body, reach, outline)
            if pose is not None:
                self._stage.floor.take(pose.outline(outline))
                self._places_left = [other for other in self._places_left if other is not place]
                self._add(body, identity, pose, None, seeds, reach)
                return

    def _before_table(self, place: SeatPlace) -> bool:
        ahead = place.pose.outline(np.array([[0.0, -TABLE_REACH_M]]))[0]
        return any(solid.kind == "table" and bool(holds(solid.outline_m, ahead)) for solid in self._stage.solids)

    def _pose_on(self, place: SeatPlace, body: PosedPerson, reach_m: FloatArray, outline_m: Floats) -> Pose2D | None:
        """Return where on a seat a body has room, a little back from the table at need, or None."""
        if body.seat_height_m is None or abs(body.seat_height_m - place.height_m) > 1e-6:
            return None  # its legs are too long or too short
        calves_m = -_calves_y(reach_m, place.height_m)
        forward_m = max(place.front_m + CALF_GAP_M - calves_m, 0.0)
        if forward_m > MOST_FORWARD_M:
            return None  # it stretches its legs through the seat
        for back_m in SEAT_BACK_M:
            x, y = place.pose.outline(np.array([[0.0, back_m - forward_m]]))[0].tolist()
            pose = Pose2D(x, y, place.pose.yaw_rad)
            if self._stage.floor.fits(pose.outline(outline_m), PERSON_GAP_M, besides=self._stage.furniture_m):
                points = pose.points(np.asarray(reach_m, np.float64))
                if not any(solid.holds(points).any() for solid in self._stage.solids if solid.kind != "seat"):
                    return pose
        return None

    def _sit_free(self, body: PosedPerson, identity: str, seeds: Seeds, rng: np.random.Generator) -> None:
        reach = self._reach(body)
        chair = self._chair(fitted(body, reach, arms=bool(rng.random() < 0.5)))
        pose = self._room_for(hull(np.concatenate([reach[:, :2], chair.outline_m.astype(np.float32)])), rng)
        if pose is not None:
            self._add(body, identity, pose, Placed(chair, pose, group="chairs"), seeds, reach)

    def _chair(self, fit: ChairFit) -> Piece:
        return (office_chair if self._stage.office_chairs else meeting_chair)(self._stage.decor, fit)

    def _add(
        self, body: PosedPerson, identity: str, pose: Pose2D, chair: Placed | None, seeds: Seeds, reach_m: FloatArray,
        walk: Walk = STAYING,
    ) -> None:  # fmt: skip
        rng = seeds.stream("motion")
        path_m = (walk.speed_m_s or SPEED_M_S[body.posture]) * self._shutter_s / SHUTTER_FRAMES
        heading = pose.yaw_rad if body.posture == "walking" else float(rng.uniform(-math.pi, math.pi))
        motion = (math.sin(heading) * path_m, -math.cos(heading) * path_m, 0.0)
        self.figures.append(Figure(len(self.figures) + 1, identity, body, pose, motion, chair, walk, reach_m))


def _legs_hit(chair: Placed, table: Placed) -> bool:
    """Return whether a chair's seat reaches into what a table stands on."""
    seat = chair.pose.outline(_seen_from_above(chair.piece.solids_m[0]))
    legs = [solid for solid in table.piece.solids_m if solid[2] < chair.piece.solids_m[0][5]]
    return any(overlap(seat, table.pose.outline(_seen_from_above(leg)), 0.005) for leg in legs)


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
