# SPDX-License-Identifier: Apache-2.0
"""Rigged people from files: read strictly, posed as our own bodies are, licensed, and where the truth says they are."""

from __future__ import annotations

import base64
import io
import json
import struct
from pathlib import Path

import attrs
import made_rigs
import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from synthkit.config import structure
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting, holds_things, uses_table
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import person_ranges
from synthkit_blender.people import BodyLibrary, PersonRanges, mpfb, pose_names, sample_identity, sample_pose
from synthkit_blender.people.cast import gltf
from synthkit_blender.people.cast.bones import map_bones, plain_name, shared_out
from synthkit_blender.people.cast.company import Cast, CastError
from synthkit_blender.people.clothing import with_pockets
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.types import CastSpec, OutfitSpec
from synthkit_blender.renderer import BlenderRenderer

RANGES = PersonRanges()
RIGS = {"mixamo-T": 0.01, "biped-A": 1.0, "unreal-T": 1.0, "own-": 1.0}  # and the scale of the armature
LIMBS = {
    "arm": (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist")),
    "leg": (("upperleg01", "lowerleg01"), ("lowerleg01", "foot")),
}
POINTS = {"upperarm01": "shoulder", "lowerarm01": "elbow", "wrist": "wrist", "upperleg01": "hip",
          "lowerleg01": "knee", "foot": "ankle"}  # fmt: skip


def png() -> bytes:
    """Return an image that is red above and green below."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2, :, 0] = pixels[2:, :, 1] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def identity():
    return sample_identity(Seeds(2), RANGES)


@pytest.fixture(scope="module")
def folder(library: BodyLibrary, identity, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("cast")
    for name, scale in RIGS.items():
        style, arms = name.split("-")
        asset = {"extras": {"license": "CC-BY-4.0 (http://creativecommons.org/licenses/by/4.0/)"}}
        made_rigs.write_rig(root / f"{name}.glb", library, identity, style, arms, asset, png(), scale=scale)
    return root


@pytest.fixture(scope="module")
def cast(folder: Path) -> Cast:
    return Cast.open(folder)


def posed(name: str, seed: int = 5, posture: str = "", **changes):
    posture = posture or next(p for p in ("standing", "walking", "sitting", "leaning") if name in pose_names(p))
    return attrs.evolve(sample_pose(Seeds(seed), posture, RANGES), name=name, **changes)


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


def test_limbs_point_where_those_of_our_own_body_do(cast, library, identity):
    poses = [posed(name) for posture in ("standing", "walking", "sitting") for name in pose_names(posture)[::7]]
    figures = [own_figure(library, identity, pose) for pose in poses]
    for rig in RIGS:
        people = [cast.build(CastSpec(rig, pose)) for pose in poses]
        legs, arms = (
            [angles_deg(figure, person, limb) for figure, person in zip(figures, people, strict=True)]
            for limb in ("leg", "arm")
        )
        assert np.max(legs) < 1.5, rig
        # Hands that go to head or chest meet them elsewhere, for spines and necks of fewer bones bend elsewhere.
        assert np.median(arms) < 1.5, rig
        assert np.quantile(arms, 0.8) < 3, rig


def test_the_skin_goes_where_our_own_goes(cast, library, identity):
    for name in ("walk", "sit_legs_crossed"):
        pose = posed(name)
        own = own_figure(library, identity, pose).vertices_m[:13_380]
        for rig in RIGS:
            (part,) = cast.build(CastSpec(rig, pose)).parts
            off_m = [np.linalg.norm(own - point, axis=1).min() for point in part.vertices_m[::97]]
            assert np.mean(off_m) < 0.012, (rig, name)
            assert np.max(off_m) < 0.06, (rig, name)


@pytest.mark.parametrize("rig", RIGS)
def test_feet_are_on_the_floor_and_seats_fit(rig, cast):
    for posture in ("standing", "walking", "sitting"):
        for name in pose_names(posture)[::6]:
            person = cast.build(CastSpec(rig, posed(name)))
            assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.015, name
            assert (person.seat_height_m is not None) == (posture == "sitting")
            if person.seat_height_m is not None:
                points = person.surface_vertices_m
                over = points[(np.abs(points[:, 0]) < 0.12) & (np.abs(points[:, 1]) < 0.1)]
                assert float(over[:, 2].min()) == pytest.approx(person.seat_height_m, abs=0.03), name


def test_a_person_is_described_by_the_projects_names(cast, identity):
    for name in cast.names:
        person = cast.build(CastSpec(name, posed(pose_names("standing")[0])))
        assert person.height_m == pytest.approx(identity.height_m, abs=0.005)
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
    (part,) = cast.build(CastSpec("own-", posed(pose_names("standing")[0]))).parts
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


def test_units_and_skins_of_other_spaces_do_not_matter(folder, library, identity, tmp_path):
    def of(scale: float) -> np.ndarray:
        path = tmp_path / "it.glb"
        made_rigs.write_rig(path, library, identity, "mixamo", "T", scale=scale)
        return Cast.open(tmp_path).build(CastSpec("it", posed("walk"))).surface_vertices_m

    np.testing.assert_allclose(of(0.01), of(1.0), atol=2e-5)


def test_equal_specifications_give_equal_bytes(folder, cast, tmp_path):
    spec = CastSpec("biped-A", posed("walk"))
    first = cast.build(spec)
    for again in (Cast.open(folder, tmp_path), Cast.open(folder, tmp_path)):  # filling the cache, and out of it
        person = again.build(spec)
        assert person.surface_vertices_m.tobytes() == first.surface_vertices_m.tobytes()
        assert person.parts[0].material.texture == first.parts[0].material.texture


def test_names_are_told_apart_from_their_trappings():
    assert plain_name("mixamorig:LeftForeArm") == plain_name("mixamorigLeftForeArm") == "leftforearm"
    assert plain_name("mixamorig7_Hips") == "hips"
    assert plain_name("Bip01 L UpperArm") == plain_name("Bip001_L_UpperArm") == "biplupperarm"
    assert plain_name("someone|lowerarm_l") == "lowerarml"


def test_chains_are_shared_out_from_below():
    assert [number for _, number in shared_out((7,), "abcde")] == [7] * 5
    assert [number for _, number in shared_out((1, 2, 3), "abcde")] == [1, 1, 2, 2, 3]
    assert [number for _, number in shared_out((1, 2, 3, 4, 5), "abcde")] == [1, 2, 3, 4, 5]
    assert [number for _, number in shared_out((1, 2, 3, 4, 5, 6, 7), "abcde")][::4] == [1, 7]


@pytest.mark.parametrize("style", made_rigs.STYLES)
def test_every_bone_is_moved_by_the_one_that_it_is(style):
    table = made_rigs.STYLES[style]()
    above = dict(table.values())
    names = sorted({*above, *above.values()} - {""}, reverse=True)  # the order must not matter
    parents = [names.index(above[name]) if above.get(name) else -1 for name in names]
    bones, problems = map_bones(names, parents)
    assert not problems
    for bone, (name, _) in table.items():
        if not (style == "unreal" and bone.startswith("finger")):
            driver = bones.drivers[names.index(name)]
            assert table[driver][0] == name, (bone, driver)


def test_twist_bones_take_their_share_and_others_follow():
    table = {**dict(made_rigs.unreal().values()), "root": ""}
    table |= {"upperarm_twist_01_l": "upperarm_l", "lowerarm_twist_01_r": "lowerarm_r", "hair_03": "head"}
    names = list(table)
    bones, _ = map_bones(names, [names.index(above) if above else -1 for above in table.values()])
    drivers = dict(zip(names, bones.drivers, strict=True))
    assert drivers["upperarm_twist_01_l"] == "upperarm01.l"
    assert drivers["upperarm_l"] == "upperarm02.l"
    assert drivers["lowerarm_twist_01_r"] == "lowerarm02.r"
    assert drivers["hair_03"] == "head"
    assert drivers["root"] == "root"


def renamed(*pairs: tuple[str, str]):
    """Return an edit of a document that gives nodes other names."""

    def edit(document):
        for node in document["nodes"]:
            node["name"] = dict(pairs).get(node["name"], node["name"])

    return edit


def test_all_bodies_that_cannot_be_posed_are_told_at_once(library, identity, tmp_path):
    made_rigs.write_rig(tmp_path / "fine.glb", library, identity, "unreal")
    edit = renamed(("mixamorig:LeftHand", "Hook"), ("mixamorig:Head", "Top"))
    made_rigs.write_rig(tmp_path / "hook.glb", library, identity, "mixamo", edit=edit)

    def huge(document):
        document["nodes"][-2]["scale"] = [100, 100, 100]

    made_rigs.write_rig(tmp_path / "huge.glb", library, identity, "mixamo", edit=huge)
    (tmp_path / "none.gltf").write_text("{}")
    with pytest.raises(CastError) as told:
        Cast.open(tmp_path)
    lines = str(told.value).splitlines()
    assert len(lines) == 3
    assert "hook.glb: cannot be posed: no bone for head (such as head or biphead); no bone for l-hand" in lines[0]
    assert "huge.glb: cannot be posed: is 1" in lines[1]
    assert "expected 1.0 to 2.4 m" in lines[1]
    assert "none.gltf: is of glTF version" in lines[2]


def test_bodies_without_toes_stand_on_the_floor(library, identity, tmp_path):
    edit = renamed(*((f"Bip01 {s} Toe0", f"Bip01 {s} Nail") for s in "LR"))
    made_rigs.write_rig(tmp_path / "toeless.glb", library, identity, "biped", edit=edit)
    cast = Cast.open(tmp_path)
    for phase in (0.3, 0.5, 0.8):
        person = cast.build(CastSpec("toeless", posed("walk", phase=phase)))
        assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.015


def test_fbx_is_to_be_converted_and_the_command_is_told(tmp_path):
    (tmp_path / "one.fbx").write_bytes(b"Kaydara FBX Binary")
    with pytest.raises(CastError, match=r"no \.glb or \.gltf files.* 1 \.fbx files: .*bpy\.ops\.import_scene\.fbx"):
        Cast.open(tmp_path)
    with pytest.raises(CastError, match=r"no \.glb or \.gltf"):
        Cast.open(tmp_path / "nowhere")


# Reading


def document_of(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def test_a_file_of_text_is_the_same_as_a_binary_one(folder, cast, tmp_path):
    document, binary = document_of(folder / "own-.glb")
    document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    (tmp_path / "inside.gltf").write_text(json.dumps(document))
    (tmp_path / "its data.bin").write_bytes(binary)
    document["buffers"][0]["uri"] = "its%20data.bin"
    (tmp_path / "beside.gltf").write_text(json.dumps(document))
    pose = posed("walk")
    wanted = cast.build(CastSpec("own-", pose)).surface_vertices_m.tobytes()
    other = Cast.open(tmp_path)
    assert [other.build(CastSpec(name, pose)).surface_vertices_m.tobytes() for name in other.names] == [wanted] * 2


def _set(where: str, value):
    """Return a change of a document at a path such as ``accessors.0.count``."""

    def change(document):
        *path, last = (int(key) if key.isdigit() else key for key in where.split("."))
        for key in path:
            document = document[key]
        document[last] = value

    return change


HOSTILE = [
    (_set("accessors.0.count", 10**12), "the count of accessor 0 is 1000000000000; expected a whole number"),
    (_set("accessors.0.count", 200_000), "accessor 0 reaches out of its buffer"),
    (_set("accessors.0.count", -1), "expected a whole number from 0"),
    (_set("accessors.0.count", True), "expected a whole number from 0"),
    (_set("accessors.0.byteOffset", 10**9), "a byteOffset is"),
    (_set("accessors.1.componentType", 5126), "reaches out of its buffer"),
    (_set("accessors.0.type", "MAT4"), "expected 3 numbers an item"),
    (_set("accessors.0.sparse", {}), "is sparse"),
    (_set("bufferViews.0.byteLength", 10**10), "a byteLength is"),
    (_set("bufferViews.0.byteStride", 1), "reaches out of its buffer"),
    (_set("bufferViews.0.buffer", 7), "a number of buffers is 7"),
    (_set("buffers.0.byteLength", 2**40), "a buffer's byteLength"),
    (_set("buffers.0.uri", "../secret.bin"), "which is no file inside the folder"),
    (_set("buffers.0.uri", "/etc/passwd"), "which is no file inside the folder"),
    (_set("buffers.0.uri", "%2e%2e/secret.bin"), "which is no file inside the folder"),
    (_set("buffers.0.uri", "link.bin"), "which is no file inside the folder"),
    (_set("buffers.0.uri", "https://example.com/a.bin"), "which is no file inside the folder"),
    (_set("buffers.0.uri", "data:;base64,###"), "no base64"),
    (_set("nodes.0.children", [0]), "two parents"),
    (_set("nodes.5.children", [0]), "in a circle|two parents"),
    (_set("nodes.0.children", "x"), "children is 'x'"),
    (_set("nodes.0.children", [10**6]), "a node's child is 1000000"),
    (_set("nodes.0.translation", [0, float("nan"), 0]), "translation is something else; expected 3 numbers"),
    (_set("nodes.0.rotation", [0, 0, 0, 0]), "rotation without a direction"),
    (_set("nodes.0.translation", [0, 10**400, 0]), "expected 3 numbers"),
    (_set("meshes.0.primitives", []), "without anything in it"),
    (_set("nodes", [{}] * 5000), "expected a list of at most 4096"),
    (_set("skins.0.joints", [0]), "bones that its skin does not have"),
    (_set("skins.0.joints", [99999]), "a skin's joint"),
    (_set("skins.0.inverseBindMatrices", 0), "expected 16 numbers"),
    (_set("meshes.0.primitives.0.indices", 1), "expected 1 numbers"),
    (_set("meshes.0.primitives.0.mode", 5), "not of plain triangles"),
    (_set("meshes.0.primitives.0.attributes", {"POSITION": 0}), "a number of accessors is missing"),
    (_set("meshes.0.primitives", [{}] * 1000), "primitives is something else"),
    (_set("meshes.0.primitives", [5]), "a primitive that is no object"),
    (_set("materials.0", 5), "materials holds something else than objects"),
    (_set("images.0", {"uri": "own-.glb"}), "which is no file inside the folder"),
    (_set("images.0.bufferView", 0), "no readable image"),
    (_set("extensionsRequired", ["KHR_draco_mesh_compression"]), "export it without"),
    (_set("asset.version", "1.0"), "expected 2.0"),
]


@pytest.mark.parametrize(("change", "says"), HOSTILE)
def test_hostile_files_are_refused_with_a_reason(change, says, folder, tmp_path):
    document, binary = document_of(folder / "own-.glb")
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(binary)
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    change(document)
    (inside / "it.glb").write_bytes(made_rigs.packed(json.dumps(document).encode(), binary))
    with pytest.raises(CastError, match=says) as told:
        Cast.open(inside)
    assert str(told.value).count("\n") == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no glTF"),
        (b"glTF", "ends within its header"),
        (b"glTF" + struct.pack("<II", 2, 2**31) + b"\0" * 40, "bytes, with 52 there"),
        (b"glTF" + struct.pack("<IIII", 2, 24, 2**31, 0x4E4F534A) + b"\0" * 4, "ends within a chunk"),
        (b"glTF" + struct.pack("<IIII", 2, 24, 4, 0x4E4F534B) + b"\0" * 4, "no JSON chunk"),
        (b"[" * 100_000, "is no glTF"),
        (b"[]", "its JSON is no object"),
        (b'{"asset": {"version": "2.0"}}', "no skinned mesh"),
        (b'{"asset": 5}', "asset is 5"),
    ],
)
def test_what_is_no_gltf_is_refused(data, says, tmp_path):
    (tmp_path / "it.glb").write_bytes(data)
    with pytest.raises(CastError, match=says):
        Cast.open(tmp_path)


def test_no_more_than_the_bounds_is_read(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(gltf, "MAX_FILE_BYTES", 1000)
    with pytest.raises(CastError, match="is larger than"):
        Cast.open(folder)


def test_damage_anywhere_gives_a_body_or_a_reason(folder, tmp_path):
    document, binary = document_of(folder / "unreal-T.glb")
    text = json.dumps(document).encode()
    rng = np.random.default_rng(7)
    path, refused = tmp_path / "it.glb", 0
    for _ in range(30):
        harmed = bytearray(text)
        for place in rng.integers(0, len(text), 3):
            harmed[place] = b'0123456789-.eE,:[]{}"ntf'[int(rng.integers(24))]
        path.write_bytes(made_rigs.packed(bytes(harmed), binary))
        try:
            Cast.open(tmp_path)
        except CastError:
            refused += 1
    assert refused > 5


# Licences and who is there


def test_licences_are_what_files_say(library, identity, tmp_path):
    said = {
        "extras": {"extras": {"license": "SKETCHFAB Standard"}},
        "copyright": {"copyright": "2021 A. Body, CC BY-NC 4.0"},
        "nothing": {"copyright": "2021 A. Body"},
    }
    for name, asset in said.items():
        made_rigs.write_rig(tmp_path / f"{name}.glb", library, identity, "unreal", asset=asset)
    (tmp_path / "mit").mkdir()
    made_rigs.write_rig(tmp_path / "mit" / "her.glb", library, identity, "unreal")
    (tmp_path / "mit" / "LICENSE.md").write_text("Permission is hereby granted, free of charge, to any person ...")
    cast = Cast.open(tmp_path)
    wanted = {"extras": "SKETCHFAB Standard", "copyright": "CC-BY-NC-4.0", "nothing": "unknown", "mit/her": "MIT"}
    assert cast.licences == wanted
    assert cast.build(CastSpec("mit/her", posed("walk"))).licences == {"mit/her": "MIT"}


def test_licences_that_matter_are_told_at_the_start(library, identity, tmp_path, caplog):
    root = tmp_path / "cast"
    root.mkdir()
    made_rigs.write_rig(root / "who.glb", library, identity, "unreal")
    made_rigs.write_rig(root / "nc.glb", library, identity, "unreal", asset={"copyright": "CC BY-NC 4.0"})
    (root / "old.fbx").touch()
    config = structure(BlenderConfig, {"people": {"cast": str(root)}})
    with BlenderRenderer(config, None, Runtime(Seeds(1), tmp_path, threads=1)):
        pass
    assert "1 people state no licence, such as who: records say unknown" in caplog.text
    assert "1 people allow no commercial use, such as nc (CC-BY-NC-4.0)" in caplog.text
    assert "1 .fbx files are not read; convert each once with Blender" in caplog.text


def casting_of(library, cast, share: float = 1.0) -> tuple[Casting, PersonRanges]:
    config = structure(BlenderConfig, {"people": {"cast_share": share}}).people
    return Casting(library, config, Seeds(1), None, cast), person_ranges(config)


def test_the_share_and_who_is_there_decide_who_comes(library, cast):
    casting, _ = casting_of(library, cast, 0.5)
    drawn = [casting.identity(Seeds(n), ()) for n in range(200)]
    assert sum(name in cast.names for name in drawn) / 200 == pytest.approx(0.5, abs=0.12)
    assert set(drawn) >= set(cast.names)
    everybody, _ = casting_of(library, cast)
    assert everybody.identity(Seeds(3), cast.names[1:]) == cast.names[0]
    assert int(everybody.identity(Seeds(3), cast.names), 16) >= 0  # nobody is left, so anybody else
    plain = Casting(library, structure(BlenderConfig, {}).people, Seeds(1))
    assert next(name for name in drawn if name not in cast.names) in [plain.identity(Seeds(n), ()) for n in range(20)]


def test_hands_of_the_cast_are_empty_and_know_about_tables(library, cast):
    casting, ranges = casting_of(library, cast)
    for n in range(12):
        table = bool(n % 2)
        person = casting.person(Seeds(n), "own-", "sitting", ranges, table=table)
        assert not holds_things(person.spec.pose)
        assert uses_table(person.spec.pose) == table


def test_the_cast_walks_on_in_clips(library, cast):
    casting, ranges = casting_of(library, cast)
    first = casting.person(Seeds(1), "biped-A", "walking", ranges, table=None)
    assert first.stride_m > 0.5
    later = casting.moved(first, 0.5, first.stride_m / 2)
    assert later.attributes == first.attributes
    ahead = [p.joints_m["left_ankle"][1] - p.joints_m["right_ankle"][1] for p in (first, later)]
    assert ahead[0] * ahead[1] < 0 or abs(ahead[0]) < 0.1


@pytest.mark.blender
def test_the_truth_sits_on_rendered_people(tiny_renderer, library, cast):
    casting, _ = casting_of(library, cast)
    people = {"sitting": [1, 1], "standing": [1, 1], "leaning_share": 0.0}
    layers = ["surface", "depth", "amodal"]
    with tiny_renderer(source=casting, people=people, layers=layers, width_px=128, height_px=96) as renderer:
        (sample,) = renderer.render(0, Seeds(4))
    assert {person.identity for person in sample.people} <= set(cast.names)
    assert all(sample.meta["licences"][person.identity] == "CC-BY-4.0" for person in sample.people)
    assert not sample.layers["surface"].any()
    for person in sample.people:
        assert person.instance is not None
        mask = sample.layers["instances"] == person.instance
        inside = [mask[int(p.y_px), int(p.x_px)] for p in person.keypoints.values() if p.visible]
        assert len(inside) >= 2
        assert np.mean(inside) > 0.9
        rows, columns = np.nonzero(mask)
        x, y = person.head_px
        assert columns.min() - 2 <= x <= columns.max() + 2
        assert rows.min() - 2 <= y <= rows.max() + 2


def test_a_body_of_two_skins_in_other_spaces_is_one_body(folder: Path, tmp_path: Path) -> None:
    name = next(iter(RIGS))
    made_rigs.with_two_skins(folder / f"{name}.glb", tmp_path / f"{name}.glb")
    spec = CastSpec(name, posed("stand_hands_on_hips"))
    whole, parted = (Cast.open(place).build(spec) for place in (folder, tmp_path))
    assert len(parted.parts) == len(whole.parts) + 1
    ours, theirs = (person.surface_vertices_m for person in (whole, parted))
    assert cKDTree(ours).query(theirs)[0].max() < 1e-4
    assert cKDTree(theirs).query(ours)[0].max() < 1e-4
    for point, place in whole.joints_m.items():
        assert parted.joints_m[point] == pytest.approx(place, abs=1e-4), point
