# SPDX-License-Identifier: Apache-2.0
"""What the labels of a person say about them."""

from __future__ import annotations

from typing import Any

from synthkit_blender.people.belongings import things_of
from synthkit_blender.people.types import PersonSpec

AGES = ((30, "young"), (55, "middle_aged"), (200, "old"))
BUILDS = ((0.4, "slim"), (0.62, "average"), (2.0, "heavy"))


def describe(spec: PersonSpec) -> dict[str, Any]:
    """Return what a label of the person may say, as plain JSON values."""
    identity, outfit = spec.identity, spec.outfit
    shoes = [worn.asset for worn in outfit.worn if worn.kind == "shoes"]
    clothes = [worn.asset for worn in outfit.worn if worn.kind != "shoes"]
    return {
        "sex": "male" if identity.sex >= 0.5 else "female",
        "age_years": round(identity.age_years),
        "age_group": next(name for limit, name in AGES if identity.age_years < limit),
        "build": next(name for limit, name in BUILDS if identity.weight < limit),
        "skin_tone": identity.skin_tone,
        "hair_style": identity.hair_asset or identity.hair_style,
        "hair_color": identity.hair_name,
        "beard": identity.beard,
        "expression": spec.expression.name,
        "pose": spec.pose.name,
        "clothes": [f"{garment.color_name} {garment.kind}" for garment in outfit.garments] + clothes,
        "shoes": f"{outfit.shoes.color_name} {outfit.shoes.kind}" if outfit.shoes else shoes[0],
        "accessories": [f"{thing.color_name} {thing.kind}" for thing in things_of(spec)],
    }
