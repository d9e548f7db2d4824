# SPDX-License-Identifier: Apache-2.0
"""The body's surface in patches of about one size, none of which reaches from one part of the body into another."""

from __future__ import annotations

import functools

import attrs
import numpy as np
import numpy.typing as npt

from synthkit_blender.people.mpfb import BODY, find_data_dir, parse_base_mesh
from synthkit_blender.people.surface import BODY_PARTS, body_parts, skin_vertices

REVISION = 1
"""Raised when the same number of patches divides the surface otherwise."""

GROUPS = ("head", "trunk", "arms", "legs")
"""Where results are told by themselves."""

_GROUP_OF = {
    "head": "head", "neck": "head", "chest": "trunk", "abdomen": "trunk", "pelvis": "trunk",
    "upper_arm": "arms", "forearm": "arms", "hand": "arms", "thigh": "legs", "shin": "legs", "foot": "legs",
}  # fmt: skip

Points = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@attrs.frozen(eq=False)
class Patches:
    """A division of the base mesh.

    Args:
        of_vertex: (V,) the patch of each vertex of the base mesh, skin and helpers. count: how many there are.
        group: (count,) which of ``GROUPS`` each is of.
        vertices_m: (V, 3) at rest, z up, facing -y. faces: (F, 4) of the skin.
    """

    of_vertex: Numbers
    count: int
    group: Numbers
    vertices_m: Points
    faces: Numbers


@functools.cache
def divide(wanted: int) -> Patches:
    """Return the surface in about ``wanted`` patches, at least one of each part of the body; always the same."""
    mesh = parse_base_mesh(find_data_dir())
    points, faces = mesh.vertices_m.astype(np.float64), mesh.faces[BODY].astype(np.int64)
    areas = _vertex_areas_m2(points, faces)
    skin = mesh.group_vertices(BODY)
    parts = body_parts()
    of_skin = np.zeros(len(points), np.int64)
    groups: list[int] = []
    for number, name in enumerate(BODY_PARTS):
        members = skin[parts[skin] == number]
        share = areas[members].sum() / areas[skin].sum()
        centres = _spread(points[members], max(1, round(share * wanted)))
        of_skin[members] = len(groups) + _nearest(points[members], centres)
        group = GROUPS.index(_GROUP_OF[name.removeprefix("left_").removeprefix("right_")])
        groups += [group] * len(centres)
    return Patches(of_skin[skin_vertices()], len(groups), np.array(groups), points, faces)


def _spread(points: Points, count: int) -> Points:
    """Return ``count`` of the points that are far from each other (Gonzalez 1985), moved to the middle of their own."""
    chosen = [int(np.argmax(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    squares = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(squares.argmax()))
        squares = np.minimum(squares, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    owner = _nearest(points, points[chosen])
    return np.stack([points[owner == n].mean(axis=0) for n in range(len(chosen))])


def _nearest(points: Points, centres: Points) -> Numbers:
    squares = (centres**2).sum(axis=1) - 2 * points @ centres.T
    return np.asarray(squares.argmin(axis=1))


def _vertex_areas_m2(points: Points, faces: Numbers) -> npt.NDArray[np.float64]:
    """Return a quarter of the area of the faces around each vertex."""
    across, along = points[faces[:, 2]] - points[faces[:, 0]], points[faces[:, 3]] - points[faces[:, 1]]
    areas = np.linalg.norm(np.cross(across, along), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(areas / 4, 4), len(points)).astype(np.float64)
