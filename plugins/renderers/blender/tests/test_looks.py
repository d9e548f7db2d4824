# SPDX-License-Identifier: Apache-2.0
"""Looks by numbers, and the preset that has those of the thesis's tables 7.1 and 7.2."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from synthkit.config import structure
from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.people.expressions import sample_expression
from synthkit_blender.people.looks import dyed, expression_rng, turned_hue
from synthkit_blender.people.materials import skin_material
from synthkit_blender.people.sampling import sample_identity, sample_outfit
from synthkit_blender.people.types import Looks, PersonRanges

MANY = 400


def identities(**looks):
    ranges = PersonRanges(looks=Looks(**looks))
    return [sample_identity(Seeds(n), ranges) for n in range(MANY)]


def brightness(color) -> float:
    return float(np.dot(color, (0.2126, 0.7152, 0.0722)))


def srgb(linear: float) -> float:
    return linear * 12.92 if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def test_phenotypes_are_so_many_bodies_in_many_skins():
    people = identities(phenotypes=18)
    bodies = {(who.sex, who.height_m, who.weight, who.details) for who in people}
    assert len(bodies) == 18
    assert len({who.skin_color for who in people}) > 300
    assert len({(who.sex, who.details) for who in identities()}) == MANY


def test_expressions_are_so_many():
    looks = Looks(expressions=7)
    faces = {sample_expression(expression_rng(Seeds(n), looks)) for n in range(MANY)}
    assert 2 <= len(faces) <= 7
    assert len({sample_expression(expression_rng(Seeds(n), Looks())) for n in range(MANY)}) > 100


def test_melanin_goes_from_light_to_dark():
    levels = (0, 0.3, 0.6, 1)
    shades = [np.mean([brightness(who.skin_color) for who in identities(melanin=(at, at))]) for at in levels]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > 0.4
    assert shades[-1] < 0.06
    spread = [brightness(who.skin_color) for who in identities(melanin=(0.2, 1.0))]
    assert max(spread) > 6 * min(spread)


def test_hues_turn_by_hundredths_of_the_circle():
    color = (0.4, 0.25, 0.15)
    hue = colorsys.rgb_to_hsv(*color)[0]
    assert colorsys.rgb_to_hsv(*turned_hue(color, 0.51))[0] == pytest.approx(hue + 0.01)
    assert turned_hue(color, 0.5) == pytest.approx(color)


def test_oil_shines_and_bump_is_rough():
    dry, oily = (identities(skin_oil=(oil, oil))[0] for oil in (0, 1))
    assert skin_material(dry).roughness > skin_material(oily).roughness + 0.3
    assert skin_material(dry).specular < skin_material(oily).specular
    smooth, ordinary, rough = (identities(skin_bump=(bump, bump))[0] for bump in (0, 0.5, 1))
    assert skin_material(smooth).bump == 0
    assert skin_material(rough).bump == 2 * skin_material(ordinary).bump
    assert identities()[0].skin_bump == identities()[0].skin_oil == 0.5


def test_fabrics_have_the_saturation_and_value_asked_for():
    ranges = PersonRanges(looks=Looks(fabric_saturation=(0.0, 0.3), fabric_value=(0.5, 0.2)))
    who = sample_identity(Seeds(0), ranges)
    garments = [garment for n in range(MANY) for garment in sample_outfit(Seeds(n), who, ranges).garments]
    hsv = np.array([colorsys.rgb_to_hsv(*(srgb(c) for c in garment.color)) for garment in garments])
    assert 0.4 < np.mean(hsv[:, 1] < 0.005) < 0.6, "half of N(0, 0.3) is below 0"
    assert np.mean(hsv[:, 1] > 0.3) == pytest.approx(0.16, abs=0.05)
    assert np.median(hsv[:, 2]) == pytest.approx(0.5, abs=0.03)
    coloured = hsv[hsv[:, 1] > 0.1, 0]
    assert np.histogram(coloured, 4, (0, 1))[0].min() > 0.15 * len(coloured), "any hue"
    plain = sample_outfit(Seeds(1), who, PersonRanges())
    assert dyed(plain, Looks(), np.random.default_rng(0)) is plain


def test_looks_do_not_shift_what_else_is_drawn():
    plain, set_by_numbers = identities()[5], identities(melanin=(0.5, 0.5), skin_oil=(0.0, 1.0))[5]
    for name in ("sex", "age_years", "height_m", "details", "hair_style", "lip_strength"):
        assert getattr(plain, name) == getattr(set_by_numbers, name)


def test_the_preset_has_the_numbers_of_the_tables():
    registry = discover()
    config = registry.configure(ComponentSpec("renderer", "blender-thesis", {"width_px": 640}))
    looks = config.people.looks
    assert (looks.phenotypes, looks.expressions) == (18, 43)
    assert (looks.melanin, looks.skin_hue, looks.skin_bump, looks.skin_oil) == ((0.2, 1), (0.49, 0.51), (0, 1), (0, 1))
    assert (looks.fabric_saturation, looks.fabric_value) == ((0, 0.3), (0.5, 0.2))
    assert (config.people.sitting, config.people.standing) == ((1, 5), (0, 4))
    assert config.light_paths == 350
    assert config.plates.scenes_per_background == 5


def test_fabrics_need_both_numbers():
    with pytest.raises(ConfigError, match="together"):
        structure(BlenderConfig, {"people": {"looks": {"fabric_value": [0.5, 0.2]}}})
    with pytest.raises(ConfigError, match="standard deviation"):
        structure(BlenderConfig, {"people": {"looks": {"fabric_value": [5, 0.2], "fabric_saturation": [0, 0]}}})
