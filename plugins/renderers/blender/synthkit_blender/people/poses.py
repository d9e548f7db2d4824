# SPDX-License-Identifier: Apache-2.0
"""The pose library: what people in rooms do, each pose a function of its jitter.

Written as goals, so a pose fits every body; `goals.py` says in which units.
"""

from __future__ import annotations

import functools

import attrs

from synthkit_blender.people import leaning, sitting, standing, walking
from synthkit_blender.people.goals import PoseGoals, Triple
from synthkit_blender.people.idling import idle
from synthkit_blender.people.repertoire import JITTER_COUNT, OFTEN, POSES, Jitter
from synthkit_blender.people.types import PoseSpec

__all__ = ["JITTER_COUNT", "POSES", "POSTURES", "mirror", "pose_goals", "pose_names", "pose_weights"]

# Each of these enters its poses into the library.
_CHAPTERS = (sitting, standing, walking, leaning)
POSTURES = tuple(POSES)


def pose_names(posture: str) -> tuple[str, ...]:
    """Return the names of a posture's poses, in the library's order."""
    return tuple(POSES[posture])


def pose_weights(posture: str) -> dict[str, float]:
    """Return how often each pose of a posture is met, relative to each other."""
    return {name: OFTEN[name] for name in POSES[posture]}


@functools.lru_cache(maxsize=64)  # whoever builds a person asks several times
def pose_goals(spec: PoseSpec) -> PoseGoals:
    """Return the goals of a specified pose."""
    goals = spec.captured
    if goals is None:
        goals = _drawn(spec, spec.phase)
    if spec.stood > 0:
        goals = walking.coming_to_a_stand(goals, _drawn(spec, (spec.phase + 0.5) % 1.0), spec.stood)
    goals = idle(goals, spec)
    return mirror(goals) if spec.mirrored else goals


def _drawn(spec: PoseSpec, phase: float) -> PoseGoals:
    return POSES[spec.posture][spec.name](Jitter(spec.jitter, spec.amount), phase)


def mirror(goals: PoseGoals) -> PoseGoals:
    """Return the pose as in a mirror."""

    def flip(angles: Triple) -> Triple:
        return (angles[0], -angles[1], -angles[2])

    return attrs.evolve(
        goals,
        pelvis=flip(goals.pelvis),
        spine=flip(goals.spine),
        head=flip(goals.head),
        hands=goals.hands[::-1],
        feet=goals.feet[::-1],
        shrug=goals.shrug[::-1],
    )
