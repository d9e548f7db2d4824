# SPDX-License-Identifier: Apache-2.0
"""Drawing assets for somebody: a skin of their sex, age and tone, hair, and clothes that make an outfit."""

from __future__ import annotations

import numpy as np

from synthkit_blender.people.assets.catalogue import Asset, Catalogue, words
from synthkit_blender.people.types import PLAIN_LOOK, Look, Rgb, WornSpec

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
TONE_SLACK = 1.7  # skins whose brightness is this near to the nearest one are as good
SHOES_SHARE = 0.7
AFRO_SHARE = 0.4
Random = np.random.Generator


def choose_skin(rng: Random, catalogue: Catalogue, sex: str, age_years: float, color: Rgb) -> str:
    """Return the name of a skin, or nothing where there is none for the sex."""
    skins = catalogue.of("skin", sex)
    age = "young" if age_years < 38 else "middle" if age_years < 60 else "old"
    skins = tuple(skin for skin in skins if skin.age == age) or skins
    if not skins:
        return ""
    wanted = np.log(LUMINANCE @ np.array(color))
    gaps = [abs(float(np.log(LUMINANCE @ np.array(skin.tone)) - wanted)) for skin in skins]
    near = [skin.name for skin, gap in zip(skins, gaps, strict=True) if gap <= min(gaps) + np.log(TONE_SLACK)]
    return near[int(rng.integers(len(near)))]


def choose_hair(rng: Random, catalogue: Catalogue, sex: str, african: float) -> str:
    """Return the name of a hair, or nothing where there is none for the sex; an afro wants African ancestors."""
    afro = african >= AFRO_SHARE
    return _one(rng, tuple(hair for hair in catalogue.of("hair", sex) if afro or "afro" not in words(hair.name)))


def choose_clothes(rng: Random, catalogue: Catalogue, sex: str) -> tuple[WornSpec, ...]:
    """Return clothes for trunk and legs, or for the trunk alone where there are none for the legs, or nothing."""
    full, uppers = catalogue.of("full", sex), catalogue.of("upper", sex)
    main = _one(rng, (*full, *uppers))
    if not main:
        return ()
    looks = _upper_look(rng), _lower_look(rng)
    if main in {asset.name for asset in full}:
        return (WornSpec(main, "full", *looks),)
    clothes = [WornSpec(main, "upper", looks[0], PLAIN_LOOK)]
    lower = _one(rng, catalogue.of("lower", sex))
    if lower:
        clothes.append(WornSpec(lower, "lower", PLAIN_LOOK, looks[1]))
    return tuple(clothes)


def choose_shoes(rng: Random, catalogue: Catalogue, sex: str) -> WornSpec | None:
    """Return shoes, or none for those of the shells."""
    shoes, look = _one(rng, catalogue.of("shoes", sex)), _lower_look(rng)
    return WornSpec(shoes, "shoes", look, look) if shoes and rng.random() < SHOES_SHARE else None


def _one(rng: Random, assets: tuple[Asset, ...]) -> str:
    return assets[int(rng.integers(len(assets)))].name if assets else ""


def _upper_look(rng: Random) -> Look:
    """Return how a top differs from its texture: as it is, of another hue, or nearly grey."""
    way, hue, grey = rng.random(), float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.0, 0.3))
    brightness = float(np.clip(np.exp(rng.normal(0, 0.4)), 0.3, 1.6))
    if way < 0.25:
        return Look(0.0, 1.0, brightness)
    return Look(hue, float(rng.uniform(0.5, 1.05)), brightness) if way < 0.65 else Look(hue, grey, brightness)


def _lower_look(rng: Random) -> Look:
    """Return how trousers or shoes differ from their texture: hardly in hue, more in strength and brightness."""
    hue = float(np.clip(rng.normal(0, 0.03), -0.08, 0.08))
    return Look(hue, float(rng.uniform(0.15, 1.1)), float(np.clip(np.exp(rng.normal(-0.15, 0.45)), 0.2, 1.5)))
