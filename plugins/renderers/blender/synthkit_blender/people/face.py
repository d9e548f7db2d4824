# SPDX-License-Identifier: Apache-2.0
"""Lips, eyebrows and beards: patches of the face's skin, lifted a little."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import cut, vertex_normals
from synthkit_blender.people.fields import Field
from synthkit_blender.people.mpfb import BODY, EYES, BaseMesh
from synthkit_blender.people.tailoring import ClothMesh

BEARDS = {"none": 0.0, "stubble": 0.0012, "beard": 0.009}


class FacePainter:
    """Makes the patches of the face for a shape.

    Places are metres on the base mesh's face, heights counted from the eyes.
    """

    def __init__(self, mesh: BaseMesh) -> None:
        self._faces = mesh.faces[BODY]
        x, y, z = np.abs(mesh.vertices_m[:, 0]), mesh.vertices_m[:, 1], mesh.vertices_m[:, 2]
        z = z - mesh.vertices_m[mesh.faces[EYES[0]], 2].mean()
        off_face = (y > -0.03) | (x > 0.1) | (z < -0.14) | (z > 0.06)
        lips = 0.0088 * (1 - (x / 0.027) ** 2) - np.abs(z + 0.0635)
        self._lips = np.where(off_face | (y > -0.125), -1.0, lips).astype(np.float32)
        arch = 0.0275 + 0.0035 * (1 - ((x - 0.032) / 0.02) ** 2)
        taper = np.minimum((x - 0.009) / 0.01, (0.056 - x) / 0.03)
        brows = np.minimum(np.minimum(taper, 1) * 0.0036 - np.abs(z - arch), x - 0.009)
        self._brows = np.where(off_face | (y > -0.09), -1.0, brows).astype(np.float32)
        cheek = np.interp(y, [-0.15, -0.132, -0.065, -0.035], [-0.049, -0.053, -0.022, -0.004])
        throat = np.interp(y, [-0.15, -0.09, -0.035], [-0.116, -0.116, -0.07])
        beard = np.minimum(np.minimum(cheek - z, z - throat), -self._lips - 0.0005)
        beard = np.where(x < 0.008, np.minimum(beard, -0.0525 - z), beard)
        self._beard = np.where((y > -0.035) | (x > 0.1) | (z < -0.14), -1.0, np.minimum(beard, -0.03 - y))
        self._beard = self._beard.astype(np.float32)
        self._pieces = {name: cut(self._faces, field) for name, field in self._fields().items()}

    def _fields(self) -> dict[str, Field]:
        return {"lips": self._lips, "brows": self._brows, "beard": self._beard}

    def patch(self, name: str, lift_m: float, shape_m: NDArray[np.float32]) -> ClothMesh:
        """Return a patch ("lips", "brows" or "beard") on a shape (V, 3), rising by up to `lift_m` over the skin."""
        inside = np.clip(self._fields()[name] / 0.012, 0, 1)
        rise = 0.0004 + lift_m * np.sqrt(inside)
        piece = self._pieces[name]
        lifted = shape_m + vertex_normals(shape_m, self._faces) * rise[:, None]
        return ClothMesh(piece.sample(lifted), piece.faces, piece)
