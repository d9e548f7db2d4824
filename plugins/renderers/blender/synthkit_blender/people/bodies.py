# SPDX-License-Identifier: Apache-2.0
"""Bodies: the shape of an identity at rest, and that shape in a pose."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import mpfb
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.posing import RestBody
from synthkit_blender.people.settling import BodyParts
from synthkit_blender.people.skeleton import SIDES, PosedSkeleton, Skin, joint_cube_centres, moved, rest_pivots
from synthkit_blender.people.tailoring import ClothMesh
from synthkit_blender.people.targets import TargetStore, height_weights, macro_weights
from synthkit_blender.people.types import IdentitySpec, Material, MeshPart

SHAPES_KEPT = 16


@attrs.frozen(eq=False)
class Patch:
    """Some faces of the base mesh: the vertices that they use, and the faces (F, 4) as places among these."""

    used: NDArray[np.intp]
    faces: NDArray[np.int32]

    @classmethod
    def of(cls, faces: NDArray[np.int32], vertex_count: int) -> Patch:
        """Take faces as they are, without the vertices that none of them uses."""
        taken = np.zeros(vertex_count, bool)
        taken[faces] = True
        return cls(np.flatnonzero(taken), (np.cumsum(taken) - 1)[faces].astype(np.int32))


@attrs.frozen(eq=False)
class PosedBody:
    """A body at rest with what its pose does to it."""

    shape_m: NDArray[np.float32]
    posed: PosedSkeleton
    pivots: dict[str, NDArray[np.float64]]
    motions: NDArray[np.float32]
    vertices_m: NDArray[np.float32]

    @property
    def leg_m(self) -> float:
        """How long a leg is, from the hip to the ankle."""
        hip, knee, ankle = (self.pivots[f"{bone}.l"] for bone in ("upperleg01", "lowerleg01", "foot"))
        return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))

    def bone_motion(self, bone: str) -> NDArray[np.float32]:
        """Return the rigid motion (3, 4) of a bone from rest."""
        rotation = self.posed.rotations[bone]
        shift = self.posed.pivots[bone] - rotation @ self.pivots[bone]
        return np.asarray(np.concatenate([rotation, shift[:, None]], axis=1), np.float32)

    def part(self, name: str, patch: Patch, material: Material) -> MeshPart:
        """Return some faces of the body itself as a mesh."""
        used = patch.used
        posed_m, rest_m = self.vertices_m[used], self.shape_m[used]
        return MeshPart(name, posed_m, patch.faces, rest_m, material, True, used.astype(np.int32))

    def cloth(self, name: str, cloth: ClothMesh, material: Material) -> MeshPart:
        """Return a mesh that was cut from the body's shape at rest, moved along."""
        posed_m = moved(cloth.sample(self.motions), cloth.vertices_m)
        return MeshPart(name, posed_m, cloth.faces, cloth.vertices_m, material, True, cloth.base_vertices)


class Sculptor:
    """Makes bodies of the base mesh.

    Args:
        skin: the weights of its vertices. at: where these are on the body.
    """

    def __init__(self, mesh: mpfb.BaseMesh, skin: Skin, at: BodyCoordinates, targets: TargetStore) -> None:
        self.mesh, self.skin = mesh, skin
        self._targets = targets
        self._shapes: dict[IdentitySpec, NDArray[np.float32]] = {}
        self._vertices = mesh.group_vertices(mpfb.BODY)
        count = len(self._vertices)
        self._feet = {
            side: np.flatnonzero(skin.dense(f"foot.{side}", f"toes.{side}")[:count] > 0.5) for side in SIDES
        }  # fmt: skip
        seat = np.flatnonzero((np.abs(at.z_m + 0.02) < 0.12) & (at.y_m > -0.02))
        self._parts = BodyParts.of(skin, mesh.faces[mpfb.BODY], seat[seat < count])

    @property
    def trunk(self) -> NDArray[np.intp]:
        """The vertices of trunk, head and legs."""
        return self._parts.trunk.vertices

    def shape(self, identity: IdentitySpec) -> NDArray[np.float32]:
        """Return the rest shape (V, 3) in metres, soles of the bare feet at z = 0 and height as specified.

        The last few shapes are remembered: clips and other outfits ask for the same body again.
        """
        if identity not in self._shapes:
            while len(self._shapes) >= SHAPES_KEPT:
                del self._shapes[next(iter(self._shapes))]
            self._shapes[identity] = self._make_shape(identity)
        return self._shapes[identity].copy()

    def _make_shape(self, identity: IdentitySpec) -> NDArray[np.float32]:
        vertices = self.mesh.vertices_m.copy()
        self._targets.add(vertices, macro_weights(identity))
        lowest, highest = self._extent(vertices)
        side = "maxheight" if identity.height_m > highest - lowest else "minheight"
        stretched = vertices.copy()
        self._targets.add(stretched, height_weights(identity, side))
        low, high = self._extent(stretched)
        gain = (high - low) - (highest - lowest)
        share = float(np.clip((identity.height_m - (highest - lowest)) / gain, 0.0, 0.7))
        vertices += np.float32(share) * (stretched - vertices)
        lowest, highest = self._extent(vertices)
        vertices[:, 2] -= lowest
        return vertices * np.float32(identity.height_m / (highest - lowest))

    def _extent(self, vertices_m: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
        heights = vertices_m[self._vertices, 2]
        return heights.min(), heights.max()

    def pose(
        self, shape_m: NDArray[np.float32], goals: PoseGoals, over_m: NDArray[np.float32], sole_m: float,
        seat_m: float | None = None,
    ) -> tuple[PosedBody, float | None]:  # fmt: skip
        """Return a shape (V, 3) in a pose, and the height of the seat where one is under it.

        Args:
            over_m: (V,) how far clothes stand off the body. sole_m: how far shoes reach below the bare feet.
            seat_m: how high the seat is that is there; None for one that suits the legs.
        """
        body = self._rest_body(shape_m, sole_m)
        posed, seat_height_m = self._parts.settle(body, shape_m, goals, over_m, seat_m)
        motions = self.skin.motions(body.pivots, posed)
        return PosedBody(shape_m, posed, body.pivots, motions, moved(motions, shape_m)), seat_height_m

    def _rest_body(self, shape_m: NDArray[np.float32], sole_m: float) -> RestBody:
        joints = joint_cube_centres(self.mesh, shape_m)
        sole = {}
        for side in SIDES:
            foot = shape_m[self._feet[side]]
            x = float(joints[f"{side}-ankle"][0])
            ends = (float(foot[:, 1].max()), float(joints[f"{side}-toe-1-1"][1]), float(foot[:, 1].min()))
            heel, ball, tip = (np.array([x, y, -sole_m]) for y in ends)
            sole[side] = (heel, ball, tip)
        return RestBody(joints, rest_pivots(joints), sole)
