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
from synthkit_blender.people.expressions import sample_expression
from synthkit_blender.people.looks import expression_rng
from synthkit_blender.people.poses import pose_goals

POSE_REDRAWS = 24


class Casting:
    """Draws people and builds them with a body library.

    An identity is a hexadecimal number, the seed of body, skin, hair and face: with the same ranges it is the same
    person in any scene, run and data set.

    Args:
        library: builds them.
        config: says whether people come from a pool, and whether an identity keeps its clothes.
        seeds: the run's, of which the pool is drawn.
        repertoire: poses from motion capture, besides the library's.
    """

    def __init__(
        self, library: BodyLibrary, config: PeopleConfig, seeds: Seeds, repertoire: Repertoire | None = None
    ) -> None:  # fmt: skip
        self._library, self._config, self._repertoire = library, config, repertoire
        self._pool = [_named(seeds, n) for n in range(config.identities or 0)]

    def identity(self, seeds: Seeds, taken: Collection[str]) -> str:
        """Return an identity that is not taken: anybody, or one of the pool."""
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

    def moved(self, body: PosedPerson, time_s: float, walked_m: float) -> PosedPerson:
        """Return somebody at a time of a clip, when they have walked so far."""
        if body.spec is None:
            return body
        pose = body.spec.pose
        phase = (pose.phase + walked_m / body.stride_m) % 1.0 if body.stride_m > 0 else pose.phase
        return self._library.build(attrs.evolve(body.spec, pose=attrs.evolve(pose, phase=phase, time_s=time_s)))


def _named(seeds: Seeds, number: int) -> str:
    return f"{seeds.integer('identity', number):016x}"


def uses_table(pose: PoseSpec) -> bool:
    """Return whether a hand of a pose lies on a table."""
    return any(hand.anchor == "table" for hand in pose_goals(pose).hands)
