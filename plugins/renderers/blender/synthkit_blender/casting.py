# SPDX-License-Identifier: Apache-2.0
"""Who a scene's people are, and what they wear and do there: the body library, asked for poses that fit the place."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from synthkit.seeds import Seeds
from synthkit_blender.config import PeopleConfig
from synthkit_blender.people import (
    BodyLibrary,
    PersonRanges,
    PersonSpec,
    PosedPerson,
    PoseSpec,
    sample_identity,
    sample_outfit,
    sample_pose,
)
from synthkit_blender.people.capture import Repertoire
from synthkit_blender.people.cast.company import Cast
from synthkit_blender.people.expressions import sample_expression
from synthkit_blender.people.looks import expression_rng
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.types import CastSpec

POSE_REDRAWS = 24


class Casting:
    """Draws people and builds them with a body library.

    An identity is a hexadecimal number, the seed of body, skin, hair and face: with the same ranges it is the same
    person in any scene, run and data set. That of somebody of the cast is the name of their file.

    Args:
        library: builds them.
        config: says whether people come from a pool, and whether an identity keeps its clothes.
        seeds: the run's, of which the pool is drawn.
        repertoire: poses from motion capture, besides the library's.
        cast: rigged people, besides the library's.
    """

    def __init__(
        self, library: BodyLibrary, config: PeopleConfig, seeds: Seeds, repertoire: Repertoire | None = None,
        cast: Cast | None = None,
    ) -> None:  # fmt: skip
        self._library, self._config, self._repertoire, self._cast = library, config, repertoire, cast
        self._pool = [_named(seeds, n) for n in range(config.identities or 0)]

    def identity(self, seeds: Seeds, taken: Collection[str]) -> str:
        """Return an identity that is not taken: somebody of the cast by its share, else anybody or one of the pool."""
        if self._cast is not None:
            rng = seeds.stream("cast")
            free = [name for name in self._cast.names if name not in taken]
            if rng.random() < self._config.cast_share and free:
                return free[int(rng.integers(len(free)))]
        if not self._pool:
            return _named(seeds, 0)
        order: list[int] = seeds.stream("identity").permutation(len(self._pool)).tolist()
        return next(self._pool[n] for n in order if self._pool[n] not in taken)

    def person(
        self, seeds: Seeds, identity: str, posture: str, ranges: PersonRanges, *, table: bool | None,
        seat_m: float | None = None,
    ) -> PosedPerson:  # fmt: skip
        """Return somebody in a posture.

        Args:
            table: True for hands on a table, False for none there, None for either. After ``POSE_REDRAWS``
                draws in vain the last one stays.
            seat_m: how high the seat is that is there; None for one that suits them.
        """
        if self._cast is not None and identity in self._cast.names:
            role = self._role(seeds, identity, posture, ranges, table=table)
            return self._cast.build(attrs.evolve(role, pose=attrs.evolve(role.pose, seat_m=seat_m)))
        own = Seeds(int(identity, 16))
        who = sample_identity(own, ranges, self._library.catalogue)
        dressed = own if self._config.wardrobe == "identity" else seeds
        clothes = sample_outfit(dressed, who, ranges, self._library.catalogue)
        face = sample_expression(expression_rng(seeds, ranges.looks), self._library.catalogue.expressions)
        spec = PersonSpec(who, clothes, sample_pose(seeds, posture, ranges, self._repertoire), face)
        for n in range(POSE_REDRAWS):
            if table is None or uses_table(spec.pose) == table:
                break
            spec = attrs.evolve(spec, pose=sample_pose(seeds.child("pose again", n), posture, ranges))
        return self._library.build(attrs.evolve(spec, pose=attrs.evolve(spec.pose, seat_m=seat_m)))

    def moved(self, body: PosedPerson, time_s: float, walked_m: float, stood: float = 0.0) -> PosedPerson:
        """Return somebody at a time of a clip, when they have walked so far and come so far to a stand (0 to 1)."""
        if body.spec is None:
            return body
        pose = body.spec.pose
        phase = (pose.phase + walked_m / body.stride_m) % 1.0 if body.stride_m > 0 else pose.phase
        pose = attrs.evolve(pose, phase=phase, time_s=time_s, stood=stood)
        if isinstance(body.spec, CastSpec):
            assert self._cast is not None
            return self._cast.build(attrs.evolve(body.spec, pose=pose))
        return self._library.build(attrs.evolve(body.spec, pose=pose))

    def _role(self, seeds: Seeds, name: str, posture: str, ranges: PersonRanges, *, table: bool | None) -> CastSpec:
        """Return somebody of the cast in a pose of empty hands: they bring nothing."""
        pose = sample_pose(seeds, posture, ranges, self._repertoire)
        for n in range(POSE_REDRAWS):
            if not holds_things(pose) and (table is None or uses_table(pose) == table):
                break
            pose = sample_pose(seeds.child("pose again", n), posture, ranges)
        return CastSpec(name, pose)


def _named(seeds: Seeds, number: int) -> str:
    return f"{seeds.integer('identity', number):016x}"


def uses_table(pose: PoseSpec) -> bool:
    """Return whether a hand of a pose lies on a table."""
    return any(hand.anchor == "table" for hand in pose_goals(pose).hands)


def holds_things(pose: PoseSpec) -> bool:
    """Return whether something is in a hand of a pose."""
    return any(hand.holds for hand in pose_goals(pose).hands)
