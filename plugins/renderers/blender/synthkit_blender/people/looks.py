# SPDX-License-Identifier: Apache-2.0
"""Looks set by numbers: complexion, skin and cloth, and how many different bodies and faces there are.

The numbers are those of Andersson and Andersson, Refining Synthetic Images with GANs (Lund University, LU-CS-EX
2019-13), table 7.1, for MB-Lab's people; what they mean for ours is said with each function.
"""

from __future__ import annotations

import colorsys

import attrs
import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.people.types import UNCHANGED, GarmentSpec, Looks, OutfitSpec, Rgb


def body_seeds(seeds: Seeds, looks: Looks) -> Seeds:
    """Return the streams of somebody's body and face: their own, or those of one of the phenotypes."""
    if looks.phenotypes is None:
        return seeds
    return Seeds(seeds.integer("phenotype") % looks.phenotypes).child("phenotype")


def expression_rng(seeds: Seeds, looks: Looks) -> np.random.Generator:
    """Return the stream of somebody's expression: their own, or that of one of so many."""
    if looks.expressions is None:
        return seeds.stream("expression")
    return Seeds(seeds.integer("expression") % looks.expressions).stream("one of the expressions")


def turned_hue(color: Rgb, hue: float) -> Rgb:
    """Return a linear colour whose hue is turned by ``hue - 0.5`` of a circle, as Blender's node for hues does."""
    h, s, v = colorsys.rgb_to_hsv(*color)
    return colorsys.hsv_to_rgb((h + hue - UNCHANGED) % 1.0, s, v)


def dyed(outfit: OutfitSpec, looks: Looks, rng: np.random.Generator) -> OutfitSpec:
    """Return the outfit in colours by saturation and value, clipped to 0..1, of any hue.

    Half of all saturations of the thesis, N(0, 0.3), lie below 0: these garments are grey.
    """
    if looks.fabric_saturation is None or looks.fabric_value is None:
        return outfit
    (saturation, its_spread), (value, value_spread) = looks.fabric_saturation, looks.fabric_value

    def color() -> Rgb:
        s, v = rng.normal(saturation, its_spread), rng.normal(value, value_spread)
        return _linear(colorsys.hsv_to_rgb(float(rng.random()), _share(s), _share(v)))

    garments: list[GarmentSpec] = []
    for garment in outfit.garments:
        first, second = color(), color()
        plain = garment.pattern_color == garment.color
        garments.append(attrs.evolve(garment, color=first, color_name="dyed", pattern_color=first if plain else second))
    return attrs.evolve(outfit, garments=tuple(garments))


def _share(value: float) -> float:
    return float(np.clip(value, 0.0, 1.0))


def _linear(srgb: Rgb) -> Rgb:
    """Return linear RGB (IEC 61966-2-1); whiter than any cloth is not."""
    r, g, b = (min(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4, 0.82) for c in srgb)
    return r, g, b
