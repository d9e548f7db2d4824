# SPDX-License-Identifier: Apache-2.0
"""Named points of a posed body: the 17 of COCO, the trunk's, and those of hands and feet as in COCO-WholeBody.

Hands and feet: `left_thumb1` to `left_thumb4`, `left_forefinger1` ... (from the root of a finger to its tip),
`left_big_toe`, `left_small_toe`, `left_heel`, and the same on the right.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.mpfb import EYES, BaseMesh
from synthkit_blender.people.rotations import Vec
from synthkit_blender.people.skeleton import PosedSkeleton

_LIMB_BONES = {
    "shoulder": "upperarm01",
    "elbow": "lowerarm01",
    "wrist": "wrist",
    "hip": "upperleg01",
    "knee": "lowerleg01",
    "ankle": "foot",
}
_TRUNK_BONES = {"neck": "neck01", "pelvis": "root", "spine": "spine03", "lower_spine": "spine04", "chest": "spine01"}
FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
_TOES = {"big_toe": "toe-1-3", "small_toe": "toe-5-4"}

BODY_POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle", "head_top", "neck", "spine", "pelvis",
)  # fmt: skip
"""COCO's 17, then the trunk."""

_BELOW_SKIN_M = {
    "nose": 0.03, "eye": 0.055, "ear": 0.045, "head_top": 0.06, "neck": 0.11, "shoulder": 0.13, "elbow": 0.11,
    "wrist": 0.07, "hip": 0.18, "knee": 0.14, "ankle": 0.13, "toe": 0.06, "heel": 0.06, "pelvis": 0.27, "spine": 0.28,
    "chest": 0.28,
}  # fmt: skip
_FINGER_BELOW_SKIN_M = 0.03


def below_skin_m(name: str) -> float:
    """Return how far behind what is seen of a body a point may lie and still count as seen: cloth and flesh over it."""
    return _BELOW_SKIN_M.get(name) or _BELOW_SKIN_M.get(name.rpartition("_")[2], _FINGER_BELOW_SKIN_M)


@attrs.frozen(eq=False)
class Landmarks:
    """Vertices of the base mesh that mark points of the head."""

    nose: int
    head_top: int
    ears: tuple[int, int]
    heels: tuple[int, int]
    eyes: tuple[NDArray[np.int32], NDArray[np.int32]]

    @classmethod
    def of(cls, mesh: BaseMesh, body: NDArray[np.int32]) -> Landmarks:
        """Find them: the nose is the foremost point of the face's middle, the ears stand out farthest."""
        x, y, z = mesh.vertices_m[body].T
        eye_height = float(mesh.vertices_m[mesh.faces[EYES[0]], 2].mean())
        middle = np.where((np.abs(x) < 0.004) & (np.abs(z - eye_height + 0.035) < 0.03), y, np.inf)
        beside = np.where((np.abs(z - eye_height) < 0.04) & (np.abs(x) < 0.12), x, 0.0)
        return cls(
            int(body[np.argmin(middle)]),
            int(body[np.argmax(z)]),
            (int(body[np.argmax(beside)]), int(body[np.argmin(beside)])),
            (_heel(body, x, y, z), _heel(body, -x, y, z)),
            (mesh.group_vertices(EYES[0]), mesh.group_vertices(EYES[1])),
        )


def _heel(
    body: NDArray[np.int32], outwards: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32]
) -> int:
    return int(body[np.argmax(np.where((outwards > 0) & (z < z.min() + 0.03), y, -np.inf))])


def named_points(
    landmarks: Landmarks, mesh: BaseMesh, posed: PosedSkeleton, vertices_m: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return point name → (3,) position in the person frame, for vertices (V, 3) of the base mesh in a pose."""
    points = {"nose": vertices_m[landmarks.nose], "head_top": vertices_m[landmarks.head_top]}
    for number, side in enumerate(("left", "right")):
        points[f"{side}_eye"] = vertices_m[landmarks.eyes[number]].mean(axis=0)
        points[f"{side}_ear"] = vertices_m[landmarks.ears[number]]
        points |= limb_points(posed, side)
        cubes = {f"{finger}{n}": f"finger-{k}-{n}" for k, finger in enumerate(FINGERS, 1) for n in (1, 2, 3, 4)}
        for name, joint in (cubes | _TOES).items():
            points[f"{side}_{name}"] = vertices_m[mesh.joint_cubes[f"{side[0]}-{joint}"]].mean(axis=0)
        points[f"{side}_heel"] = vertices_m[landmarks.heels[number]]
    points |= trunk_points(posed)
    return {name: np.asarray(point, np.float32) for name, point in points.items()}


def limb_points(posed: PosedSkeleton, side: str) -> dict[str, Vec]:
    """Return the joints of the "left" or "right" arm and leg, by their points' names."""
    return {f"{side}_{name}": posed.pivots[f"{bone}.{side[0]}"] for name, bone in _LIMB_BONES.items()}


def trunk_points(posed: PosedSkeleton) -> dict[str, Vec]:
    """Return the joints of trunk and neck, by their points' names."""
    return {name: posed.pivots[bone] for name, bone in _TRUNK_BONES.items()}
