# SPDX-License-Identifier: Apache-2.0
"""A folder of rigged people, opened: who is in it, under which licence, and each of them in any pose."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from synthkit.errors import DatasetError
from synthkit_blender.people.arrays import ArrayCache
from synthkit_blender.people.assets import licences
from synthkit_blender.people.assets.files import AssetError, AssetFolder
from synthkit_blender.people.cast.body import BodyError, RiggedBody
from synthkit_blender.people.cast.gltf import Document
from synthkit_blender.people.cast.rigged import read_rigged
from synthkit_blender.people.clothing import with_pockets
from synthkit_blender.people.poses import pose_goals
from synthkit_blender.people.types import CastSpec, OutfitSpec, PosedPerson

CACHE_VERSION = "1"
KEPT = 12  # bodies remembered
CONVERT_FBX = (
    "convert each once with Blender: blender --background --factory-startup --python-expr "
    "\"import bpy; bpy.ops.object.delete(); bpy.ops.import_scene.fbx(filepath='A.fbx'); "
    "bpy.ops.export_scene.gltf(filepath='A.glb')\""
)
_BARE = OutfitSpec((), None)  # whether clothes have pockets is not known


class CastError(DatasetError):
    """A folder is no cast; the message tells all that is wrong with it, a line for each file."""


class Cast:
    """The people of a folder and its subfolders, each by the path of their file there, without its suffix.

    Every file is read at the start; the last few bodies used stay in memory, textures in the cache folder.
    """

    def __init__(self, folder: AssetFolder, paths: dict[str, Path], cache: ArrayCache) -> None:
        self._folder, self._paths, self._cache = folder, paths, cache
        self._bodies: OrderedDict[str, RiggedBody] = OrderedDict()
        self.licences: dict[str, str] = {}
        self.unread = 0

    @classmethod
    def open(cls, root: Path, cache_dir: Path | None = None) -> Cast:
        """Read a folder.

        Raises CastError when there is nobody in it, or somebody who cannot be posed.
        """
        wrong = f"{root}: has no .glb or .gltf files; give a folder of rigged people as renderer.people.cast"
        if not root.is_dir():
            raise CastError(wrong)
        folder = AssetFolder(root)
        files = [path for path in sorted(folder.root.rglob("*")) if path.is_file()]
        paths = [path for path in files if path.suffix.lower() in (".glb", ".gltf")]
        unread = sum(path.suffix.lower() == ".fbx" for path in files)
        if not paths:
            raise CastError(f"{wrong}. It has {unread} .fbx files: {CONVERT_FBX}" if unread else wrong)
        named: dict[str, Path] = {}
        problems = []
        for path in paths:
            if folder.name(path) in named:
                problems.append(f"{path}: is called as {named[folder.name(path)].name}; rename one of them")
            named.setdefault(folder.name(path), path)
        cast = cls(folder, named, ArrayCache(cache_dir, CACHE_VERSION))
        cast.unread = unread
        for name, path in named.items():
            try:
                cast._body(name)
            except BodyError as error:
                problems.append(f"{path}: cannot be posed: {error}")
            except AssetError as error:
                problems.append(f"{path}: {error}")
        if problems:
            raise CastError("\n".join(problems))
        return cast

    @property
    def names(self) -> tuple[str, ...]:
        """Who is there, sorted by path."""
        return tuple(self._paths)

    def build(self, spec: CastSpec) -> PosedPerson:
        """Return somebody in a pose.

        Raises CastError when their file has changed into one that cannot be used.
        """
        try:
            body = self._body(spec.name)
        except (AssetError, BodyError) as error:
            raise CastError(f"{self._paths[spec.name]}: has changed since the start: {error}") from None
        goals = with_pockets(pose_goals(spec.pose), _BARE)
        figure = body.posed(goals, spec.pose.seat_m)
        head = figure.head_m
        person = PosedPerson(
            parts=figure.parts,
            joints_m=figure.points_m,
            head_centre_m=((head.max(axis=0) + head.min(axis=0)) / 2).astype(np.float32),
            head_vertices_m=head,
            surface_vertices_m=np.concatenate([part.vertices_m for part in figure.parts]),
            posture=spec.pose.posture,
            height_m=round(body.height_m, 4),
            seat_height_m=figure.seat_height_m,
            attributes={"cast": spec.name, "pose": spec.pose.name},
            support=goals.support,
            licences={spec.name: self.licences[spec.name]},
            spec=spec,
            stride_m=goals.stride * figure.leg_m,
        )
        return person if goals.support == "seat" else person.raised(-float(person.surface_vertices_m[:, 2].min()))

    def _body(self, name: str) -> RiggedBody:
        if name in self._bodies:
            self._bodies.move_to_end(name)
            return self._bodies[name]
        path = self._paths[name]
        document = Document(self._folder, path)
        body = RiggedBody(read_rigged(document, self._cache))
        self.licences.setdefault(name, _licence(self._folder, path, document))
        while len(self._bodies) >= KEPT:
            self._bodies.popitem(last=False)
        self._bodies[name] = body
        return body


def _licence(folder: AssetFolder, path: Path, document: Document) -> str:
    """Return what a file's extras or copyright say, else what a licence file beside or above it says, or unknown."""
    extras = document.table(document.asset, "extras")
    for key in ("license", "licence", "License", "Licence"):
        if isinstance(extras.get(key), str) and extras[key].strip():
            return licences.identified(extras[key])
    copyright_line = str(document.asset.get("copyright", ""))[:4096]
    own = licences.recognised(copyright_line) or licences.stated([copyright_line])
    return own or licences.beside(folder, path) or licences.UNKNOWN
