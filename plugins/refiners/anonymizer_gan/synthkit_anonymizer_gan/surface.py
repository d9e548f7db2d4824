# SPDX-License-Identifier: Apache-2.0
"""The body's surface as numbers that a network can use: an embedding for each place of it.

Thesis 002 takes the table of Continuous Surface Embeddings, 16 numbers for each vertex of SMPL. Rendered people have
vertices of MPFB's base mesh instead, and an embedding is computed from its geometry: the first eigenfunctions of the
Laplace-Beltrami operator after the constant one, which vary smoothly over the body, coarsest first (Lévy 2006; Neverova
et al. 2020 describe the functions on a mesh that CSE learns by them too). Key points tell less of a body (section
7.2.4): each of them is a place as well, with a channel of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthkit.dataset.formats import coco_points
from synthkit.dataset.formats.fdh_embedding import load_embed_map
from synthkit.errors import DatasetError
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.surfaces import MPFB, SMPL, SurfaceSpace, checked

Kind = Literal["mpfb", "smpl", "keypoints", "none"]
Table = npt.NDArray[np.float32]
Places = npt.NDArray[np.uint16]

CHANNELS = 16
KEYPOINTS = coco_points.NAMES

_SPACES: Mapping[Kind, SurfaceSpace | None] = {"mpfb": MPFB, "smpl": SMPL, "keypoints": None, "none": None}
_SHIFT = -1e-2  # away from the operator's zero, so that it can be inverted


def channels_of(kind: Kind) -> int:
    """Return how many numbers describe a place."""
    return {"none": 0, "keypoints": len(KEYPOINTS)}.get(kind, CHANNELS)


def places_of(kind: Kind) -> int:
    """Return how many places there are."""
    if kind == "keypoints":
        return len(KEYPOINTS)
    space = _SPACES[kind]
    return 0 if space is None else space.vertices


def table_of(kind: Kind, file: Path | None) -> Table:
    """Return the embedding (1 + places, channels): row 0 is nowhere and zeros, row 1 + v is that of vertex v.

    Raises:
        DatasetError: when the file is no ``embed_map.torch``.
    """
    if kind == "none":
        return np.zeros((1, 0), np.float32)
    if kind == "keypoints":  # mean square 1 where a point is, as of the mesh's functions
        count = len(KEYPOINTS)
        return np.asarray(np.concatenate([np.zeros((1, count)), np.sqrt(count) * np.eye(count)]), np.float32)
    if kind == "smpl":
        assert file is not None
        rows = load_embed_map(file)
    else:
        rows = mesh_embedding()
    return np.concatenate([np.zeros((1, CHANNELS), np.float32), rows])


def places(sample: Sample, kind: Kind) -> Places | None:
    """Return which row of the table each pixel shows, (H, W) uint16, None where no layer of a sample says so.

    Raises:
        DatasetError: when its layer is no map of that mesh.
    """
    space = _SPACES[kind]
    if space is None or space.layer not in sample.layers:
        return None
    try:
        return checked(sample.layers[space.layer], space).astype(np.uint16)
    except DatasetError as error:
        raise DatasetError(f"sample {sample.key}: {error}") from None


def layer_of(kind: Kind) -> str | None:
    """Return which layer says where people's surface is."""
    space = _SPACES[kind]
    return None if space is None else space.layer


def mirror_of(kind: Kind) -> npt.NDArray[np.int64]:
    """Return for each row of the table which one it is when left and right are swapped.

    Of SMPL no geometry is at hand: there a row stays what it is.
    """
    if kind == "keypoints":
        swapped = [name.replace("left", "*").replace("right", "left").replace("*", "right") for name in KEYPOINTS]
        return np.array([0, *(1 + KEYPOINTS.index(name) for name in swapped)], np.int64)
    if kind != "mpfb":
        return np.arange(1 + places_of(kind))
    return np.concatenate([np.zeros(1, np.int64), 1 + _mirrored_vertices()])


@functools.cache
def mesh_embedding() -> Table:
    """Return the embedding of the base mesh, (19158, 16) float32; helpers have that of the nearest skin."""
    from synthkit_blender.people.mpfb import BODY, find_data_dir, parse_base_mesh
    from synthkit_blender.people.surface import skin_vertices

    mesh = parse_base_mesh(find_data_dir())
    skin = mesh.group_vertices(BODY)
    place = np.zeros(len(mesh.vertices_m), np.int64)
    place[skin] = np.arange(len(skin))
    functions = eigenfunctions(mesh.vertices_m[skin].astype(np.float64), place[mesh.faces[BODY]], CHANNELS)
    return np.asarray(functions[place[skin_vertices()]], dtype=np.float32)


def eigenfunctions(
    vertices: npt.NDArray[np.float64], quads: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float64]:
    """Return the first eigenfunctions of a closed surface's Laplace-Beltrami operator but the constant, (V, count).

    The operator is the one of the cotangents (Pinkall and Polthier 1993), with a third of each triangle's area at its
    corners; both ways to halve a quadrilateral count half. Functions have mean square 1 over the surface.

    Args:
        vertices: (V, 3), all of them of the surface. quads: (F, 4) of their numbers.
    """
    from scipy import sparse
    from scipy.sparse.linalg import eigsh

    triangles = np.concatenate([quads[:, corners] for corners in ([0, 1, 2], [0, 2, 3], [1, 2, 3], [1, 3, 0])])
    rows, columns, values = [], [], []
    areas = np.zeros(len(vertices))
    for first in range(3):
        a, b, c = (triangles[:, (first + n) % 3] for n in range(3))
        to_b, to_c = vertices[b] - vertices[a], vertices[c] - vertices[a]
        across = np.linalg.norm(np.cross(to_b, to_c), axis=1)
        cotangent = (to_b * to_c).sum(axis=1) / np.maximum(across, 1e-12)
        rows += [b, c]
        columns += [c, b]
        values += [cotangent / 4, cotangent / 4]  # half of the cotangent, of a triangle that counts half
        areas += np.bincount(a, across / 2 / 3 / 2, len(vertices))
    size = (len(vertices), len(vertices))
    weights = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=size
    ).tocsr()
    stiffness = sparse.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights
    start = Seeds(0).child("eigenfunctions").stream("start").standard_normal(len(vertices))
    values, functions = eigsh(
        stiffness.tocsc(), k=count + 1, M=sparse.diags(areas).tocsc(), sigma=_SHIFT, which="LM", v0=start
    )
    functions = functions[:, np.argsort(values)[1:]]
    # An eigenfunction's sign is arbitrary; of one that is odd from left to right none is natural either.
    return np.asarray(functions * np.where(start @ functions < 0, -1, 1) * np.sqrt(areas.sum()))


@functools.cache
def _mirrored_vertices() -> npt.NDArray[np.int64]:
    """Return for each vertex of the base mesh the one that is nearest to its mirror image at rest."""
    from scipy.spatial import cKDTree

    from synthkit_blender.people.mpfb import BODY, find_data_dir, parse_base_mesh
    from synthkit_blender.people.surface import skin_vertices

    mesh = parse_base_mesh(find_data_dir())
    skin = mesh.group_vertices(BODY)
    points = mesh.vertices_m[skin_vertices()].astype(np.float64)
    _, nearest = cKDTree(points[skin]).query(points * (-1, 1, 1))
    return np.asarray(skin[nearest], dtype=np.int64)
