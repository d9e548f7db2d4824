# SPDX-License-Identifier: Apache-2.0
"""A rigged mesh out of a glTF document, in its bind pose: bones, vertices with weights, faces with their looks."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.arrays import ArrayCache
from synthkit_blender.people.assets.files import decoded_image
from synthkit_blender.people.cast.gltf import Document, GltfError, whole
from synthkit_blender.people.types import FloatArray, IntArray, Rgb, Texture

MAX_NODES = 4096
MAX_VERTICES = 300_000
MAX_FACES = 600_000
MAX_PARTS = 64
MAX_WEIGHT_SETS = 2
TEXTURE_PX = 512
TRIANGLES = 4
Mat4 = NDArray[np.float64]


@attrs.frozen(eq=False)
class Look:
    """What faces look like: base colour (linear) times texture."""

    color: Rgb
    roughness: float
    texture: Texture | None


@attrs.frozen(eq=False)
class Faces:
    """Triangles (F, 3) into the vertices, their texture coordinates (F, 3, 2) with v upwards, and their look."""

    triangles: IntArray
    uv: FloatArray | None
    look: Look


@attrs.frozen(eq=False)
class Rigged:
    """Bones by their names, each with its parent's number (-1 for none) and place (3,); a mesh (V, 3) hung on them.

    `bones` and `weights` are (V, K), weights summing to 1.  Places are in metres, y up, as the bind pose has them.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    places_m: NDArray[np.float64]
    vertices_m: NDArray[np.float64]
    bones: NDArray[np.int64]
    weights: FloatArray
    parts: tuple[Faces, ...]


def read_rigged(document: Document, cache: ArrayCache) -> Rigged:
    """Return all skinned meshes of a document as one.

    A skin's inverse bind matrices tell where its bones are in the space of its mesh; skins of other spaces are
    brought together, and into metres, by the node of a bone that they share: W_node B_bone for a skin's matrix B.

    Raises GltfError for what is broken, AssetError for files that are not there.
    """
    nodes = document.all("nodes", MAX_NODES)
    parents = _parents(document, nodes)
    world = _world(document, nodes, parents)
    places = world[:, :3, 3].copy()
    skins: dict[int, tuple[list[int], Mat4]] = {}
    placed: set[int] = set()
    meshes = []
    for node in nodes:
        if "mesh" not in node or "skin" not in node:
            continue
        number = whole(node["skin"], "a node's skin", len(document.all("skins")) - 1)
        if number not in skins:
            skins[number] = _skin(document, number, world, placed, places)
        meshes.append((document.at("meshes", node["mesh"]), *skins[number]))
    if not meshes:
        raise GltfError("has no skinned mesh; export the body together with its armature")
    looks: dict[int, Look] = {}
    pieces = []
    for mesh, joints, space in meshes:
        for primitive in document.items(mesh, "primitives", MAX_PARTS):
            if not isinstance(primitive, dict):
                raise GltfError("has a primitive that is no object")
            pieces.append(_Piece.read(document, primitive, np.array(joints), space, looks, cache))
            vertices, faces = sum(len(p.vertices_m) for p in pieces), sum(len(p.triangles) for p in pieces)
            if vertices > MAX_VERTICES or faces > MAX_FACES or len(pieces) > MAX_PARTS:
                raise GltfError(f"has more than {MAX_VERTICES} vertices, {MAX_FACES} faces or {MAX_PARTS} parts")
    if not pieces:
        raise GltfError("has a skinned mesh without anything in it")
    names = tuple(str(node.get("name", ""))[:120] for node in nodes)
    return _welded(names, tuple(parents), places, pieces)


def _parents(document: Document, nodes: list[dict[str, Any]]) -> list[int]:
    parents = [-1] * len(nodes)
    for number, node in enumerate(nodes):
        for child in document.items(node, "children", MAX_NODES):
            child = whole(child, "a node's child", len(nodes) - 1)
            if parents[child] >= 0 or child == number:
                raise GltfError(f"node {child} has two parents")
            parents[child] = number
    return parents


def _world(document: Document, nodes: list[dict[str, Any]], parents: list[int]) -> Mat4:
    """Return (N, 4, 4) the nodes' transforms into the file's world."""
    world = np.full((len(nodes), 4, 4), np.nan)
    for number in range(len(nodes)):
        chain, above = [], number
        while above >= 0 and np.isnan(world[above, 3, 3]):
            chain.append(above)
            if len(chain) > len(nodes):
                raise GltfError("has nodes in a circle")
            above = parents[above]
        for below in reversed(chain):
            local = _local(document, nodes[below])
            world[below] = local if parents[below] < 0 else world[parents[below]] @ local
    if not np.isfinite(world).all() or np.abs(world).max(initial=0) > 1e9:
        raise GltfError("has nodes at impossible places")
    return world


def _local(document: Document, node: dict[str, Any]) -> Mat4:
    if "matrix" in node:
        return document.numbers(node, "matrix", tuple(np.eye(4).ravel().tolist())).reshape(4, 4).T
    x, y, z, w = document.numbers(node, "rotation", (0.0, 0.0, 0.0, 1.0))
    length = np.sqrt(x * x + y * y + z * z + w * w)
    if length < 1e-6:
        raise GltfError("has a rotation without a direction")
    x, y, z, w = x / length, y / length, z / length, w / length
    turn = np.array(
        [[1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
         [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
         [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]]
    )  # fmt: skip
    local = np.eye(4)
    local[:3, :3] = turn * document.numbers(node, "scale", (1.0, 1.0, 1.0))
    local[:3, 3] = document.numbers(node, "translation", (0.0, 0.0, 0.0))
    return local


def _skin(
    document: Document, number: int, world: Mat4, placed: set[int], places: NDArray[np.float64]
) -> tuple[list[int], Mat4]:
    """Return a skin's bones as nodes and the transform (4, 4) of its mesh's space; put its bones in their places."""
    skin = document.at("skins", number)
    joints = [whole(j, "a skin's joint", len(world) - 1) for j in document.items(skin, "joints", MAX_NODES)]
    if not joints:
        raise GltfError(f"skin {number} has no joints")
    inverse = np.broadcast_to(np.eye(4), (len(joints), 4, 4))
    if "inverseBindMatrices" in skin:
        flat = document.array(skin["inverseBindMatrices"], 16, MAX_NODES).astype(np.float64)
        if len(flat) < len(joints):
            raise GltfError(f"skin {number} has fewer bind matrices than joints")
        inverse = flat[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
    if (np.abs(np.linalg.det(inverse)) < 1e-18).any():
        raise GltfError(f"skin {number} has bind matrices that cannot be inverted")
    bind = np.linalg.inv(inverse)
    shared = next((n for n, joint in enumerate(joints) if joint in placed), None)
    if shared is None:
        space = world[joints[0]] @ inverse[0]
    else:  # the bone's orientation may differ between skins' spaces, so two bones would tell; places are enough here
        space = world[joints[shared]] @ inverse[shared]
        space[:3, 3] += places[joints[shared]] - (space @ bind[shared])[:3, 3]
    for joint, matrix in zip(joints, bind, strict=True):
        if joint not in placed:
            places[joint] = (space @ matrix)[:3, 3]
            placed.add(joint)
    return joints, space


@attrs.frozen(eq=False)
class _Piece:
    """A primitive: vertices in the common space, bones as nodes, triangles into its own vertices."""

    vertices_m: NDArray[np.float64]
    bones: NDArray[np.int64]
    weights: FloatArray
    triangles: NDArray[np.int64]
    uv: FloatArray | None
    look: Look

    @classmethod
    def read(
        cls, document: Document, primitive: dict[str, Any], joints: NDArray[np.int64], space: Mat4,
        looks: dict[int, Look], cache: ArrayCache,
    ) -> _Piece:  # fmt: skip
        if primitive.get("mode", TRIANGLES) != TRIANGLES:
            raise GltfError("has a mesh that is not of plain triangles")
        named = document.table(primitive, "attributes")
        points = document.array(named.get("POSITION"), 3, MAX_VERTICES).astype(np.float64)
        count = len(points)
        bones, weights = _weights(document, named, count, len(joints))
        if "indices" in primitive:
            corners = document.array(primitive["indices"], 1, 3 * MAX_FACES)[:, 0].astype(np.int64)
        else:
            corners = np.arange(count, dtype=np.int64)
        if len(corners) % 3 or (corners >= count).any():
            raise GltfError("has triangles with missing corners")
        triangles = corners.reshape(-1, 3)
        look, which = _look(document, primitive, looks, cache)
        uv = None
        if look.texture is not None:
            flat = document.array(named.get(f"TEXCOORD_{which}"), 2, MAX_VERTICES).astype(np.float32)
            if len(flat) != count:
                raise GltfError("has texture coordinates for other vertices")
            flat[:, 1] = 1 - flat[:, 1]
            uv = flat[triangles]
        points = points @ space[:3, :3].T + space[:3, 3]
        return cls(points, joints[bones], weights, triangles, uv, look)


def _weights(
    document: Document, named: dict[str, Any], count: int, joint_count: int
) -> tuple[NDArray[np.int64], FloatArray]:
    """Return (V, K) the vertices' bones, as places in the skin, and weights that sum to 1."""
    found = []
    for number in range(MAX_WEIGHT_SETS):
        if number == 0 or f"JOINTS_{number}" in named:
            bones = document.array(named.get(f"JOINTS_{number}"), 4, MAX_VERTICES)
            weights = document.array(named.get(f"WEIGHTS_{number}"), 4, MAX_VERTICES).astype(np.float32)
            if bones.dtype.kind != "u" or len(bones) != count or len(weights) != count:
                raise GltfError("has weights for other vertices")
            found.append((bones.astype(np.int64), np.maximum(weights, 0)))
    every, shares = (np.concatenate(columns, axis=1) for columns in zip(*found, strict=True))
    every[shares == 0] = 0
    if (every >= joint_count).any():
        raise GltfError("has weights of bones that its skin does not have")
    total = shares.sum(axis=1, keepdims=True)
    if (total <= 0).any():
        raise GltfError("has vertices that hang on no bone")
    return every, shares / total


def _look(
    document: Document, primitive: dict[str, Any], looks: dict[int, Look], cache: ArrayCache
) -> tuple[Look, int]:  # fmt: skip
    """Return a primitive's look and the number of its texture coordinates."""
    if "material" not in primitive:
        return Look((0.6, 0.6, 0.6), 0.8, None), 0
    number = whole(primitive["material"], "a primitive's material", len(document.all("materials")) - 1)
    material = document.at("materials", number)
    metal = document.table(material, "pbrMetallicRoughness")
    older = document.table(document.table(material, "extensions"), "KHR_materials_pbrSpecularGlossiness")
    red, green, blue, _ = np.clip(
        document.numbers(older, "diffuseFactor", (1.0, 1.0, 1.0, 1.0)) if older
        else document.numbers(metal, "baseColorFactor", (1.0, 1.0, 1.0, 1.0)), 0, 1
    ).tolist()  # fmt: skip
    reference = document.table(older, "diffuseTexture") if older else document.table(metal, "baseColorTexture")
    if number not in looks:
        rough = 0.8 if older else document.number(metal, "roughnessFactor", 1.0)
        texture = None
        if reference:
            source = document.at("textures", reference.get("index")).get("source")
            opaque = material.get("alphaMode", "OPAQUE") == "OPAQUE"
            texture = _texture(document.image(source), document.path.name, opaque, cache)
        looks[number] = Look((red, green, blue), float(np.clip(rough, 0.3, 1.0)), texture)
    return looks[number], whole(reference.get("texCoord", 0), "a texCoord", 7)


def _texture(data: bytes, name: str, opaque: bool, cache: ArrayCache) -> Texture:
    digest = hashlib.sha256(data).hexdigest()[:32]
    pixels = cache.get(
        f"cast-texture-{digest}", lambda: {"pixels": decoded_image(data, f"a texture of {name}", TEXTURE_PX)}
    )["pixels"]
    if opaque:
        return Texture(digest + "o", np.ascontiguousarray(pixels[..., :3]))
    return Texture(digest, pixels)


def _welded(
    names: tuple[str, ...], parents: tuple[int, ...], places: NDArray[np.float64], pieces: list[_Piece]
) -> Rigged:  # fmt: skip
    """Join pieces; vertices split for their texture coordinates become one again, so that shading is smooth."""
    widest = max(piece.bones.shape[1] for piece in pieces)

    def wide(array: NDArray[Any]) -> NDArray[Any]:
        return np.pad(array, ((0, 0), (0, widest - array.shape[1])))

    vertices = np.concatenate([piece.vertices_m for piece in pieces])
    bones = np.concatenate([wide(piece.bones) for piece in pieces])
    weights = np.concatenate([wide(piece.weights) for piece in pieces])
    key = np.concatenate([np.round(vertices, 6), bones, np.round(weights, 4)], axis=1)
    _, first, number = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # the file's
    first, number = first[order], np.argsort(order)[number.reshape(-1)]
    parts, start = [], 0
    for piece in pieces:
        triangles = number[piece.triangles + start].astype(np.int32)
        start += len(piece.vertices_m)
        a, b, c = triangles.T
        sound = (a != b) & (b != c) & (a != c)
        if sound.any():
            parts.append(Faces(triangles[sound], None if piece.uv is None else piece.uv[sound], piece.look))
    if not parts:
        raise GltfError("has no faces")
    return Rigged(names, parents, places, vertices[first], bones[first], weights[first], tuple(parts))
