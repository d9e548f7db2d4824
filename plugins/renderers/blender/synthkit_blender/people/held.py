# SPDX-License-Identifier: Apache-2.0
"""What hands hold: phone, cup, laptop, box and bag, made to the hand that has them."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.geometry import Mesh, box, cylinder, merged, slab, tube
from synthkit_blender.people.hands import RestHand
from synthkit_blender.people.posing import TABLE_HEIGHT_M
from synthkit_blender.people.rotations import Vec, Z, unit
from synthkit_blender.people.skeleton import PosedSkeleton

Made = tuple[tuple[Mesh, str], ...]  # a mesh and what it is made of: "body", "trim" or "screen"
CUP_RADIUS_M = 0.038
BOX_DEPTH_M = 0.27


@attrs.frozen(eq=False)
class Grip:
    """A hand in its pose: where the palm is, and the hand's own directions as unit vectors in the person frame.

    `knuckle_m` is the middle finger's middle joint; `outwards` is +1 for the left hand, -1 for the right.
    """

    palm_m: Vec
    knuckle_m: Vec
    along: Vec
    radial: Vec
    palmar: Vec
    outwards: float

    @classmethod
    def of(cls, hand: RestHand, posed: PosedSkeleton, side: str) -> Grip:
        """Measure a posed hand."""
        along, radial, palmar = (posed.rotations[f"wrist.{side}"] @ hand.axes).T
        palm = posed.pivots[f"finger3-1.{side}"] - along * 0.015
        knuckle = posed.pivots[f"finger3-2.{side}"]
        return cls(palm, knuckle, along, radial, palmar, 1.0 if side == "l" else -1.0)


Body = NDArray[np.float32]


def _set(mesh: Mesh, across: Vec, up: Vec, centre_m: Vec) -> Mesh:
    """Turn a mesh's x to `across` and its z to about `up`, and put its origin at a place."""
    x = unit(across)
    z = unit(up - x * (up @ x))
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    matrix[:3, 3] = centre_m
    return mesh.moved(matrix)


def phone(grip: Grip, other: Grip, body_m: Body) -> Made:
    """Return a phone in the fingers, its screen out of the palm."""
    case = slab(0.073, 0.148, 0.008, corner_m=0.01, bevel_m=0.002).at(0, 0, -0.004)
    glass = slab(0.067, 0.142, 0.001, corner_m=0.008, bevel_m=0.0004).at(0, 0, 0.0042)
    centre = grip.palm_m + grip.along * 0.05 + grip.palmar * 0.03
    return tuple(
        (_set(mesh, grip.radial, grip.palmar, centre), stuff) for mesh, stuff in ((case, "body"), (glass, "screen"))
    )


def cup(grip: Grip, other: Grip, body_m: Body) -> Made:
    """Return a paper cup in the hand, upright; on a table where the hand is just over one."""
    wall = cylinder(CUP_RADIUS_M * 0.78, 0.105, 16, top_radius_m=CUP_RADIUS_M)
    lid = cylinder(CUP_RADIUS_M * 1.06, 0.009, 16).at(0, 0, 0.105)
    foot = grip.palm_m + grip.palmar * (CUP_RADIUS_M + 0.014) + grip.along * 0.04 - Z * 0.05
    if TABLE_HEIGHT_M - 0.04 < foot[2] < TABLE_HEIGHT_M + 0.04:
        foot[2] = TABLE_HEIGHT_M
    return tuple((mesh.at(*foot), stuff) for mesh, stuff in ((wall, "body"), (lid, "trim")))


def laptop(grip: Grip, other: Grip, body_m: Body) -> Made:
    """Return a closed laptop that stands on the fingers, between the hand and the hip."""
    shell = slab(0.32, 0.225, 0.018, corner_m=0.015, bevel_m=0.005).at(0, 0, -0.009)
    forward = unit(np.array([0.0, -1.0, 0.0]) - grip.palmar * -grip.palmar[1])
    centre = grip.palm_m + grip.palmar * 0.018
    centre[2] = grip.knuckle_m[2] + 0.1
    return ((_set(shell, forward, grip.palmar, centre), "body"),)


def carton(grip: Grip, other: Grip, body_m: Body) -> Made:
    """Return a box between both palms, its back before the belly."""
    left, right = sorted((grip.palm_m, other.palm_m), key=lambda palm: -palm[0])
    width = float(left[0] - right[0]) - 0.036
    height = 0.24
    bottom = float(min(left[2], right[2])) - 0.07
    near = np.abs(body_m[:, 0]) < width / 2
    near &= (body_m[:, 2] > bottom - 0.02) & (body_m[:, 2] < bottom + height + 0.02)
    back = float(body_m[near, 1].min(initial=-0.12)) - 0.015
    middle_x = float(left[0] + right[0]) / 2
    whole = box(max(width, 0.12), BOX_DEPTH_M, height).at(middle_x, back - BOX_DEPTH_M / 2, bottom)
    tape = box(0.05, BOX_DEPTH_M + 0.002, height + 0.002).at(middle_x, back - BOX_DEPTH_M / 2, bottom - 0.001)
    return (whole, "body"), (tape, "trim")


def bag(grip: Grip, other: Grip, body_m: Body) -> Made:
    """Return a bag that hangs from the fist by two handles, clear of the leg."""
    length, height, thick = 0.34, 0.28, 0.1
    fist = grip.knuckle_m + grip.palmar * 0.01
    top = float(fist[2]) - 0.12
    legs = (body_m[:, 2] < top) & (body_m[:, 2] > top - height) & (np.abs(body_m[:, 1] - fist[1]) < length / 2)
    leg_x = float((body_m[legs, 0] * grip.outwards).max(initial=0.0))
    x = max(float(fist[0]) * grip.outwards, leg_x + thick / 2 + 0.012) * grip.outwards
    sack = slab(thick, length, height, corner_m=0.03, bevel_m=0.03, smooth=True).at(x, float(fist[1]), top - height)
    y = float(fist[1])
    handles = [
        tube([(x + dx, y - 0.09, top - 0.01), fist.tolist(), (x + dx, y + 0.09, top - 0.01)], 0.006, 6)
        for dx in (-0.025, 0.025)
    ]
    return (sack, "body"), (merged(handles), "trim")


MAKERS: dict[str, Callable[[Grip, Grip, Body], Made]] = {
    "phone": phone, "cup": cup, "laptop": laptop, "box": carton, "bag": bag,
}  # fmt: skip
