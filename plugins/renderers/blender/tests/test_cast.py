# SPDX-License-Identifier: Apache-2.0
"""Rigged people from files: posed as our own bodies are, and described by the project's names."""

from __future__ import annotations

from pathlib import Path

import made_rigs
import numpy as np
import pytest
from scipy.spatial import cKDTree

from synthkit_blender.people import BodyLibrary, mpfb, pose_names
from synthkit_blender.people.cast.company import Cast, CastError
from synthkit_blender.people.clothing import with_pockets
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.types import CastSpec, OutfitSpec

LIMBS = {
    "arm": (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist")),
    "leg": (("upperleg01", "lowerleg01"), ("lowerleg01", "foot")),
}
POINTS = {"upperarm01": "shoulder", "lowerarm01": "elbow", "wrist": "wrist", "upperleg01": "hip",
          "lowerleg01": "knee", "foot": "ankle"}  # fmt: skip


def own_figure(library: BodyLibrary, identity, pose):
    """Return our own naked and barefooted body in a pose."""
    shape = library.shape(identity)
    goals = with_pockets(pose_goals(pose), OutfitSpec((), None))
    return library.sculptor.pose(shape, goals, np.zeros(len(shape), np.float32), 0.0)[0]


def angles_deg(figure, person, limb: str) -> list[float]:
    """Return by how many degrees a person's limbs point elsewhere than those of a figure of our own."""
    found = []
    for side in ("left", "right"):
        for near, far in LIMBS[limb]:
            ours = figure.posed.pivots[f"{far}.{side[0]}"] - figure.posed.pivots[f"{near}.{side[0]}"]
            its = person.joints_m[f"{side}_{POINTS[far]}"] - person.joints_m[f"{side}_{POINTS[near]}"]
            cosine = ours @ its / np.linalg.norm(ours) / np.linalg.norm(its)
            found.append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    return found


def test_limbs_point_where_those_of_our_own_body_do(cast, library, rigged_identity):
    poses = [
        made_rigs.posed(name) for posture in ("standing", "walking", "sitting") for name in pose_names(posture)[::7]
    ]
    figures = [own_figure(library, rigged_identity, pose) for pose in poses]
    for rig in made_rigs.RIGS:
        people = [cast.build(CastSpec(rig, pose)) for pose in poses]
        legs, arms = (
            [angles_deg(figure, person, limb) for figure, person in zip(figures, people, strict=True)]
            for limb in ("leg", "arm")
        )
        assert np.max(legs) < 1.5, rig
        # Hands that go to head or chest meet them elsewhere, for spines and necks of fewer bones bend elsewhere.
        assert np.median(arms) < 1.5, rig
        assert np.quantile(arms, 0.8) < 3, rig


def test_the_skin_goes_where_our_own_goes(cast, library, rigged_identity):
    for name in ("walk", "sit_legs_crossed"):
        pose = made_rigs.posed(name)
        own = own_figure(library, rigged_identity, pose).vertices_m[:13_380]
        for rig in made_rigs.RIGS:
            (part,) = cast.build(CastSpec(rig, pose)).parts
            off_m = [np.linalg.norm(own - point, axis=1).min() for point in part.vertices_m[::97]]
            assert np.mean(off_m) < 0.012, (rig, name)
            assert np.max(off_m) < 0.06, (rig, name)


@pytest.mark.parametrize("rig", made_rigs.RIGS)
def test_feet_are_on_the_floor_and_seats_fit(rig, cast):
    for posture in ("standing", "walking", "sitting"):
        for name in pose_names(posture)[::6]:
            person = cast.build(CastSpec(rig, made_rigs.posed(name)))
            assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.015, name
            assert (person.seat_height_m is not None) == (posture == "sitting")
            if person.seat_height_m is not None:
                points = person.surface_vertices_m
                over = points[(np.abs(points[:, 0]) < 0.12) & (np.abs(points[:, 1]) < 0.1)]
                assert float(over[:, 2].min()) == pytest.approx(person.seat_height_m, abs=0.03), name


def test_a_person_is_described_by_the_projects_names(cast, rigged_identity):
    for name in cast.names:
        person = cast.build(CastSpec(name, made_rigs.posed(pose_names("standing")[0])))
        assert person.height_m == pytest.approx(rigged_identity.height_m, abs=0.005)
        wanted = {"head_top", "neck", "pelvis", "left_wrist", "right_ankle", "left_heel"}
        wanted |= set() if name.startswith("unreal") else {"left_thumb1", "right_pinky_finger3"}
        assert wanted <= set(person.joints_m)
        assert person.joints_m["left_shoulder"][0] > 0.1
        head = person.head_vertices_m
        assert 0.15 < np.ptp(head[:, 2]) < 0.35
        assert head[:, 2].max() == pytest.approx(person.joints_m["head_top"][2], abs=0.01)
        assert all(part.base_vertices is None for part in person.parts)
        assert person.attributes["cast"] == name


def test_textures_are_upright_and_vertices_are_joined_across_their_seams(cast, library):
    (part,) = cast.build(CastSpec("own-", made_rigs.posed(pose_names("standing")[0]))).parts
    pixels = part.material.texture.pixels
    assert pixels.shape == (4, 4, 3)
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert len(part.vertices_m) <= 13_380
    assert part.uv.shape == (len(part.faces), 4, 2)
    # Every vertex has the coordinates of one of its corners in the base mesh's own.
    own, quads = mpfb.parse_face_uv(mpfb.find_data_dir(), mpfb.BODY), library.sculptor.mesh.faces[mpfb.BODY]
    by_vertex = np.zeros((13_380, 2), np.float32)
    by_vertex[quads] = own
    got = part.uv[:, :3].reshape(-1, 2)
    for value in got[::4001]:
        assert np.abs(by_vertex - value).max(axis=1).min() < 1e-6


def test_units_and_skins_of_other_spaces_do_not_matter(rigs, library, rigged_identity, tmp_path):
    def of(scale: float) -> np.ndarray:
        path = tmp_path / "it.glb"
        made_rigs.write_rig(path, library, rigged_identity, "mixamo", "T", scale=scale)
        return Cast.open(tmp_path).build(CastSpec("it", made_rigs.posed("walk"))).surface_vertices_m

    np.testing.assert_allclose(of(0.01), of(1.0), atol=2e-5)


def test_equal_specifications_give_equal_bytes(rigs, cast, tmp_path):
    spec = CastSpec("biped-A", made_rigs.posed("walk"))
    first = cast.build(spec)
    for again in (Cast.open(rigs, tmp_path), Cast.open(rigs, tmp_path)):  # filling the cache, and out of it
        person = again.build(spec)
        assert person.surface_vertices_m.tobytes() == first.surface_vertices_m.tobytes()
        assert person.parts[0].material.texture == first.parts[0].material.texture


def renamed(*pairs: tuple[str, str]):
    """Return an edit of a document that gives nodes other names."""

    def edit(document):
        for node in document["nodes"]:
            node["name"] = dict(pairs).get(node["name"], node["name"])

    return edit


def test_all_bodies_that_cannot_be_posed_are_told_at_once(library, rigged_identity, tmp_path):
    made_rigs.write_rig(tmp_path / "fine.glb", library, rigged_identity, "unreal")
    edit = renamed(("mixamorig:LeftHand", "Hook"), ("mixamorig:Head", "Top"))
    made_rigs.write_rig(tmp_path / "hook.glb", library, rigged_identity, "mixamo", edit=edit)

    def huge(document):
        document["nodes"][-2]["scale"] = [100, 100, 100]

    made_rigs.write_rig(tmp_path / "huge.glb", library, rigged_identity, "mixamo", edit=huge)
    (tmp_path / "none.gltf").write_text("{}")
    with pytest.raises(CastError) as told:
        Cast.open(tmp_path)
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    assert "hook.glb: cannot be posed: no bone for head (such as head or biphead); no bone for l-hand" in lines[0]
    assert "huge.glb: cannot be posed: is 1" in lines[1]
    assert "expected 1.0 to 2.4 m" in lines[1]
    assert "none.gltf: is of glTF version" in lines[2]


def test_bodies_without_toes_stand_on_the_floor(library, rigged_identity, tmp_path):
    edit = renamed(*((f"Bip01 {s} Toe0", f"Bip01 {s} Nail") for s in "LR"))
    made_rigs.write_rig(tmp_path / "toeless.glb", library, rigged_identity, "biped", edit=edit)
    cast = Cast.open(tmp_path)
    for phase in (0.3, 0.5, 0.8):
        person = cast.build(CastSpec("toeless", made_rigs.posed("walk", phase=phase)))
        assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.015


def test_fbx_is_to_be_converted_and_the_command_is_told(tmp_path):
    (tmp_path / "one.fbx").write_bytes(b"Kaydara FBX Binary")
    with pytest.raises(CastError, match=r"no \.glb or \.gltf files.* 1 \.fbx files: .*bpy\.ops\.import_scene\.fbx"):
        Cast.open(tmp_path)
    with pytest.raises(CastError, match=r"no \.glb or \.gltf"):
        Cast.open(tmp_path / "nowhere")


def test_a_body_of_two_skins_in_other_spaces_is_one_body(rigs: Path, tmp_path: Path) -> None:
    name = next(iter(made_rigs.RIGS))
    made_rigs.with_two_skins(rigs / f"{name}.glb", tmp_path / f"{name}.glb")
    spec = CastSpec(name, made_rigs.posed("stand_hands_on_hips"))
    whole, parted = (Cast.open(place).build(spec) for place in (rigs, tmp_path))
    assert len(parted.parts) == len(whole.parts) + 1
    ours, theirs = (person.surface_vertices_m for person in (whole, parted))
    assert cKDTree(ours).query(theirs)[0].max() < 1e-4
    assert cKDTree(theirs).query(ours)[0].max() < 1e-4
    for point, place in whole.joints_m.items():
        assert parted.joints_m[point] == pytest.approx(place, abs=1e-4), point
