# SPDX-License-Identifier: Apache-2.0
"""The body's surface as coordinates: vertices of the MPFB base mesh, and the part of the body each belongs to.

The base mesh is MakeHuman's HM08 with 19,158 vertices, numbered as in its `base.obj`: 0 to 13,379 are skin, the
others helpers that carry clothes, hair and eyes.  The layer `surface` holds 1 + a vertex of the skin, and 0 where
there is none: what is worn takes the skin's vertex that is nearest at rest.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.mpfb import BODY, find_data_dir, parse_base_mesh, parse_skin_weights
from synthkit_blender.people.skeleton import driven_bone

BODY_PARTS = (
    "head", "neck", "chest", "abdomen", "pelvis",
    "left_upper_arm", "left_forearm", "left_hand", "right_upper_arm", "right_forearm", "right_hand",
    "left_thigh", "left_shin", "left_foot", "right_thigh", "right_shin", "right_foot",
)  # fmt: skip
"""Names of the parts, in the order of their numbers from 0."""

_TRUNK = {
    "head": "head", "neck01": "neck", "neck02": "neck", "neck03": "neck", "spine01": "chest", "spine02": "chest",
    "spine03": "abdomen", "spine04": "abdomen", "spine05": "pelvis", "root": "pelvis",
}  # fmt: skip
_LIMBS = {
    "clavicle": "chest", "shoulder": "chest", "upperarm": "upper_arm", "lowerarm": "forearm", "wrist": "hand",
    "finger": "hand", "upperleg": "thigh", "lowerleg": "shin", "foot": "foot", "toes": "foot",
}  # fmt: skip
_AT_ONCE = 512  # helpers whose distances to all of the skin are held together


@functools.cache
def skin_vertices() -> NDArray[np.int32]:
    """Return (19158,) which vertex of the skin is nearest to each vertex of the base mesh at rest; read-only."""
    mesh = parse_base_mesh(find_data_dir())
    skin = mesh.group_vertices(BODY)
    nearest = np.arange(len(mesh.vertices_m), dtype=np.int32)
    points = mesh.vertices_m[skin].astype(np.float64)
    squares = (points**2).sum(axis=1)
    others = np.setdiff1d(nearest, skin)
    for start in range(0, len(others), _AT_ONCE):
        some = others[start : start + _AT_ONCE]
        nearest[some] = skin[np.argmin(squares - 2 * mesh.vertices_m[some] @ points.T, axis=1)]
    nearest.flags.writeable = False
    return nearest


@functools.cache
def body_parts() -> NDArray[np.uint8]:
    """Return (19158,) which of `BODY_PARTS` each vertex of the base mesh belongs to; read-only.

    A vertex belongs to the part whose bones hold most of its weight in the default rig (MPFB's
    `weights.default.json`, CC0).
    """
    weights = parse_skin_weights(find_data_dir())
    total = np.zeros((len(BODY_PARTS), len(skin_vertices())), np.float32)
    for bone, (index, weight) in weights.items():
        np.add.at(total[BODY_PARTS.index(_part_of(driven_bone(bone)))], index, weight)
    parts: NDArray[np.uint8] = total.argmax(axis=0).astype(np.uint8)
    parts.flags.writeable = False
    return parts


def _part_of(bone: str) -> str:
    stem, _, side = bone.partition(".")
    if not side:
        return _TRUNK[stem]
    part = next(part for prefix, part in _LIMBS.items() if stem.startswith(prefix))
    return part if part == "chest" else f"{'left' if side == 'l' else 'right'}_{part}"


def part_labels(surface: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Return a layer `surface` (H, W) as parts of the body: 0 where there is none, else 1 + the part's number."""
    labels: NDArray[np.uint8] = np.concatenate([np.zeros(1, np.uint8), 1 + body_parts()])[surface]
    return labels
