# SPDX-License-Identifier: Apache-2.0
"""Things that people wear and carry: on the body, not in it; in the hands that hold them."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from synthkit.seeds import Seeds
from synthkit_blender.people import BodyLibrary, PersonRanges, PersonSpec, sample_identity, sample_outfit, sample_pose
from synthkit_blender.people.clothing import with_pockets
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.sampling import _accessory

RANGES = PersonRanges()


def person_in(posture: str, name: str, worn: tuple[str, ...] = (), number: int = 0) -> PersonSpec:
    seeds = Seeds(12).child("person", number)
    identity = attrs.evolve(sample_identity(seeds, RANGES), hair_style="short")
    things = tuple(_accessory(seeds.stream("thing"), kind) for kind in worn)
    outfit = attrs.evolve(sample_outfit(seeds, identity, RANGES), accessories=things)
    return PersonSpec(identity, outfit, attrs.evolve(sample_pose(seeds, posture, RANGES), name=name, mirrored=False))


def parts_of(person, kind: str):
    return [part for part in person.parts if part.name.startswith(f"{kind}_")]


def skin_gap_m(person, points) -> float:
    """Return how near points come to skin and clothes, in metres."""
    own = [part for part in person.parts if part.base_vertices is not None]
    surface = np.concatenate([part.vertices_m for part in own])
    return min(float(np.linalg.norm(surface - point, axis=1).min()) for point in points[::5])


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("kind", ["backpack", "shoulder_bag", "lanyard", "cap"])
def test_what_is_worn_is_outside_the_body_and_at_it(library: BodyLibrary, windings, kind: str, number: int) -> None:
    spec = person_in("standing", "stand_relaxed", (kind,), number)
    person = library.build(spec)
    goals = with_pockets(pose_goals(spec.pose), spec.outfit)
    figure = library.posed(library.shape(spec.identity), goals, spec.outfit)[0]
    parts = parts_of(person, kind)
    assert parts
    for part in parts:
        rounds = windings(part.vertices_m[::9].astype(float), figure.vertices_m, library.sculptor.mesh.faces["body"])
        assert np.abs(rounds).max() < 0.5, part.name
    assert min(skin_gap_m(person, part.vertices_m) for part in parts) < 0.03
    assert f"{spec.outfit.accessories[0].color_name} {kind}" in person.attributes["accessories"]


def test_a_backpack_is_on_the_back_and_a_badge_on_the_front(library: BodyLibrary) -> None:
    person = library.build(person_in("standing", "stand_relaxed", ("backpack", "lanyard")))
    spine = person.joints_m["spine"]
    assert parts_of(person, "backpack")[0].vertices_m[:, 1].min() > spine[1]
    badge = parts_of(person, "lanyard")[1].vertices_m
    assert badge[:, 1].max() < spine[1]
    assert abs(float(badge[:, 0].mean()) - float(spine[0])) < 0.04


def test_who_sits_has_put_the_bag_down(library: BodyLibrary) -> None:
    person = library.build(person_in("sitting", "sit_upright", ("backpack", "lanyard")))
    assert not parts_of(person, "backpack")
    assert parts_of(person, "lanyard")
    assert not any("backpack" in thing for thing in person.attributes["accessories"])


def test_a_cap_is_part_of_the_head(library: BodyLibrary) -> None:
    person = library.build(person_in("standing", "stand_relaxed", ("cap",)))
    crown = parts_of(person, "cap")[0].vertices_m
    hair = next(part for part in person.parts if part.name == "hair").vertices_m
    assert crown[:, 2].max() > hair[:, 2].max()
    assert person.head_vertices_m[:, 2].max() == pytest.approx(crown[:, 2].max())
    visor = parts_of(person, "cap")[1].vertices_m
    assert visor[:, 1].min() < person.joints_m["nose"][1]
    assert visor[:, 2].min() > person.joints_m["left_eye"][2] - 0.01


@pytest.mark.parametrize(
    ("posture", "name", "kind"),
    [("standing", "stand_with_phone", "phone"), ("standing", "stand_with_cup", "cup"),
     ("walking", "walk_with_laptop", "laptop"), ("walking", "walk_with_bag", "bag")],
)  # fmt: skip
def test_what_is_held_is_in_the_left_hand(library: BodyLibrary, posture: str, name: str, kind: str) -> None:
    for number in range(3):
        person = library.build(person_in(posture, name, (), number))
        points = np.concatenate([part.vertices_m for part in parts_of(person, kind)])
        near = [np.linalg.norm(points - person.joints_m[f"{side}_wrist"], axis=1).min() for side in ("left", "right")]
        assert near[0] < 0.13
        assert near[1] > 0.2


def test_a_box_is_between_both_hands_and_before_the_belly(library: BodyLibrary) -> None:
    for number in range(4):
        person = library.build(person_in("standing", "stand_carrying_box", (), number))
        carton = parts_of(person, "box")[0].vertices_m
        assert person.joints_m["right_wrist"][0] < carton[:, 0].min()
        assert carton[:, 0].max() < person.joints_m["left_wrist"][0]
        trunk = person.joints_m["spine"]
        assert carton[:, 1].max() < trunk[1] - 0.04


def test_a_cup_on_the_table_stands_on_it(library: BodyLibrary) -> None:
    person = library.build(person_in("sitting", "sit_with_cup_on_table"))
    cup = np.concatenate([part.vertices_m for part in parts_of(person, "cup")])
    assert cup[:, 2].min() == pytest.approx(0.74, abs=1e-3)


def test_hands_that_hold_nothing_are_empty(library: BodyLibrary) -> None:
    person = library.build(person_in("standing", "stand_relaxed"))
    assert person.attributes["accessories"] == []
    assert not any(parts_of(person, kind) for kind in ("phone", "cup", "laptop", "box", "bag"))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_as_many_wear_something_as_the_share_says(share: float) -> None:
    ranges = PersonRanges(accessory_share=share)
    outfits = []
    for number in range(150):
        seeds = Seeds(3).child(number)
        outfits.append(sample_outfit(seeds, sample_identity(seeds, ranges), ranges))
    with_something = sum(bool(outfit.accessories) for outfit in outfits) / 150
    # Who would wear a cap over hair that no cap goes over wears nothing.
    assert share * 0.9 - 0.08 <= with_something <= share + 0.08
    if share:
        kinds = {thing.kind for outfit in outfits for thing in outfit.accessories}
        assert kinds == {"backpack", "cap", "lanyard", "shoulder_bag"}


def test_the_share_of_accessories_changes_no_clothes() -> None:
    for number in range(20):
        seeds = Seeds(3).child(number)
        who = sample_identity(seeds, RANGES)
        few, many = (sample_outfit(seeds, who, PersonRanges(accessory_share=share)) for share in (0.0, 1.0))
        assert few.garments == many.garments
        assert few.owned == many.owned
