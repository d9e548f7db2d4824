# SPDX-License-Identifier: Apache-2.0
"""Rigged people as glTF files, made of the body library's own body: bones named as usual rigs do, other rest poses."""

from __future__ import annotations

import base64
import io
import itertools
import json
import struct
from pathlib import Path

import attrs
import numpy as np
from PIL import Image

from synthkit.seeds import Seeds
from synthkit_blender.people import PersonRanges, mpfb, pose_names, sample_pose
from synthkit_blender.people.rotations import shortest
from synthkit_blender.people.skeleton import BONES, SIDES, PosedSkeleton, joint_cube_centres, moved, rest_pivots

WORDS = {"l": "Left", "r": "Right"}
DIGITS = ("Thumb", "Index", "Middle", "Ring", "Pinky")


def mixamo() -> dict[str, tuple[str, str]]:
    """Return, for each of our bones, (bone that has it, that bone's parent)."""
    chain = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")
    table = {"root": 0, "spine05": 1, "spine04": 1, "spine03": 2, "spine02": 2, "spine01": 3}
    table |= {"neck01": 4, "neck02": 4, "neck03": 4, "head": 5}
    bones = {bone: (chain[n], chain[n - 1] if n else "") for bone, n in table.items()}
    for s, side in WORDS.items():
        arm = [f"{side}{part}" for part in ("Shoulder", "Arm", "ForeArm", "Hand")]
        leg = [f"{side}{part}" for part in ("UpLeg", "Leg", "Foot", "ToeBase")]
        bones |= _limbs(s, ["Spine2", *arm], ["Hips", *leg])
        for digit, word in enumerate(DIGITS, start=1):
            for n in (1, 2, 3):
                parent = f"{side}Hand{word}{n - 1}" if n > 1 else f"{side}Hand"
                bones[f"finger{digit}-{n}.{s}"] = (f"{side}Hand{word}{n}", parent)
    return {bone: (f"mixamorig:{name}", parent and f"mixamorig:{parent}") for bone, (name, parent) in bones.items()}


def biped() -> dict[str, tuple[str, str]]:
    """The same for 3ds Max Biped as Rocketbox has it: collar bones hang on the neck."""
    chain = ("Pelvis", "Spine", "Spine1", "Spine2", "Neck", "Head")
    table = {"root": 0, "spine05": 1, "spine04": 1, "spine03": 2, "spine02": 2, "spine01": 3}
    table |= {"neck01": 4, "neck02": 4, "neck03": 4, "head": 5}
    bones = {bone: (f"Bip01 {chain[n]}", f"Bip01 {chain[n - 1]}" if n else "Bip01") for bone, n in table.items()}
    for s in SIDES:
        at = f"Bip01 {s.upper()}"
        arm = [f"{at} {part}" for part in ("Clavicle", "UpperArm", "Forearm", "Hand")]
        leg = [f"{at} {part}" for part in ("Thigh", "Calf", "Foot", "Toe0")]
        bones |= _limbs(s, ["Bip01 Neck", *arm], ["Bip01 Pelvis", *leg])
        for digit in range(5):
            names = [f"{at} Finger{digit}{n}" for n in ("", "1", "2")]
            for n, parent in enumerate([f"{at} Hand", *names[:2]]):
                bones[f"finger{digit + 1}-{n + 1}.{s}"] = (names[n], parent)
    return bones


def unreal() -> dict[str, tuple[str, str]]:
    """The same for Unreal's mannequin, of the hands without fingers."""
    chain = ("pelvis", "spine_01", "spine_02", "spine_03", "spine_04", "spine_05", "neck_01", "neck_02", "head")
    ours = ("root", "spine05", "spine04", "spine03", "spine02", "spine01", "neck01", "neck02", "head")
    bones = {bone: (chain[n], chain[n - 1] if n else "root") for n, bone in enumerate(ours)}
    bones |= {"neck03": bones["neck02"], "neck02": bones["neck01"]}
    for s in SIDES:
        arm = [f"{part}_{s}" for part in ("clavicle", "upperarm", "lowerarm", "hand")]
        leg = [f"{part}_{s}" for part in ("thigh", "calf", "foot", "ball")]
        bones |= _limbs(s, ["spine_05", *arm], ["pelvis", *leg])
        bones |= {f"finger{digit}-{n}.{s}": (f"hand_{s}", f"lowerarm_{s}") for digit in range(1, 6) for n in (1, 2, 3)}
    return bones


def own() -> dict[str, tuple[str, str]]:
    """The same for MPFB's default rig."""
    trunk = ("root", "spine05", "spine04", "spine03", "spine02", "spine01", "neck01", "neck02", "neck03", "head")
    bones = {bone: (bone, trunk[n - 1] if n else "") for n, bone in enumerate(trunk)}
    for s in SIDES:
        arm = ("spine01", "clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist")
        leg = ("root", "upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot", "toes")
        fingers = [("wrist", *(f"finger{digit}-{n}" for n in (1, 2, 3))) for digit in range(1, 6)]
        for limb in (arm, leg, *fingers):
            for parent, bone in itertools.pairwise(limb):
                parent = parent if parent in ("root", "spine01") else f"{parent}.{s.upper()}"
                bones[f"{bone}.{s}"] = (f"{bone}.{s.upper()}", parent)
        bones[f"toes.{s}"] = (f"toe2-1.{s.upper()}", f"foot.{s.upper()}")
    return bones


def _limbs(s: str, arm: list[str], leg: list[str]) -> dict[str, tuple[str, str]]:
    ours = {"clavicle": 1, "shoulder01": 1, "upperarm01": 2, "upperarm02": 2, "lowerarm01": 3, "lowerarm02": 3}
    bones = {f"{bone}.{s}": (arm[n], arm[n - 1]) for bone, n in {**ours, "wrist": 4}.items()}
    legs = {"upperleg01": 1, "upperleg02": 1, "lowerleg01": 2, "lowerleg02": 2, "foot": 3, "toes": 4}
    return bones | {f"{bone}.{s}": (leg[n], leg[n - 1]) for bone, n in legs.items()}


STYLES = {"mixamo": mixamo, "biped": biped, "unreal": unreal, "own": own}
RIGS = {"mixamo-T": 0.01, "biped-A": 1.0, "unreal-T": 1.0, "own-": 1.0}  # style and arms, and the armature's scale


def write_rigs(folder: Path, library, identity) -> None:
    """Write a person rigged in each of the ways of RIGS."""
    asset = {"extras": {"license": "CC-BY-4.0 (http://creativecommons.org/licenses/by/4.0/)"}}
    for name, scale in RIGS.items():
        style, arms = name.split("-")
        write_rig(folder / f"{name}.glb", library, identity, style, arms, asset, png(), scale=scale)


def png() -> bytes:
    """Return an image that is red above and green below."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2, :, 0] = pixels[2:, :, 1] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def posed(name: str, seed: int = 5, posture: str = "", **changes):
    """Return a pose of the library by name."""
    posture = posture or next(p for p in ("standing", "walking", "sitting", "leaning") if name in pose_names(p))
    return attrs.evolve(sample_pose(Seeds(seed), posture, PersonRanges()), name=name, **changes)


def rest_with_arms(joints, arms):
    """Return the skeleton at rest with arms level ("T"), at 45 degrees ("A"), or as they are ("")."""
    rest = rest_pivots(joints)
    turns, at = {bone: np.eye(3) for bone in BONES}, dict(rest)
    for s, sign in zip(SIDES, (1.0, -1.0), strict=True):
        if not arms:
            break
        wanted = np.array([sign, 0.0, 0.0]) if arms == "T" else np.array([sign, 0.0, -1.0]) / np.sqrt(2)
        shoulder, elbow, hand = (joints[f"{s}-{name}"] for name in ("shoulder", "elbow", "hand"))
        upper, fore = shortest(elbow - shoulder, wanted), shortest(hand - elbow, wanted)
        elbow_at = shoulder + upper @ (elbow - shoulder)
        hand_at = elbow_at + fore @ (hand - elbow)
        for bone in BONES:
            if not bone.endswith(f".{s}"):
                continue
            if bone.startswith("upperarm"):
                turns[bone] = upper
            elif bone.startswith(("lowerarm", "wrist", "finger")):
                turns[bone] = fore
                at[bone] = elbow_at if bone.startswith("lower") else hand_at + fore @ (rest[bone] - hand)
    return rest, PosedSkeleton(turns, at)


def write_rig(path: Path, library, identity, style: str, arms: str = "", asset=None, image: bytes = b"", **how) -> None:
    """Write the naked body of an identity as a rigged GLB; ``how`` goes to ``write_glb``."""
    mesh, shape = library.sculptor.mesh, library.shape(identity)
    rest, skeleton = rest_with_arms(joint_cube_centres(mesh, shape), arms)
    count = int(mesh.faces[mpfb.BODY].max()) + 1
    vertices = moved(library.sculptor.skin.motions(rest, skeleton), shape)[:count]
    table = STYLES[style]()
    names = list(dict.fromkeys(name for name, _ in table.values()))
    places = {}
    parents = dict(table.values())
    for bone in BONES:  # the first of ours that a bone has is where it turns
        places.setdefault(table[bone][0], skeleton.pivots[bone])
    for parent in list(parents.values()):
        if parent and parent not in names:
            names.insert(0, parent)
            places[parent], parents[parent] = np.zeros(3), ""
    dense = np.zeros((count, len(names)), np.float32)
    for bone in BONES:
        dense[:, names.index(table[bone][0])] += library.sculptor.skin.dense(bone)[:count]
    most = np.argsort(-dense, axis=1)[:, :4]
    weights = np.take_along_axis(dense, most, axis=1)
    quads = mesh.faces[mpfb.BODY]
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    triangles = triangles[(triangles[:, 0] != triangles[:, 2]) & (triangles[:, 1] != triangles[:, 2])]
    uv = mpfb.parse_face_uv(mpfb.find_data_dir(), mpfb.BODY)
    corner_uv = np.zeros((count, 2), np.float32)
    corner_uv[quads] = uv
    at = np.stack([places[name] for name in names])
    write_glb(
        path, names, [names.index(parents[name]) if parents[name] else -1 for name in names], y_up(at), y_up(vertices),
        most, weights / weights.sum(axis=1, keepdims=True), triangles, corner_uv, image, asset or {}, **how,
    )  # fmt: skip


def y_up(points):
    """Return (N, 3) points of the person frame in glTF's axes: y up, facing +z."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)


def write_glb(
    path, names, parents, places, vertices, joints, weights, triangles, uv, image, asset, *, scale=1.0, edit=None,
) -> None:  # fmt: skip
    """Write a skinned mesh; ``scale`` is of the armature's node, as exporters of centimetres have it.

    ``edit`` may change the document before it is written.
    """
    inverse = np.tile(np.eye(4), (len(names), 1, 1))
    inverse[:, :3, 3] = -places / scale
    arrays = [
        (vertices / scale, "<f4", 5126, "VEC3"), (joints, "<u2", 5123, "VEC4"), (weights, "<f4", 5126, "VEC4"),
        (triangles.reshape(-1, 1), "<u4", 5125, "SCALAR"), (inverse.transpose(0, 2, 1).reshape(-1, 16), "<f4", 5126,
                                                            "MAT4"),
        (uv * [1, -1] + [0, 1], "<f4", 5126, "VEC2"),
    ]  # fmt: skip
    binary, views, accessors = b"", [], []
    for array, dtype, component, kind in arrays:
        data = np.ascontiguousarray(array, dtype).tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind})
        binary += data + b"\0" * (-len(data) % 4)
    views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(image)})
    binary += image + b"\0" * (-len(image) % 4)
    nodes = []
    for n, (name, parent) in enumerate(zip(names, parents, strict=True)):
        local = (places[n] - (places[parent] if parent >= 0 else 0)) / scale
        children = [m for m, above in enumerate(parents) if above == n]
        nodes.append({"name": name, "translation": local.tolist(), **({"children": children} if children else {})})
    roots = [n for n, parent in enumerate(parents) if parent < 0]
    nodes.append({"name": "Armature", "scale": [scale] * 3, "children": [*roots, len(names) + 1]})
    nodes.append({"name": "Body", "mesh": 0, "skin": 0})
    attributes = {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2, "TEXCOORD_0": 5}
    look = {"baseColorFactor": [0.5, 0.35, 0.28, 1.0], "roughnessFactor": 0.9}
    document = {
        "asset": {"version": "2.0", **asset}, "scene": 0, "scenes": [{"nodes": [len(names)]}], "nodes": nodes,
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "skins": [{"joints": list(range(len(names))), "inverseBindMatrices": 4}],
        "materials": [{"pbrMetallicRoughness": look}], "accessors": accessors, "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    if image:
        document["images"] = [{"bufferView": len(views) - 1, "mimeType": "image/png"}]
        document["textures"] = [{"source": 0}]
        look["baseColorTexture"] = {"index": 0}
        look["baseColorFactor"] = [1.0, 1.0, 1.0, 1.0]
    if edit is not None:
        edit(document)
    path.write_bytes(packed(json.dumps(document).encode(), binary))


def packed(text: bytes, binary: bytes) -> bytes:
    """Return binary glTF of a JSON and a binary chunk."""
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def with_two_skins(source: Path, path: Path) -> None:
    """Write a rig's body as two meshes with a skin each: the second has its joints in reverse, in decimetres."""
    data = source.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    document, binary = json.loads(data[20 : 20 + size]), data[28 + size :]

    def array(number: int, dtype: str, width: int):
        view = document["bufferViews"][document["accessors"][number]["bufferView"]]
        count = document["accessors"][number]["count"]
        return np.frombuffer(binary, dtype, count * width, view["byteOffset"]).reshape(count, width)

    def add(values, number: int) -> int:
        """Return the accessor of values that are like those of another."""
        values = np.ascontiguousarray(values)
        text = base64.b64encode(values.tobytes()).decode()
        document["buffers"].append({"byteLength": values.nbytes, "uri": f"data:application/octet-stream;base64,{text}"})
        document["bufferViews"].append({"buffer": len(document["buffers"]) - 1, "byteLength": values.nbytes})
        view = {"bufferView": len(document["bufferViews"]) - 1, "count": len(values)}
        document["accessors"].append({**document["accessors"][number], **view})
        return len(document["accessors"]) - 1

    joints = document["skins"][0]["joints"]
    inverse = array(4, "<f4", 16).reshape(-1, 4, 4).transpose(0, 2, 1) @ np.diag([0.1, 0.1, 0.1, 1]).astype(np.float32)
    document["skins"].append(
        {"joints": joints[::-1], "inverseBindMatrices": add(inverse[::-1].transpose(0, 2, 1).reshape(-1, 16), 4)}
    )
    first = document["meshes"][0]["primitives"][0]
    attributes = {**first["attributes"], "POSITION": add(array(0, "<f4", 3) * 10, 0),
                  "JOINTS_0": add((len(joints) - 1 - array(1, "<u2", 4)).astype("<u2"), 1)}  # fmt: skip
    corners = array(3, "<u4", 1)
    half = len(corners) // 6 * 3
    document["meshes"].append({"primitives": [{**first, "attributes": attributes, "indices": add(corners[half:], 3)}]})
    first["indices"] = add(corners[:half], 3)
    document["nodes"].append({"name": "Legs", "mesh": 1, "skin": 1})
    document["nodes"][len(joints)]["children"].append(len(document["nodes"]) - 1)
    path.write_bytes(packed(json.dumps(document).encode(), binary))
