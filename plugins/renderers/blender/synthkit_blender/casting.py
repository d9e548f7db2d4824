# SPDX-License-Identifier: Apache-2.0
"""Where a scene's people come from: the body library, asked for poses that fit the place."""

from __future__ import annotations

import attrs

from synthkit.seeds import Seeds
from synthkit_blender.people import BodyLibrary, PersonRanges, PosedPerson, PoseSpec, sample_person, sample_pose
from synthkit_blender.people.poses import pose_goals

POSE_REDRAWS = 24


class Casting:
    """Draws people and builds them with a body library."""

    def __init__(self, library: BodyLibrary) -> None:
        self._library = library

    def person(self, seeds: Seeds, posture: str, ranges: PersonRanges, *, table: bool | None) -> PosedPerson:
        """Return a person of a posture.

        Args:
            table: True for hands on a table, False for none there, None for either. After ``POSE_REDRAWS``
                draws in vain the last one stays.
        """
        spec = sample_person(seeds, posture, ranges)
        for n in range(POSE_REDRAWS):
            if table is None or uses_table(spec.pose) == table:
                break
            spec = attrs.evolve(spec, pose=sample_pose(seeds.child("pose again", n), posture, ranges))
        return self._library.build(spec)


def uses_table(pose: PoseSpec) -> bool:
    """Return whether a hand of a pose lies on a table."""
    return any(hand.anchor == "table" for hand in pose_goals(pose).hands)
