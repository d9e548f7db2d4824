# SPDX-License-Identifier: Apache-2.0
"""Putting assets on a body: clothes in layers, hair, and skin."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.assets.store import AssetStore, Piece, Worn
from synthkit_blender.people.materials import CREASE_M, hair_material, scaled, skin_material, strand_material
from synthkit_blender.people.mpfb import BODY, BaseMesh
from synthkit_blender.people.skeleton import moved
from synthkit_blender.people.types import (
    FloatArray,
    IdentitySpec,
    Look,
    Material,
    MeshPart,
    OutfitSpec,
    PersonSpec,
    Rgb,
    WornSpec,
)

TINT_LIMITS = (0.2, 2.5)  # how much darker and lighter than its texture a skin may become


class Dresser:
    """Dresses figures, given as a shape (V, 3) at rest and the motions (V, 3, 4) of its vertices."""

    def __init__(self, store: AssetStore, mesh: BaseMesh, body_uv: FloatArray) -> None:
        self.store = store
        self.body_uv = body_uv
        self._body_faces, self._vertex_count = mesh.faces[BODY], len(mesh.vertices_m)

    def hidden(self, outfit: OutfitSpec) -> NDArray[np.bool_]:
        """Return (F,) which faces of the body the clothes hide."""
        return np.asarray(self.covered(outfit.worn)[self._body_faces].all(axis=1))

    def licences(self, spec: PersonSpec) -> dict[str, str]:
        """Return the licence of every asset that somebody shows, by its name."""
        names = {spec.identity.skin_asset, spec.identity.hair_asset, *(worn.asset for worn in spec.outfit.worn)}
        names |= {spec.expression.name} & self.store.names
        return {name: self.store.asset(name).licence for name in sorted(names - {""})}

    def sole_m(self, outfit: OutfitSpec, shape_m: FloatArray) -> float | None:
        """Return how far shoes reach below the bare feet (z = 0), or None where no shoes are from assets."""
        for worn in outfit.worn:
            if worn.kind == "shoes":
                return max(0.0, -float(self.store.worn(worn.asset).binding.place(shape_m)[:, 2].min()))
        return None

    def clothes(self, outfit: OutfitSpec, shape_m: FloatArray, motions: FloatArray) -> tuple[MeshPart, ...]:
        """Return the meshes of clothes; what a higher layer hides of a lower one is left out."""
        parts: list[MeshPart] = []
        layers = sorted(outfit.worn, key=lambda spec: (-self.store.worn(spec.asset).z_depth, spec.asset))
        for number, spec in enumerate(layers):
            over = self.covered(layers[:number])
            parts += self._garment(spec, self.store.worn(spec.asset), shape_m, motions, over)
        return tuple(parts)

    def _garment(
        self, spec: WornSpec, worn: Worn, shape_m: FloatArray, motions: FloatArray, over: NDArray[np.bool_]
    ) -> list[MeshPart]:
        under = over[worn.binding.anchors].all(axis=1)
        parts = []
        hung = _Hung.on(worn, shape_m, motions)
        for piece in worn.pieces:
            seen = ~under[piece.vertices[piece.faces]].all(axis=1)
            if seen.any():
                look = spec.lower if piece.name == "lower" else spec.upper
                parts.append(
                    hung.part(f"{spec.kind}_{piece.name}", piece, _garment_material(worn, spec.kind, look), seen)
                )
        return parts

    def hair(self, identity: IdentitySpec, shape_m: FloatArray, motions: FloatArray) -> tuple[MeshPart, ...]:
        """Return the meshes of hair, in the identity's colour."""
        worn = self.store.worn(identity.hair_asset)
        material = strand_material(identity, worn.texture) if worn.texture else hair_material(identity)
        hung = _Hung.on(worn, shape_m, motions)
        return tuple(hung.part("hair", piece, material, np.ones(len(piece.faces), bool)) for piece in worn.pieces)

    def skin(self, identity: IdentitySpec) -> Material:
        """Return skin of the identity's tone with the texture's detail."""
        plain = skin_material(identity)
        tone = self.store.asset(identity.skin_asset).tone
        red, green, blue = np.clip(np.array(identity.skin_color) / np.array(tone), *TINT_LIMITS)
        return Material(
            "skin", (float(red), float(green), float(blue)), roughness=plain.roughness, bump=plain.bump,
            specular=plain.specular, subsurface=plain.subsurface, texture=self.store.skin(identity.skin_asset),
        )  # fmt: skip

    def covered(self, worn: Sequence[WornSpec]) -> NDArray[np.bool_]:
        """Return (V,) which vertices of the base mesh any of some clothes hides."""
        hidden = np.zeros(self._vertex_count, bool)
        for spec in worn:
            hidden |= self.store.worn(spec.asset).deleted
        return hidden


@attrs.frozen(eq=False)
class _Hung:
    """Vertices (N, 3) of clothes or hair on a figure, and the vertices (N,) of the base mesh that they hang on."""

    posed_m: FloatArray
    rest_m: FloatArray
    base: NDArray[np.int32]

    @classmethod
    def on(cls, worn: Worn, shape_m: FloatArray, motions: FloatArray) -> _Hung:
        rest_m = worn.binding.place(shape_m)
        return cls(moved(worn.binding.carried(motions), rest_m), rest_m, worn.binding.nearest)

    def part(self, name: str, piece: Piece, material: Material, seen: NDArray[np.bool_]) -> MeshPart:
        """Return the mesh of those faces of a piece that are `seen` (F,)."""
        used = piece.vertices
        return MeshPart(
            name, self.posed_m[used], piece.faces[seen], self.rest_m[used], material,
            base_vertices=self.base[used], uv=piece.uv[seen],
        )  # fmt: skip


def _garment_material(worn: Worn, kind: str, look: Look) -> Material:
    gain = look.brightness
    color: Rgb = scaled(worn.color, (gain, gain, gain))
    # Cloth that hardly shines is rendered as matt, at half the price.
    roughness = 1 - 0.5 * worn.shininess if kind == "shoes" else max(0.8, 1 - 0.5 * worn.shininess)
    return Material(
        "shoe" if kind == "shoes" else "cloth", color, roughness=roughness, specular=0.35 if kind == "shoes" else 0.15,
        texture=worn.texture, hue_turn=look.hue_turn, saturation=look.saturation,
        crease_m=0.0 if kind == "shoes" else CREASE_M / 2,  # textures bring some of their own
    )  # fmt: skip
