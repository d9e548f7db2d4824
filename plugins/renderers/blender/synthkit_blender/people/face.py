# SPDX-License-Identifier: Apache-2.0
"""Lips, eyebrows and beards: patches of the face's skin, lifted a little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import Ground, cut, vertex_normals
from synthkit_blender.people.fields import Field
from synthkit_blender.people.mpfb import BODY, EYES, BaseMesh
from synthkit_blender.people.tailoring import ClothMesh

BROW_COLUMNS, BROW_ROWS = 9, 3
BEARDS = {"none": 0.0, "stubble": 0.0012, "beard": 0.009}


class FacePainter:
    """Makes the patches of the face for a shape.

    Places are metres on the base mesh's face, heights counted from the eyes.
    """

    def __init__(self, mesh: BaseMesh) -> None:
        self._faces = mesh.faces[BODY]
        x, y, z = np.abs(mesh.vertices_m[:, 0]), mesh.vertices_m[:, 1], mesh.vertices_m[:, 2]
        eye_z = float(mesh.vertices_m[mesh.faces[EYES[0]], 2].mean())
        z = z - eye_z
        off_face = (y > -0.03) | (x > 0.1) | (z < -0.14) | (z > 0.06)
        lips = 0.0088 * (1 - (x / 0.027) ** 2) - np.abs(z + 0.0635)
        self._lips = np.where(off_face | (y > -0.125), -1.0, lips).astype(np.float32)
        cheek = np.interp(y, [-0.15, -0.132, -0.065, -0.035], [-0.049, -0.053, -0.022, -0.004])
        throat = np.interp(y, [-0.15, -0.09, -0.035], [-0.116, -0.116, -0.07])
        beard = np.minimum(np.minimum(cheek - z, z - throat), -self._lips - 0.0005)
        beard = np.where(x < 0.008, np.minimum(beard, -0.0525 - z), beard)
        self._beard = np.where((y > -0.035) | (x > 0.1) | (z < -0.14), -1.0, np.minimum(beard, -0.03 - y))
        self._beard = self._beard.astype(np.float32)
        front = np.flatnonzero(~off_face & (y < -0.115) & (np.abs(z - 0.03) < 0.03) & (x < 0.075))
        normals = vertex_normals(mesh.vertices_m, self._faces)
        self._brow_skin = front[normals[front, 1] < -0.3]
        self._brow_grids = [self._lay_brow(mesh.vertices_m[self._brow_skin], side, eye_z) for side in (1, -1)]
        self._pieces = {name: cut(self._faces, field) for name, field in self._fields().items()}
        self._grounds = {name: Ground.of(piece, self._faces) for name, piece in self._pieces.items()}

    def _fields(self) -> dict[str, Field]:
        return {"lips": self._lips, "beard": self._beard}

    def patch(self, name: str, lift_m: float, shape_m: NDArray[np.float32]) -> ClothMesh:
        """Return a patch ("lips" or "beard") on a shape (V, 3), rising by up to `lift_m` over the skin."""
        piece, ground = self._pieces[name], self._grounds[name]
        inside = np.clip(self._fields()[name][ground.vertices] / 0.012, 0, 1)
        rise = 0.0004 + lift_m * np.sqrt(inside)
        lifted = shape_m[ground.vertices] + ground.facets.normals(shape_m) * rise[:, None]
        return ClothMesh(ground.piece.sample(lifted), piece.faces, piece)

    def _lay_brow(
        self, skin_m: NDArray[np.float32], side: int, eye_z: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weights (G, N) of the skin around each grid point of a brow, and what they miss it by (G, 3)."""
        along = np.linspace(0, 1, BROW_COLUMNS)
        x = 0.011 + 0.042 * along
        middle = eye_z + 0.0265 + 0.0045 * np.sin(np.pi * np.clip(along * 0.85 + 0.1, 0, 1))
        half = 0.0042 * np.minimum(1, 0.45 + 4 * along) * np.clip(1.25 - along, 0.08, 1)
        grid_x = np.repeat(side * x[:, None], BROW_ROWS, axis=1).reshape(-1)
        grid_z = (middle[:, None] + half[:, None] * np.linspace(-1, 1, BROW_ROWS)).reshape(-1)
        gap = np.hypot(grid_x[:, None] - skin_m[:, 0], grid_z[:, None] - skin_m[:, 2])
        weights = np.exp(-0.5 * (gap / 0.007) ** 2) + 1e-12
        weights /= weights.sum(axis=1, keepdims=True)
        missed = np.stack([grid_x, np.zeros_like(grid_x), grid_z], axis=1) - weights @ skin_m
        missed[:, 1] = 0.0
        return weights.astype(np.float32), missed.astype(np.float32)

    def brows(self, shape_m: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
        """Return vertices and faces of both brows on a shape (V, 3), and the skin's vertices beneath.

        They move with the head.
        """
        skin = shape_m[self._brow_skin]
        rows = [weights @ skin + missed for weights, missed in self._brow_grids]
        vertices = np.concatenate(rows) + np.array([0.0, -0.0022, 0.0], np.float32)
        index = np.arange(len(vertices), dtype=np.int32).reshape(2, BROW_COLUMNS, BROW_ROWS)
        corners = (index[:, :-1, :-1], index[:, 1:, :-1], index[:, 1:, 1:], index[:, :-1, 1:])
        faces = np.stack(corners, axis=-1).reshape(2, -1, 4)
        faces[1] = faces[1, :, ::-1]
        beneath = self._brow_skin[np.concatenate([weights.argmax(axis=1) for weights, _ in self._brow_grids])]
        return vertices.astype(np.float32), faces.reshape(-1, 4), beneath.astype(np.int32)
