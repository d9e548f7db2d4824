# SPDX-License-Identifier: Apache-2.0
"""The skeleton that poses drive, its rest joints read off the joint cubes, and linear blend skinning."""

from __future__ import annotations

from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from synthkit_blender.people.mpfb import BaseMesh
from synthkit_blender.people.rotations import Mat, Vec

SIDES = ("l", "r")
SPINE = ("spine05", "spine04", "spine03", "spine02", "spine01")
NECK = ("neck01", "neck02", "neck03", "head")
FINGERS = tuple(f"finger{digit}-{joint}" for digit in range(1, 6) for joint in range(1, 4))
ARM = ("clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
LEG = ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot", "toes")
BONES = ("root", *SPINE, *NECK, *(f"{bone}.{side}" for side in SIDES for bone in (*ARM, *FINGERS, *LEG)))
_FACE = ("levator", "oculi", "oris", "orbicularis", "risorius", "tongue", "temporalis", "special", "jaw", "eye")


def driven_bone(rig_bone: str) -> str:
    """Return the bone of ours that moves what a bone of the default rig moves."""
    stem, _, side = rig_bone.partition(".")
    suffix = f".{side.lower()}" if side else ""
    if stem.startswith(_FACE):
        return "head"
    if stem.startswith("metacarpal"):
        return "wrist" + suffix
    if stem.startswith("toe"):
        return "toes" + suffix
    return {"breast": "spine02", "pelvis": "root"}.get(stem, stem + suffix)


def joint_cube_centres(mesh: BaseMesh, vertices_m: NDArray[np.float32]) -> dict[str, Vec]:
    """Return the centre of every joint cube of a shape, by the joint's name."""
    cubes = np.stack(list(mesh.joint_cubes.values()))
    return dict(zip(mesh.joint_cubes, vertices_m[cubes].mean(axis=1, dtype=np.float64), strict=True))


def rest_pivots(joints: dict[str, Vec]) -> dict[str, Vec]:
    """Return the point about which each bone turns in the rest pose."""
    pivots = {"root": joints["pelvis"], "spine05": joints["pelvis"]}
    pivots |= {f"spine0{n}": joints[f"spine-{n}"] for n in (1, 2, 3, 4)}
    neck, head = joints["neck"], joints["head"]
    pivots |= {name: neck + (head - neck) * share / 3 for share, name in enumerate(NECK)}
    for s in SIDES:
        at = {
            "clavicle": "clavicle", "shoulder01": "shoulder", "upperarm01": "shoulder", "upperarm02": "shoulder",
            "lowerarm01": "elbow", "lowerarm02": "elbow", "wrist": "hand",
            "upperleg01": "upper-leg", "upperleg02": "upper-leg", "lowerleg01": "knee", "lowerleg02": "knee",
            "foot": "ankle",
        }  # fmt: skip
        pivots |= {f"{bone}.{s}": joints[f"{s}-{joint}"] for bone, joint in at.items()}
        pivots |= {f"{finger}.{s}": joints[f"{s}-{finger[:6]}-{finger[6:]}"] for finger in FINGERS}
        pivots[f"toes.{s}"] = (joints[f"{s}-toe-1-1"] + joints[f"{s}-toe-4-1"]) / 2
    return pivots


@attrs.frozen(eq=False)
class PosedSkeleton:
    """Per bone, the rotation from rest and where its pivot has gone."""

    rotations: dict[str, Mat]
    pivots: dict[str, Vec]


@attrs.frozen(eq=False)
class Skin:
    """Skin weights per bone of ours: vertex indices (N,) and weights (N,), summing to 1 per vertex."""

    weights: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]]
    vertex_count: int

    @cached_property
    def _blend(self) -> csr_array:
        """The weights (V, B) of all bones at each vertex."""
        bone = np.repeat(np.arange(len(self.weights)), [len(index) for index, _ in self.weights.values()])
        index, weight = (np.concatenate(column) for column in zip(*self.weights.values(), strict=True))
        return csr_array((weight, (index, bone)), shape=(self.vertex_count, len(self.weights)))

    @classmethod
    def from_rig(cls, rig: dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]], vertex_count: int) -> Skin:
        """Merge the default rig's weights into the bones of ours."""
        dense = {bone: np.zeros(vertex_count, np.float32) for bone in BONES}
        for rig_bone, (index, weight) in rig.items():
            np.add.at(dense[driven_bone(rig_bone)], index, weight)
        total = np.maximum(np.sum(list(dense.values()), axis=0), 1e-6)
        sparse = {}
        for bone, column in dense.items():
            index = np.flatnonzero(column > 1e-4).astype(np.int32)
            sparse[bone] = (index, (column / total)[index])
        return cls(sparse, vertex_count)

    def dense(self, *bones: str) -> NDArray[np.float32]:
        """Return the summed weight (V,) of some bones."""
        total = np.zeros(self.vertex_count, np.float32)
        for bone in bones:
            index, weight = self.weights[bone]
            total[index] += weight
        return total

    def only(self, vertices: NDArray[np.intp]) -> Skin:
        """Return the skin of some vertices alone, sorted; these are numbered anew."""
        place = np.full(self.vertex_count, -1, np.int32)
        place[vertices] = np.arange(len(vertices))
        kept = {}
        for bone, (index, weight) in self.weights.items():
            chosen = place[index] >= 0
            if chosen.any():
                kept[bone] = (place[index[chosen]], weight[chosen])
        return Skin(kept, len(vertices))

    def motions(self, rest: dict[str, Vec], posed: PosedSkeleton) -> NDArray[np.float32]:
        """Return per vertex the weighted mean (V, 3, 4) of the bones' rigid motions: linear blend skinning."""
        moves = np.empty((len(self.weights), 3, 4), np.float32)
        for move, bone in zip(moves, self.weights, strict=True):
            rotation = posed.rotations[bone]
            move[:, :3], move[:, 3] = rotation, posed.pivots[bone] - rotation @ rest[bone]
        return np.asarray((self._blend @ moves.reshape(-1, 12)).reshape(-1, 3, 4), np.float32)


def moved(motions: NDArray[np.float32], points_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply motions (N or 1, 3, 4) to (N, 3) points."""
    turned = (motions[:, :, :3] @ points_m[:, :, None])[..., 0]
    return np.asarray(turned + motions[:, :, 3], np.float32)
