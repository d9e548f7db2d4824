# SPDX-License-Identifier: Apache-2.0
"""A person in a scene, and where people come from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.seeds import Seeds
from synthkit_blender.crowd.walks import STAYING, Walk
from synthkit_blender.people.types import FloatArray, PersonRanges, PosedPerson
from synthkit_blender.placement import Floats, Placed, Pose2D

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

    def moved(self, body: PosedPerson, time_s: float, walked_m: float, stood: float = 0.0) -> PosedPerson:
        """Return the same person at a time of a clip, when they have walked so far.

        Args:
            stood: how far a walker has come to a stand, 0 to 1.
        """


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
        body = source.moved(self.body, time_s, walked_m, self.walk.stood(time_s))
        return attrs.evolve(self, body=body, pose=self.pose.ahead(walked_m), motion_m=motion_m)

    @property
    def name(self) -> str:
        """Its name in the rendered scene."""
        return f"person_{self.number:03d}"

    def world(self, points_m: NDArray[Any]) -> Floats:
        """Return points (..., 3) of the person frame in the world."""
        points = np.asarray(points_m, np.float64)
        return self.pose.points(points.reshape(-1, 3)).reshape(points.shape)
