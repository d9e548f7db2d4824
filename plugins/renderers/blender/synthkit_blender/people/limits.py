# SPDX-License-Identifier: Apache-2.0
"""How far joints bend: the normal range of motion, in degrees.

Source: American Academy of Orthopaedic Surgeons, Joint Motion: Method of Measuring and Recording (1965), rounded.
"""

from __future__ import annotations

import numpy as np

from synthkit_blender.people.rotations import Mat, Vec, about, angle_rad, cross, partial, shortest, within

MOST_ELBOW_DEG = 146.0
MOST_KNEE_DEG = 142.0
WRIST_BEND_DEG = (-65.0, 75.0)  # towards the back of the hand, towards the palm
WRIST_ASIDE_DEG = (-32.0, 20.0)  # towards the little finger, towards the thumb
MOST_FOREARM_TWIST_DEG = 88.0  # either way of the thumb pointing up


def within_wrist(turn: Mat, axis: Vec, hand: Mat) -> tuple[Mat, Mat]:
    """Split what turns a hand against its forearm, as far as both joints go.

    Args:
        turn: the rotation from rest, in the frame of the forearm at rest. axis: the forearm's direction there.
        hand: (3, 3) the hand's own directions at rest: along, radial, palmar.

    Returns:
        the swing (of the wrist) and the twist (of the forearm); the turn is swing @ twist within the limits.
    """
    swing = shortest(axis, turn @ axis)
    twist = swing.T @ turn
    angle = float(np.degrees(angle_rad(twist)))
    if angle > MOST_FOREARM_TWIST_DEG:
        twist = partial(twist, MOST_FOREARM_TWIST_DEG / angle)
    # The forearm hardly leaves the hand's length at rest, so a swing is read off the hand's own directions.
    along, radial, palmar = (twist @ hand).T
    where = swing @ axis
    bend = np.degrees(np.arctan2(where @ palmar, where @ along) - np.arctan2(axis @ palmar, axis @ along))
    aside = np.degrees(np.arcsin(within(where @ radial, -1.0, 1.0)) - np.arcsin(axis @ radial))
    bend = (bend + 180) % 360 - 180
    bound, bound_aside = within(bend, *WRIST_BEND_DEG), within(aside, *WRIST_ASIDE_DEG)
    if bound != bend or bound_aside != aside:
        bending, leaning = cross(along, palmar), cross(along, radial)
        swing = about(bending, float(bound)) @ about(leaning, float(bound_aside))
    return swing, twist
