# SPDX-License-Identifier: Apache-2.0
"""Clothes and shoes on a body: how far they stand off it, what they hide of it, and their meshes."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people import mpfb
from synthkit_blender.people.assets.dressing import Dresser
from synthkit_blender.people.bodies import PosedBody
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.garments import BOTTOM_KINDS, SKIRT_KINDS, Wardrobe
from synthkit_blender.people.goals import PoseGoals
from synthkit_blender.people.materials import cloth_material, shoe_materials
from synthkit_blender.people.shoes import COLLARS, Cobbler
from synthkit_blender.people.types import MeshPart, OutfitSpec

# Skin is left out where cloth reaches on by this much; one looks farther into a skirt.
HIDDEN_MARGIN_M = 0.018
SKIRT_MARGIN_M = 0.12
POCKET_KINDS = ("trousers", "shorts")
FOLDS_M = 0.006  # how far folds and seams stand off beyond a garment's ease
ASSET_EASE_M = 0.015  # about how far clothes from assets stand off the body
NECK_M = 0.47  # of the collar over the hip joints


def with_pockets(goals: PoseGoals, outfit: OutfitSpec) -> PoseGoals:
    """Return the pose with hands on the hips where its clothes have no pockets to put them into."""
    if any(garment.kind in POCKET_KINDS for garment in outfit.garments):
        return goals
    hands = [attrs.evolve(hand, contact="touch") if hand.contact == "pocket" else hand for hand in goals.hands]
    return attrs.evolve(goals, hands=(hands[0], hands[1]))


class Clothier:
    """Dresses bodies, from the shells around them and from assets.

    Args:
        dresser: puts clothes from assets on; None where there are none.
    """

    def __init__(self, mesh: mpfb.BaseMesh, at: BodyCoordinates, dresser: Dresser | None) -> None:
        self._at, self._dresser = at, dresser
        self._faces = mesh.faces[mpfb.BODY]
        self._wardrobe, self._cobbler = Wardrobe(mesh, at), Cobbler(mesh, at)
        self._hidden: dict[str, NDArray[np.bool_]] = {}

    def over_m(self, outfit: OutfitSpec) -> NDArray[np.float32]:
        """Return (V,) about how far the clothes stand off the body."""
        kinds = {garment.kind: garment.ease_m + FOLDS_M for garment in outfit.garments}
        lower = [ease for kind, ease in kinds.items() if kind in (*BOTTOM_KINDS, *SKIRT_KINDS)]
        upper = [ease for kind, ease in kinds.items() if kind not in (*BOTTOM_KINDS, *SKIRT_KINDS)]
        z, arm = self._at.z_m, self._at.on_arm > 0.5
        over = np.where(arm | (z < 0.03), max(lower, default=0.0), max(upper, default=0.0))
        over = np.where((z > NECK_M) & ~arm, 0.0, over)
        if self._dresser is not None:
            over = np.where(self._dresser.covered(outfit.worn), np.maximum(over, ASSET_EASE_M), over)
        return over.astype(np.float32)

    def sole_m(self, outfit: OutfitSpec, shape_m: NDArray[np.float32]) -> float:
        """Return how far shoes reach below the bare feet."""
        own = None if self._dresser is None else self._dresser.sole_m(outfit, shape_m)
        return self._cobbler.sole_m if own is None else own

    def hidden(self, outfit: OutfitSpec) -> NDArray[np.bool_]:
        """Return (F,) which faces of the body the clothes hide."""
        hidden = np.zeros(len(self._faces), bool)
        for garment in (*outfit.garments, *([outfit.shoes] if outfit.shoes else [])):
            hidden |= self._hidden_under(garment.kind)
        if self._dresser is not None:
            hidden |= self._dresser.hidden(outfit)
        return hidden

    def _hidden_under(self, kind: str) -> NDArray[np.bool_]:
        """Return (F,) which faces of the body lie wholly under a garment or shoe, well within its rims."""
        if kind not in self._hidden:
            cover = self._cobbler.covers(kind) if kind in COLLARS else self._wardrobe.covers(kind)
            margin = SKIRT_MARGIN_M if kind in SKIRT_KINDS else HIDDEN_MARGIN_M
            self._hidden[kind] = ((cover - margin) > 0)[self._faces].all(axis=1)
        return self._hidden[kind]

    def clothes(self, figure: PosedBody, outfit: OutfitSpec) -> tuple[MeshPart, ...]:
        """Return the meshes of clothes and shoes."""
        parts = []
        under = self._wardrobe.undersuit(figure.shape_m)
        for number, garment in enumerate(outfit.garments):
            cloth = self._wardrobe.fit(garment, under, number + 1 == len(outfit.garments))
            parts.append(figure.cloth(f"{number}_{garment.kind}", cloth, cloth_material(garment)))
        if outfit.shoes is not None:
            shoes = self._cobbler.make(outfit.shoes.kind, figure.shape_m)
            for name, mesh, material in zip(("shoes", "soles"), shoes, shoe_materials(outfit.shoes), strict=True):
                parts.append(figure.cloth(name, mesh, material))
        if self._dresser is not None:
            parts += self._dresser.clothes(outfit, figure.shape_m, figure.motions)
        return tuple(parts)
