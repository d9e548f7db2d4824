# SPDX-License-Identifier: Apache-2.0
"""Clothes: pieces of the helper shells, set off from the body, with hems folded in."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import fields
from synthkit_blender.people.cutting import Piece, cut, smoothed, vertex_normals
from synthkit_blender.people.fields import BodyCoordinates, Field
from synthkit_blender.people.mpfb import SKIRT, TIGHTS, BaseMesh
from synthkit_blender.people.types import GarmentSpec

WAIST_M = 0.135
SHIRT_HEM_M = 0.0
BOTTOM_KINDS = ("trousers", "shorts", "leggings")
SKIRT_KINDS = ("skirt", "long_skirt")
TOP_KINDS = ("tshirt", "longsleeve", "sweater", "shirt", "rolled_shirt", "vest", "blouse")
OUTER_KINDS = ("jacket", "cardigan")


@attrs.frozen
class Cut:
    """How a kind of garment is cut: its shell, its field, how it loosens and how much it is smoothed.

    `flare_m` is added to the ease towards the lower hem and `sleeve_flare_m` towards the cuffs.
    """

    shell: str
    field: Callable[[BodyCoordinates], Field]
    flare_m: float = 0.0
    sleeve_flare_m: float = 0.0
    smoothing: int = 2


def _top(
    sleeve: float | None, hem_m: float, neck_m: float, vee_m: float = 0.0
) -> Callable[[BodyCoordinates], Field]:
    def field(at: BodyCoordinates) -> Field:
        arms = fields.sleeveless(at) if sleeve is None else fields.within_sleeves(at, sleeve)
        return np.minimum(np.minimum(arms, fields.above(at, hem_m)), fields.below_neck(at, neck_m, vee_m))

    return field


def _legs(along: float, waist_m: float = WAIST_M) -> Callable[[BodyCoordinates], Field]:
    return lambda at: np.minimum(fields.below(at, waist_m), fields.above(at, at.leg_height(along)))


def _open_front(hem_m: float, top_m: float, bottom_m: float) -> Callable[[BodyCoordinates], Field]:
    closed = _top(1.93, hem_m, 0.004)
    return lambda at: np.minimum(closed(at), fields.beside_opening(at, top_m, bottom_m))


CUTS: dict[str, Cut] = {
    "trousers": Cut(TIGHTS, _legs(1.93), flare_m=0.016),
    "leggings": Cut(TIGHTS, _legs(1.9)),
    "shorts": Cut(TIGHTS, _legs(0.82), flare_m=0.02),
    "skirt": Cut(SKIRT, _legs(0.95, 0.15)),
    "long_skirt": Cut(SKIRT, _legs(1.5, 0.15)),
    "tshirt": Cut(TIGHTS, _top(0.55, SHIRT_HEM_M, 0.006), 0.012, 0.014, 4),
    "longsleeve": Cut(TIGHTS, _top(1.93, SHIRT_HEM_M, 0.004), 0.008, 0.006, 4),
    "sweater": Cut(TIGHTS, _top(1.96, SHIRT_HEM_M, 0.0), 0.004, 0.006, 6),
    "shirt": Cut(TIGHTS, _top(1.95, SHIRT_HEM_M - 0.02, -0.008, 0.07), 0.01, 0.008, 4),
    "rolled_shirt": Cut(TIGHTS, _top(1.25, SHIRT_HEM_M - 0.02, -0.008, 0.08), 0.01, 0.012, 4),
    "blouse": Cut(TIGHTS, _top(1.6, SHIRT_HEM_M + 0.02, 0.016, 0.09), 0.014, 0.012, 3),
    "vest": Cut(TIGHTS, _top(None, SHIRT_HEM_M + 0.01, 0.02), 0.008, 0.0, 3),
    "dress_top": Cut(TIGHTS, _top(0.5, 0.1, 0.016, 0.05), 0.0, 0.01, 3),
    "jacket": Cut(TIGHTS, _open_front(-0.04, 0.075, 0.05), 0.012, 0.006, 6),
    "cardigan": Cut(TIGHTS, _open_front(-0.02, 0.06, 0.07), 0.012, 0.004, 6),
}


@attrs.frozen(eq=False)
class ClothMesh:
    """A garment on a shape at rest, still as recipes: vertices to be skinned with the given source vertices."""

    vertices_m: NDArray[np.float32]
    faces: NDArray[np.int32]
    piece: Piece


class Wardrobe:
    """Cuts garments out of the shells once and fits them to shapes."""

    def __init__(self, mesh: BaseMesh, coordinates: BodyCoordinates) -> None:
        self._mesh = mesh
        self._at = coordinates
        self._pieces: dict[str, Piece] = {}

    def covers(self, kind: str) -> Field:
        """Return the garment's field (V,) on the whole base mesh."""
        return CUTS[kind].field(self._at)

    def piece(self, kind: str) -> Piece:
        """Return the cut piece of a kind of garment."""
        if kind not in self._pieces:
            shell = CUTS[kind].shell
            self._pieces[kind] = cut(self._mesh.faces[shell], self.covers(kind))
        return self._pieces[kind]

    def fit(self, garment: GarmentSpec, shape_m: NDArray[np.float32]) -> ClothMesh:
        """Fit a garment to a shape (V, 3) at rest; the result is to be skinned like the shell."""
        style = CUTS[garment.kind]
        shell_faces = self._mesh.faces[style.shell]
        ease = self._ease(garment, style)
        strength = np.full(len(shape_m), 0.5, np.float32)
        strength[self._at.on_arm > 0.5] = 0.15
        soft = smoothed(shape_m, shell_faces, style.smoothing, strength)
        normals = vertex_normals(soft, shell_faces)
        outer = soft + normals * ease[:, None]
        inner = soft + normals * np.minimum(ease, 0.002)[:, None]
        piece = self.piece(garment.kind)
        return fold_rim(piece, piece.sample(outer), piece.sample(inner))

    def _ease(self, garment: GarmentSpec, style: Cut) -> Field:
        at = self._at
        if garment.kind in BOTTOM_KINDS:
            down = np.clip(at.along_leg / 1.9, 0, 1)
        else:
            down = np.clip((0.25 - at.z_m) / 0.25, 0, 1.2)
        flare = np.where(at.on_arm > 0.5, 0.0, style.flare_m * down)
        cuff = np.where(at.on_arm > 0.5, style.sleeve_flare_m * np.clip(at.along_arm_m / 0.15, 0, 1), 0.0)
        return np.asarray(garment.ease_m + flare + cuff, np.float32)


def fold_rim(piece: Piece, outer_m: NDArray[np.float32], inner_m: NDArray[np.float32]) -> ClothMesh:
    """Close the gap between a hem and the body by a strip from the rim to its place on the body."""
    rim = np.unique(piece.rim)
    copy = np.full(len(piece.a), -1, np.int32)
    copy[rim] = len(piece.a) + np.arange(len(rim), dtype=np.int32)
    start, end = piece.rim[:, 0], piece.rim[:, 1]
    strip = np.stack([end, start, copy[start], copy[end]], axis=1)
    folded = Piece(
        np.concatenate([piece.a, piece.a[rim]]),
        np.concatenate([piece.b, piece.b[rim]]),
        np.concatenate([piece.share, piece.share[rim]]),
        np.concatenate([piece.faces, strip]).astype(np.int32),
        piece.rim,
    )
    return ClothMesh(np.concatenate([outer_m, inner_m[rim]]), folded.faces, folded)
