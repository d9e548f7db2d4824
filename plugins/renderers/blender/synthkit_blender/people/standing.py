# SPDX-License-Identifier: Apache-2.0
"""Standing poses."""

from __future__ import annotations

import attrs

from synthkit_blender.people.goals import FootGoal, HandGoal, PoseGoals
from synthkit_blender.people.hands import FIST, OPEN, POINTING, RELAXED, RESTING
from synthkit_blender.people.repertoire import (
    Jitter,
    at_bag,
    at_ear,
    folded,
    hanging,
    in_pocket,
    on_hip,
    pose,
    stance,
    thumbing,
    with_box,
    with_cup,
    with_laptop,
    with_phone,
)


def upright(j: Jitter, hands: tuple[HandGoal, HandGoal], head: float = 3.0, spine: float = 2.0) -> PoseGoals:
    """Stand with the given hands."""
    tilt = j.near(0, 2)
    return PoseGoals(
        pelvis=(j.near(1, 1.5), tilt, j.near(0, 3)),
        spine=(j.near(spine, 3), -tilt + j.near(0, 2), j.near(0, 5)),
        head=(j.near(head, 6), j.near(0, 4), j.near(0, 18)),
        hands=hands,
        feet=stance(j),
    )


def on_one_leg(j: Jitter, goals: PoseGoals) -> PoseGoals:
    """Put the weight on the right leg: the pelvis tilts, the left knee bends, the spine makes up for it."""
    tilt = j.near(5, 1)
    free = FootGoal((j.near(0.1, 0.02), j.near(0.1, 0.03), 0.0), knee=(0.25, 1.0, 0.2), toe_out=j.near(22, 6))
    bearing = FootGoal((-0.03, 0.0, 0.0), knee=(0.1, 1.0, 0.2), toe_out=j.near(8, 4))
    return attrs.evolve(
        goals,
        pelvis=(goals.pelvis[0], -tilt, goals.pelvis[2]),
        spine=(goals.spine[0], 1.6 * tilt, goals.spine[2]),
        head=(goals.head[0], goals.head[1] - 0.5 * tilt, goals.head[2]),
        feet=(free, bearing),
    )


@pose("standing", often=3.0)
def stand_relaxed(j: Jitter, phase: float) -> PoseGoals:
    """Arms hanging."""
    return upright(j, (hanging(j), hanging(j)))


@pose("standing", often=2.0)
def stand_at_ease(j: Jitter, phase: float) -> PoseGoals:
    """The weight on one leg, arms hanging."""
    return on_one_leg(j, upright(j, (hanging(j), hanging(j))))


@pose("standing", often=1.5)
def stand_arms_folded(j: Jitter, phase: float) -> PoseGoals:
    """Arms folded on the chest."""
    return upright(j, folded(j), spine=0.0)


@pose("standing")
def stand_hands_in_front(j: Jitter, phase: float) -> PoseGoals:
    """Hands held together before the belly."""
    hand = HandGoal("hip", (-0.14, 0.36, 0.14), (1.0, -0.5, -0.3), (-0.2, -1.0, 0.0), (-0.9, 0.2, -0.6), RELAXED)
    hands = (attrs.evolve(hand, contact="touch"), attrs.evolve(hand, offset=(-0.13, 0.45, 0.16)))
    return attrs.evolve(upright(j, hands), together=True)


@pose("standing", often=1.5)
def stand_hands_in_pockets(j: Jitter, phase: float) -> PoseGoals:
    """Both hands in the pockets."""
    return upright(j, (in_pocket(j), in_pocket(j)))


@pose("standing")
def stand_hand_in_pocket(j: Jitter, phase: float) -> PoseGoals:
    """One hand in a pocket, the weight on one leg."""
    return on_one_leg(j, upright(j, (in_pocket(j), hanging(j))))


@pose("standing", often=1.5)
def stand_with_phone(j: Jitter, phase: float) -> PoseGoals:
    """One hand holds a phone before the chest."""
    return upright(j, (with_phone(j), hanging(j)), head=24.0, spine=6.0)


@pose("standing")
def stand_texting(j: Jitter, phase: float) -> PoseGoals:
    """Both hands at a phone."""
    return attrs.evolve(on_one_leg(j, upright(j, thumbing(j), head=26.0, spine=8.0)), together=True)


def calling(j: Jitter, other: HandGoal) -> PoseGoals:
    """Stand with a phone at the ear, the head nearly straight."""
    return attrs.evolve(upright(j, (at_ear(j), other)), head=(j.near(3, 4), j.near(4, 3), j.near(0, 7)))


@pose("standing")
def stand_calling(j: Jitter, phase: float) -> PoseGoals:
    """One hand holds a phone to the ear."""
    return calling(j, hanging(j))


@pose("standing")
def stand_calling_arm_across(j: Jitter, phase: float) -> PoseGoals:
    """A phone at the ear, the other arm across the belly."""
    across = HandGoal("chest", (-0.2, 0.3, -0.5), (1.0, 0.0, -1.0), (0.0, -1.0, 0.0), (-1.0, 0.1, 0.1), RESTING)
    return calling(j, attrs.evolve(across, contact="touch"))


@pose("standing")
def stand_pointing(j: Jitter, phase: float) -> PoseGoals:
    """One arm points ahead or down to something."""
    reach = (j.near(0.35, 0.15), 0.86, j.near(-0.08, 0.2))
    point = HandGoal("shoulder", reach, (0.5, 0.0, -1.0), (-0.5, 0.0, -1.0), None, POINTING)
    return upright(j, (point, hanging(j)))


@pose("standing")
def stand_reaching(j: Jitter, phase: float) -> PoseGoals:
    """One arm reaches up, as to a shelf or a board."""
    reach = (j.near(0.2, 0.08), j.near(0.68, 0.06), j.near(0.5, 0.1))
    hand = HandGoal("shoulder", reach, (0.9, 0.1, -0.8), (-0.2, 1.0, 0.2), (-0.1, 0.4, 1.0), j.shape(RESTING))
    return upright(j, (hand, hanging(j)), head=-12.0)


@pose("standing")
def stand_hand_on_hip(j: Jitter, phase: float) -> PoseGoals:
    """One hand on the hip, the weight on the other leg."""
    return on_one_leg(j, upright(j, (on_hip(j), hanging(j))))


@pose("standing")
def stand_hands_on_hips(j: Jitter, phase: float) -> PoseGoals:
    """Both hands on the hips."""
    return upright(j, (on_hip(j), on_hip(j)))


@pose("standing")
def stand_hands_behind(j: Jitter, phase: float) -> PoseGoals:
    """Hands held together behind the back."""
    back = HandGoal("hip", (-0.1, -0.3, 0.16), (1.0, -0.5, 0.2), (0.0, -1.0, 0.0), (-1.0, 0.0, -0.5), RELAXED)
    under = attrs.evolve(back, contact="touch")
    hands = (under, attrs.evolve(back, offset=(-0.12, -0.38, 0.12)))
    return attrs.evolve(upright(j, hands, spine=-2.0), together=True)


@pose("standing", often=1.5)
def stand_talking(j: Jitter, phase: float) -> PoseGoals:
    """Both hands raised a little in talk."""

    def raised() -> HandGoal:
        offset = (j.near(0.22, 0.05), j.near(0.5, 0.06), j.near(-0.48, 0.07))
        return HandGoal("chest", offset, (0.8, -0.5, -1.0), (-0.85, 0.0, 0.55), (-0.15, 1.0, 0.25), j.shape(OPEN))

    return upright(j, (raised(), raised()))


@pose("standing")
def stand_explaining(j: Jitter, phase: float) -> PoseGoals:
    """One hand raised in talk, the other in a pocket."""
    offset = (j.near(0.34, 0.06), j.near(0.52, 0.06), j.near(-0.3, 0.1))
    raised = HandGoal("chest", offset, (0.8, -0.5, -1.0), (-0.5, 0.1, 0.85), (0.2, 1.0, 0.4), j.shape(OPEN))
    return on_one_leg(j, upright(j, (raised, in_pocket(j))))


@pose("standing")
def stand_thinking(j: Jitter, phase: float) -> PoseGoals:
    """A hand at the chin, the other arm under its elbow."""
    chin = HandGoal(
        "head", (0.05, 0.2, -0.3), (0.5, 0.1, -1.0), (-0.4, -0.8, 0.4), (-0.3, 0.0, 1.0), FIST.loosened(0.6),
        contact="touch",
    )  # fmt: skip
    across = HandGoal("chest", (-0.22, 0.36, -0.5), (1.0, 0.0, -1.0), (0.0, -1.0, 0.2), (-1.0, 0.1, 0.1), RESTING)
    return upright(j, (chin, across), head=6.0)


@pose("standing")
def stand_with_cup(j: Jitter, phase: float) -> PoseGoals:
    """A cup in one hand, the other in a pocket."""
    return upright(j, (with_cup(j), in_pocket(j)))


@pose("standing")
def stand_carrying_box(j: Jitter, phase: float) -> PoseGoals:
    """A box in both arms."""
    return attrs.evolve(upright(j, with_box(j), head=6.0, spine=-3.0), together=True)


@pose("standing")
def stand_with_laptop(j: Jitter, phase: float) -> PoseGoals:
    """A closed laptop at the side."""
    return on_one_leg(j, upright(j, (with_laptop(j), hanging(j))))


@pose("standing")
def stand_with_bag(j: Jitter, phase: float) -> PoseGoals:
    """A bag in one hand."""
    return upright(j, (at_bag(j), hanging(j)))
