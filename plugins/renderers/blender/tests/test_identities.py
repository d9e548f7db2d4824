# SPDX-License-Identifier: Apache-2.0
"""Who is who: an identity is the same person in every scene, and a pool of people comes again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import person_ranges
from synthkit_blender.people import BodyLibrary
from synthkit_blender.scene import sample_scene

SMALL = {"sitting": [1, 2], "standing": [1, 2]}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> BodyLibrary:
    return BodyLibrary(tmp_path_factory.mktemp("people"))


def casting(library: BodyLibrary, **people) -> tuple[BlenderConfig, Casting]:
    config = structure(BlenderConfig, {"people": {**SMALL, **people}})
    return config, Casting(library, config.people, Seeds(1).child("renderer"))


def part(person, name):
    return next(part for part in person.parts if part.name == name)


def look(person):
    """Clothes, skin and hair, as the scene would send them."""
    return [(one.name, one.material.base_color, one.material.pattern) for one in person.parts]


def test_an_identity_is_the_same_body_and_skin_in_another_pose(library):
    config, cast = casting(library)
    ranges = person_ranges(config.people)
    one, other = (
        cast.person(Seeds(9).child("scene", n), "00000000000000a7", posture, ranges, table=None)
        for n, posture in enumerate(("standing", "sitting"))
    )
    for name in ("left_iris", "hair"):  # the rest of the face has an expression
        assert np.array_equal(part(one, name).rest_m, part(other, name).rest_m)
        assert part(one, name).material.base_color == part(other, name).material.base_color
    assert part(one, "body").material.base_color == part(other, "body").material.base_color
    assert np.abs(one.joints_m["left_wrist"] - other.joints_m["left_wrist"]).max() > 0.05
    stranger = cast.person(Seeds(9).child("scene", 0), "00000000000000a8", "standing", ranges, table=None)
    assert not np.array_equal(part(one, "left_iris").rest_m, part(stranger, "left_iris").rest_m)


def test_clothes_stay_with_the_identity_or_change_with_the_scene(library):
    looks = {}
    for wardrobe in ("identity", "scene"):
        config, cast = casting(library, wardrobe=wardrobe)
        looks[wardrobe] = [
            look(cast.person(Seeds(9).child(n), "0a", "standing", person_ranges(config.people), table=None))
            for n in range(2)
        ]
    assert looks["identity"][0] == looks["identity"][1]
    assert looks["scene"][0] != looks["scene"][1]
    body = [next(item for item in one if item[0] == "body") for one in looks["scene"]]
    assert body[0] == body[1]


def test_scenes_draw_from_a_pool_nobody_twice(library, monkeypatch, mannequins):
    config, cast = casting(library, identities=5)
    monkeypatch.setattr(cast, "person", mannequins.person)
    scenes = [
        [figure.identity for figure in sample_scene(config, cast, Seeds(1).child("scene", n)).figures]
        for n in range(12)
    ]
    for one in scenes:
        assert len(set(one)) == len(one)
    everybody = set(itertools.chain(*scenes))
    assert len(everybody) == 5
    assert len({tuple(sorted(one)) for one in scenes}) > 3


def test_the_pool_is_the_runs_not_the_scenes(library):
    _, cast = casting(library, identities=5)
    _, again = casting(library, identities=9)
    names = {cast.identity(Seeds(n), ()) for n in range(40)}
    assert len(names) == 5
    assert names < {again.identity(Seeds(n), ()) for n in range(80)}


def test_without_a_pool_everybody_is_new(library):
    _, cast = casting(library)
    assert len({cast.identity(Seeds(n), ()) for n in range(40)}) == 40
