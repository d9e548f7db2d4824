# SPDX-License-Identifier: Apache-2.0
"""Materials of skin, eyes, hair, cloth and shoes from a specification."""

from __future__ import annotations

from synthkit_blender.people.assets.textures import STRAND_GREY
from synthkit_blender.people.strands import strand_texture
from synthkit_blender.people.types import AccessorySpec, GarmentSpec, IdentitySpec, Material, Rgb, Texture

EYE_WHITE: Rgb = (0.62, 0.58, 0.55)


def scaled(color: Rgb, factors: Rgb) -> Rgb:
    """Multiply two colours."""
    return (color[0] * factors[0], color[1] * factors[1], color[2] * factors[2])


def skin_material(identity: IdentitySpec) -> Material:
    """Skin: a little gloss, more of it with oil, and light scattered below the surface."""
    return Material(
        "skin", identity.skin_color, roughness=0.7 - 0.36 * identity.skin_oil, pattern="noise",
        pattern_color=scaled(identity.skin_color, (0.92, 0.84, 0.82)), pattern_scale_m=0.03,
        bump=0.16 * identity.skin_bump, specular=0.2 + 0.4 * identity.skin_oil, subsurface=0.1,
    )  # fmt: skip


def lip_material(identity: IdentitySpec) -> Material:
    """Lips: redder skin."""
    strength = identity.lip_strength
    factors = (1.0 - 0.15 * strength, 1.0 - 0.55 * strength, 1.0 - 0.5 * strength)
    return Material("skin", scaled(identity.skin_color, factors), roughness=0.4, specular=0.5, subsurface=0.1)


def eye_materials(identity: IdentitySpec) -> tuple[Material, Material]:
    """The white and the iris."""
    return (
        Material("eye", EYE_WHITE, roughness=0.2, specular=0.6),
        Material("eye", identity.eye_color, roughness=0.15, specular=0.7),
    )


def hair_material(identity: IdentitySpec) -> Material:
    """Short hair, as of brows and beards: suggested by noise and bump."""
    color = identity.hair_color
    return Material(
        "hair", color, roughness=0.5, pattern="noise", pattern_color=scaled(color, (0.45, 0.42, 0.4)),
        pattern_scale_m=0.008, bump=0.8, specular=0.35,
    )  # fmt: skip


def strand_material(identity: IdentitySpec, texture: Texture | None = None) -> Material:
    """Hair of the identity's colour; a texture of grey strands, the library's own by itself, tells them apart."""
    shade = 1 / STRAND_GREY
    return Material(
        "hair", scaled(identity.hair_color, (shade, shade, shade)), roughness=0.5, specular=0.35,
        texture=texture or strand_texture(),
    )  # fmt: skip


def beard_material(identity: IdentitySpec) -> Material:
    """A beard is hair; stubble lets the skin show through."""
    hair = hair_material(identity)
    if identity.beard == "beard":
        return hair
    pairs = zip(identity.skin_color, identity.hair_color, strict=True)
    red, green, blue = (skin * 0.6 + strand * 0.4 for skin, strand in pairs)
    return Material("skin", (red, green, blue), roughness=0.7, bump=0.3, specular=0.2)


CREASE_M = 0.035
THICK_CLOTH = {"sweater": 0.5, "cardigan": 0.5, "leggings": 0.0}  # times as deep


def cloth_material(garment: GarmentSpec, kind: str = "cloth") -> Material:
    """Cloth or leather as specified."""
    return Material(
        kind, garment.color, garment.roughness, garment.pattern, garment.pattern_color,
        garment.pattern_scale_m, garment.bump, specular=0.45 if kind == "shoe" else 0.15,
        crease_m=CREASE_M * THICK_CLOTH.get(garment.kind, 1.0) if kind == "cloth" else 0.0,
    )  # fmt: skip


def shoe_materials(shoes: GarmentSpec) -> tuple[Material, Material]:
    """The upper and the sole (in the shoes' pattern colour)."""
    upper = cloth_material(shoes, "shoe")
    return upper, Material("shoe", shoes.pattern_color, roughness=0.8, bump=0.1)


SOFT_THINGS = ("backpack", "shoulder_bag", "bag", "cap")
SCREEN: Rgb = (0.012, 0.013, 0.016)


def accessory_material(thing: AccessorySpec, stuff: str) -> Material:
    """What an accessory is made of: "body" in its colour, "trim" in its second, or "screen"."""
    if stuff == "screen":
        return Material("thing", SCREEN, roughness=0.12, specular=0.6)
    color = thing.color if stuff == "body" else thing.second_color
    if thing.kind == "lanyard" and stuff == "body":
        color = (0.7, 0.7, 0.68)
    if thing.kind in SOFT_THINGS:
        return Material("thing", color, roughness=0.85, pattern="noise", pattern_color=scaled(color, (0.8, 0.8, 0.8)),
                        pattern_scale_m=0.01, bump=0.2, specular=0.2)  # fmt: skip
    return Material("thing", color, roughness=0.45, specular=0.4)
