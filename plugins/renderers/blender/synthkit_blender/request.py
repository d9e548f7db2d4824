# SPDX-License-Identifier: Apache-2.0
"""A scene as the plain values and arrays that cross the pipe, and the passes it is rendered in."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit_blender.crowd import SHUTTER_FRAMES, Figure
from synthkit_blender.geometry import merged
from synthkit_blender.lamps import Lamp
from synthkit_blender.people.types import Texture
from synthkit_blender.scene import Scene, Sky
from synthkit_blender.surfaces import Surface
from synthkit_blender.things import Thing

Array = NDArray[Any]
EDGE_PX = 3.0  # rendered beyond the image circle
MARGIN_PX = 4  # rendered around the circle's bounding box: what the denoiser and the optics look at
LEAST_PATH_PX = 0.25  # a shorter way while the shutter is open does not show


@attrs.frozen
class Pass:
    """One rendering of a scene.

    Args:
        scale: of the image's size. hidden: groups that are not there at all.
        unseen: groups the camera does not see, though they cast shadows and send light.
        holdout: groups that are seen as holes: they hide what is behind them, and nothing is there.
        transparent: whether nothing is see-through, not sky.
        truth: what is wanted beside the colour: "people" (coverage by each), "depth", "normals".
        flat: one ray through each pixel's centre, at the middle of the shutter's time, and no light.
    """

    name: str
    scale: float = 1.0
    hidden: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    holdout: tuple[str, ...] = ()
    transparent: bool = False
    truth: tuple[str, ...] = ()
    flat: bool = False


@attrs.frozen
class Quality:
    """How a frame is rendered; the shutter is open for ``shutter_frames`` of the time that figures' motion is for."""

    samples: int
    denoise: bool
    threads: int
    seed: int
    device: str = "cpu"
    shutter_frames: float = SHUTTER_FRAMES


ROOM = Pass("room", truth=("people",))
EMPTY_ROOM = Pass("empty", hidden=("people",))
PEOPLE = Pass("people", holdout=("plate",), transparent=True, truth=("people",))
SHADED = Pass("shaded", scale=0.5, unseen=("people", "chairs"), transparent=True)
FLAT = Pass("flat", holdout=("plate",), transparent=True, flat=True)
UNSHADED = Pass("unshaded", scale=0.5, hidden=("people", "chairs"), transparent=True)


def render_request(scene: Scene, passes: tuple[Pass, ...], quality: Quality) -> tuple[dict[str, Any], list[Array]]:
    """Return the header and the arrays of a request; bodies and surfaces in common are sent once."""
    packing = _Packing()
    motions = {figure.name: _visible_motion_m(figure, scene.camera) for figure in scene.figures}
    header = {
        "type": "render",
        "camera": _camera(scene.camera),
        "settings": {**attrs.asdict(quality), "motion_blur": any(map(any, motions.values()))},
        "world": packing.world(scene.sky),
        "lights": [_lamp(lamp) for lamp in scene.lamps],
        "owners": [{"name": name, "motion_m": list(motion)} for name, motion in motions.items()],
        "objects": [packing.add(thing) for thing in scene.things],
        "meshes": packing.meshes,
        "surfaces": packing.surfaces,
        "passes": [attrs.asdict(one) for one in passes],
    }
    return header, packing.arrays


class _Packing:
    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.meshes: list[dict[str, Any]] = []
        self.surfaces: list[dict[str, Any]] = []
        self._mesh_index: dict[int, int] = {}
        self._surface_index: dict[Surface, int] = {}
        self._texture_index: dict[Texture, int] = {}

    def world(self, sky: Sky) -> dict[str, Any]:
        """Return the sky's entry."""
        panorama = None if sky.panorama is None else self._array(sky.panorama.radiance, np.float32)
        even = {"color": list(sky.color), "strength": sky.strength}
        return {**even, "panorama": panorama, "turn_rad": sky.turn_rad}

    def add(self, thing: Thing) -> dict[str, Any]:
        """Return an object's entry; ``thing.parts`` stays alive with its scene, so its id is its own."""
        mesh = self._mesh_index.setdefault(id(thing.parts), len(self.meshes))
        if mesh == len(self.meshes):
            self.meshes.append(self._body(thing))
        surfaces = [self._surface(surface) for _, surface in thing.parts]
        matrix = thing.matrix.tolist()
        return {"mesh": mesh, "surfaces": surfaces, "matrix": matrix, "group": thing.group, "owner": thing.owner,
                "only_seen": thing.only_seen}  # fmt: skip

    def _body(self, thing: Thing) -> dict[str, Any]:
        """Return the entry of a thing's meshes as one: fewer objects are quicker to build and to trace."""
        whole = merged([mesh for mesh, _ in thing.parts])
        return {
            "vertices": self._array(whole.vertices_m, np.float32),
            "faces": self._array(whole.faces, np.int32),
            "rest": None if thing.rest_m is None else self._array(thing.rest_m, np.float32),
            "slack": None if thing.slack is None else self._array(thing.slack, np.float32),
            "uv": None if whole.uv is None else self._array(whole.uv, np.float32),
            "parts": [{"faces": len(mesh.faces), "smooth": mesh.smooth} for mesh, _ in thing.parts],
        }

    def _surface(self, surface: Surface) -> int:
        index = self._surface_index.setdefault(surface, len(self.surfaces))
        if index == len(self.surfaces):
            self.surfaces.append({**surface.plain(), "texture": self._texture(surface.texture)})
        return index

    def _texture(self, texture: Texture | None) -> int | None:
        if texture is None:
            return None
        if texture not in self._texture_index:
            self._texture_index[texture] = self._array(texture.pixels, np.uint8)
        return self._texture_index[texture]

    def _array(self, array: Array, dtype: type) -> int:
        self.arrays.append(np.ascontiguousarray(array, dtype))
        return len(self.arrays) - 1


def _camera(camera: FisheyeCamera) -> dict[str, Any]:
    return {
        "width_px": camera.width_px,
        "height_px": camera.height_px,
        "center_px": [camera.cx_px, camera.cy_px],
        "theta_coefficients": list(camera.theta_coefficients),
        "rendered_theta_rad": _rendered_theta_rad(camera),
        "region_px": list(_region_px(camera)),
        "world_from_camera": camera.world_from_camera.tolist(),
    }


def _visible_motion_m(figure: Figure, camera: FisheyeCamera) -> tuple[float, float, float]:
    """Return a figure's motion in one frame, none where its head moves less than ``LEAST_PATH_PX`` in the image."""
    distance_m = float(np.linalg.norm(figure.world(figure.body.head_centre_m) - camera.world_from_camera[:3, 3]))
    pixels_per_rad = 1 / camera.theta_coefficients[0]
    path_m = math.hypot(*figure.motion_m) * SHUTTER_FRAMES
    return figure.motion_m if path_m / max(distance_m, 1e-3) * pixels_per_rad >= LEAST_PATH_PX else (0.0, 0.0, 0.0)


def _region_px(camera: FisheyeCamera) -> tuple[int, int, int, int]:
    """Return the columns and rows (left, top, right, bottom) around the image circle; the others stay black."""
    reach = camera.max_radius_px + MARGIN_PX
    left, top = max(0, math.floor(camera.cx_px - reach)), max(0, math.floor(camera.cy_px - reach))
    right = min(camera.width_px, math.ceil(camera.cx_px + reach))
    return left, top, right, min(camera.height_px, math.ceil(camera.cy_px + reach))


def _rendered_theta_rad(camera: FisheyeCamera) -> float:
    """Return the half field of view to render, a little over the camera's own.

    Pixels that look beyond come back black and opaque; where they mix into the image circle's last pixels they
    would darken its edge.
    """
    beyond = float(camera.theta_rad(camera.max_radius_px + EDGE_PX))
    return max(camera.max_theta_rad, min(beyond, math.pi))


def _lamp(lamp: Lamp) -> dict[str, Any]:
    return {
        "matrix": lamp.matrix.tolist(),
        "size_m": list(lamp.size_m),
        "watts": lamp.watts,
        "color": list(lamp.color),
    }
