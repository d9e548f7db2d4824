# SPDX-License-Identifier: Apache-2.0
"""Named points of a posed body: the 17 of COCO and a few more."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.mpfb import EYES, BaseMesh
from synthkit_blender.people.skeleton import PosedSkeleton

_LIMB_BONES = {
    "shoulder": "upperarm01",
    "elbow": "lowerarm01",
    "wrist": "wrist",
    "hip": "upperleg01",
    "knee": "lowerleg01",
    "ankle": "foot",
}
_TRUNK_BONES = {"neck": "neck01", "pelvis": "root", "spine": "spine03"}


@attrs.frozen(eq=False)
class Landmarks:
    """Vertices of the base mesh that mark points of the head."""

    nose: int
    head_top: int
    ears: tuple[int, int]
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
            (mesh.group_vertices(EYES[0]), mesh.group_vertices(EYES[1])),
        )


def named_points(
    landmarks: Landmarks, posed: PosedSkeleton, vertices_m: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return point name → (3,) position in the person frame."""
    points = {"nose": vertices_m[landmarks.nose], "head_top": vertices_m[landmarks.head_top]}
    for number, side in enumerate(("left", "right")):
        points[f"{side}_eye"] = vertices_m[landmarks.eyes[number]].mean(axis=0)
        points[f"{side}_ear"] = vertices_m[landmarks.ears[number]]
        for name, bone in _LIMB_BONES.items():
            points[f"{side}_{name}"] = posed.pivots[f"{bone}.{side[0]}"]
    points |= {name: posed.pivots[bone] for name, bone in _TRUNK_BONES.items()}
    return {name: np.asarray(point, np.float32) for name, point in points.items()}
