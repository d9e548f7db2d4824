# SPDX-License-Identifier: Apache-2.0
"""How people stir in a clip while they stay: trunk, head and hands drift a little, the feet stay where they are."""

from __future__ import annotations

import attrs
import numpy as np

from synthkit_blender.people.goals import HandGoal, PoseGoals, Triple
from synthkit_blender.people.types import PoseSpec

PELVIS_DEG, SPINE_DEG, HEAD_DEG = 0.5, 1.2, 3.5
HAND_ARMS = 0.006
RESTING = ("table", "ledge")  # where hands lie still
PERIOD_S = 12.5  # after which all comes again, so that where somebody gets to in it is where they ever get to
RATES_HZ = (0.08, 0.24, 0.4)  # of sway, breath and small movements: whole numbers of times in the period
SHARES = (0.55, 0.3, 0.15)


class Drift:
    """Smooth noises in about -1..1, each a sum of slow sines with phases of its own, all 0 at the time 0."""

    def __init__(self, spec: PoseSpec) -> None:
        self._time_s = spec.time_s
        self._phases = iter(np.outer(np.array(spec.jitter), (2.1, 3.7, 5.3)).tolist())

    def near(self, mean: float, reach: float) -> float:
        """Return a number that drifts by up to about `reach` from a mean."""
        total = 0.0
        for phase, rate, share in zip(next(self._phases), RATES_HZ, SHARES, strict=True):
            total += share * float(np.sin(2 * np.pi * rate * self._time_s + phase) - np.sin(phase))
        return mean + reach * total

    def triple(self, means: Triple, reach: float) -> Triple:
        """Return three numbers that drift."""
        return (self.near(means[0], reach), self.near(means[1], reach), self.near(means[2], reach))


def idle(goals: PoseGoals, spec: PoseSpec) -> PoseGoals:
    """Return what the goals are at a pose's time."""
    if spec.time_s == 0:
        return goals
    drift = Drift(spec)

    def hand(goal: HandGoal) -> HandGoal:
        if goal.anchor in RESTING:
            return goal
        return attrs.evolve(goal, offset=drift.triple(goal.offset, HAND_ARMS))

    return attrs.evolve(
        goals,
        pelvis=drift.triple(goals.pelvis, PELVIS_DEG),
        spine=drift.triple(goals.spine, SPINE_DEG),
        head=drift.triple(goals.head, HEAD_DEG),
        hands=(hand(goals.hands[0]), hand(goals.hands[1])),
    )
