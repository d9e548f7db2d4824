# SPDX-License-Identifier: Apache-2.0
"""The pose library: what people in rooms do, each pose a function of its jitter.

Written as goals, so a pose fits every body; `goals.py` says in which units.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.types import PoseSpec

JITTER_COUNT = 48


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


Pose = Callable[[Jitter, float], PoseGoals]
POSES: dict[str, dict[str, Pose]] = {"sitting": {}, "standing": {}, "walking": {}}


def pose(posture: str) -> Callable[[Pose], Pose]:
    """Enter a function into the library under its own name."""

    def enter(function: Pose) -> Pose:
        POSES[posture][function.__name__] = function
        return function

    return enter


def hanging(j: Jitter) -> HandGoal:
    """An arm that hangs at ease."""
    offset = (j.near(0.1, 0.03), j.near(0.08, 0.06), -0.965)
    palm = (-1.0, j.near(-0.45, 0.2), 0.0)
    return HandGoal("drop", offset, elbow=(0.35, -1.0, 0.0), palm=palm, curl=j.near(27, 5))


def on_table(j: Jitter, out_m: float, forward_m: float, fingers: Triple = (-0.35, 1.0, 0.0)) -> HandGoal:
    """A hand flat on a table in front; metres from the body's middle."""
    offset = (j.near(out_m, 0.03), j.near(forward_m, 0.03), 0.035)
    return HandGoal(
        "table", offset, elbow=(0.9, -0.5, -0.8), palm=(0.0, 0.0, -1.0), fingers=fingers, curl=j.near(14, 4)
    )


def on_thigh(j: Jitter) -> HandGoal:
    """A hand resting on its own thigh."""
    offset = (j.near(0.0, 0.02), j.near(0.08, 0.05), 0.17)
    fingers = (j.near(-0.35, 0.2), 1.0, -0.1)
    return HandGoal(
        "thigh", offset, elbow=(0.9, -0.8, -0.3), palm=(0.0, 0.0, -1.0), fingers=fingers, curl=j.near(16, 4)
    )


def in_lap(j: Jitter) -> HandGoal:
    """A hand in the middle of the lap."""
    offset = (-0.1, j.near(0.0, 0.04), 0.16)
    fingers = (-1.0, 0.35, 0.0)
    return HandGoal(
        "thigh", offset, elbow=(0.9, -0.7, -0.4), palm=(0.0, -0.3, -1.0), fingers=fingers, curl=j.near(22, 4)
    )


def seated_foot(j: Jitter, forward: float = 0.46) -> FootGoal:
    """A foot flat on the floor under or a little before the knee."""
    return FootGoal(
        offset=(j.near(0.06, 0.04), j.near(forward, 0.04), 0.0),
        knee=(j.near(0.12, 0.08), 1.0, 1.0),
        toe_out=j.near(10, 6),
    )


def seated(
    j: Jitter, trunk: tuple[float, float], head: float, hands: tuple[HandGoal, HandGoal],
    feet: tuple[FootGoal, FootGoal] | None = None,
) -> PoseGoals:  # fmt: skip
    """Sit with pelvis and spine leaning forward by `trunk` and the head nodding by `head` degrees."""
    pelvis, spine = trunk
    return PoseGoals(
        sitting=True,
        pelvis=(j.near(pelvis, 3), j.near(0, 1.5), 0.0),
        spine=(j.near(spine, 4), j.near(0, 3), j.near(0, 6)),
        head=(j.near(head, 6), j.near(0, 4), j.near(0, 16)),
        hands=hands,
        feet=feet if feet is not None else (seated_foot(j), seated_foot(j)),
    )


@pose("sitting")
def sit_upright(j: Jitter, phase: float) -> PoseGoals:
    """Upright, hands on the thighs."""
    return seated(j, (-6, 6), 4, (on_thigh(j), on_thigh(j)))


@pose("sitting")
def sit_hands_in_lap(j: Jitter, phase: float) -> PoseGoals:
    """At ease, hands in the lap."""
    return seated(j, (-10, 14), 8, (in_lap(j), in_lap(j)))


@pose("sitting")
def sit_at_table(j: Jitter, phase: float) -> PoseGoals:
    """Leaning to a table, both forearms on it."""
    hands = (on_table(j, 0.1, 0.42), on_table(j, 0.1, 0.42))
    return seated(j, (4, 18), 6, hands, (seated_foot(j, 0.42), seated_foot(j, 0.42)))


@pose("sitting")
def sit_typing(j: Jitter, phase: float) -> PoseGoals:
    """Typing on a laptop, looking down at it."""
    hands = (on_table(j, 0.12, 0.4, (-0.15, 1.0, 0.0)), on_table(j, 0.12, 0.4, (-0.15, 1.0, 0.0)))
    return seated(j, (0, 14), 20, hands, (seated_foot(j, 0.42), seated_foot(j, 0.42)))


@pose("sitting")
def sit_writing(j: Jitter, phase: float) -> PoseGoals:
    """Bent over a table, one arm across it, the other hand writing."""
    hands = (on_table(j, -0.02, 0.36, (-1.0, 0.3, 0.0)), attrs.evolve(on_table(j, 0.1, 0.42), curl=32.0))
    return seated(j, (8, 24), 26, hands)


@pose("sitting")
def sit_one_arm_on_table(j: Jitter, phase: float) -> PoseGoals:
    """Turned a little, one forearm on the table."""
    goals = seated(j, (-2, 12), 4, (on_table(j, 0.14, 0.38), on_thigh(j)))
    return attrs.evolve(goals, spine=(goals.spine[0], 4.0, j.near(12, 6)))


@pose("sitting")
def sit_chin_in_hand(j: Jitter, phase: float) -> PoseGoals:
    """Elbow forward, chin in one hand, the other forearm on the table."""
    chin = HandGoal("head", (0.06, 0.17, -0.24), (0.3, 0.5, -1.0), (-0.3, -0.8, 0.4), (-0.3, 0.0, 1.0), 46.0)
    return seated(j, (6, 22), 10, (chin, on_table(j, 0.05, 0.38, (-0.8, 0.5, 0.0))))


@pose("sitting")
def sit_leaning_back(j: Jitter, phase: float) -> PoseGoals:
    """Leaning back, hands folded over the belly."""
    belly = HandGoal("chest", (-0.06, 0.3, -0.52), (1.0, -0.4, -0.6), (0.0, -1.0, -0.3), (-1.0, 0.2, 0.0), 20.0)
    feet = (seated_foot(j, 0.55), seated_foot(j, 0.6))
    return seated(j, (-22, 8), 12, (belly, attrs.evolve(belly, offset=(-0.05, 0.33, -0.5))), feet)


@pose("sitting")
def sit_legs_stretched(j: Jitter, phase: float) -> PoseGoals:
    """Slouching with the legs stretched out."""

    def stretched() -> FootGoal:
        return FootGoal(
            (j.near(0.04, 0.03), 0.0, 0.0), j.near(0.95, 0.02), (0.1, 0.6, 1.0), j.near(14, 6), j.near(22, 6)
        )

    return seated(j, (-24, 14), 14, (on_thigh(j), in_lap(j)), (stretched(), stretched()))


@pose("sitting")
def sit_hands_behind_head(j: Jitter, phase: float) -> PoseGoals:
    """Leaning back with the hands behind the head, one leg out."""
    behind = HandGoal("head", (0.1, -0.15, 0.1), (1.0, 0.15, 0.3), (-0.6, 0.8, 0.0), (-1.0, -0.5, 0.5), 22.0)
    feet = (seated_foot(j, 0.6), FootGoal((0.04, 0.0, 0.0), 0.93, (0.1, 0.6, 1.0), 12.0, 18.0))
    return attrs.evolve(seated(j, (-18, 0), 4, (behind, behind), feet), shrug=(16.0, 16.0))


@pose("sitting")
def sit_legs_crossed(j: Jitter, phase: float) -> PoseGoals:
    """One leg over the other, hands in the lap."""
    over = FootGoal((j.near(-0.24, 0.02), j.near(0.6, 0.03), 0.26), None, (-0.12, 0.6, 1.0), -6.0, -18.0)
    hands = (
        HandGoal("knee", (0.0, -0.22, 0.15), (0.9, -0.7, -0.4), (0.0, 0.0, -1.0), (-0.5, 1.0, -0.2), 20.0),
        in_lap(j),
    )
    return seated(j, (-10, 10), 6, hands, (over, seated_foot(j, 0.5)))


@pose("sitting")
def sit_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """Looking down at a phone held in both hands."""
    hold = HandGoal("chest", (-0.08, 0.5, -0.42), (0.6, -0.4, -1.0), (-0.7, -0.5, 0.5), (-0.2, 1.0, 0.4), 34.0)
    return seated(j, (-8, 14), 28, (hold, attrs.evolve(hold, offset=(-0.06, 0.48, -0.44))))


@pose("sitting")
def sit_talking(j: Jitter, phase: float) -> PoseGoals:
    """Talking with one hand raised."""
    raised = HandGoal(
        "chest", (j.near(0.24, 0.06), j.near(0.55, 0.05), j.near(-0.35, 0.08)), (0.8, -0.4, -1.0),
        (-0.4, 0.0, 1.0), (0.0, 1.0, 0.4), 16.0,
    )  # fmt: skip
    return seated(j, (-4, 10), 0, (raised, on_thigh(j)))


def stance(j: Jitter) -> tuple[FootGoal, FootGoal]:
    """Two feet on the ground, the weight a little to one side."""
    step = j.near(0.0, 0.05)
    wide = j.near(0.03, 0.025)
    return (
        FootGoal((wide, step, 0.0), knee=(0.15, 1.0, 0.2), toe_out=j.near(12, 6)),
        FootGoal((wide, -step, 0.0), knee=(0.15, 1.0, 0.2), toe_out=j.near(12, 6)),
    )


def upright(j: Jitter, hands: tuple[HandGoal, HandGoal], head: float = 3.0, spine: float = 2.0) -> PoseGoals:
    """Stand with the given hands."""
    tilt = j.near(0, 2)
    return PoseGoals(
        sitting=False,
        pelvis=(j.near(1, 1.5), tilt, j.near(0, 3)),
        spine=(j.near(spine, 3), -tilt + j.near(0, 2), j.near(0, 5)),
        head=(j.near(head, 6), j.near(0, 4), j.near(0, 18)),
        hands=hands,
        feet=stance(j),
    )


@pose("standing")
def stand_relaxed(j: Jitter, phase: float) -> PoseGoals:
    """Arms hanging."""
    return upright(j, (hanging(j), hanging(j)))


@pose("standing")
def stand_arms_folded(j: Jitter, phase: float) -> PoseGoals:
    """Arms folded on the chest."""
    upper = HandGoal("chest", (-0.19, 0.33, -0.4), (1.0, 0.1, -1.0), (0.0, -1.0, 0.1), (-1.0, -0.1, 0.15), 18.0)
    lower = HandGoal("chest", (-0.17, 0.27, -0.46), (1.0, 0.1, -1.0), (0.0, -1.0, 0.1), (-1.0, -0.2, 0.1), 14.0)
    return upright(j, (upper, lower), spine=0.0)


@pose("standing")
def stand_hands_in_front(j: Jitter, phase: float) -> PoseGoals:
    """Hands held together before the belly."""
    hand = HandGoal("hip", (-0.12, 0.36, 0.14), (1.0, -0.5, -0.3), (-0.2, -1.0, 0.0), (-0.9, 0.2, -0.6), 24.0)
    return upright(j, (hand, attrs.evolve(hand, offset=(-0.13, 0.33, 0.12))))


@pose("standing")
def stand_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """One hand holds a phone before the chest."""
    hold = HandGoal("chest", (-0.02, 0.52, -0.32), (0.6, -0.4, -1.0), (-0.6, -0.6, 0.4), (-0.2, 1.0, 0.5), 36.0)
    return upright(j, (hold, hanging(j)), head=24.0, spine=6.0)


@pose("standing")
def stand_calling(j: Jitter, phase: float) -> PoseGoals:
    """One hand holds a phone to the ear."""
    ear = HandGoal("head", (0.19, 0.1, -0.2), (0.9, 0.3, -1.0), (-1.0, 0.1, 0.1), (-0.1, -0.1, 1.0), 30.0)
    return upright(j, (ear, hanging(j)))


@pose("standing")
def stand_pointing(j: Jitter, phase: float) -> PoseGoals:
    """One arm points ahead."""
    reach = (j.near(0.35, 0.15), 0.9, j.near(0.05, 0.12))
    point = HandGoal("shoulder", reach, (0.5, 0.0, -1.0), (-0.4, 0.0, -1.0), None, 50.0, point_index=True)
    goals = upright(j, (point, hanging(j)))
    return attrs.evolve(goals, shrug=(8.0, 0.0))


@pose("standing")
def stand_hand_on_hip(j: Jitter, phase: float) -> PoseGoals:
    """One hand on the hip."""
    hip = HandGoal("hip", (0.17, 0.02, 0.22), (1.0, -0.7, 0.0), (-1.0, 0.0, -0.3), (-0.5, 0.9, -0.6), 18.0)
    return upright(j, (hip, hanging(j)))


@pose("standing")
def stand_hands_on_hips(j: Jitter, phase: float) -> PoseGoals:
    """Both hands on the hips."""
    hip = HandGoal("hip", (0.17, 0.02, 0.22), (1.0, -0.6, 0.0), (-1.0, 0.0, -0.3), (-0.5, 0.9, -0.6), 18.0)
    return upright(j, (hip, hip))


@pose("standing")
def stand_hands_behind(j: Jitter, phase: float) -> PoseGoals:
    """Hands held together behind the back."""
    back = HandGoal("hip", (-0.1, -0.3, 0.16), (1.0, -0.5, 0.2), (0.0, -1.0, 0.0), (-1.0, 0.0, -0.5), 24.0)
    return upright(j, (back, attrs.evolve(back, offset=(-0.1, -0.34, 0.14))), spine=-2.0)


@pose("standing")
def stand_talking(j: Jitter, phase: float) -> PoseGoals:
    """Both hands raised a little in talk."""

    def raised() -> HandGoal:
        offset = (j.near(0.16, 0.06), j.near(0.5, 0.06), j.near(-0.42, 0.08))
        return HandGoal("chest", offset, (0.8, -0.5, -1.0), (-0.6, 0.0, 0.8), (0.0, 1.0, 0.3), j.near(18, 4))

    return upright(j, (raised(), raised()))


def stride_foot(phase: float, length: float) -> FootGoal:
    """One foot of a walker: stance for the first 60 % of the stride, swing for the rest."""
    if phase < 0.6:
        share = phase / 0.6
        forward = length * (1 - 2 * share)
        push = max(share - 0.6, 0.0) / 0.4
        return FootGoal(
            (0.0, forward, 0.0), toe_out=6.0, toe_up=16 * max(0.25 - share, 0.0) / 0.25 - 32 * push,
            toe_bend=28 * push,
        )  # fmt: skip
    share = (phase - 0.6) / 0.4
    forward = length * (-1 + 2 * (share * share * (3 - 2 * share)))
    lift = 0.1 * np.sin(np.pi * share)
    return FootGoal((0.0, forward, float(lift)), toe_out=6.0, toe_up=-32 + 48 * share)


def swinging(j: Jitter, phase: float, amount: float) -> HandGoal:
    """An arm that swings with the opposite leg."""
    swing = amount * np.cos(2 * np.pi * (phase - 0.5))
    angle = 0.1 + 0.42 * swing
    reach = 0.965 - 0.06 * max(swing, 0.0)
    offset = (j.near(0.1, 0.02), float(np.sin(angle) * reach), float(-np.cos(angle) * reach))
    return HandGoal("drop", offset, elbow=(0.3, -1.0, 0.0), palm=(-1.0, -0.35, 0.0), curl=j.near(30, 5))


def strider(j: Jitter, phase: float, hands: Callable[[float], tuple[HandGoal, HandGoal]]) -> PoseGoals:
    """Walk with the given hands; the left heel strikes at phase 0."""
    length = j.near(0.33, 0.04)
    turn = 5 * np.cos(2 * np.pi * phase)
    return PoseGoals(
        sitting=False,
        pelvis=(j.near(3, 1.5), 0.0, float(-turn)),
        spine=(j.near(3, 2), j.near(0, 1.5), float(2.2 * turn)),
        head=(j.near(2, 5), j.near(0, 3), j.near(0, 12) - float(turn)),
        hands=hands(phase),
        feet=(stride_foot(phase, length), stride_foot((phase + 0.5) % 1.0, length)),
        leg_extension=0.99,
    )


@pose("walking")
def walk(j: Jitter, phase: float) -> PoseGoals:
    """Walking, arms swinging."""
    swing = j.near(0.8, 0.2)
    return strider(j, phase, lambda p: (swinging(j, p, swing), swinging(j, (p + 0.5) % 1.0, swing)))


@pose("walking")
def walk_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """Walking, looking at a phone."""
    hold = HandGoal("chest", (-0.02, 0.52, -0.32), (0.6, -0.4, -1.0), (-0.6, -0.6, 0.4), (-0.2, 1.0, 0.5), 36.0)
    goals = strider(j, phase, lambda p: (hold, swinging(j, (p + 0.5) % 1.0, 0.6)))
    return attrs.evolve(goals, head=(24.0, 0.0, 0.0))


POSTURES = tuple(POSES)


def pose_names(posture: str) -> tuple[str, ...]:
    """Return the names of a posture's poses, in the library's order."""
    return tuple(POSES[posture])


def pose_goals(spec: PoseSpec) -> PoseGoals:
    """Return the goals of a specified pose."""
    goals = POSES[spec.posture][spec.name](Jitter(spec.jitter, spec.amount), spec.phase)
    return mirror(goals) if spec.mirrored else goals


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
