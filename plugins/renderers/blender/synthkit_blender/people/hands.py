# SPDX-License-Identifier: Apache-2.0
"""Shapes of hands: how far each finger bends and where the thumb points.

A hand's own directions are (along, radial, palmar): from the wrist to the middle knuckle, towards the thumb's side,
and out of the palm. Ranges follow the joints' normal motion: knuckles to 90, middle joints to 110, end joints to 70
degrees (American Academy of Orthopaedic Surgeons, Joint Motion, 1965).
"""

from __future__ import annotations

import attrs
import numpy as np

from synthkit_blender.people.rotations import Mat, Vec, about, cross, frame, shortest, turn_between, unit

Triple = tuple[float, float, float]
MOST_BEND_DEG = (90.0, 110.0, 70.0)
FAN = (0.0, 1.0, 0.0, -1.0, -2.0)  # how far each digit spreads to the radial side, in units of `spread`


@attrs.frozen
class HandShape:
    """The shape of a hand.

    `bends` are degrees at the knuckle, the middle and the end joint of the index, middle, ring and little finger;
    `spread` is degrees between neighbouring fingers; `thumb` has the directions of the thumb's three bones.
    """

    bends: tuple[Triple, Triple, Triple, Triple]
    thumb: tuple[Triple, Triple, Triple]
    spread: float = 2.0

    def loosened(self, factor: float) -> HandShape:
        """Return the shape with all bends scaled, within what joints can do."""

        def bent(finger: Triple) -> Triple:
            knuckle, middle, end = (min(bend * factor, most) for bend, most in zip(finger, MOST_BEND_DEG, strict=True))
            return knuckle, middle, end

        index, long, ring, little = self.bends
        return attrs.evolve(self, bends=(bent(index), bent(long), bent(ring), bent(little)))


BESIDE = ((0.6, 0.42, 0.66), (0.86, 0.14, 0.48), (0.93, -0.02, 0.36))  # the thumb along the index finger
AWAY = ((0.55, 0.65, 0.5), (0.83, 0.42, 0.34), (0.92, 0.28, 0.26))
OPPOSED = ((0.45, 0.36, 0.81), (0.68, 0.02, 0.73), (0.84, -0.1, 0.53))
ACROSS = ((0.52, 0.3, 0.8), (0.62, -0.36, 0.7), (0.35, -0.8, 0.48))

RELAXED = HandShape(((18, 24, 14), (26, 30, 17), (31, 34, 19), (33, 35, 19)), BESIDE)
RESTING = HandShape(((7, 16, 9), (9, 18, 10), (11, 20, 11), (13, 21, 11)), AWAY, 3.5)
FLAT = HandShape(((3, 5, 3), (3, 5, 3), (4, 6, 3), (5, 6, 3)), BESIDE, 1.5)
FIST = HandShape(((74, 98, 55), (78, 100, 58), (80, 100, 58), (80, 98, 56)), ACROSS, 0.0)
GRIP = HandShape(((48, 52, 26), (52, 56, 30), (56, 60, 32), (60, 60, 32)), OPPOSED, 1.0)
PHONE = HandShape(((24, 46, 30), (30, 50, 32), (36, 54, 34), (42, 56, 34)), OPPOSED, 2.0)
HOOK = HandShape(((52, 88, 44), (54, 90, 46), (56, 90, 46), (58, 88, 44)), OPPOSED, 0.5)
POINTING = HandShape(((2, 5, 3), (70, 96, 55), (76, 98, 56), (78, 96, 54)), ACROSS, 0.0)
WRITING = HandShape(((46, 46, 14), (52, 54, 20), (58, 62, 26), (60, 62, 26)), OPPOSED, 0.5)
TYPING = HandShape(((14, 34, 18), (16, 38, 20), (16, 36, 20), (14, 32, 18)), AWAY, 4.0)
OPEN = HandShape(((10, 14, 8), (13, 16, 9), (17, 19, 10), (20, 20, 10)), AWAY, 5.0)


@attrs.frozen(eq=False)
class RestHand:
    """A hand at rest: `axes` (3, 3) has its own directions as columns, `bones` the direction of each finger's bones."""

    axes: Mat
    bones: dict[str, Vec]

    @classmethod
    def of(cls, joints: dict[str, Vec], side: str) -> RestHand:
        """Measure a hand from the joints of a body at rest."""
        along = joints[f"{side}-finger-3-1"] - joints[f"{side}-hand"]
        radial = joints[f"{side}-finger-2-1"] - joints[f"{side}-finger-5-1"]
        first = frame(along, radial)
        if side == "r":  # so that the third axis leaves the palm of either hand
            first[:, 2] *= -1
        bones = {}
        for digit in range(1, 6):
            for joint in range(1, 4):
                ends = (joints[f"{side}-finger-{digit}-{n}"] for n in (joint + 1, joint))
                bones[f"finger{digit}-{joint}"] = unit(np.subtract(*ends))
        return cls(first, bones)

    def turned(self, palm: Vec, fingers: Vec) -> Mat:
        """Return the rotation from rest that lets the palm face one way and the fingers point another."""
        return turn_between(frame(self.axes[:, 2], self.axes[:, 0]), frame(palm, fingers))

    def finger_turns(self, shape: HandShape) -> dict[str, Mat]:
        """Return for each finger bone its rotation from rest relative to the hand's."""
        turns = {}
        along, radial, palmar = self.axes.T
        bending, spreading = cross(along, palmar), cross(along, radial)
        for joint, wanted in enumerate(shape.thumb, start=1):
            turns[f"finger1-{joint}"] = shortest(self.bones[f"finger1-{joint}"], self.axes @ np.array(wanted))
        for digit in range(2, 6):
            first = self.axes.T @ self.bones[f"finger{digit}-1"]
            wanted_deg = shape.spread * FAN[digit - 1]
            aside = about(spreading, wanted_deg - float(np.degrees(np.arctan2(first[1], first[0]))))
            hinge = about(spreading, wanted_deg) @ bending
            bent = 0.0
            for joint, bend in enumerate(shape.bends[digit - 2], start=1):
                bent += bend
                ahead, _, down = self.axes.T @ (aside @ self.bones[f"finger{digit}-{joint}"])
                at_rest = float(np.degrees(np.arctan2(down, ahead)))
                turns[f"finger{digit}-{joint}"] = about(hinge, bent - at_rest) @ aside
        return turns
