# SPDX-License-Identifier: Apache-2.0
"""Leaning against a wall, on a table's edge, over a table."""

from __future__ import annotations

import attrs

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals
from synthkit_blender.people.hands import RELAXED, RESTING
from synthkit_blender.people.repertoire import (
    Jitter,
    folded,
    hanging,
    in_pocket,
    pose,
    thumbing,
    with_cup,
    with_phone,
)
from synthkit_blender.people.types import Support

Hands = tuple[HandGoal, HandGoal]


def forward_feet(j: Jitter, forward: float) -> tuple[FootGoal, FootGoal]:
    """Both feet on the floor in front of the hips."""
    return (
        FootGoal((j.near(0.02, 0.015), j.near(forward, 0.02), 0.0), knee=(0.12, 1.0, 0.3), toe_out=j.near(12, 5)),
        FootGoal((j.near(0.02, 0.015), j.near(forward, 0.02), 0.0), knee=(0.12, 1.0, 0.3), toe_out=j.near(12, 5)),
    )


def against(
    j: Jitter, support: Support, hands: Hands, feet: tuple[FootGoal, FootGoal], head: float = 6.0,
    trunk: tuple[float, float] = (-1.0, -2.0),
) -> PoseGoals:  # fmt: skip
    """Lean with the back to something; `trunk` are the pelvis's and the spine's lean forwards in degrees."""
    return PoseGoals(
        support=support,
        pelvis=(j.near(trunk[0], 1), 0.0, 0.0),
        spine=(j.near(trunk[1], 1.5), j.near(0, 1.5), j.near(0, 3)),
        head=(j.near(head, 5), j.near(0, 3), j.near(0, 18)),
        hands=hands,
        feet=feet,
    )


@pose("leaning")
def lean_on_wall(j: Jitter, phase: float) -> PoseGoals:
    """The back against a wall, arms hanging or in the pockets."""
    hands = (hanging(j), hanging(j)) if phase < 0.5 else (in_pocket(j), in_pocket(j))
    return against(j, "wall", hands, forward_feet(j, 0.24))


@pose("leaning")
def lean_on_wall_arms_folded(j: Jitter, phase: float) -> PoseGoals:
    """The back against a wall, arms folded."""
    return against(j, "wall", folded(j), forward_feet(j, 0.26))


@pose("leaning")
def lean_on_wall_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """The back against a wall, looking at a phone."""
    return attrs.evolve(against(j, "wall", thumbing(j), forward_feet(j, 0.22), head=28.0), together=True)


@pose("leaning")
def lean_on_wall_foot_up(j: Jitter, phase: float) -> PoseGoals:
    """The back and the sole of one foot against a wall."""
    up = FootGoal((0.02, j.near(-0.02, 0.01), j.near(0.34, 0.03)), knee=(0.15, 1.0, 0.1), toe_out=4.0, toe_up=-78.0)
    down = FootGoal((0.0, j.near(0.14, 0.02), 0.0), knee=(0.1, 1.0, 0.2), toe_out=10.0)
    return against(j, "wall", (in_pocket(j), with_phone(j)), (up, down), head=22.0)


def on_ledge(j: Jitter) -> HandGoal:
    """A hand on the table that one leans on, beside the hip."""
    offset = (j.near(0.17, 0.015), j.near(-0.22, 0.01), 0.035)
    return HandGoal("ledge", offset, (0.6, -1.0, 0.2), (0.0, 0.0, -1.0), (1.0, j.near(-0.1, 0.2), 0.0), RESTING)


@pose("leaning")
def lean_on_table(j: Jitter, phase: float) -> PoseGoals:
    """Half sitting on a table's edge, the hands on it."""
    return against(j, "table behind", (on_ledge(j), on_ledge(j)), forward_feet(j, 0.3), 2.0, (2.0, 6.0))


@pose("leaning")
def lean_on_table_arms_folded(j: Jitter, phase: float) -> PoseGoals:
    """Half sitting on a table's edge, arms folded."""
    return against(j, "table behind", folded(j), forward_feet(j, 0.3), 4.0, (2.0, 4.0))


@pose("leaning")
def lean_on_table_with_cup(j: Jitter, phase: float) -> PoseGoals:
    """Half sitting on a table's edge, a cup in one hand."""
    return against(j, "table behind", (with_cup(j), on_ledge(j)), forward_feet(j, 0.28), 2.0, (2.0, 4.0))


@pose("leaning", often=2.0)
def lean_over_table(j: Jitter, phase: float) -> PoseGoals:
    """Bent over a table, both hands on it."""
    left, right = (
        HandGoal(
            "table", (j.near(0.21, 0.02), j.near(0.5, 0.02), 0.035), (0.9, -0.5, 0.0), (0.0, 0.0, -1.0),
            (-0.1, 1.0, 0.0), j.shape(RESTING if phase < 0.7 else RELAXED),
        )
        for _ in range(2)
    )  # fmt: skip
    feet = (
        FootGoal((0.05, j.near(-0.08, 0.03), 0.0), knee=(0.1, 1.0, 0.2), toe_out=8.0),
        FootGoal((0.05, j.near(-0.02, 0.03), 0.0), knee=(0.1, 1.0, 0.2), toe_out=8.0),
    )
    return against(j, "table before", (left, right), feet, -6.0, (22.0, 14.0))
