# SPDX-License-Identifier: Apache-2.0
"""Photos of the empty rooms of a rendered domain, with notes: plates for an experiment whose "real" domain is rendered.

    python experiments/rendered_plates.py experiments/rendered-domains.toml plates --count 40

Who has a real room photographs it while it is empty and draws what cannot be seen on the page of ``synthkit plates
annotate``. Here the rooms are those of the experiment's ``data.real``, and since they are made of numbers, notes are
computed: the lens, the height of the camera, the floor, and outlines of furniture, chairs among it as seats.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.cache import cache_dir
from synthkit.camera import FisheyeCamera
from synthkit.config import merge_into
from synthkit.interfaces import ComponentSpec, Runtime
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import PeopleSource
from synthkit_blender.optics import EQUISOLID
from synthkit_blender.plates.notes import FILE, FolderNotes, as_toml
from synthkit_blender.scene import Scene, sample_scene
from synthkit_blender.things import Thing

SEED = 90  # of its own: no other image shows these rooms
TABLE_M = (0.3, 0.8)  # heights of tops that are open below
STANDS_BELOW_M, THIN_M = 0.1, 0.15  # doors and what hangs on walls are in nobody's way
ROUND_M = 0.02
SEAT_M = 0.46
SEAT_SIDE_M = 0.42

Floats = npt.NDArray[np.float64]


def empty_rooms(name: str, options: dict[str, Any], count: int) -> Iterator[tuple[Sample, dict[str, Any]]]:
    """Yield images of a renderer's rooms without people, and the notes on each."""
    registry, seeds = discover(), Seeds(SEED)
    merge_into(options, {"people": {"sitting": [0, 0], "standing": [0, 0]}, "layers": []})
    spec = ComponentSpec("renderer", name, options)
    config = registry.configure(spec)
    assert isinstance(config, BlenderConfig)
    with registry.build(spec, Runtime(seeds=seeds, cache_dir=cache_dir(), threads=1)) as renderer:
        for number in range(count):
            own = seeds.child("scene", number)
            (sample,) = renderer.render(number, own)
            if not isinstance(sample, Sample):
                raise SystemExit(f"room {number} was skipped: {sample.reason}")
            yield sample, notes_of(empty_scene(config, own), config.camera.lens)


def empty_scene(config: BlenderConfig, seeds: Seeds) -> Scene:
    """Return a scene without people."""
    nobody = cast(PeopleSource, None)  # who would be asked for people, and is not
    return sample_scene(config, nobody, seeds)


def notes_of(scene: Scene, lens: str) -> dict[str, Any]:
    """Return what ``plates.toml`` says of a room, seen by a camera that looks straight down."""
    if lens not in EQUISOLID:
        raise SystemExit(f"data.real.renderer.camera.lens: must be one of {', '.join(EQUISOLID)}, got {lens!r}")
    camera = scene.camera
    height_m = float(camera.world_from_camera[2, 3])
    if not np.isclose(camera.world_from_camera[2, 2], -1):
        raise SystemExit("data.real.renderer.camera: leans; leave tilt_degrees and roll_degrees at 0")
    floor = scene.things[0].parts[0][0].vertices_m  # shells begin with their floor
    (left, near, _), (right, far, _) = floor.min(axis=0), floor.max(axis=0)
    corners = np.array([(left, near), (right, near), (right, far), (left, far)], np.float64)
    furniture = [_furniture(camera, thing) for thing in scene.things if _stands(thing, height_m)]
    return {
        "camera": {
            "circle_px": [camera.cx_px, camera.cy_px, float(camera.radius_px(camera.max_theta_rad))],
            "fov_degrees": float(np.degrees(2 * camera.max_theta_rad)),
            "equisolid": EQUISOLID[lens],
            "height_m": height_m,
            "tilt_degrees": 0.0,
            "roll_degrees": 0.0,
        },
        "floor_px": _seen(camera, corners, 0.0),
        "furniture": furniture,
    }


def _furniture(camera: FisheyeCamera, thing: Thing) -> dict[str, Any]:
    if thing.group == "chairs":
        half = SEAT_SIDE_M / 2
        corners = np.array([(-half, -half, 0), (half, -half, 0), (half, half, 0), (-half, half, 0), (0, -1, 0)])
        *outline, facing = _seen(camera, _placed(thing, corners)[:, :2], SEAT_M)
        return {"kind": "seat", "height_m": SEAT_M, "outline_px": outline, "facing_px": facing}
    points = _points(thing)
    top_m = float(points[:, 2].max())
    hull = cv2.convexHull(points[:, None, :2].astype(np.float32))
    outline = cv2.approxPolyDP(hull, ROUND_M, closed=True)[:, 0]
    kind = "table" if TABLE_M[0] < top_m < TABLE_M[1] else "occluder"
    return {"kind": kind, "height_m": top_m, "outline_px": _seen(camera, outline, top_m)}


def _stands(thing: Thing, camera_m: float) -> bool:
    if thing.group not in ("chairs", "furniture"):
        return False
    points = _points(thing)
    _, sides_m, _ = cv2.minAreaRect(points[:, :2].astype(np.float32))
    low_m, high_m = points[:, 2].min(), points[:, 2].max()
    return bool(low_m < STANDS_BELOW_M and high_m < camera_m - 0.1 and min(sides_m) > THIN_M)


def _points(thing: Thing) -> Floats:
    return _placed(thing, np.concatenate([mesh.vertices_m for mesh, _ in thing.parts]).astype(np.float64))


def _placed(thing: Thing, points_m: Floats) -> Floats:
    """Return where points (N, 3) of a thing's own frame are in the world."""
    return np.asarray(points_m @ thing.matrix[:3, :3].T + thing.matrix[:3, 3])


def _seen(camera: FisheyeCamera, places_m: Floats, height_m: float) -> list[list[float]]:
    """Return where the camera sees places (N, 2) at a height, in pixels."""
    points = np.column_stack([places_m, np.full(len(places_m), height_m)])
    pixels, valid = camera.project(points)
    assert valid.all(), "what is below the camera is in its field of view"
    return [[round(float(x), 2), round(float(y), 2)] for x, y in pixels]


def main() -> None:
    """Render the rooms and write them with their notes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=40)
    given = parser.parse_args()
    options = tomllib.loads(given.experiment.read_text())["data"]["real"]["renderer"]
    name = options.pop("name")
    if given.out.exists():
        raise SystemExit(f"{given.out}: is there already; choose another folder")
    rooms = list(empty_rooms(name, options, given.count))
    given.out.mkdir(parents=True)
    photos = {}
    for number, (sample, notes) in enumerate(rooms):
        photo = f"room{number:03d}.png"
        cv2.imwrite(str(given.out / photo), sample.image[..., ::-1])
        photos[photo] = notes
    (given.out / FILE).write_text(as_toml(FolderNotes({}, photos)))
    print(f"{given.out}: {len(photos)} rooms")


if __name__ == "__main__":
    main()
