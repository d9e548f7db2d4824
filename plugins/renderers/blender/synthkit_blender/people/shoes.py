# SPDX-License-Identifier: Apache-2.0
"""Shoes: the feet of the tights shell, thickened, on flat soles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import Ground, Piece, cut
from synthkit_blender.people.fields import BodyCoordinates, Field
from synthkit_blender.people.mpfb import TIGHTS, BaseMesh
from synthkit_blender.people.tailoring import ClothMesh, folded_rim

SOLE_M = 0.022
WELT_M = 0.016
LEATHER_M = 0.006
# Height of the collar over the ankle joint, and how much lower it is towards the toes.
COLLARS = {"shoe": (0.02, 0.1), "boot": (0.075, 0.1), "pump": (-0.012, 0.28)}


class Cobbler:
    """Makes shoes for a shape."""

    sole_m = SOLE_M

    def __init__(self, mesh: BaseMesh, coordinates: BodyCoordinates) -> None:
        self._faces = mesh.faces[TIGHTS]
        self._at = coordinates
        self._pieces = {kind: cut(self._faces, self.covers(kind)) for kind in COLLARS}
        self._grounds = {kind: Ground.of(piece, self._faces) for kind, piece in self._pieces.items()}
        self._folded = {kind: folded_rim(piece) for kind, piece in self._pieces.items()}
        self._low = {kind: self._sole_faces(piece) for kind, piece in self._pieces.items()}

    def covers(self, kind: str) -> Field:
        """Return the shoe's field (V,) on the whole base mesh: below a collar that is lower at the instep."""
        at = self._at
        height, slope = COLLARS[kind]
        return np.asarray(at.leg_height(2.0) + height + np.clip(at.y_m, -0.12, 0.05) * slope - at.z_m, np.float32)

    def _sole_faces(self, piece: Piece) -> NDArray[np.bool_]:
        height = piece.sample(self._at.z_m)
        floor = float(height.min())
        return np.asarray((height[piece.faces] < floor + WELT_M).all(axis=1))

    def make(self, kind: str, shape_m: NDArray[np.float32]) -> tuple[ClothMesh, ClothMesh]:
        """Return the upper and the sole of a pair of shoes on a shape (V, 3) standing on z = 0."""
        ground, (whole, rim) = self._grounds[kind], self._folded[kind]
        foot, normals = shape_m[ground.vertices], ground.facets.normals(shape_m)
        outer = foot + normals * LEATHER_M
        under = np.clip((WELT_M - foot[:, 2]) / (WELT_M * 0.6), 0, 1)[:, None]
        flat = outer + normals * [0.003, 0.003, 0.0]
        flat[:, 2] = np.where(foot[:, 2] < WELT_M * 0.6, -SOLE_M, outer[:, 2])
        outer = np.asarray(outer + (flat - outer) * under, np.float32)
        outer[:, 2] = np.maximum(outer[:, 2], -SOLE_M)
        vertices = np.concatenate([ground.piece.sample(outer), ground.piece.sample(foot)[rim]])
        low = np.zeros(len(whole.faces), bool)
        low[: len(self._low[kind])] = self._low[kind]
        return (
            ClothMesh(vertices, whole.faces[~low], whole),
            ClothMesh(vertices, whole.faces[low], whole),
        )
