# SPDX-License-Identifier: Apache-2.0
"""Who is in a scene so far, and what of it is free for others."""

from __future__ import annotations

import math
from functools import cached_property

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.config import PeopleConfig
from synthkit_blender.crowd.figure import SHUTTER_FRAMES, Figure, PeopleSource
from synthkit_blender.crowd.walks import STAYING, Walk
from synthkit_blender.furniture import ChairFit, Piece, meeting_chair, office_chair
from synthkit_blender.people.idling import PERIOD_S
from synthkit_blender.people.types import FloatArray, PersonRanges, PosedPerson
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D, Sight, hull
from synthkit_blender.places import SeatPlace, Solid
from synthkit_blender.rooms import Seat, WallStretch
from synthkit_blender.surfaces import Decor

PERSON_GAP_M = 0.04
CHAIR_GAP_M = 0.01
HEAD_BEHIND_M = 0.5
LOOK_S = 0.8  # between looks at somebody who stirs
SPEED_M_S = {"sitting": 0.06, "standing": 0.12, "walking": 1.2, "leaning": 0.06}


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


@attrs.frozen(eq=False)
class Newcomer:
    """Somebody on the way to a place; what places ask for is worked out once.

    Args:
        lasts_s: how long the clip lasts in which they need room.
    """

    identity: str
    body: PosedPerson
    source: PeopleSource
    lasts_s: float

    @cached_property
    def reach_m(self) -> FloatArray:
        """(N, 3) where their surface gets to in the clip if they stay: what they do comes again."""
        stirs_s = min(self.lasts_s, PERIOD_S)
        looks_s = np.linspace(0.0, stirs_s, math.ceil(stirs_s / LOOK_S) + 1)[1:].tolist()
        later = [self.source.moved(self.body, time_s, 0.0).surface_vertices_m for time_s in looks_s]
        return np.concatenate([self.body.surface_vertices_m, *later])

    @cached_property
    def points_m(self) -> Floats:
        """The same in double precision."""
        return np.asarray(self.reach_m, np.float64)

    @cached_property
    def outline_m(self) -> Floats:
        """The convex outline (N, 2) of that, seen from above."""
        return hull(self.reach_m)


class Gathering:
    """The people of a scene who have a place already, and what the next may take.

    Args:
        ranges: what people are drawn from. times_s: of a clip's images, in all of which everybody needs room.
    """

    def __init__(
        self, stage: Stage, config: PeopleConfig, source: PeopleSource, ranges: PersonRanges, shutter_s: float,
        times_s: tuple[float, ...],
    ) -> None:  # fmt: skip
        self.stage, self.config = stage, config
        self.lasts_s = times_s[-1]
        self.figures: list[Figure] = []
        self.seats_left = list(stage.seats)
        self.places_left = list(stage.places)
        self._source, self._ranges, self._shutter_s = source, ranges, shutter_s
        self._taken: list[str] = []

    def identity(self, seeds: Seeds) -> str:
        """Return somebody who is not in the scene yet."""
        identity = self._source.identity(seeds, self._taken)
        self._taken.append(identity)
        return identity

    def dismiss(self, newcomer: Newcomer) -> None:
        """Let somebody who found no place come again."""
        self._taken.remove(newcomer.identity)

    def newcomer(
        self, seeds: Seeds, posture: str, *, identity: str | None = None, table: bool | None = None,
        seat_m: float | None = None,
    ) -> Newcomer:  # fmt: skip
        """Return somebody in a posture, as ``PeopleSource.person`` does.

        Args:
            identity: who it is; None for somebody who is not in the scene yet.
        """
        who = self.identity(seeds) if identity is None else identity
        body = self._source.person(seeds, who, posture, self._ranges, table=table, seat_m=seat_m)
        return Newcomer(who, body, self._source, self.lasts_s)

    def seats_in_view(self) -> list[Seat]:
        """Return the seats left at which a sitter's head is well in view."""
        return [seat for seat in self.seats_left if self.stage.sees(*_outwards(seat.edge.x_m, seat.edge.y_m))]

    def take_seat(self, seat: Seat) -> None:
        """Mark a seat as taken."""
        self.seats_left = [other for other in self.seats_left if other is not seat]

    def chair(self, fit: ChairFit) -> Piece:
        """Return a chair of the kind that is here, where it fits."""
        return (office_chair if self.stage.office_chairs and fit.swivels else meeting_chair)(self.stage.decor, fit)

    def room_for(self, outline_m: Floats, rng: np.random.Generator) -> Pose2D | None:
        """Return a free and well-seen place for an outline, which is then taken, or None."""
        pose = self.stage.floor.find(outline_m, rng, gap_m=PERSON_GAP_M, seen=self.stage.sees)
        if pose is not None:
            self.stage.floor.take(pose.outline(outline_m))
        return pose

    def add(
        self, newcomer: Newcomer, pose: Pose2D, seeds: Seeds, *, chair: Placed | None = None, walk: Walk = STAYING
    ) -> None:
        """Put somebody into their place, which has been taken."""
        rng, body = seeds.stream("motion"), newcomer.body
        path_m = (walk.speed_m_s or SPEED_M_S[body.posture]) * self._shutter_s / SHUTTER_FRAMES
        heading = pose.yaw_rad if body.posture == "walking" else float(rng.uniform(-math.pi, math.pi))
        motion = (math.sin(heading) * path_m, -math.cos(heading) * path_m, 0.0)
        reach_m = body.surface_vertices_m if walk.speed_m_s else newcomer.reach_m
        self.figures.append(Figure(len(self.figures) + 1, newcomer.identity, body, pose, motion, chair, walk, reach_m))


def _outwards(x_m: float, y_m: float) -> tuple[float, float]:
    """Return the place behind a seat, away from the point below the camera, where its sitter's head may be."""
    factor = 1 + HEAD_BEHIND_M / max(math.hypot(x_m, y_m), 1e-6)
    return x_m * factor, y_m * factor
