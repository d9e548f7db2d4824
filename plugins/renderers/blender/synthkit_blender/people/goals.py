# SPDX-License-Identifier: Apache-2.0
"""What a pose asks for: goals for the trunk, the hands and the feet that hold for any body.

Vectors are (outwards, forwards, up): outwards is away from the mid-plane on the limb's own side, so the same
goal serves the left and the right.
"""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit_blender.people.hands import RELAXED, HandShape
from synthkit_blender.people.types import Support

Triple = tuple[float, float, float]
Contact = Literal["free", "touch", "pocket"]


@attrs.frozen
class HandGoal:
    """Where a hand goes.

    `anchor` names a point of the body ("shoulder", "hip", "knee", "thigh", "head", "chest"; "drop" is the shoulder
    with the offset in the upright frame, however the trunk leans), "table", over the origin, or "ledge", a table's
    height over the floor under the hip; `offset` is added in units of the arm's length (metres for "table" and
    "ledge").
    `palm` and `fingers` are directions, None for as the forearm has them.  Whatever the goal, an arm stays out of the
    body, by `clear_m` more than its own girth; with the contact "touch" the hand is laid on the body, with "pocket" it
    goes under the cloth.  `holds` names what is in the hand; what both hands hold is the left one's.
    """

    anchor: str
    offset: Triple
    elbow: Triple = (0.5, -1.0, -0.3)
    palm: Triple | None = None
    fingers: Triple | None = None
    shape: HandShape = RELAXED
    contact: Contact = "free"
    holds: str = ""
    clear_m: float = 0.0


@attrs.frozen
class FootGoal:
    """Where a foot goes.

    `offset` is the ankle's place relative to the floor under its hip, in units of the leg's length, except that
    its height is above the ankle's place in a flat standing foot.  With `extension` (share of the leg's length)
    the forward part is chosen so that the leg is that long.  `toe_out` and `toe_up` are degrees; `toe_bend` bends
    the toes up.
    """

    offset: Triple = (0.0, 0.0, 0.0)
    extension: float | None = None
    knee: Triple = (0.1, 1.0, 0.2)
    toe_out: float = 8.0
    toe_up: float = 0.0
    toe_bend: float = 0.0


@attrs.frozen
class PoseGoals:
    """A whole pose; angles are degrees as in `rotations.lean`: (forward, left, turn left).

    With `together` the second hand goes along where the body keeps the first one off its place.
    `stride` is how far one stride of a walker goes, in leg lengths, 0 for who stays.
    `support` is what it needs beside the floor: a seat, a wall or a table's edge behind, a table before.
    """

    pelvis: Triple
    spine: Triple
    head: Triple
    hands: tuple[HandGoal, HandGoal]
    feet: tuple[FootGoal, FootGoal]
    shrug: tuple[float, float] = (0.0, 0.0)
    leg_extension: float = 0.985
    support: Support = "none"
    together: bool = False
    stride: float = 0.0
