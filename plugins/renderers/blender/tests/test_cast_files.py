# SPDX-License-Identifier: Apache-2.0
"""Rigged people's glTF files are read strictly: what is broken or hostile is refused with a reason."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import made_rigs
import numpy as np
import pytest

from synthkit_blender.people.cast import gltf
from synthkit_blender.people.cast.company import Cast, CastError
from synthkit_blender.people.types import CastSpec


def document_of(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def test_a_file_of_text_is_the_same_as_a_binary_one(rigs, cast, tmp_path):
    document, binary = document_of(rigs / "own-.glb")
    document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    (tmp_path / "inside.gltf").write_text(json.dumps(document))
    (tmp_path / "its data.bin").write_bytes(binary)
    document["buffers"][0]["uri"] = "its%20data.bin"
    (tmp_path / "beside.gltf").write_text(json.dumps(document))
    pose = made_rigs.posed("walk")
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
def test_hostile_files_are_refused_with_a_reason(change, says, rigs, tmp_path):
    document, binary = document_of(rigs / "own-.glb")
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


def test_no_more_than_the_bounds_is_read(rigs, tmp_path, monkeypatch):
    monkeypatch.setattr(gltf, "MAX_FILE_BYTES", 1000)
    with pytest.raises(CastError, match="is larger than"):
        Cast.open(rigs)


def test_damage_anywhere_gives_a_body_or_a_reason(rigs, tmp_path):
    document, binary = document_of(rigs / "unreal-T.glb")
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
