# SPDX-License-Identifier: Apache-2.0
"""MakeHuman's text files: what binds a mesh to the body (.mhclo), meshes (.obj) and materials (.mhmat).

The formats are those of MakeHuman 1.2 as its documentation describes them; nothing in a file is executed, every
number is checked, and what is not known is skipped.  Coordinates leave in the person frame.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.assets.files import AssetError
from synthkit_blender.people.mpfb import to_person_frame

MAX_VERTICES = 200_000
MAX_FACES = 400_000
MAX_CORNERS = 16
MAX_UNITS = 200
AXES = ("x_scale", "z_scale", "y_scale")  # MakeHuman's axes in the order of ours


@attrs.frozen(eq=False)
class Binding:
    """How a mesh of N vertices hangs on the base mesh.

    Vertex n lies at the sum of `weights[n]` times the base vertices `anchors[n]` (N, 3), plus `offsets[n]` (N, 3)
    times, per axis, the distance along it of the base vertices `rulers[axis]` (3, 2).
    """

    anchors: NDArray[np.int32]
    weights: NDArray[np.float32]
    offsets: NDArray[np.float32]
    rulers: NDArray[np.int32]

    @property
    def nearest(self) -> NDArray[np.int32]:
        """The vertex (N,) of the base mesh that each hangs on the most."""
        strongest = np.abs(self.weights).argmax(axis=1)
        return np.asarray(np.take_along_axis(self.anchors, strongest[:, None], axis=1)[:, 0])

    def place(self, shape_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the vertices (N, 3) on a shape (V, 3) of the base mesh."""
        ends = shape_m[self.rulers, np.arange(3)[:, None]]
        lengths = np.abs(ends[:, 0] - ends[:, 1])
        on_body = np.einsum("nk,nkd->nd", self.weights, shape_m[self.anchors])
        return np.asarray(on_body + self.offsets * lengths, np.float32)

    def carried(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values (V, ...) of the base mesh's vertices as the vertices take part in them; shares sum to 1."""
        shares = np.abs(self.weights)
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-6)
        return np.asarray(np.einsum("nk,nk...->n...", shares, values[self.anchors]), np.float32)


@attrs.frozen(eq=False)
class Proxy:
    """A parsed .mhclo: its layer, what it covers, and its binding.

    `deleted` (V,) marks base vertices that the mesh hides; `tags` and `name` are lower case.
    """

    name: str
    tags: tuple[str, ...]
    z_depth: int
    deleted: NDArray[np.bool_]
    binding: Binding


@attrs.frozen(eq=False)
class SurfaceMesh:
    """A parsed .obj: `faces` (F, 4) int32, a triangle repeating its last vertex, and `uv` (F, 4, 2)."""

    vertex_count: int
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]


@attrs.frozen
class MaterialFile:
    """A parsed .mhmat, as far as it is used; colours and shares as written."""

    name: str
    diffuse: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shininess: float = 0.3
    transparent: bool = False
    diffuse_texture: str | None = None
    tags: tuple[str, ...] = ()


def parse_proxy(text: str, path: Path, base_vertices: int) -> Proxy:
    """Parse a .mhclo for a base mesh of so many vertices.

    Raises AssetError for a file that binds nothing, or to vertices that are not there.
    """
    told: dict[str, list[str]] = {}
    tags: list[str] = []
    bound: list[list[str]] = []
    deleted: list[str] = []
    section = ""
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif words[0] == "weights":  # per bone, in old files
            section = ""
        elif words[0] == "tag":
            tags.extend(word.lower() for word in words[1:])
        elif words[0][0].isalpha():
            told.setdefault(words[0], words[1:])
        elif section == "verts":
            bound.append(words)
            if len(bound) > MAX_VERTICES:
                raise AssetError(f"{path.name} binds more than {MAX_VERTICES} vertices")
        elif section == "delete_verts":
            deleted.extend(words)
    try:
        binding = _binding(bound, told, base_vertices)
        hidden = _vertex_ranges(deleted, base_vertices)
        depth = int(float(told.get("z_depth", ["50"])[0]))
    except (ValueError, IndexError, OverflowError) as error:
        raise AssetError(f"{path.name} is no clothes file for this base mesh: {error}") from None
    name = " ".join(told.get("name", [path.stem])).lower()
    return Proxy(name, tuple(tags), depth, hidden, binding)


def parse_references(text: str, path: Path) -> tuple[str, str | None]:
    """Return which mesh and which material a .mhclo names.

    Raises AssetError where it names no mesh.
    """
    told: dict[str, str] = {}
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        if key in ("obj_file", "material") and rest.strip():
            told.setdefault(key, rest.strip())
    if "obj_file" not in told:
        raise AssetError(f"{path.name} names no obj_file")
    return told["obj_file"], told.get("material")


def _binding(lines: list[list[str]], told: dict[str, list[str]], base_vertices: int) -> Binding:
    anchors, weights, offsets = np.zeros((len(lines), 3)), np.zeros((len(lines), 3)), np.zeros((len(lines), 3))
    if not lines:
        raise ValueError("it binds no vertices")
    # A vertex lies on one of the body's, or is given by three, their weights, and an offset.
    single = np.array([len(words) == 1 for words in lines])
    if single.any():
        anchors[single] = np.array([words[0] for words in lines if len(words) == 1], np.float64)[:, None]
        weights[single] = (1.0, 0.0, 0.0)
    if not single.all():
        rows = [words[:9] for words in lines if len(words) != 1]
        if any(len(row) < 6 for row in rows):
            raise ValueError("a vertex with neither 1 nor 6 nor 9 numbers")
        table = np.array([row + ["0"] * (9 - len(row)) for row in rows], np.float64)
        anchors[~single], weights[~single], offsets[~single] = table[:, :3], table[:, 3:6], table[:, 6:]
    rulers, lengths = np.zeros((3, 2), np.int64), np.ones(3)
    for axis, key in enumerate(AXES):
        if key in told:
            rulers[axis], lengths[axis] = [int(word) for word in told[key][:2]], float(told[key][2])
    numbers = np.concatenate([weights.ravel(), offsets.ravel(), lengths])
    if not np.isfinite(numbers).all() or (np.abs(numbers) > 1e3).any() or (lengths <= 0).any():
        raise ValueError("a number out of all bounds")
    every = np.concatenate([anchors.ravel(), rulers.ravel()])
    if (every < 0).any() or (every >= base_vertices).any():
        raise ValueError(f"a vertex beyond the base mesh's {base_vertices}")
    turned = to_person_frame(offsets.astype(np.float32)) / lengths.astype(np.float32)
    return Binding(anchors.astype(np.int32), weights.astype(np.float32), turned, rulers.astype(np.int32))


def _vertex_ranges(words: list[str], base_vertices: int) -> NDArray[np.bool_]:
    """Read "3 5 - 9 12" as a mask (V,)."""
    mask = np.zeros(base_vertices, bool)
    last, up_to = -1, False
    for word in words:
        if word == "-":
            up_to = True
            continue
        number = int(word)
        if not 0 <= number < base_vertices:
            raise ValueError(f"a vertex beyond the base mesh's {base_vertices}")
        mask[last if up_to else number : number + 1] = True
        last, up_to = number, False
    return mask


def parse_obj(text: str, path: Path) -> SurfaceMesh:
    """Parse the faces and texture coordinates of a Wavefront .obj; where vertices lie is not asked.

    Raises AssetError for faces that point nowhere, and for meshes out of all bounds.
    """
    vertices = 0
    coordinates: list[list[str]] = []
    corners: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("v "):
            vertices += 1
        elif line.startswith("vt "):
            coordinates.append(line.split()[1:3])
        elif line.startswith("f "):
            corners.extend(_fan(line.split()[1:]))
        if len(corners) > MAX_FACES or vertices > MAX_VERTICES or len(coordinates) > 4 * MAX_VERTICES:
            raise AssetError(f"{path.name} has more than {MAX_VERTICES} vertices or {MAX_FACES} faces")
    try:
        pairs = np.array([[_corner(word) for word in face] for face in corners], np.int64).reshape(-1, 4, 2)
        uv = np.array(coordinates, np.float32).reshape(-1, 2)
    except (ValueError, OverflowError) as error:
        raise AssetError(f"{path.name} is no Wavefront mesh: {error}") from None
    faces, places = pairs[..., 0] - 1, pairs[..., 1] - 1
    if not len(faces) or faces.min() < 0 or faces.max() >= vertices or places.max() >= len(uv):
        raise AssetError(f"{path.name} has no faces, or faces that point nowhere")
    at = np.where(places[..., None] >= 0, uv[np.maximum(places, 0)] if len(uv) else 0.0, 0.0).astype(np.float32)
    if not np.isfinite(at).all():
        raise AssetError(f"{path.name} has texture coordinates that are no numbers")
    keep = sound_faces(faces)
    return SurfaceMesh(vertices, faces[keep].astype(np.int32), at[keep])


def _fan(words: list[str]) -> list[list[str]]:
    """Split a polygon into faces of four corners, the last of which may be a triangle."""
    words = words[:MAX_CORNERS]
    faces = []
    for start in range(1, len(words) - 1, 2):
        face = [words[0], *words[start : start + 3]]
        faces.append(face if len(face) == 4 else [*face, face[-1]])
    return faces


def _corner(word: str) -> tuple[int, int]:
    vertex, _, rest = word.partition("/")
    place = rest.split("/")[0]
    return int(vertex), int(place) if place else 0


def sound_faces(faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which faces (F, 4) have three or four different corners, a triangle repeating its last."""
    a, b, c, d = faces.T
    return np.asarray(~((a == b) | (b == c) | (a == c) | (a == d) | (b == d)))


def parse_material(text: str, path: Path) -> MaterialFile:
    """Parse a .mhmat.

    Raises AssetError for numbers that are none.
    """
    told: dict[str, list[str]] = {}
    tags: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words and words[0] == "tag":
            tags.extend(word.lower() for word in words[1:])
        elif len(words) > 1:
            told.setdefault(words[0], words[1:])
    try:
        red, green, blue = map(_share, told.get("diffuseColor", ["1", "1", "1"])[:3])
        shininess = _share(told.get("shininess", ["0.3"])[0])
    except ValueError as error:
        raise AssetError(f"{path.name} is no material file: {error}") from None
    return MaterialFile(
        name=" ".join(told.get("name", [path.stem])).lower(),
        diffuse=(red, green, blue),
        shininess=shininess,
        transparent=told.get("transparent", [""])[0].lower() in ("true", "yes", "1"),
        diffuse_texture=" ".join(told["diffuseTexture"]) if "diffuseTexture" in told else None,
        tags=tuple(tags),
    )


def parse_face_pose(text: str, path: Path) -> tuple[dict[str, float], str]:
    """Parse a .mhpose: weights 0..1 of face units, and the licence it states or nothing.

    Raises AssetError for what is no such file.
    """
    try:
        told = json.loads(text)
        weights = {str(unit): _share(weight) for unit, weight in told["unit_poses"].items()}
        licence = told.get("license")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AssetError(f"{path.name} is no expression: {error!r}") from None
    if len(weights) > MAX_UNITS:
        raise AssetError(f"{path.name} has more than {MAX_UNITS} face units")
    return weights, licence if isinstance(licence, str) else ""


def _share(word: str | float) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError(f"{word} is no share")
    return min(max(value, 0.0), 1.0)
