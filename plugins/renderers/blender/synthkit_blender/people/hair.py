# SPDX-License-Identifier: Apache-2.0
"""Hair: the scalp lifted off the head within a hairline, and for long hair the hair shell cut to length."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.cutting import Piece, cut, smoothed, vertex_normals
from synthkit_blender.people.fields import Field
from synthkit_blender.people.garments import ClothMesh
from synthkit_blender.people.mpfb import BODY, EYES, HAIR, BaseMesh
from synthkit_blender.people.skeleton import Skin

# Elevation of the hairline over the head's centre, in degrees, by azimuth from the front.
_AZIMUTHS = (0.0, 25.0, 50.0, 68.0, 80.0, 95.0, 110.0, 135.0, 180.0)
_HAIRLINE = (35.0, 33.0, 24.0, 6.0, -8.0, 4.0, -14.0, -33.0, -42.0)
_RECEDED = (62.0, 58.0, 30.0, 10.0, -4.0, 4.0, -14.0, -33.0, -42.0)


@attrs.frozen
class HairCut:
    """A style: thickness on top and at the sides in metres, the hairline, and a length of loose hair below it.

    `length_m` is how far loose hair reaches below the eyes; None for none.
    """

    top_m: float
    side_m: float
    hairline: tuple[float, ...] = _HAIRLINE
    length_m: float | None = None
    bun_m: float = 0.0


HAIR_CUTS: dict[str, HairCut] = {
    "cropped": HairCut(0.007, 0.004),
    "short": HairCut(0.02, 0.009),
    "full": HairCut(0.032, 0.02),
    "receding": HairCut(0.012, 0.007, _RECEDED),
    "bun": HairCut(0.013, 0.01, bun_m=0.036),
    "bob": HairCut(0.024, 0.018, length_m=0.13),
    "long": HairCut(0.02, 0.016, length_m=0.3),
}
BALD = "bald"


class Barber:
    """Makes hair for a shape."""

    def __init__(self, mesh: BaseMesh, skin: Skin) -> None:
        self._mesh = mesh
        self._faces = mesh.faces[BODY]
        eyes = mesh.vertices_m[mesh.faces[EYES[0]]]
        self._eye_z = float(eyes[..., 2].mean())
        points = mesh.vertices_m - np.array([0.0, -0.035, self._eye_z + 0.03], np.float32)
        flat = np.hypot(points[:, 0], points[:, 1])
        self._azimuth = np.degrees(np.arctan2(np.abs(points[:, 0]), -points[:, 1]))
        self._elevation = np.degrees(np.arctan2(points[:, 2], flat))
        self._radius = np.linalg.norm(points, axis=1)
        self._on_head = skin.dense("head", "neck03", "neck02") > 0.5
        self._pieces: dict[tuple[float, ...], Piece] = {}

    def covers(self, cut_name: str) -> Field:
        """Return degrees above the hairline (V,), negative outside and on the ears."""
        line = np.interp(self._azimuth, _AZIMUTHS, HAIR_CUTS[cut_name].hairline)
        field = self._elevation - line
        field[~self._on_head | (self._radius > 0.2)] = -20.0
        return np.asarray(field, np.float32)

    def make(self, style: str, shape_m: NDArray[np.float32]) -> list[tuple[str, ClothMesh]]:
        """Return the named meshes of a hair style on a shape (V, 3) at rest."""
        if style == BALD:
            return []
        return [("hair", self.cap(style, shape_m))]

    def cap(self, style: str, shape_m: NDArray[np.float32]) -> ClothMesh:
        """Return the hair on the skull of a shape (V, 3) at rest."""
        haircut = HAIR_CUTS[style]
        field = self.covers(style)
        if haircut.hairline not in self._pieces:
            self._pieces[haircut.hairline] = cut(self._faces, field)
        piece = self._pieces[haircut.hairline]
        over = np.clip((self._elevation + 10.0) / 60.0, 0, 1)
        thickness = haircut.side_m + (haircut.top_m - haircut.side_m) * over
        rise = np.sqrt(np.clip(field / 14.0, 0.02, 1))
        soft = smoothed(shape_m, self._faces, 3, np.where(field > 4, 0.5, 0.0).astype(np.float32))
        normals = vertex_normals(soft, self._faces)
        outer = soft + normals * (thickness * rise)[:, None].astype(np.float32)
        return ClothMesh(piece.sample(outer), piece.faces, piece)
