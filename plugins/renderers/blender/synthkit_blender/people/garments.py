# SPDX-License-Identifier: Apache-2.0
"""Clothes: pieces of the helper shells, set off from the body, with hems folded in."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import fields
from synthkit_blender.people.cutting import Facets, Neighbours, Piece, cut, smoothed
from synthkit_blender.people.fields import BodyCoordinates, Field
from synthkit_blender.people.mpfb import SKIRT, TIGHTS, BaseMesh
from synthkit_blender.people.tailoring import ClothMesh, Tailor
from synthkit_blender.people.types import GarmentSpec

WAIST_M = 0.135
SHIRT_HEM_M = 0.045
BOTTOM_KINDS = ("trousers", "shorts", "leggings")
SKIRT_KINDS = ("skirt", "long_skirt")


@attrs.frozen
class Cut:
    """How a kind of garment is cut: its shell, its field, how it loosens and how much it is smoothed.

    `flare_m` is added to the ease towards the lower hem and `sleeve_flare_m` towards the cuffs; `collar_m` is
    the height of a turned-down collar, `folds_m` the depth of folds.
    """

    shell: str
    field: Callable[[BodyCoordinates], Field]
    flare_m: float = 0.0
    sleeve_flare_m: float = 0.0
    smoothing: int = 2
    collar_m: float = 0.0
    folds_m: float = 0.0055


def _top(sleeve: float | None, hem_m: float, neck_m: float, vee_m: float = 0.0) -> Callable[[BodyCoordinates], Field]:
    def field(at: BodyCoordinates) -> Field:
        arms = fields.sleeveless(at) if sleeve is None else fields.within_sleeves(at, sleeve)
        return np.minimum(np.minimum(arms, fields.above(at, hem_m)), fields.below_neck(at, neck_m, vee_m))

    return field


def _legs(along: float, waist_m: float = WAIST_M) -> Callable[[BodyCoordinates], Field]:
    return lambda at: np.minimum(fields.below(at, waist_m), fields.above(at, at.leg_height(along)))


def _open_front(hem_m: float, top_m: float, bottom_m: float) -> Callable[[BodyCoordinates], Field]:
    closed = _top(1.99, hem_m, 0.004)
    return lambda at: np.minimum(closed(at), fields.beside_opening(at, top_m, bottom_m))


CUTS: dict[str, Cut] = {
    "trousers": Cut(TIGHTS, _legs(1.95), flare_m=0.02),
    "leggings": Cut(TIGHTS, _legs(1.9), folds_m=0.0),
    "shorts": Cut(TIGHTS, _legs(0.82), flare_m=0.02),
    "skirt": Cut(SKIRT, _legs(0.95, 0.15)),
    "long_skirt": Cut(SKIRT, _legs(1.5, 0.15)),
    "tshirt": Cut(TIGHTS, _top(0.55, SHIRT_HEM_M, 0.006), 0.008, 0.012, 4),
    "longsleeve": Cut(TIGHTS, _top(1.93, SHIRT_HEM_M, 0.004), 0.004, 0.004, 4),
    "sweater": Cut(TIGHTS, _top(1.96, SHIRT_HEM_M, 0.0), 0.001, 0.003, 6),
    "shirt": Cut(TIGHTS, _top(1.95, SHIRT_HEM_M - 0.01, -0.004, 0.05), 0.01, 0.008, 4, 0.03),
    "rolled_shirt": Cut(TIGHTS, _top(1.25, SHIRT_HEM_M - 0.01, -0.004, 0.06), 0.01, 0.012, 4, 0.03),
    "blouse": Cut(TIGHTS, _top(1.6, SHIRT_HEM_M + 0.02, 0.016, 0.09), 0.014, 0.012, 3),
    "vest": Cut(TIGHTS, _top(None, SHIRT_HEM_M + 0.01, 0.02), 0.008, 0.0, 3),
    "dress_top": Cut(TIGHTS, _top(0.5, 0.1, 0.016, 0.05), 0.0, 0.01, 3),
    "jacket": Cut(TIGHTS, _open_front(0.0, 0.075, 0.05), 0.012, 0.012, 6, 0.036),
    "cardigan": Cut(TIGHTS, _open_front(0.015, 0.06, 0.07), 0.012, 0.012, 6),
}


class Undersuit:
    """The shells on one shape (V, 3) at rest, smoothed by as many rounds as garments ask for, each round done once."""

    def __init__(
        self, shape_m: NDArray[np.float32], facets: dict[str, Facets], around: dict[str, Neighbours], strength: Field
    ) -> None:  # fmt: skip
        self._facets, self._around, self._strength = facets, around, strength
        self._rounds = {shell: [shape_m] for shell in around}
        self._normals: dict[tuple[str, int], NDArray[np.float32]] = {}

    def surface(self, shell: str, rounds: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return vertices and normals (V, 3) of a shell."""
        done = self._rounds[shell]
        while len(done) <= rounds:
            done.append(smoothed(done[-1], self._around[shell], self._strength))
        if (shell, rounds) not in self._normals:
            self._normals[shell, rounds] = self._facets[shell].normals(done[rounds])
        return done[rounds], self._normals[shell, rounds]


class Wardrobe:
    """Cuts garments out of the shells once and fits them to shapes."""

    def __init__(self, mesh: BaseMesh, coordinates: BodyCoordinates) -> None:
        self._mesh = mesh
        self._at = coordinates
        self._pieces: dict[str, Piece] = {}
        self._tailors: dict[tuple[str, float], Tailor] = {}
        everywhere = np.arange(len(mesh.vertices_m))
        self._facets = {shell: Facets.of(mesh.faces[shell], everywhere) for shell in (TIGHTS, SKIRT)}
        self._around = {shell: Neighbours.of(mesh.faces[shell]) for shell in (TIGHTS, SKIRT)}
        self._strength = np.where(coordinates.on_arm > 0.5, 0.15, 0.5).astype(np.float32)

    def covers(self, kind: str) -> Field:
        """Return the garment's field (V,) on the whole base mesh."""
        return CUTS[kind].field(self._at)

    def piece(self, kind: str) -> Piece:
        """Return the cut piece of a kind of garment."""
        if kind not in self._pieces:
            shell = CUTS[kind].shell
            self._pieces[kind] = cut(self._mesh.faces[shell], self.covers(kind))
        return self._pieces[kind]

    def undersuit(self, shape_m: NDArray[np.float32]) -> Undersuit:
        """Return what the garments of one shape (V, 3) at rest are fitted over."""
        return Undersuit(shape_m, self._facets, self._around, self._strength)

    def fit(self, garment: GarmentSpec, under: Undersuit, outermost: bool = True) -> ClothMesh:
        """Fit a garment; under another garment a collar is left out."""
        style = CUTS[garment.kind]
        ease = self._ease(garment, style)
        soft, normals = under.surface(style.shell, style.smoothing)
        outer = soft + normals * ease[:, None]
        inner = soft + normals * np.minimum(ease, 0.002)[:, None]
        return self._tailor(garment.kind, style.collar_m if outermost else 0.0).sew(outer, inner, style.folds_m)

    def _tailor(self, kind: str, collar_m: float) -> Tailor:
        if (kind, collar_m) not in self._tailors:
            self._tailors[kind, collar_m] = Tailor(self.piece(kind), self._at, collar_m)
        return self._tailors[kind, collar_m]

    def _ease(self, garment: GarmentSpec, style: Cut) -> Field:
        """Return how far the cloth stands off each vertex; on the shoulders it lies close."""
        at = self._at
        if garment.kind in BOTTOM_KINDS:
            down = np.clip(at.along_leg / 1.9, 0, 1)
            return np.asarray(garment.ease_m + style.flare_m * down, np.float32)
        down = np.clip((0.25 - at.z_m) / 0.25, 0, 1.2)
        flare = np.where(at.on_arm > 0.5, 0.0, style.flare_m * down)
        along = np.clip((at.along_arm_m - 0.05) / 0.15, 0, 1)
        cuff = np.where(at.on_arm > 0.5, style.sleeve_flare_m * along, 0.0)
        close = np.clip((at.z_m - 0.34) / 0.12, 0, 1) * (1 - along * (at.on_arm > 0.5))
        return np.asarray(garment.ease_m * (1 - 0.45 * close) + flare + cuff, np.float32)
