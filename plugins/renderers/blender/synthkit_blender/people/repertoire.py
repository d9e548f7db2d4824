# SPDX-License-Identifier: Apache-2.0
"""What the poses of the library are made of: jitter, and hands and feet that several of them share."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.hands import FIST, FLAT, GRIP, HOOK, PHONE, RELAXED, RESTING, HandShape

JITTER_COUNT = 64


class Jitter:
    """Hands out a pose's normal draws one by one as numbers near a mean."""

    def __init__(self, draws: tuple[float, ...], amount: float) -> None:
        self._draws = iter(draws)
        self._amount = amount

    def near(self, mean: float, spread: float) -> float:
        """Return a number within two spreads of the mean."""
        return mean + spread * self._amount * float(np.clip(next(self._draws), -2.0, 2.0))

    def triple(self, means: Triple, spread: float) -> Triple:
        """Return three numbers near three means."""
        return (self.near(means[0], spread), self.near(means[1], spread), self.near(means[2], spread))

    def shape(self, shape: HandShape, spread: float = 0.16) -> HandShape:
        """Return a hand a little more open or closed."""
        return shape.loosened(self.near(1.0, spread))

    def hand(self, goal: HandGoal, spread: float = 0.02) -> HandGoal:
        """Return a goal with the hand near its place, and a little more open or closed."""
        return attrs.evolve(goal, offset=self.triple(goal.offset, spread), shape=self.shape(goal.shape))


Pose = Callable[[Jitter, float], PoseGoals]
POSES: dict[str, dict[str, Pose]] = {"sitting": {}, "standing": {}, "walking": {}, "leaning": {}}
OFTEN: dict[str, float] = {}


def pose(posture: str, often: float = 1.0) -> Callable[[Pose], Pose]:
    """Enter a function into the library under its own name; it is drawn `often` times as often as others."""

    def enter(function: Pose) -> Pose:
        POSES[posture][function.__name__] = function
        OFTEN[function.__name__] = often
        return function

    return enter


def hanging(j: Jitter) -> HandGoal:
    """An arm that hangs at ease, the elbow a little bent."""
    offset = (j.near(0.1, 0.03), j.near(0.1, 0.06), j.near(-0.96, 0.008))
    palm = (-1.0, j.near(-0.35, 0.2), 0.0)
    return HandGoal("drop", offset, elbow=(0.35, -1.0, 0.0), palm=palm, shape=j.shape(RELAXED, 0.25))


def folded(j: Jitter) -> tuple[HandGoal, HandGoal]:
    """Arms folded on the chest, the hands on the other arms."""
    upper = HandGoal("chest", (-0.08, 0.34, -0.38), (1.0, 0.1, -1.0), (0.0, -1.0, 0.1), (-1.0, -0.3, 0.15), FLAT)
    lower = HandGoal("chest", (-0.07, 0.26, -0.46), (1.0, 0.1, -1.0), (0.0, -1.0, 0.1), (-1.0, -0.5, 0.0), FLAT)
    return j.hand(upper, 0.012), attrs.evolve(j.hand(lower, 0.012), contact="touch")


def in_pocket(j: Jitter) -> HandGoal:
    """A hand in the side pocket of the trousers."""
    offset = (j.near(0.16, 0.015), j.near(0.06, 0.03), j.near(-0.02, 0.02))
    return HandGoal("hip", offset, (1.0, -0.9, 0.0), (-1.0, -0.1, 0.0), (-0.1, 0.35, -1.0), FLAT, contact="pocket")


def on_hip(j: Jitter) -> HandGoal:
    """A hand on the hip, the elbow out."""
    goal = HandGoal(
        "hip", (0.17, 0.04, 0.24), (1.0, -0.6, 0.0), (-1.0, 0.0, -0.3), (-0.5, 0.9, -0.6), RESTING, contact="touch"
    )
    return j.hand(goal, 0.015)


def with_phone(j: Jitter) -> HandGoal:
    """A phone held before the chest, its screen to the face."""
    hold = HandGoal("chest", (0.04, 0.55, -0.3), (0.6, -0.4, -1.0), (-0.35, -0.75, 0.6), (-0.3, 0.6, 0.8), PHONE)
    return attrs.evolve(hold, offset=j.triple(hold.offset, 0.03), holds="phone")


def thumbing(j: Jitter) -> tuple[HandGoal, HandGoal]:
    """A phone held by both hands before the belly, the thumbs on it."""
    hold = HandGoal("chest", (0.05, 0.56, -0.42), (0.7, -0.4, -1.0), (-0.75, -0.4, 0.55), (-0.25, 0.9, 0.5), PHONE)
    offset = j.triple(hold.offset, 0.02)
    return attrs.evolve(hold, offset=offset, holds="phone"), attrs.evolve(hold, offset=offset)


def at_ear(j: Jitter) -> HandGoal:
    """A phone held to the ear."""
    ear = HandGoal("head", (0.22, 0.06, -0.17), (0.9, 0.4, -1.0), (-1.0, 0.05, 0.1), (-0.2, -0.25, 1.0), PHONE)
    return attrs.evolve(j.hand(ear, 0.01), holds="phone")


def with_cup(j: Jitter) -> HandGoal:
    """A cup held before the chest."""
    hold = HandGoal("chest", (0.14, 0.5, -0.42), (0.7, -0.6, -1.0), (-1.0, 0.1, 0.05), (-0.35, 1.0, 0.1), GRIP)
    return attrs.evolve(hold, offset=j.triple(hold.offset, 0.03), holds="cup")


def with_box(j: Jitter) -> tuple[HandGoal, HandGoal]:
    """A box carried before the belly, the hands at its sides."""
    hold = HandGoal("chest", (0.34, 0.6, -0.62), (0.7, -1.0, -0.4), (-1.0, 0.0, 0.25), (-0.05, 1.0, 0.1), FLAT)
    up = j.near(-0.62, 0.04)
    left = attrs.evolve(hold, offset=(0.34, 0.6, up), holds="box")
    return left, attrs.evolve(hold, offset=(0.34, 0.6, up))


def with_laptop(j: Jitter) -> HandGoal:
    """A closed laptop carried at the side, the fingers under its lower edge."""
    offset = (j.near(0.12, 0.02), j.near(0.14, 0.03), -0.93)
    return HandGoal(
        "drop", offset, (0.5, -1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.15, -1.0), HOOK, holds="laptop", clear_m=0.03
    )


def at_bag(j: Jitter) -> HandGoal:
    """A hand that carries a bag by its handles."""
    offset = (j.near(0.16, 0.02), j.near(0.04, 0.03), -0.97)
    return HandGoal(
        "drop", offset, (0.4, -1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.05, -1.0), FIST.loosened(0.9), holds="bag",
        clear_m=0.06,
    )  # fmt: skip


def stance(j: Jitter) -> tuple[FootGoal, FootGoal]:
    """Two feet on the ground, the weight a little to one side."""
    step = j.near(0.0, 0.05)
    wide = j.near(0.03, 0.025)
    return (
        FootGoal((wide, step, 0.0), knee=(0.15, 1.0, 0.2), toe_out=j.near(12, 6)),
        FootGoal((wide, -step, 0.0), knee=(0.15, 1.0, 0.2), toe_out=j.near(12, 6)),
    )
