# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.seeds import Seeds
from synthkit_blender.people import (
    POSTURES,
    BodyLibrary,
    PersonRanges,
    PersonSpec,
    PosedPerson,
    pose_names,
    sample_identity,
    sample_outfit,
    sample_pose,
)
from synthkit_blender.people.assets.textures import linear

RANGES = PersonRanges()
ALL_POSES = [(posture, name) for posture in POSTURES for name in pose_names(posture)]


def sample_person(seeds: Seeds, posture: str, ranges: PersonRanges) -> PersonSpec:
    identity = sample_identity(seeds, ranges)
    return PersonSpec(identity, sample_outfit(seeds, identity, ranges), sample_pose(seeds, posture, ranges))


def person_in(posture: str, name: str, number: int = 0) -> PersonSpec:
    spec = sample_person(Seeds(5).child("person", number), posture, RANGES)
    return attrs.evolve(spec, pose=attrs.evolve(spec.pose, name=name))


def same_bytes(one: PosedPerson, other: PosedPerson) -> bool:
    pairs = zip(one.parts, other.parts, strict=True)
    return all(
        a.vertices_m.tobytes() == b.vertices_m.tobytes() and a.faces.tobytes() == b.faces.tobytes() for a, b in pairs
    )


@pytest.mark.parametrize(("posture", "name"), ALL_POSES)
def test_every_pose_makes_sound_meshes_on_the_floor(library: BodyLibrary, posture: str, name: str) -> None:
    person = library.build(person_in(posture, name, number=len(name)))
    for part in person.parts:
        assert part.vertices_m.dtype == np.float32
        assert part.rest_m.shape == part.vertices_m.shape
        assert part.faces.dtype == np.int32
        assert part.faces.shape[1] == 4
        assert np.isfinite(part.vertices_m).all(), part.name
        assert part.faces.min() >= 0, part.name
        assert part.faces.max() < len(part.vertices_m), part.name
        edges = part.vertices_m[part.faces] - part.vertices_m[np.roll(part.faces, 1, axis=1)]
        assert np.linalg.norm(edges, axis=-1).max() < 0.3, f"{part.name} has a torn face"
    assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.012
    assert np.abs(person.joints_m["pelvis"][:2]).max() < 1e-6


@pytest.mark.parametrize("name", pose_names("sitting"))
def test_the_seated_sit_on_a_seat_of_usual_height(library: BodyLibrary, name: str) -> None:
    person = library.build(person_in("sitting", name, number=3))
    assert person.seat_height_m is not None
    assert 0.42 <= person.seat_height_m <= 0.5
    assert abs(float(person.joints_m["pelvis"][2]) - person.seat_height_m) < 0.2
    trousers = next(part for part in person.parts if part.name.startswith("0_"))
    under = trousers.vertices_m[np.hypot(*trousers.vertices_m[:, :2].T) < 0.2]
    assert person.seat_height_m - 0.05 < float(under[:, 2].min()) < person.seat_height_m + 0.06


def test_thighs_of_the_upright_seated_are_level(library: BodyLibrary) -> None:
    for number in range(4):
        joints = library.build(person_in("sitting", "sit_upright", number)).joints_m
        thigh = joints["left_knee"] - joints["left_hip"]
        assert abs(float(np.degrees(np.arcsin(thigh[2] / np.linalg.norm(thigh))))) < 16


def test_height_is_as_specified(library: BodyLibrary) -> None:
    for height_m in (1.5, 1.66, 1.8, 1.95):
        spec = person_in("standing", "stand_relaxed", 4)
        identity = attrs.evolve(spec.identity, height_m=height_m)
        shape = library.shape(identity)[:13380]
        assert np.ptp(shape[:, 2]) == pytest.approx(height_m, abs=1e-3)
        still = attrs.evolve(spec.pose, amount=0.0)
        person = library.build(attrs.evolve(spec, identity=identity, pose=still))
        assert float(person.joints_m["head_top"][2]) == pytest.approx(height_m, abs=0.035)


def test_equal_specifications_give_equal_bytes_with_any_cache(library: BodyLibrary, tmp_path: Path) -> None:
    spec = sample_person(Seeds(9).child("a"), "sitting", RANGES)
    assert spec == sample_person(Seeds(9).child("a"), "sitting", RANGES)
    assert hash(spec) == hash(sample_person(Seeds(9).child("a"), "sitting", RANGES))
    first = library.build(spec)
    assert same_bytes(first, BodyLibrary(tmp_path).build(spec)), "a new cache"
    (stored,) = tmp_path.iterdir()
    assert same_bytes(first, BodyLibrary(tmp_path).build(spec)), "a cache that is there"
    stored.write_bytes(stored.read_bytes()[:1000])
    assert same_bytes(first, BodyLibrary(tmp_path).build(spec)), "a damaged one, which is made afresh"
    assert [file.name for file in tmp_path.iterdir()] == [stored.name]
    assert stored.stat().st_size > 1000


def test_specifications_are_plain_json() -> None:
    spec = sample_person(Seeds(2).child("p"), "walking", RANGES)
    text = json.dumps(attrs.asdict(spec))
    assert json.loads(text)["pose"]["posture"] == "walking"


def test_an_identity_keeps_its_body_in_other_clothes_and_poses(library: BodyLibrary) -> None:
    identity = sample_identity(Seeds(3).child("who"), RANGES)
    people = []
    for day in range(2):
        outfit = sample_outfit(Seeds(3).child("day", day), identity, RANGES)
        pose = sample_pose(Seeds(3).child("day", day), "standing", RANGES)
        people.append(library.build(PersonSpec(identity, outfit, pose)))
    skin = [next(part.material for part in person.parts if part.name == "body") for person in people]
    assert skin[0].base_color == skin[1].base_color
    assert people[0].height_m == people[1].height_m
    eyes = [np.linalg.norm(p.joints_m["left_eye"] - p.joints_m["right_eye"]) for p in people]
    assert eyes[0] == pytest.approx(eyes[1], abs=1e-5)


def test_a_mirrored_pose_mirrors_the_body(library: BodyLibrary) -> None:
    spec = person_in("standing", "stand_pointing", 6)
    plain, mirrored = (
        library.build(attrs.evolve(spec, pose=attrs.evolve(spec.pose, mirrored=flag))) for flag in (False, True)
    )
    for name, point in plain.joints_m.items():
        swapped = name.replace("left", "~").replace("right", "left").replace("~", "right")
        np.testing.assert_allclose(mirrored.joints_m[swapped], point * [-1, 1, 1], atol=4e-3, err_msg=name)


def test_faces_look_outwards(library: BodyLibrary) -> None:
    person = library.build(person_in("standing", "stand_relaxed", 1))
    for name, centre in (("hair", person.head_centre_m), ("left_iris", person.head_centre_m)):
        part = next(part for part in person.parts if part.name == name)
        corners = part.vertices_m[part.faces]
        normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        outward = (normals * (corners.mean(axis=1) - centre)).sum(axis=1) > 0
        assert outward.mean() > 0.9, name


def test_key_points_lie_where_their_names_say(library: BodyLibrary) -> None:
    joints = library.build(person_in("standing", "stand_relaxed", 2)).joints_m
    assert joints["left_shoulder"][0] > 0 > joints["right_shoulder"][0]
    assert joints["nose"][1] < joints["left_ear"][1]
    order = ["left_ankle", "left_knee", "pelvis", "spine", "neck", "nose", "head_top"]
    heights = [float(joints[name][2]) for name in order]
    assert heights == sorted(heights)
    coco = "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist"
    assert set(coco.split()) < set(joints)


def test_no_skin_shows_through_clothes(library: BodyLibrary) -> None:
    for number, (posture, name) in enumerate(ALL_POSES[::4]):
        person = library.build(person_in(posture, name, number))
        body = next(part for part in person.parts if part.name == "body")
        chest = (np.abs(body.rest_m[:, 0]) < 0.1) & (body.rest_m[:, 2] > 0.62 * person.height_m)
        chest &= body.rest_m[:, 2] < 0.72 * person.height_m
        assert not chest.any(), f"the chest is bare under {person.attributes['clothes']}"


def test_people_differ() -> None:
    people = [sample_person(Seeds(1).child("crowd", n), POSTURES[n % 3], RANGES) for n in range(200)]
    heights = [spec.identity.height_m for spec in people]
    assert 1.45 < min(heights) < 1.6
    assert 1.8 < max(heights) < 2.0
    assert len({spec.identity.skin_tone for spec in people}) == 6
    assert len({spec.identity.hair_style for spec in people}) > 7
    assert len({garment.kind for spec in people for garment in spec.outfit.garments}) > 12
    assert 70 < sum(spec.identity.sex < 0.5 for spec in people) < 130


def test_unknown_postures_and_childish_ages_are_refused() -> None:
    with pytest.raises(ValueError, match="sitting, standing, walking"):
        sample_pose(Seeds(1), "flying", RANGES)
    with pytest.raises(ValueError, match="18 <= least"):
        PersonRanges(age_years=(5.0, 80.0))


def test_strands_run_down_the_hair_in_the_identitys_colour(library: BodyLibrary) -> None:
    spec = person_in("standing", "stand_relaxed", 3)
    person = library.build(attrs.evolve(spec, identity=attrs.evolve(spec.identity, hair_style="ponytail")))
    parts = {part.name: part for part in person.parts}
    for name in ("hair", "hair_tail"):
        part = parts[name]
        assert part.uv is not None
        assert part.uv.shape == (len(part.faces), 4, 2)
        assert float(part.uv[..., 0].max()) == 1.0
    pixels = parts["hair"].material.texture.pixels
    mean = linear(pixels).mean(axis=(0, 1)) * parts["hair"].material.base_color
    np.testing.assert_allclose(mean, spec.identity.hair_color, rtol=0.02)
    steps = np.abs(np.diff(pixels[..., 0].astype(int), axis=1, append=pixels[:, :1, 0])).mean(axis=0)
    assert steps[-1] < 2 * steps.mean(), "the texture goes on where its sides meet"
    assert np.abs(np.diff(pixels[..., 0].astype(int), axis=0)).mean() < 0.5 * steps.mean(), "strands run along v"
