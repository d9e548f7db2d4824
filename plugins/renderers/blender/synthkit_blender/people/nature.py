# SPDX-License-Identifier: Apache-2.0
"""What of a body is seen by nature: skin, lips, beard and brows, eyes, hair."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import mpfb
from synthkit_blender.people.assets.dressing import Dresser
from synthkit_blender.people.bodies import Patch, PosedBody
from synthkit_blender.people.face import BEARDS, FacePainter
from synthkit_blender.people.hair import Barber
from synthkit_blender.people.materials import (
    beard_material,
    eye_materials,
    hair_material,
    lip_material,
    skin_material,
    strand_material,
)
from synthkit_blender.people.skeleton import moved
from synthkit_blender.people.types import IdentitySpec, MeshPart


class Nature:
    """Makes the meshes of skin, face, eyes and hair.

    Args:
        dresser: puts skins and hair from assets on; None where there are none.
    """

    def __init__(self, mesh: mpfb.BaseMesh, barber: Barber, dresser: Dresser | None) -> None:
        self._mesh, self._barber, self._dresser = mesh, barber, dresser
        self._painter = FacePainter(mesh)
        self._eyes = self._cut_eyes()

    def skin(self, figure: PosedBody, identity: IdentitySpec, hidden: NDArray[np.bool_]) -> tuple[MeshPart, ...]:
        """Return the skin but for those faces (F,) that clothes hide, and what is on the face."""
        patch = Patch.of(self._mesh.faces[mpfb.BODY][~hidden], len(self._mesh.vertices_m))
        if self._dresser is not None and identity.skin_asset:
            body = figure.part("body", patch, self._dresser.skin(identity))
            body = attrs.evolve(body, uv=self._dresser.body_uv[~hidden])
        else:
            body = figure.part("body", patch, skin_material(identity))
        return (body, *self._face(figure, identity))

    def _face(self, figure: PosedBody, identity: IdentitySpec) -> tuple[MeshPart, ...]:
        patches = [] if identity.skin_asset else [("lips", 0.0, lip_material(identity))]
        if identity.beard != "none":
            patches.append(("beard", BEARDS[identity.beard], beard_material(identity)))
        rest_m, faces, skin = self._painter.brows(figure.shape_m)
        posed_m = moved(figure.bone_motion("head")[None], rest_m)
        brows = MeshPart("brows", posed_m, faces, rest_m, hair_material(identity), True, skin)
        return brows, *(
            figure.cloth(name, self._painter.patch(name, lift_m, figure.shape_m), material)
            for name, lift_m, material in patches
        )

    def eyes(self, figure: PosedBody, identity: IdentitySpec) -> tuple[MeshPart, ...]:
        """Return whites and irises."""
        white, iris = eye_materials(identity)
        materials = {"eye_white": white, "iris": iris}
        return tuple(
            figure.part(f"{side}_{name}", patch, materials[name]) for (side, name), patch in self._eyes.items()
        )

    def _cut_eyes(self) -> dict[tuple[str, str], Patch]:
        patches, count = {}, len(self._mesh.vertices_m)
        for group, side in zip(mpfb.EYES, ("left", "right"), strict=True):
            faces = self._mesh.faces[group]
            points = self._mesh.vertices_m[faces].mean(axis=1)
            front = self._mesh.vertices_m[np.unique(faces)]
            pole = np.array([front[:, 0].mean(), front[:, 1].min(), front[:, 2].mean()])
            coloured = np.linalg.norm(points - pole, axis=1) < 0.007
            patches[side, "eye_white"] = Patch.of(faces[~coloured], count)
            patches[side, "iris"] = Patch.of(faces[coloured], count)
        return patches

    def hair(self, figure: PosedBody, identity: IdentitySpec) -> tuple[MeshPart, ...]:
        """Return the hair; what hangs down follows head and chest."""
        if self._dresser is not None and identity.hair_asset:
            return self._dresser.hair(identity, figure.shape_m, figure.motions)
        material = strand_material(identity)
        head, chest = figure.bone_motion("head"), figure.bone_motion("spine01")
        parts = []
        for hair in self._barber.make(identity.hair_style, identity.hair_phase, figure.shape_m):
            share = np.asarray(hair.on_head[:, None, None])
            posed_m = moved(chest + share * (head - chest), hair.vertices_m)
            rest_m, bases = hair.vertices_m, hair.base_vertices
            parts.append(MeshPart(hair.name, posed_m, hair.faces, rest_m, material, True, bases, hair.uv))
        return tuple(parts)
