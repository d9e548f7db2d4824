# SPDX-License-Identifier: Apache-2.0
"""Walking: one stride of phase 0..1, the left heel strikes at 0."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals, Triple
from synthkit_blender.people.hands import RELAXED
from synthkit_blender.people.repertoire import (
    Jitter,
    at_bag,
    at_ear,
    in_pocket,
    pose,
    with_box,
    with_cup,
    with_laptop,
    with_phone,
)

STANCE_SHARE = 0.6  # of the stride, that a foot is on the ground (Perry, Gait Analysis, 1992)


def stride_foot(phase: float, length: float, toe_out: float) -> FootGoal:
    """One foot of a walker: stance for the first 60 % of the stride, swing for the rest."""
    if phase < STANCE_SHARE:
        share = phase / STANCE_SHARE
        forward = length * (1 - 2 * share)
        push = max(share - 0.6, 0.0) / 0.4
        return FootGoal(
            (0.0, forward, 0.0), toe_out=toe_out, toe_up=16 * max(0.25 - share, 0.0) / 0.25 - 32 * push,
            toe_bend=28 * push,
        )  # fmt: skip
    share = (phase - STANCE_SHARE) / (1 - STANCE_SHARE)
    forward = length * (-1 + 2 * (share * share * (3 - 2 * share)))
    lift = 0.12 * length / 0.33 * np.sin(np.pi * share) * (1 - 0.4 * share)
    return FootGoal((0.0, forward, float(lift)), toe_out=toe_out, toe_up=-32 + 48 * share)


def swinging(j: Jitter, phase: float, amount: float) -> HandGoal:
    """An arm that swings with the opposite leg; the elbow bends as it comes forward."""
    swing = amount * np.cos(2 * np.pi * (phase - 0.5))
    angle = 0.1 + 0.4 * swing
    reach = 0.965 - 0.07 * max(swing, 0.0)
    offset = (j.near(0.13, 0.02), float(np.sin(angle) * reach), float(-np.cos(angle) * reach))
    return HandGoal("drop", offset, elbow=(0.3, -1.0, 0.0), palm=(-1.0, -0.3, 0.0), shape=j.shape(RELAXED, 0.25))


def coming_to_a_stand(goals: PoseGoals, opposite: PoseGoals, stood: float) -> PoseGoals:
    """Return a walker's goals on the way to those of standing with the same hands.

    What swings is at rest midway between where it is and where it is half a stride on. The foot on the ground stays
    there, and the passing foot comes down beside it.

    Args:
        opposite: the goals half a stride on. stood: how far they have come, 0 to 1.
    """
    ease = stood * stood * (3 - 2 * stood)

    def between(one: Triple, other: Triple) -> Triple:
        x, y, z = (a + ease * (b - a) / 2 for a, b in zip(one, other, strict=True))
        return x, y, z

    def foot(goal: FootGoal) -> FootGoal:
        out, forward, up = goal.offset
        still = 1 - ease
        return attrs.evolve(
            goal, offset=(out, forward, up * still), toe_up=goal.toe_up * still, toe_bend=goal.toe_bend * still
        )

    left, right = (
        attrs.evolve(hand, offset=between(hand.offset, later.offset))
        for hand, later in zip(goals.hands, opposite.hands, strict=True)
    )
    return attrs.evolve(
        goals,
        pelvis=between(goals.pelvis, opposite.pelvis),
        spine=between(goals.spine, opposite.spine),
        head=between(goals.head, opposite.head),
        hands=(left, right),
        feet=(foot(goals.feet[0]), foot(goals.feet[1])),
    )


Hands = Callable[[float], tuple[HandGoal, HandGoal]]


def strider(j: Jitter, phase: float, hands: Hands, length: float = 0.31, lean: float = 3.0) -> PoseGoals:
    """Walk with the given hands by steps of `length` (of the leg's) before the hip and as much behind it."""
    length = j.near(length, 0.035)
    turn = 15 * length * np.cos(2 * np.pi * phase)
    drop = 9 * length * np.sin(2 * np.pi * phase)  # the hip of the swinging leg sinks
    toe_out = j.near(7, 3)
    return PoseGoals(
        pelvis=(j.near(lean, 1.5), float(-drop), float(-turn)),
        spine=(j.near(3, 2), float(drop) + j.near(0, 1.5), float(2.2 * turn)),
        head=(j.near(2, 5), j.near(0, 3), j.near(0, 12) - float(turn)),
        hands=hands(phase),
        feet=(stride_foot(phase, length, toe_out), stride_foot((phase + 0.5) % 1.0, length, toe_out)),
        leg_extension=0.988,
        stride=2 * length / STANCE_SHARE,
    )


def both_swing(j: Jitter, amount: float) -> Hands:
    """Both arms swing."""
    return lambda phase: (swinging(j, phase, amount), swinging(j, (phase + 0.5) % 1.0, amount))


def one_swings(j: Jitter, other: HandGoal, amount: float = 0.6) -> Hands:
    """The left hand does something else, the right arm swings."""
    return lambda phase: (other, swinging(j, (phase + 0.5) % 1.0, amount))


@pose("walking", often=4.0)
def walk(j: Jitter, phase: float) -> PoseGoals:
    """Walking, arms swinging."""
    return strider(j, phase, both_swing(j, j.near(0.75, 0.2)))


@pose("walking", often=2.0)
def walk_slowly(j: Jitter, phase: float) -> PoseGoals:
    """Strolling: short steps, hardly swinging."""
    return strider(j, phase, both_swing(j, j.near(0.3, 0.1)), 0.19, 1.0)


@pose("walking", often=1.5)
def walk_briskly(j: Jitter, phase: float) -> PoseGoals:
    """Long steps and a wide swing, leaning forward."""
    return strider(j, phase, both_swing(j, j.near(1.1, 0.15)), 0.38, 5.0)


@pose("walking")
def walk_looking_aside(j: Jitter, phase: float) -> PoseGoals:
    """Walking, the head turned aside."""
    goals = strider(j, phase, both_swing(j, 0.6), 0.27)
    return attrs.evolve(goals, head=(j.near(2, 4), 0.0, j.near(42, 8)))


@pose("walking", often=1.5)
def walk_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """Walking, looking at a phone."""
    goals = strider(j, phase, one_swings(j, with_phone(j)), 0.24)
    return attrs.evolve(goals, head=(j.near(24, 4), 0.0, 0.0))


@pose("walking")
def walk_calling(j: Jitter, phase: float) -> PoseGoals:
    """Walking, a phone at the ear."""
    goals = strider(j, phase, one_swings(j, at_ear(j)), 0.27)
    return attrs.evolve(goals, head=(goals.head[0], j.near(4, 3), -goals.pelvis[2]))


@pose("walking")
def walk_hand_in_pocket(j: Jitter, phase: float) -> PoseGoals:
    """Walking, a hand in the pocket."""
    return strider(j, phase, one_swings(j, in_pocket(j)), 0.26)


@pose("walking")
def walk_with_cup(j: Jitter, phase: float) -> PoseGoals:
    """Walking with a cup."""
    return strider(j, phase, one_swings(j, with_cup(j), 0.4), 0.24)


@pose("walking")
def walk_carrying_box(j: Jitter, phase: float) -> PoseGoals:
    """Walking with a box in both arms."""
    box = with_box(j)
    return attrs.evolve(strider(j, phase, lambda _: box, 0.24, 0.0), together=True)


@pose("walking")
def walk_with_laptop(j: Jitter, phase: float) -> PoseGoals:
    """Walking, a closed laptop at the side."""
    return strider(j, phase, one_swings(j, with_laptop(j)), 0.28)


@pose("walking")
def walk_with_bag(j: Jitter, phase: float) -> PoseGoals:
    """Walking, a bag in one hand."""
    return strider(j, phase, one_swings(j, at_bag(j)), 0.28)
