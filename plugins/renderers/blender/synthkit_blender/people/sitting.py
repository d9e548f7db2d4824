# SPDX-License-Identifier: Apache-2.0
"""Sitting poses."""

from __future__ import annotations

import attrs

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.hands import FIST, GRIP, OPEN, RELAXED, RESTING, TYPING, WRITING, HandShape
from synthkit_blender.people.repertoire import Jitter, at_ear, folded, pose, thumbing, with_cup, with_phone

DOWN: Triple = (0.0, 0.0, -1.0)


def on_table(
    j: Jitter, out_m: float, forward_m: float, fingers: Triple = (-0.35, 1.0, 0.0), shape: HandShape = RESTING
) -> HandGoal:
    """A hand flat on a table in front; metres from the body's middle."""
    offset = (j.near(out_m, 0.03), j.near(forward_m, 0.03), 0.035)
    return HandGoal("table", offset, (0.9, -0.5, -0.8), DOWN, fingers, j.shape(shape))


def on_thigh(j: Jitter) -> HandGoal:
    """A hand resting on its own thigh."""
    offset = (j.near(0.0, 0.02), j.near(0.08, 0.05), 0.17)
    fingers = (j.near(-0.35, 0.2), 1.0, -0.1)
    return HandGoal("thigh", offset, (0.9, -0.8, -0.3), DOWN, fingers, j.shape(RESTING), contact="touch")


def in_lap(j: Jitter, up: float = 0.16) -> HandGoal:
    """A hand in the middle of the lap."""
    offset = (-0.1, j.near(-0.02, 0.04), up)
    return HandGoal("thigh", offset, (0.9, -0.7, -0.4), (0.0, -0.3, -1.0), (-1.0, 0.45, 0.0), j.shape(RELAXED))


def both_in_lap(j: Jitter) -> tuple[HandGoal, HandGoal]:
    """Both hands in the lap, one on the other."""
    return attrs.evolve(in_lap(j), contact="touch"), in_lap(j, 0.25)


def seated_foot(j: Jitter, forward: float = 0.46) -> FootGoal:
    """A foot flat on the floor under or a little before the knee."""
    return FootGoal(
        offset=(j.near(0.06, 0.04), j.near(forward, 0.04), 0.0),
        knee=(j.near(0.12, 0.08), 1.0, 1.0),
        toe_out=j.near(10, 6),
    )


def stretched(j: Jitter) -> FootGoal:
    """A leg stretched out, on its heel."""
    return FootGoal((j.near(0.04, 0.03), 0.0, 0.0), j.near(0.95, 0.02), (0.1, 0.6, 1.0), j.near(14, 6), j.near(22, 6))


def seated(
    j: Jitter, trunk: tuple[float, float], head: float, hands: tuple[HandGoal, HandGoal],
    feet: tuple[FootGoal, FootGoal] | None = None,
) -> PoseGoals:  # fmt: skip
    """Sit with pelvis and spine leaning forward by `trunk` and the head nodding by `head` degrees."""
    pelvis, spine = trunk
    return PoseGoals(
        support="seat",
        pelvis=(j.near(pelvis, 3), j.near(0, 1.5), 0.0),
        spine=(j.near(spine, 4), j.near(0, 3), j.near(0, 6)),
        head=(j.near(head, 6), j.near(0, 4), j.near(0, 16)),
        hands=hands,
        feet=feet if feet is not None else (seated_foot(j), seated_foot(j)),
    )


@pose("sitting", often=1.5)
def sit_upright(j: Jitter, phase: float) -> PoseGoals:
    """Upright, hands on the thighs."""
    return seated(j, (-6, 6), 4, (on_thigh(j), on_thigh(j)))


@pose("sitting")
def sit_hands_in_lap(j: Jitter, phase: float) -> PoseGoals:
    """At ease, hands in the lap."""
    return attrs.evolve(seated(j, (-10, 14), 8, both_in_lap(j)), together=True)


@pose("sitting", often=1.5)
def sit_at_table(j: Jitter, phase: float) -> PoseGoals:
    """Leaning to a table, both forearms on it."""
    hands = (on_table(j, 0.1, 0.42), on_table(j, 0.1, 0.42))
    return seated(j, (4, 18), 6, hands, (seated_foot(j, 0.42), seated_foot(j, 0.42)))


@pose("sitting", often=3.0)
def sit_typing(j: Jitter, phase: float) -> PoseGoals:
    """Typing on a laptop, looking down at it."""
    hands = (on_table(j, 0.1, 0.4, (-0.15, 1.0, 0.0), TYPING), on_table(j, 0.1, 0.4, (-0.15, 1.0, 0.0), TYPING))
    return seated(j, (0, 14), 20, hands, (seated_foot(j, 0.42), seated_foot(j, 0.42)))


@pose("sitting", often=1.5)
def sit_with_mouse(j: Jitter, phase: float) -> PoseGoals:
    """At a computer, one hand on the mouse, the other on the keys."""
    hands = (on_table(j, 0.28, 0.42, (-0.1, 1.0, 0.0), RESTING.loosened(1.6)), on_table(j, 0.1, 0.4, shape=TYPING))
    return seated(j, (-4, 12), 6, hands, (seated_foot(j, 0.42), seated_foot(j, 0.48)))


@pose("sitting", often=1.5)
def sit_writing(j: Jitter, phase: float) -> PoseGoals:
    """Bent over a table, one arm across it, the other hand writing."""
    pen = attrs.evolve(on_table(j, 0.06, 0.42, (-0.5, 1.0, -0.15), WRITING), palm=(-0.7, 0.0, -1.0))
    return seated(j, (8, 24), 26, (on_table(j, -0.02, 0.36, (-1.0, 0.3, 0.0)), pen))


@pose("sitting")
def sit_reading(j: Jitter, phase: float) -> PoseGoals:
    """Reading what lies on the table, a hand on either side of it."""
    hands = (on_table(j, 0.17, 0.36, (-0.3, 1.0, 0.0)), on_table(j, 0.17, 0.36, (-0.6, 1.0, 0.0)))
    return seated(j, (4, 22), 30, hands)


@pose("sitting")
def sit_one_arm_on_table(j: Jitter, phase: float) -> PoseGoals:
    """Turned a little, one forearm on the table."""
    goals = seated(j, (-2, 12), 4, (on_table(j, 0.14, 0.38), on_thigh(j)))
    return attrs.evolve(goals, spine=(goals.spine[0], 4.0, j.near(12, 6)))


@pose("sitting")
def sit_turned(j: Jitter, phase: float) -> PoseGoals:
    """Turned to a neighbour, one hand on the table, the other on the far thigh."""
    goals = seated(j, (-2, 8), 0, (on_thigh(j), on_table(j, 0.05, 0.36, (-0.9, 0.6, 0.0))))
    return attrs.evolve(goals, spine=(goals.spine[0], 2.0, j.near(22, 5)), head=(0.0, 2.0, j.near(34, 8)))


@pose("sitting")
def sit_chin_in_hand(j: Jitter, phase: float) -> PoseGoals:
    """Elbow forward, chin in one hand, the other forearm on the table."""
    chin = HandGoal(
        "head", (0.06, 0.17, -0.24), (0.3, 0.5, -1.0), (-0.3, -0.8, 0.4), (-0.3, 0.0, 1.0), FIST.loosened(0.6),
        contact="touch",
    )  # fmt: skip
    return seated(j, (6, 22), 10, (chin, on_table(j, 0.05, 0.38, (-0.8, 0.5, 0.0))))


@pose("sitting")
def sit_leaning_back(j: Jitter, phase: float) -> PoseGoals:
    """Leaning back, hands folded over the belly."""
    belly = HandGoal(
        "chest", (-0.06, 0.3, -0.52), (1.0, -0.4, -0.6), (0.0, -1.0, -0.3), (-1.0, 0.2, 0.0), RELAXED, contact="touch"
    )
    other = attrs.evolve(belly, offset=(-0.05, 0.36, -0.5), contact="free")
    goals = seated(j, (-22, 8), 12, (j.hand(belly), other), (seated_foot(j, 0.55), seated_foot(j, 0.6)))
    return attrs.evolve(goals, together=True)


@pose("sitting")
def sit_arms_folded(j: Jitter, phase: float) -> PoseGoals:
    """Leaning back with the arms folded."""
    return seated(j, (-16, 6), 6, folded(j), (seated_foot(j, 0.52), seated_foot(j, 0.58)))


@pose("sitting")
def sit_legs_stretched(j: Jitter, phase: float) -> PoseGoals:
    """Slouching with the legs stretched out."""
    return attrs.evolve(seated(j, (-24, 14), 14, both_in_lap(j), (stretched(j), stretched(j))), together=True)


@pose("sitting")
def sit_one_leg_stretched(j: Jitter, phase: float) -> PoseGoals:
    """One leg stretched out, the other foot drawn in under the seat."""
    back = FootGoal((0.06, j.near(0.2, 0.04), 0.04), knee=(0.12, 1.0, 1.0), toe_out=12, toe_up=-24, toe_bend=24)
    return seated(j, (-10, 12), 6, (on_thigh(j), on_thigh(j)), (stretched(j), back))


@pose("sitting")
def sit_hands_behind_head(j: Jitter, phase: float) -> PoseGoals:
    """Leaning back with the hands behind the head, one leg out."""
    behind = HandGoal("head", (0.1, -0.15, 0.1), (1.0, 0.15, 0.3), (-0.6, 0.8, 0.0), (-1.0, -0.5, 0.5), RESTING)
    return seated(j, (-18, 0), 4, (behind, behind), (seated_foot(j, 0.6), stretched(j)))


def crossed_over(j: Jitter) -> FootGoal:
    """The leg that lies over the other knee."""
    return FootGoal((j.near(-0.24, 0.02), j.near(0.6, 0.03), 0.26), None, (-0.12, 0.6, 1.0), -6.0, -18.0)


@pose("sitting", often=1.5)
def sit_legs_crossed(j: Jitter, phase: float) -> PoseGoals:
    """One leg over the other, hands in the lap."""
    knee = HandGoal(
        "knee", (0.0, -0.22, 0.15), (0.9, -0.7, -0.4), DOWN, (-0.5, 1.0, -0.2), j.shape(RESTING), contact="touch"
    )
    return seated(j, (-10, 10), 6, (knee, in_lap(j)), (crossed_over(j), seated_foot(j, 0.5)))


@pose("sitting")
def sit_legs_crossed_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """One leg over the other, looking at a phone."""
    return seated(j, (-12, 14), 24, (with_phone(j), in_lap(j)), (crossed_over(j), seated_foot(j, 0.5)))


@pose("sitting")
def sit_ankles_crossed(j: Jitter, phase: float) -> PoseGoals:
    """Feet crossed at the ankles, hands in the lap."""
    over = FootGoal((j.near(-0.13, 0.01), 0.62, 0.0), None, (0.3, 0.8, 1.0), 8.0, 6.0)
    under = FootGoal((j.near(-0.1, 0.01), 0.5, 0.0), None, (0.3, 0.8, 1.0), 14.0)
    return attrs.evolve(seated(j, (-10, 12), 6, both_in_lap(j), (over, under)), together=True)


@pose("sitting")
def sit_leaning_forward(j: Jitter, phase: float) -> PoseGoals:
    """Bent forward, forearms on the thighs, hands between the knees."""
    hand = HandGoal("knee", (-0.12, 0.1, 0.2), (1.0, 0.0, 0.4), (-0.8, 0.0, -0.5), (-0.5, 1.0, -0.4), RELAXED)
    feet = tuple(
        FootGoal((j.near(0.1, 0.02), j.near(0.42, 0.04), 0.0), knee=(0.2, 1.0, 1.0), toe_out=14.0) for _ in range(2)
    )
    return seated(j, (16, 26), -14, (j.hand(hand), j.hand(hand)), (feet[0], feet[1]))


@pose("sitting", often=1.5)
def sit_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """Looking down at a phone held in both hands."""
    return attrs.evolve(seated(j, (-8, 14), 28, thumbing(j)), together=True)


@pose("sitting")
def sit_calling(j: Jitter, phase: float) -> PoseGoals:
    """On the phone."""
    goals = seated(j, (-4, 8), 0, (at_ear(j), on_thigh(j)))
    return attrs.evolve(goals, head=(goals.head[0], j.near(4, 3), j.near(0, 7)))


@pose("sitting")
def sit_drinking(j: Jitter, phase: float) -> PoseGoals:
    """A cup before the chest."""
    return seated(j, (-8, 8), 4, (with_cup(j), on_thigh(j)))


@pose("sitting")
def sit_with_cup_on_table(j: Jitter, phase: float) -> PoseGoals:
    """A hand around a cup that stands on the table."""
    offset = (j.near(0.12, 0.02), j.near(0.4, 0.02), 0.06)
    cup = HandGoal("table", offset, (0.9, -0.5, -0.8), (-1.0, 0.1, 0.0), (-0.2, 1.0, 0.0), GRIP, holds="cup")
    return seated(j, (0, 14), 6, (cup, on_table(j, 0.08, 0.38, (-0.9, 0.5, 0.0))))


@pose("sitting", often=1.5)
def sit_talking(j: Jitter, phase: float) -> PoseGoals:
    """Talking with one hand raised."""
    raised = HandGoal(
        "chest", (j.near(0.24, 0.06), j.near(0.55, 0.05), j.near(-0.4, 0.06)), (0.8, -0.4, -1.0),
        (-0.75, 0.0, 0.7), (-0.1, 1.0, 0.35), j.shape(OPEN),
    )  # fmt: skip
    return seated(j, (-4, 10), 0, (raised, on_thigh(j)))
