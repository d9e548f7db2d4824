# SPDX-License-Identifier: Apache-2.0
"""A folder of assets, opened: what is in it, and the meshes and textures of what is asked for."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.arrays import ArrayCache, Table
from synthkit_blender.people.assets import licences
from synthkit_blender.people.assets.catalogue import NO_SKINS, Asset, Catalogue, age_of, kind_of, sex_of, words
from synthkit_blender.people.assets.cover import covered_vertices, lower_faces
from synthkit_blender.people.assets.files import MAX_IMAGE_BYTES, MAX_TEXT_BYTES, AssetError, AssetFolder
from synthkit_blender.people.assets.makehuman import (
    Binding,
    MaterialFile,
    parse_face_pose,
    parse_material,
    parse_obj,
    parse_proxy,
    parse_references,
)
from synthkit_blender.people.assets.textures import grey_strands, mean_tone, seen_faces
from synthkit_blender.people.expressions import from_face_units
from synthkit_blender.people.fields import BodyCoordinates
from synthkit_blender.people.mpfb import BaseMesh
from synthkit_blender.people.types import ExpressionSpec, FloatArray, IntArray, Rgb, Texture

CACHE_VERSION = 4  # of what is kept in the cache folder
TEXTURE_PX = 512
KEPT = 48  # assets remembered
HAIR_FOLDER, SKIN_FOLDER = "hair", "skins"
Item = TypeVar("Item")
OTHER_FOLDERS = {"eyes", "eyebrows", "eyelashes", "teeth", "tongue"}


@attrs.frozen(eq=False)
class Piece:
    """A mesh of an asset: `vertices` are numbers of the binding's, `faces` (F, 4) number these, `uv` (F, 4, 2)."""

    name: str
    vertices: NDArray[np.intp]
    faces: IntArray
    uv: FloatArray


@attrs.frozen(eq=False)
class Worn:
    """Clothes or hair ready to be worn: pieces ("upper" and "lower", or "whole"), what they hide, and their look.

    `deleted` (V,) marks vertices of the base mesh that are under it; `color` multiplies the texture.
    """

    z_depth: int
    binding: Binding
    deleted: NDArray[np.bool_]
    pieces: tuple[Piece, ...]
    texture: Texture | None
    color: Rgb
    shininess: float


@attrs.frozen(eq=False)
class _Files:
    """The files of one asset, read: `mesh` and `image` where there are such, and the parsed material."""

    path: Path
    texts: tuple[str, ...]
    mesh: Path | None
    image: Path | None
    material: MaterialFile
    digest: str


class AssetStore:
    """The assets below one folder in MakeHuman's layout, any number of packs deep.

    Whether something is hair or a skin is told by a folder of that name above it.  Every file is parsed when it is
    met for the first time, and kept in the cache folder; what cannot be used is in `left_out`, by name, with the
    reason.
    """

    def __init__(self, root: Path, cache_dir: Path | None, mesh: BaseMesh, at: BodyCoordinates, body_uv: FloatArray):
        self._folder = AssetFolder(root)
        self._cache_dir, self._mesh, self._at, self._body_uv = cache_dir, mesh, at, body_uv
        self._files: dict[str, Path] = {}
        self._assets: dict[str, Asset] = {}
        self._worn: OrderedDict[str, Worn] = OrderedDict()
        self._skins: OrderedDict[str, Texture] = OrderedDict()
        self.left_out: dict[str, str] = {}
        faces = []
        for path in sorted(self._folder.root.rglob("*")):
            if path.suffix == ".mhpose":
                faces += self._admit_expression(path)
            above = set(path.relative_to(self._folder.root).parts[:-1])
            wanted = ".mhmat" if SKIN_FOLDER in above else ".mhclo"
            if path.suffix == wanted and not above & OTHER_FOLDERS:
                self._admit(path, SKIN_FOLDER in above, HAIR_FOLDER in above)
        self.catalogue = Catalogue(tuple(self._assets[name] for name in sorted(self._assets)), tuple(faces))

    def _admit(self, path: Path, skin: bool, hair: bool) -> None:
        name = self._folder.name(path)
        try:
            files = self._read(path)
            summary = self._cached("summary", files.digest, lambda: _packed(self._summary(files, skin, hair)))
            info = json.loads(summary["info"].tobytes())
            if info["error"]:
                raise AssetError(info["error"])
            licence = licences.stated(files.texts) or licences.beside(self._folder, path) or licences.UNKNOWN
        except AssetError as error:
            self.left_out[name] = str(error)
            return
        told = words(name, files.material.name, *files.material.tags, *info["words"])
        age = age_of(told) if skin else ""
        self._files[name] = path
        self._assets[name] = Asset(name, info["kind"], sex_of(told), licence, tuple(info["tone"]), age)

    def _admit_expression(self, path: Path) -> list[ExpressionSpec]:
        name = self._folder.name(path)
        try:
            weights, licence = parse_face_pose(self._folder.read_text(path), path)
            stated = licences.identified(licence) if licence else licences.beside(self._folder, path)
        except AssetError as error:
            self.left_out[name] = str(error)
            return []
        self._assets[name] = Asset(name, "expression", "any", stated or licences.UNKNOWN)
        return [from_face_units(name, weights)]

    @property
    def names(self) -> Set[str]:
        """The names of all assets that can be used."""
        return self._assets.keys()

    def asset(self, name: str) -> Asset:
        """Return what the catalogue tells of an asset."""
        return self._assets[name]

    def skin(self, name: str) -> Texture:
        """Return a skin's texture, laid out as the base mesh's body; the last `KEPT` are remembered."""
        return _remembered(self._skins, name, lambda: texture_of(self._pixels(self._read(self._files[name]))[..., :3]))

    def worn(self, name: str) -> Worn:
        """Return clothes or hair; the last `KEPT` are remembered."""
        return _remembered(self._worn, name, lambda: self._load(self._read(self._files[name]), self._assets[name].kind))

    def _read(self, path: Path) -> _Files:
        """Read an asset's files, all of which must lie in the folder."""
        texts, mesh, image, material = [self._folder.read_text(path)], None, None, MaterialFile(path.stem)
        material_path: Path | None = path
        if path.suffix == ".mhclo":
            mesh_name, material_name = parse_references(texts[0], path)
            mesh = self._folder.beside(path, mesh_name)
            material_path = self._folder.beside(path, material_name) if material_name else None
            texts += [self._folder.read_text(each) for each in (mesh, material_path) if each is not None]
        if material_path is not None:
            material = parse_material(texts[-1], material_path)
            if material.diffuse_texture:
                image = self._folder.beside(material_path, material.diffuse_texture)
        digest = hashlib.sha256(f"{CACHE_VERSION};{path.suffix};{path.stem};{len(self._mesh.vertices_m)}".encode())
        for each, most_bytes in ((path, MAX_TEXT_BYTES), (mesh, MAX_TEXT_BYTES), (material_path, MAX_TEXT_BYTES),
                                 (image, MAX_IMAGE_BYTES)):  # fmt: skip
            digest.update(hashlib.sha256(self._folder.read(each, most_bytes) if each else b"").digest())
        return _Files(path, tuple(texts), mesh, image, material, digest.hexdigest())

    def _pixels(self, files: _Files) -> NDArray[np.uint8]:
        assert files.image is not None
        return self._folder.read_image(files.image, TEXTURE_PX)

    def _cached(self, name: str, digest: str, compute: Callable[[], Table]) -> Table:
        return ArrayCache(self._cache_dir, digest[:32]).get(f"asset-{name}", compute)

    def _summary(self, files: _Files, skin: bool, hair: bool) -> dict[str, Any]:
        """Parse all of an asset and return what the catalogue wants to know, or why it cannot be used."""
        info: dict[str, Any] = {"error": "", "kind": "skin", "words": [], "tone": [1.0, 1.0, 1.0]}
        try:
            if skin:
                if files.image is None or words(files.material.name, *files.material.tags) & NO_SKINS:
                    raise AssetError(f"{files.path.name} names no diffuseTexture, or is a costume or a drawing")
                info["tone"] = [float(value) for value in mean_tone(self._pixels(files), self._body_uv)]
            else:
                proxy = parse_proxy(files.texts[0], files.path, len(self._mesh.vertices_m))
                info["kind"] = "hair" if hair else kind_of(proxy, self._at)
                info["words"] = [proxy.name, *proxy.tags]
                self._load(files, info["kind"])
        except AssetError as error:
            info["error"] = str(error)
        return info

    def _load(self, files: _Files, kind: str) -> Worn:
        table = self._cached(f"worn-{kind}", files.digest, lambda: self._fit(files, kind))
        binding = Binding(table["anchors"], table["weights"], table["offsets"], table["rulers"])
        pieces = tuple(
            Piece(part, table[f"{part}.vertices"], table[f"{part}.faces"], table[f"{part}.uv"])
            for part in ("whole", "upper", "lower")
            if f"{part}.faces" in table
        )
        texture = texture_of(table["texture"]) if "texture" in table else None
        depth, material = int(table["z_depth"]), files.material
        return Worn(depth, binding, table["deleted"], pieces, texture, material.diffuse, material.shininess)

    def _fit(self, files: _Files, kind: str) -> Table:
        """Parse clothes or hair into arrays.

        Raises AssetError for files that do not belong together.
        """
        proxy = parse_proxy(files.texts[0], files.path, len(self._mesh.vertices_m))
        assert files.mesh is not None
        mesh = parse_obj(files.texts[1], files.mesh)
        if mesh.vertex_count != len(proxy.binding.anchors):
            raise AssetError(
                f"{files.mesh.name} has {mesh.vertex_count} vertices, but {len(proxy.binding.anchors)} are bound"
            )
        table: Table = {**attrs.asdict(proxy.binding), "z_depth": np.array(proxy.z_depth), "deleted": proxy.deleted}
        faces, uv = mesh.faces, mesh.uv
        if files.image is not None:
            pixels = self._pixels(files)
            if kind == "hair" or files.material.transparent:
                seen = seen_faces(pixels, uv)
                faces, uv = faces[seen], uv[seen]
                table["texture"] = grey_strands(pixels, uv) if kind == "hair" else pixels
            else:
                table["texture"] = np.ascontiguousarray(pixels[..., :3])
        if kind != "hair":
            on_body_m = proxy.binding.place(self._mesh.vertices_m)
            table["deleted"] = proxy.deleted | covered_vertices(self._mesh, on_body_m, mesh.faces)
        return table | _pieces(faces, uv, proxy.binding.carried(self._at.z_m) if kind == "full" else None)


def _pieces(faces: IntArray, uv: FloatArray, z_m: FloatArray | None) -> Table:
    """Return the arrays of a mesh's pieces; with heights (N,), apart for trunk and legs."""
    lower = np.zeros(len(faces), bool) if z_m is None else lower_faces(faces, z_m)
    both = bool(lower.any() and not lower.all())
    table: Table = {}
    for name, chosen in (("upper", ~lower), ("lower", lower)) if both else (("whole", lower | ~lower),):
        used, numbers = np.unique(faces[chosen], return_inverse=True)
        table[f"{name}.vertices"] = used.astype(np.int64)
        table[f"{name}.faces"] = numbers.reshape(-1, 4).astype(np.int32)
        table[f"{name}.uv"] = uv[chosen].astype(np.float32)
    return table


def _packed(info: dict[str, Any]) -> Table:
    return {"info": np.frombuffer(json.dumps(info).encode(), np.uint8)}


def _remembered(kept: OrderedDict[str, Item], name: str, load: Callable[[], Item]) -> Item:
    if name not in kept:
        kept[name] = load()
        if len(kept) > KEPT:
            kept.popitem(last=False)
    kept.move_to_end(name)
    return kept[name]


def texture_of(pixels: NDArray[np.uint8]) -> Texture:
    """Return pixels (H, W, 3 or 4) as a texture known by its content."""
    pixels = np.ascontiguousarray(pixels)
    return Texture(hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest(), pixels)
