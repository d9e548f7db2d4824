# SPDX-License-Identifier: Apache-2.0
"""What clothes hide of the body, also where their file does not say, and which of their parts are the lower ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import rim_edges, vertex_normals
from synthkit_blender.people.mpfb import BODY, BaseMesh
from synthkit_blender.people.types import FloatArray, IntArray

REACH_M = 0.03
SUNK_M = 0.004
CHUNK = 512
LOWER_M = 0.02  # above the hip joints: a part whose middle is lower counts as worn on the legs


def covered_vertices(mesh: BaseMesh, cloth_m: FloatArray, faces: IntArray) -> NDArray[np.bool_]:
    """Return (V,) which vertices of the body are under a cloth (N, 3) on it, but for those near its rims.

    A vertex is under the cloth when the nearest cloth is close, outside, and no rim.
    """
    body = mesh.group_vertices(BODY)
    normals = vertex_normals(mesh.vertices_m, mesh.faces[BODY])
    on_rim = np.zeros(len(cloth_m), bool)
    on_rim[rim_edges(faces)] = True
    hidden = np.zeros(len(mesh.vertices_m), bool)
    for start in range(0, len(body), CHUNK):
        part = body[start : start + CHUNK]
        points = mesh.vertices_m[part]
        squares = (points**2).sum(1)[:, None] - 2 * points @ cloth_m.T + (cloth_m**2).sum(1)
        nearest = squares.argmin(axis=1)
        gap = cloth_m[nearest] - points
        outside = (gap * normals[part]).sum(axis=1) > -SUNK_M
        hidden[part] = outside & (np.linalg.norm(gap, axis=1) < REACH_M) & ~on_rim[nearest]
    return hidden


def lower_faces(faces: IntArray, z_m: FloatArray) -> NDArray[np.bool_]:
    """Return which faces (F, 4) belong to a part worn on the legs, by the middle of each part that hangs together.

    `z_m` (N,) are heights above the hip joints.
    """
    part = np.arange(len(z_m))
    while True:
        low = part[faces].min(axis=1)
        merged = part.copy()
        np.minimum.at(merged, faces.ravel(), np.repeat(low, 4))
        merged = merged[merged]
        if (merged == part).all():
            break
        part = merged
    height = np.bincount(part, z_m, len(z_m)) / np.maximum(np.bincount(part, minlength=len(z_m)), 1)
    return np.asarray(height[part][faces[:, 0]] < LOWER_M)
