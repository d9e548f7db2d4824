# SPDX-License-Identifier: Apache-2.0
"""Assets in MakeHuman's layout: parsed safely, fitted exactly, layered, licensed, and their textures rendered."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import attrs
import numpy as np
import pytest
from PIL import Image

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.client import WorkerClient
from synthkit_blender.config import BlenderConfig, WorkerConfig
from synthkit_blender.crowd import person_ranges
from synthkit_blender.geometry import Mesh
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.people import BodyLibrary, PersonSpec, mpfb, sample_identity, sample_outfit, sample_pose
from synthkit_blender.people.assets.files import AssetError
from synthkit_blender.people.assets.licences import identified, is_non_commercial, stated
from synthkit_blender.people.assets.makehuman import parse_obj, parse_proxy
from synthkit_blender.people.assets.store import AssetStore
from synthkit_blender.people.assets.textures import linear
from synthkit_blender.people.cutting import vertex_normals
from synthkit_blender.people.expressions import sample_expression
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.skeleton import Skin
from synthkit_blender.people.types import ExpressionSpec, PersonRanges, Texture
from synthkit_blender.renderer import BlenderRenderer
from synthkit_blender.request import ROOM, Quality, render_request
from synthkit_blender.scene import Scene, Sky
from synthkit_blender.surfaces import Surface
from synthkit_blender.things import Thing

REAL = Path(__file__).parents[5] / "shared" / "assets" / "makehuman"
CC_BY_NC = "# license: CC BY-NC 4.0\n"
HOSTILE = (
    ("leaves the folder", "obj_file tee.obj", "obj_file ../../../secret.obj"),
    ("names an absolute path", "obj_file tee.obj", "obj_file /etc/hostname"),
    ("is a link out of the folder", "obj_file tee.obj", "obj_file link.obj"),
    ("has a path too long", "obj_file tee.obj", "obj_file " + "a/" * 4000),
    ("binds beyond the body", "verts 0\n", "verts 0\n99999999\n"),
    ("binds before the body", "verts 0\n", "verts 0\n-4\n"),
    ("is no number", "verts 0\n", "verts 0\n3 4 5 nan 0 1 0 0 0\n"),
    ("is no text", "verts 0\n", "verts 0\n\0\0\xff\n"),
    ("has a ruler of no length", "x_scale", "x_scale 4 5 0\nx_scale"),
    ("hides what is not there", "delete_verts\n", "delete_verts\n3 - 4000000000\n"),
    ("has another mesh", "verts 0\n", "verts 0\n17\n"),
)


@attrs.frozen(eq=False)
class Body:
    mesh: mpfb.BaseMesh
    at: BodyCoordinates
    normals: np.ndarray


@pytest.fixture(scope="module")
def body() -> Body:
    folder = mpfb.find_data_dir()
    mesh = mpfb.parse_base_mesh(folder)
    at = BodyCoordinates.of(mesh, Skin.from_rig(mpfb.parse_skin_weights(folder), len(mesh.vertices_m)))
    return Body(mesh, at, vertex_normals(mesh.vertices_m, mesh.faces[mpfb.BODY]))


def write_garment(body: Body, folder: Path, name: str, inside, *, out_m=0.012, depth=50, note="", deletes=True) -> Path:
    """Write the body's faces whose vertices are `inside` (V,) as a garment that stands `out_m` off the skin."""
    faces = body.mesh.faces[mpfb.BODY]
    faces = faces[inside[faces].all(axis=1)]
    used, numbers = np.unique(faces, return_inverse=True)
    # MakeHuman's axes: y up, facing +z; offsets in decimetres while the ruler is as long as on the base mesh.
    x, y, z = (body.normals[used] * out_m * 10).T
    lines = [f"{v} {v} {v} 1 0 0 {a:.5f} {b:.5f} {c:.5f}" for v, a, b, c in zip(used, x, z, -y, strict=True)]
    ruler = np.abs(body.mesh.vertices_m[[5399, 962, 791]] - body.mesh.vertices_m[[11998, 5320, 881]]) * 10
    head = [f"name {name}", "obj_file tee.obj", "material tee.mhmat", f"z_depth {depth}",
            f"x_scale 5399 11998 {ruler[0, 0]:.5f}", f"z_scale 962 5320 {ruler[1, 1]:.5f}",
            f"y_scale 791 881 {ruler[2, 2]:.5f}"]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    deleted = ["delete_verts", *(str(v) for v in used)] if deletes else []
    (folder / f"{name}.mhclo").write_text(note + "\n".join([*head, "verts 0", *lines, *deleted, ""]))
    corners = "".join(
        "f " + " ".join(f"{v + 1}/{c + 1}" for c, v in enumerate(face)) + "\n" for face in numbers.reshape(-1, 4)
    )
    (folder / "tee.obj").write_text("v 0 0 0\n" * len(used) + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n" + corners)
    (folder / "tee.mhmat").write_text("name tee\ndiffuseTexture tee.png\nshininess 0.2\n")
    Image.new("RGB", (8, 8), (200, 30, 30)).save(folder / "tee.png")
    return folder / f"{name}.mhclo"


def trunk(body: Body, low_m=0.12, high_m=0.45):
    return (body.at.z_m > low_m) & (body.at.z_m < high_m) & (body.at.on_arm < 0.5)


def legs(body: Body):
    return (body.at.z_m < 0.16) & (body.at.along_leg < 1.8) & (body.at.on_arm < 0.5)


@pytest.fixture(scope="module")
def pack(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a top, trousers, a skin and a hair, each with a licence told in another way."""
    root = tmp_path_factory.mktemp("pack")
    write_garment(body, root / "mine/clothes/female_tee", "tee_for_women", trunk(body), note=CC_BY_NC)
    write_garment(body, root / "mine/clothes/jeans", "jeans", legs(body), depth=40)
    write_garment(body, root / "mine/clothes/jeans", "jeans_of_men", legs(body), depth=40)
    (root / "mine/clothes/jeans/LICENSE.txt").write_text("MIT License\n\nPermission is hereby granted, free of charge,")
    skins = root / "mine/skins/young_female"
    skins.mkdir(parents=True)
    (skins / "young_female.mhmat").write_text("# explicitly released as CC0 in 2020\ndiffuseTexture skin.png\n")
    Image.new("RGB", (700, 700), (188, 140, 120)).save(skins / "skin.png")
    (root / "mine/expressions").mkdir()
    (root / "mine/expressions/grin.mhpose").write_text(
        '{"license": "CC0", "unit_poses": {"MouthLeftPullUp": 1.0, "MouthRightPullUp": 0.5, "LeftEyeUp": 1.0}}'
    )
    scalp = (body.at.z_m > 0.72) & (body.at.y_m > -0.05)
    write_garment(body, root / "mine/hair/fuzz", "fuzz", scalp, deletes=False)
    return root


@pytest.fixture(scope="module")
def library(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> BodyLibrary:
    return BodyLibrary(tmp_path_factory.mktemp("people"), pack)


def dressed(library: BodyLibrary, number: int = 0, posture: str = "standing") -> PersonSpec:
    ranges = PersonRanges(female_share=1.0, assets_share=1.0)
    seeds = Seeds(4).child(number)
    identity = sample_identity(seeds, ranges, library.catalogue)
    return PersonSpec(
        identity, sample_outfit(seeds, identity, ranges, library.catalogue), sample_pose(seeds, posture, ranges)
    )


def test_vertices_lie_where_the_file_binds_them():
    text = """obj_file a.obj
x_scale 0 1 2.0
z_scale 2 3 4.0
verts 0
material written_in_between.mhmat
2
0 1 3 0.5 0.25 0.25 1.0 0.5 -2.0
1 2 3 0.2 0.3 0.5
"""
    proxy = parse_proxy(text, Path("a.mhclo"), 5)
    shape_m = np.array([[0, 0, 0], [0.4, 0, 0], [0, 0.8, 0], [0, 0, 1.0], [9, 9, 9]], np.float32)
    middle = 0.5 * shape_m[0] + 0.25 * shape_m[1] + 0.25 * shape_m[3]
    # MakeHuman's (1.0, 0.5, -2.0) is ours (1.0, 2.0, 0.5); x is scaled by 0.4 / 2, y (their z) by 0.8 / 4, z by
    # nothing but the unit of a decimetre, which two equal vertices as the ruler make 0.
    expected = [shape_m[2], middle + np.array([1.0 * 0.4 / 2, 2.0 * 0.8 / 4, 0.0]), shape_m[1:4].T @ [0.2, 0.3, 0.5]]
    np.testing.assert_allclose(proxy.binding.place(shape_m), expected, atol=1e-6)
    grown = proxy.binding.place(2 * shape_m)
    np.testing.assert_allclose(grown, 2 * np.array(expected), atol=1e-6)
    shares = proxy.binding.carried(np.eye(5, dtype=np.float32))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)


def test_polygons_become_faces_of_four_and_bad_ones_are_dropped():
    text = (
        "v 0 0 0\n" * 6 + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n" + "f 1/1 2/2 3/3 4/4 5/1 6/2\nf 1//1 2//1 3//1\nf 1 1 2\n"
    )
    mesh = parse_obj(text, Path("a.obj"))
    assert mesh.faces.tolist() == [[0, 1, 2, 3], [0, 3, 4, 5], [0, 1, 2, 2]]
    assert mesh.uv[0].tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    for bad in ("f 1 2 9\n", "f 1/9 2/1 3/1\n", "f 0 1 2\n", "f a b c\n", "", "f 1 2 -1\n"):
        with pytest.raises(AssetError, match=r"a\.obj"):
            parse_obj("v 0 0 0\n" * 3 + "vt 0 0\n" + bad, Path("a.obj"))


def test_a_pack_is_catalogued_with_its_licences(library: BodyLibrary):
    assert library.left_out == {}
    found = {asset.name: (asset.kind, asset.sex, asset.licence) for asset in library.catalogue.assets}
    assert found == {
        "mine/clothes/female_tee/tee_for_women": ("upper", "female", "CC-BY-NC-4.0"),
        "mine/clothes/jeans/jeans": ("lower", "any", "MIT"),
        "mine/expressions/grin": ("expression", "any", "CC0-1.0"),
        "mine/clothes/jeans/jeans_of_men": ("lower", "male", "MIT"),
        "mine/hair/fuzz/fuzz": ("hair", "any", "unknown"),
        "mine/skins/young_female/young_female": ("skin", "female", "CC0-1.0"),
    }
    (grin,) = library.catalogue.expressions
    assert grin == ExpressionSpec("mine/expressions/grin", (("mouth-corner-puller", 0.75),))
    assert is_non_commercial("CC-BY-NC-4.0")
    assert not is_non_commercial("CC-BY-4.0")


@pytest.mark.parametrize(
    ("text", "licence"),
    [("license CC-BY-SA 4.0", "CC-BY-SA-4.0"), ("# License: CC0", "CC0-1.0"), ("# licence: ask Ann", "ask Ann"),
     ("licensed to nobody", None), ("# The license text can be found elsewhere", None)],
)  # fmt: skip
def test_only_stated_licences_are_told(text, licence):
    assert stated([text]) == licence
    assert identified("Attribution-NonCommercial-NoDerivatives 4.0 International") == "CC-BY-NC-ND-4.0"


@pytest.mark.parametrize(("what", "old", "new"), HOSTILE)
def test_hostile_clothes_are_left_out_and_the_others_stay(body, tmp_path, what, old, new):
    good = write_garment(body, tmp_path / "pack/clothes/good", "good", trunk(body))
    bad = write_garment(body, tmp_path / "pack/clothes/bad", "bad", trunk(body))
    (tmp_path / "secret.obj").write_text((good.parent / "tee.obj").read_text())
    (bad.parent / "link.obj").symlink_to(tmp_path / "secret.obj")
    text = bad.read_text()
    assert old in text
    bad.write_text(text.replace(old, new))
    check_left_out(body, tmp_path / "pack", what)


def check_left_out(body: Body, pack: Path, what: str) -> None:
    store = AssetStore(pack, None, body.mesh, body.at, np.zeros((1, 4, 2), np.float32))
    assert [asset.name for asset in store.catalogue.assets] == ["clothes/good/good"], what
    assert list(store.left_out) == ["clothes/bad/bad"]


def test_hostile_textures_are_left_out(body, tmp_path):
    write_garment(body, tmp_path / "clothes/good", "good", trunk(body))
    bad = write_garment(body, tmp_path / "clothes/bad", "bad", trunk(body))
    huge = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(huge)) + b"IHDR" + huge + struct.pack(">I", zlib.crc32(b"IHDR" + huge))
    for data in (b"", b"no image", b"\x89PNG\r\n\x1a\n" + chunk + b"\0" * 64):
        (bad.parent / "tee.png").write_bytes(data)
        check_left_out(body, tmp_path, repr(data[:8]))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"unit_poses": [1]}', '{"unit_poses": {"JawDrop": NaN}}', "[" * 99999]
)
def test_hostile_expressions_are_left_out(body, tmp_path, text):
    write_garment(body, tmp_path / "clothes/good", "good", trunk(body))
    (tmp_path / "clothes/bad").mkdir()
    (tmp_path / "clothes/bad/bad.mhpose").write_text(text)
    check_left_out(body, tmp_path, text[:20])


def test_an_expression_moves_the_face_alone(library: BodyLibrary):
    spec = dressed(library)
    laughing = attrs.evolve(spec, expression=ExpressionSpec("mine/expressions/grin", (("mouth-open", 1.0),)))
    still, moved = (library.build(one) for one in (spec, laughing))
    before, after = (next(part for part in person.parts if part.name == "body").rest_m for person in (still, moved))
    off_m = np.linalg.norm(after - before, axis=1)
    face = before[:, 2] > 0.83 * spec.identity.height_m
    assert 0.005 < off_m[face].max() < 0.06
    assert not off_m[before[:, 2] < 0.75 * spec.identity.height_m].any()
    assert not off_m[before[:, 2] > 0.97 * spec.identity.height_m].any()
    assert moved.licences["mine/expressions/grin"] == "CC0-1.0"
    assert moved.attributes["expression"] == "mine/expressions/grin"
    assert "mine/expressions/grin" not in still.licences


def test_half_of_all_faces_are_neutral_and_the_others_differ(library: BodyLibrary):
    drawn = [sample_expression(np.random.default_rng(n), library.catalogue.expressions) for n in range(400)]
    names = [expression.name for expression in drawn]
    assert 0.35 < names.count("neutral") / 400 < 0.57
    assert {"smiling", "talking", "mine/expressions/grin"} <= set(names)
    assert len({expression.units for expression in drawn}) > 50
    assert all(0 <= weight <= 1 for expression in drawn for _, weight in expression.units)


def test_skin_under_clothes_is_gone_and_the_rest_stays(library: BodyLibrary, body: Body):
    spec = dressed(library)
    assert {worn.kind for worn in spec.outfit.worn} == {"upper", "lower"}
    assert spec.outfit.garments == ()
    bare = attrs.evolve(spec, outfit=attrs.evolve(spec.outfit, worn=()))
    shown, all_of_it = (next(part for part in library.build(one).parts if part.name == "body") for one in (spec, bare))
    assert len(shown.faces) < 0.85 * len(all_of_it.faces)
    heights = shown.rest_m[:, 2] / spec.identity.height_m
    middle = np.abs(shown.rest_m[:, 0]) < 0.08
    assert not (middle & (heights > 0.6) & (heights < 0.72)).any(), "the chest shows under the top"
    assert (heights > 0.9).any()
    assert shown.uv is not None
    assert shown.uv.shape == (len(shown.faces), 4, 2)


def test_clothes_stand_off_the_skin_on_every_body_and_move_with_it(library: BodyLibrary):
    for number, posture in enumerate(("standing", "sitting", "walking")):
        spec = dressed(library, number, posture)
        person = library.build(spec)
        shape_m = library.shape(spec.identity)
        for part in (part for part in person.parts if part.base_vertices is not None):  # not what is carried
            assert np.isfinite(part.vertices_m).all()
            assert part.faces.max() < len(part.vertices_m)
            assert np.linalg.norm(part.rest_m - shape_m[part.base_vertices], axis=1).max() < 0.12
            edges = part.vertices_m[part.faces] - part.vertices_m[np.roll(part.faces, 1, axis=1)]
            assert np.linalg.norm(edges, axis=-1).max() < 0.3
        top = next(part for part in person.parts if part.name == "upper_whole")
        near = np.linalg.norm(top.vertices_m.mean(axis=0) - person.joints_m["spine"])
        assert near < 0.25


def test_what_a_higher_layer_hides_of_a_lower_one_is_left_out(library: BodyLibrary):
    spec = dressed(library)
    tee, jeans = (next(one for one in spec.outfit.worn if one.kind == kind) for kind in ("upper", "lower"))

    def trousers(*worn) -> int:
        person = library.build(attrs.evolve(spec, outfit=attrs.evolve(spec.outfit, worn=worn)))
        return sum(len(part.faces) for part in person.parts if part.name.startswith("lower"))

    # The top (depth 50) reaches over the waist of the trousers (depth 40), whichever is named first.
    assert trousers(tee, jeans) == trousers(jeans, tee) < trousers(jeans)


def test_the_licences_of_what_somebody_wears_are_told(library: BodyLibrary):
    person = library.build(dressed(library))
    assert person.licences == {
        "mine/clothes/female_tee/tee_for_women": "CC-BY-NC-4.0",
        "mine/clothes/jeans/jeans": "MIT",
        "mine/hair/fuzz/fuzz": "unknown",
        "mine/skins/young_female/young_female": "CC0-1.0",
    }
    assert person.attributes["clothes"] == ["mine/clothes/female_tee/tee_for_women", "mine/clothes/jeans/jeans"]


def test_skin_and_hair_keep_the_colours_of_the_identity(library: BodyLibrary):
    spec = dressed(library)
    parts = {part.name: part for part in library.build(spec).parts}
    for name, wanted in (("body", spec.identity.skin_color), ("hair", spec.identity.hair_color)):
        material = parts[name].material
        assert max(material.texture.pixels.shape[:2]) <= 512
        mean = linear(material.texture.pixels[..., :3]).mean(axis=(0, 1)) * material.base_color
        np.testing.assert_allclose(mean, wanted, rtol=0.05)


def test_a_cache_changes_nothing(pack: Path, library: BodyLibrary):
    spec = dressed(library)
    first, again = library.build(spec), BodyLibrary(None, pack).build(spec)
    for one, other in zip(first.parts, again.parts, strict=True):
        assert one.vertices_m.tobytes() == other.vertices_m.tobytes()
        assert one.material.texture == other.material.texture


def test_men_and_women_get_what_is_theirs(library: BodyLibrary):
    ranges = PersonRanges(assets_share=1.0)
    for number in range(40):
        identity = sample_identity(Seeds(number), ranges, library.catalogue)
        outfit = sample_outfit(Seeds(number), identity, ranges, library.catalogue)
        names = {worn.asset for worn in outfit.worn}
        assert "mine/clothes/jeans/jeans_of_men" not in names  # nobody has a man's top to go with them
        if identity.sex > 0.5:
            assert not names
            assert identity.skin_asset == ""
        assert len(outfit.garments) + len(names) >= 2


def test_without_assets_nothing_changes(library: BodyLibrary):
    ranges = PersonRanges()
    identity = sample_identity(Seeds(2), ranges)
    assert (identity.skin_asset, identity.hair_asset) == ("", "")
    assert sample_outfit(Seeds(2), identity, ranges).worn == ()
    shares = attrs.evolve(ranges, assets_share=0.0)
    there = sample_identity(Seeds(2), shares, library.catalogue)
    assert attrs.evolve(there, skin_asset="") == identity


@pytest.mark.blender
def test_textures_arrive_upright_and_see_through():
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 0] = pixels[2:, :, 1] = 255  # red above green
    pixels[..., 3] = 255
    pixels[:, :2, 3] = 0  # nothing on the left
    camera = ceiling_camera(64, 64, 90.0, 0.0, 2.0, 0.0)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    uv = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]], np.float32)
    sheet = Mesh(corners, np.array([[0, 1, 2, 3]], np.int32), False, uv)
    surface = Surface((0.5, 0.5, 0.5), roughness=1.0, texture=Texture("a", pixels), emission=0.0)
    scene = Scene(camera, (Thing(((sheet, surface),), np.eye(4), "room"),), (), Sky((1.0, 1.0, 1.0), 1.0), (), {})
    with WorkerClient(WorkerConfig()) as client:
        reply = client.render(*render_request(scene, (attrs.evolve(ROOM, transparent=True),), Quality(16, False, 1, 3)))
    color = reply.passes["room"]["color"]
    places, _ = camera.project(np.array([[0.4, 0.4, 0], [0.4, -0.4, 0], [-0.4, 0.4, 0]]))
    red, green, nothing = (color[int(y), int(x)] for x, y in places)
    np.testing.assert_allclose(red[:3], (0.5, 0, 0), atol=0.12)
    np.testing.assert_allclose(green[:3], (0, 0.5, 0), atol=0.12)
    assert red[3] == pytest.approx(1, abs=0.02)
    assert nothing[3] == pytest.approx(0, abs=0.02)


@pytest.mark.blender
def test_records_tell_the_assets_of_an_image(tiny_renderer, pack, library):
    people = {"assets": str(pack), "assets_share": 1.0, "female_share": 1.0, "sitting": [0, 0], "standing": [1, 1]}
    config = structure(BlenderConfig, {"people": people})
    cast = Casting(library, config.people, Seeds(1))
    with tiny_renderer(source=cast, people=people) as renderer:
        (sample,) = renderer.render(0, Seeds(3))
    assert sample.meta["licences"]["bodies"].startswith("CC0-1.0")
    assert sample.meta["licences"]["mine/clothes/female_tee/tee_for_women"] == "CC-BY-NC-4.0"


def test_licences_that_matter_are_told_at_the_start(tiny_renderer, pack, caplog):
    made = tiny_renderer(people={"assets": str(pack)})
    renderer = BlenderRenderer(made._config, None, made._runtime)
    with renderer:
        pass
    assert "1 assets state no licence, such as mine/hair/fuzz/fuzz" in caplog.text
    assert "no commercial use, such as mine/clothes/female_tee/tee_for_women (CC-BY-NC-4.0)" in caplog.text


@pytest.mark.assets
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/assets/makehuman")
def test_real_assets_fit_everybody(tmp_path):
    library = BodyLibrary(tmp_path, REAL)
    kinds = {(asset.kind, asset.sex) for asset in library.catalogue.assets}
    assert kinds >= {("full", "male"), ("full", "female"), ("shoes", "any"), ("hair", "female"), ("skin", "male")}
    assert {asset.licence for asset in library.catalogue.assets} == {"CC0-1.0"}
    config = structure(BlenderConfig, {"people": {"assets": str(REAL), "assets_share": 1.0}})
    cast = Casting(library, config.people, Seeds(1))
    for number in range(8):
        posture = ("standing", "sitting")[number % 2]
        person = cast.person(Seeds(number), f"{number:x}", posture, person_ranges(config.people), table=None)
        assert abs(float(person.surface_vertices_m[:, 2].min())) < 0.015
        for part in (part for part in person.parts if part.base_vertices is not None):
            edges = part.vertices_m[part.faces] - part.vertices_m[np.roll(part.faces, 1, axis=1)]
            assert np.linalg.norm(edges, axis=-1).max() < 0.4, part.name
