# SPDX-License-Identifier: Apache-2.0
"""Finishing cut cloth: hems folded in, collars turned down, faces refined, folds pressed in."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import Facets, Neighbours, Piece, Refinement, smoothed
from synthkit_blender.people.fields import BodyCoordinates, Field

COLLAR_FROM_M = 0.33
RIM_ROUNDS = 3
FOLD_WAVES = 7
FOLD_PERIOD_M = 0.085


@attrs.frozen(eq=False)
class ClothMesh:
    """A garment on a shape at rest, with the recipe by which it hangs on the base mesh."""

    vertices_m: NDArray[np.float32]
    faces: NDArray[np.int32]
    piece: Piece
    refinement: Refinement | None = None

    def sample(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate values (V, ...) of the base mesh's vertices at the garment's."""
        own = self.piece.sample(values)
        return own if self.refinement is None else self.refinement.sample(own)

    @property
    def base_vertices(self) -> NDArray[np.int32]:
        """The vertex of the base mesh (V,) that each of the garment's hangs on."""
        own = self.piece.nearest
        return own if self.refinement is None else self.refinement.spread(own)


def folded_rim(piece: Piece) -> tuple[Piece, NDArray[np.int64]]:
    """Add a strip that folds every rim inwards; returns the piece and the rim vertices the strip ends copy."""
    rim = np.unique(piece.rim).astype(np.int64)
    copy = np.full(len(piece.a), -1, np.int32)
    copy[rim] = len(piece.a) + np.arange(len(rim), dtype=np.int32)
    start, end = piece.rim[:, 0], piece.rim[:, 1]
    strip = np.stack([end, start, copy[start], copy[end]], axis=1)
    return extended(piece, rim, strip), rim


def extended(piece: Piece, copied: NDArray[np.int64], faces: NDArray[np.int32]) -> Piece:
    """Append copies of some vertices, and faces that may use them."""
    return Piece(
        np.concatenate([piece.a, piece.a[copied]]),
        np.concatenate([piece.b, piece.b[copied]]),
        np.concatenate([piece.share, piece.share[copied]]),
        np.concatenate([piece.faces, faces]).astype(np.int32),
        piece.rim,
    )


class Tailor:
    """Sews one cut piece to any shape."""

    def __init__(self, piece: Piece, coordinates: BodyCoordinates, collar_m: float) -> None:
        self._cut = piece
        self._piece, self._rim = folded_rim(piece)
        self._collar = np.empty(0, np.int64)
        self._collar_m = np.empty(0, np.float32)
        if collar_m > 0:
            self._add_collar(coordinates, collar_m)
        self._refinement = Refinement.of(self._piece.faces, len(self._piece.a))
        self._around = Neighbours.of(self._refinement.faces)
        self._bends = self._refinement.sample(self._piece.sample(bend_share(coordinates)))
        self._facets = Facets.of(self._refinement.faces, np.arange(len(self._bends)))
        place = np.stack([coordinates.x_m, coordinates.y_m, coordinates.z_m], axis=1)
        self._folds = fold_noise(self._refinement.sample(self._piece.sample(place)))
        self._free = self._loose_share()

    def _loose_share(self) -> Field:
        """Return 1 for vertices that may be smoothed, 0 on hems, in hem strips and in the collar."""
        count = len(self._cut.a)
        held = np.zeros(len(self._piece.a), np.float32)
        held[count:] = 1
        on_rim = np.zeros(len(self._piece.a), bool)
        on_rim[self._cut.rim] = True
        edges = self._refinement.edges
        rims = set(map(tuple, np.sort(self._cut.rim, axis=1).tolist()))
        along = np.array([tuple(edge) in rims for edge in edges.tolist()])
        fixed = (self._refinement.sample(held) > 0) | np.concatenate(
            [on_rim, along, np.zeros(len(self._refinement.coarse), bool)]
        )
        return np.where(fixed, 0.0, 1.0).astype(np.float32)

    def _even_rim(self, vertices_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Straighten a hem's small kinks, which the shell's coarse faces leave, along the hem."""
        at, compact = np.unique(self._cut.rim, return_inverse=True)
        rim = compact.reshape(-1, 2)
        start, end = np.concatenate([rim, rim[:, ::-1]]).T
        between = (np.bincount(start) == 2)[:, None]
        hem = vertices_m[at]
        for _ in range(RIM_ROUNDS):
            beside = np.stack([np.bincount(start, column[end]) for column in hem.T], axis=1)
            hem = np.where(between, 0.5 * hem + 0.25 * beside, hem)
        result = vertices_m.copy()
        result[at] = hem
        return result

    def _add_collar(self, at: BodyCoordinates, collar_m: float) -> None:
        """Append two strips over the rim round the neck: up, and turned down outside."""
        piece = self._cut
        height, off = piece.sample(at.z_m), piece.sample(at.x_m)
        near = (height > COLLAR_FROM_M) & (off < 0.13) & (piece.sample(at.on_arm) < 0.5)
        rim = piece.rim[near[piece.rim].all(axis=1)]
        self._collar = np.unique(rim).astype(np.int64)
        self._collar_m = (collar_m * np.clip((height[self._collar] - COLLAR_FROM_M) / 0.07, 0.05, 1)).astype(np.float32)
        count, base = len(self._collar), len(self._piece.a)
        index = np.full(len(piece.a), -1, np.int64)
        index[self._collar] = np.arange(count)
        start, end = index[rim[:, 0]] + base, index[rim[:, 1]] + base
        up = np.stack([rim[:, 1], rim[:, 0], start, end], axis=1)
        down = np.stack([end, start, start + count, end + count], axis=1)
        copied = np.concatenate([self._collar, self._collar])
        self._piece = extended(self._piece, copied, np.concatenate([up, down]).astype(np.int32))

    def sew(self, outer_m: NDArray[np.float32], inner_m: NDArray[np.float32], folds_m: float) -> ClothMesh:
        """Sew the piece to the shell's offset surface (V, 3), hems ending on `inner_m`."""
        cloth = self._even_rim(self._cut.sample(outer_m))
        rows = [cloth, self._even_rim(self._cut.sample(inner_m))[self._rim]]
        if len(self._collar):
            rows += self._collar_rows(cloth[self._collar])
        refined = self._refinement.sample(np.concatenate(rows).astype(np.float32))
        refined = smoothed(refined, self._around, 0.5 * self._free)
        depth = folds_m * self._bends * self._free * self._folds
        refined = refined + self._facets.normals(refined) * depth[:, None]
        return ClothMesh(refined.astype(np.float32), self._refinement.faces, self._piece, self._refinement)

    def _collar_rows(self, rim_m: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        outward = rim_m - rim_m.mean(axis=0)
        outward[:, 2] = 0
        outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
        tall = self._collar_m[:, None]
        top = rim_m + tall * ([0, 0, 0.85] - 0.1 * outward)
        return [top, rim_m + tall * ([0, 0, -0.12] + 0.75 * outward) + [0, 0, 0.006]]


def bend_share(at: BodyCoordinates) -> Field:
    """Return how much cloth folds at each vertex: most at elbows, waist, knees and hems, least on the chest."""
    upper, fore = at.arm_m
    elbow = np.exp(-(((at.along_arm_m - upper) / 0.09) ** 2))
    sleeve = 0.45 + 0.75 * elbow + 0.3 * (at.along_arm_m > upper + 0.6 * fore)
    waist = 0.35 + 0.65 * np.exp(-(((at.z_m - 0.1) / 0.09) ** 2))
    leg = 0.4 + 0.7 * np.exp(-(((at.along_leg - 1) / 0.25) ** 2)) + 0.6 * np.clip(at.along_leg - 1.4, 0, 0.5)
    return np.where(at.on_arm > 0.5, sleeve, np.where(at.z_m > 0, waist, leg)).astype(np.float32)


def fold_noise(points_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ridged noise (N,) in about -0.6..1: creases that run across the limbs, as a sum of bent waves."""
    total = np.zeros(len(points_m))
    for number in range(FOLD_WAVES):
        heading = 2.399963 * number
        tilt = 0.35 + 0.5 * ((number * 0.618034) % 1.0)
        wave = np.array([np.cos(heading) * (1 - tilt), np.sin(heading) * (1 - tilt), tilt])
        scale = 2 * np.pi / (FOLD_PERIOD_M * (0.6 + 0.13 * number))
        bent = 1.7 * np.sin(points_m @ np.roll(wave, 1) * scale * 0.45 + number)
        total += np.cos(points_m @ wave * scale + 1.3 * number + bent)
    ridged = 1 - np.abs(total) / (0.55 * FOLD_WAVES)
    return np.asarray(np.clip(ridged, -0.6, 1.0), np.float32)
