# SPDX-License-Identifier: Apache-2.0
"""Where garments begin and end: signed distances in metres on the base mesh, positive inside the garment.

All fields are functions of the unshaped base mesh in the rest pose, so a garment is cut once for all bodies.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.mpfb import BaseMesh
from synthkit_blender.people.rotations import unit
from synthkit_blender.people.skeleton import FINGERS, Skin, joint_cube_centres

Field = NDArray[np.float32]
INSIDE_M = np.float32(0.2)


@attrs.frozen(eq=False)
class BodyCoordinates:
    """Coordinates (V,) of every vertex of the base mesh.

    `x_m` is the distance from the mid-plane, `y_m` points backwards, `z_m` up from the hip joints; `along_arm_m`
    runs from the shoulder joint down the arm, `on_arm` is the share of the arm's bones, `along_leg` is 0 at the
    hip joint, 1 at the knee and 2 at the ankle.
    """

    x_m: Field
    y_m: Field
    z_m: Field
    along_arm_m: Field
    on_arm: Field
    along_leg: Field
    arm_m: tuple[float, float]
    leg_m: tuple[float, float]

    @classmethod
    def of(cls, mesh: BaseMesh, skin: Skin) -> BodyCoordinates:
        """Measure the base mesh."""
        joints = joint_cube_centres(mesh, mesh.vertices_m)
        points = mesh.vertices_m.astype(np.float64)
        points[:, 0] = np.abs(points[:, 0])
        shoulder, elbow, wrist = joints["l-shoulder"], joints["l-elbow"], joints["l-hand"]
        upper, fore = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
        on_upper = (points - shoulder) @ unit(elbow - shoulder)
        on_fore = (points - elbow) @ unit(wrist - elbow)
        away_upper = np.linalg.norm(points - shoulder - np.outer(on_upper, unit(elbow - shoulder)), axis=1)
        away_fore = np.linalg.norm(points - elbow - np.outer(on_fore, unit(wrist - elbow)), axis=1)
        along_arm = np.where((away_fore < away_upper) & (on_upper > 0.6 * upper), upper + on_fore, on_upper)
        bones = ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist", *FINGERS)
        hip, knee, ankle = (float(joints[f"l-{name}"][2]) for name in ("upper-leg", "knee", "ankle"))
        z = points[:, 2]
        along_leg = np.where(z > knee, (hip - z) / (hip - knee), 1 + (knee - z) / (knee - ankle))
        return cls(
            x_m=points[:, 0].astype(np.float32),
            y_m=points[:, 1].astype(np.float32),
            z_m=(z - hip).astype(np.float32),
            along_arm_m=along_arm.astype(np.float32),
            on_arm=skin.dense(*(f"{bone}.{side}" for bone in bones for side in "lr")),
            along_leg=along_leg.astype(np.float32),
            arm_m=(upper, fore),
            leg_m=(hip - knee, knee - ankle),
        )

    def arm_distance(self, along: float) -> float:
        """Return metres down the arm for 0 at the shoulder, 1 at the elbow, 2 at the wrist."""
        upper, fore = self.arm_m
        return along * upper if along < 1 else upper + (along - 1) * fore

    def leg_height(self, along: float) -> float:
        """Return the height over the hip joints for 0 at the hip, 1 at the knee, 2 at the ankle."""
        thigh, shin = self.leg_m
        return -along * thigh if along < 1 else -thigh - (along - 1) * shin


def below_neck(at: BodyCoordinates, depth_m: float, vee_m: float = 0.0) -> Field:
    """Below a neckline `depth_m` under the root of the neck, in front lower by a V of `vee_m`."""
    front_y, front_z, back_y, back_z = -0.1, 0.494, 0.045, 0.552
    tilt = np.hypot(back_y - front_y, back_z - front_z)
    over = (at.z_m - front_z) * (back_y - front_y) - (at.y_m - front_y) * (back_z - front_z)
    field = -(over / tilt + depth_m * np.clip(0.6 - at.y_m * 5, 0.3, 1.2))
    from_neck = np.hypot(at.x_m, 0.85 * (at.y_m + 0.02))
    off_neck = from_neck - (0.078 + depth_m) - 5 * np.maximum(at.z_m - 0.54, 0)
    field = np.maximum(field, off_neck)
    if vee_m > 0:
        edge = front_z - vee_m + at.x_m * (vee_m / 0.075)
        front = np.where(at.y_m < -0.01, edge - at.z_m, INSIDE_M) * 0.6
        field = np.minimum(field, front)
    return np.asarray(field, np.float32)


def within_sleeves(at: BodyCoordinates, along: float) -> Field:
    """On the near side of a sleeve's end; 0 is the shoulder, 1 the elbow, 2 the wrist."""
    return np.where(at.on_arm > 0.5, np.float32(at.arm_distance(along)) - at.along_arm_m, INSIDE_M)


def sleeveless(at: BodyCoordinates) -> Field:
    """On the body's side of an armhole."""
    trunk = 0.15 - at.x_m + np.maximum(0.33 - at.z_m, 0) * 2
    return np.where(at.on_arm > 0.5, np.minimum(trunk, -0.001), trunk).astype(np.float32)


def above(at: BodyCoordinates, z_m: float) -> Field:
    """Above a height over the hip joints; arms always count as above."""
    return np.where(at.on_arm > 0.5, INSIDE_M, at.z_m - np.float32(z_m))


def below(at: BodyCoordinates, z_m: float) -> Field:
    """Below a height over the hip joints; arms never count as below."""
    return np.where(at.on_arm > 0.2, -INSIDE_M, np.float32(z_m) - at.z_m)


def beside_opening(at: BodyCoordinates, top_m: float, bottom_m: float) -> Field:
    """Outside the open front of a jacket whose half width goes from `bottom_m` at the hem to `top_m` at the neck."""
    half = bottom_m + (top_m - bottom_m) * np.clip(at.z_m / 0.45, 0, 1)
    return np.where((at.y_m < 0) & (at.on_arm < 0.5), at.x_m - half, INSIDE_M).astype(np.float32)
