# SPDX-License-Identifier: Apache-2.0
"""A whole scene from its seeds: camera, light, room or plate floor, people. No Blender here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from synthkit.camera import FisheyeCamera
from synthkit.errors import DatasetError
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig, RoomConfig
from synthkit_blender.crowd import Figure, PeopleSource, Stage, populate
from synthkit_blender.environments import Panorama, drawn
from synthkit_blender.geometry import quad
from synthkit_blender.lamps import Lamp, daylight, kelvin_rgb, panels
from synthkit_blender.optics import draw_camera, looks_up, well_seen
from synthkit_blender.placement import Sight
from synthkit_blender.plates import Plate
from synthkit_blender.plates.notes import FILE as NOTES
from synthkit_blender.plates.space import Space, space_of
from synthkit_blender.rooms import SIZES_M, RoomPlan, furnish, plate_decor
from synthkit_blender.surfaces import PALETTES, Rgb, Surface
from synthkit_blender.things import Thing, out_of_the_way, people_things, placed_things

KNOWN_OF_PLATES = ("height_m", "fov_degrees", "equisolid", "tilt_degrees", "roll_degrees")
CEILING = Surface((0.75, 0.75, 0.73), roughness=0.9, specular=0.1)
HEAD_M = 1.7
REACH_M = 4.5  # people farther from below the camera are too small
WATTS_PER_M2 = 12.0
PLATE_SURFACE = Surface((0.4, 0.4, 0.4), roughness=0.9, specular=0.1)


@attrs.frozen(eq=False)
class Sky:
    """Light from everywhere: even, or a panorama's turned about the vertical; tinted by ``color``."""

    color: Rgb
    strength: float
    panorama: Panorama | None = None
    turn_rad: float = 0.0


@attrs.frozen(eq=False)
class Scene:
    """Everything a frame is rendered from.

    Args:
        sky: the light from above, for rooms are open at the top.
        meta: plain values worth keeping with the sample.
    """

    camera: FisheyeCamera
    things: tuple[Thing, ...]
    lamps: tuple[Lamp, ...]
    sky: Sky
    figures: tuple[Figure, ...]
    meta: dict[str, object]


def sample_scene(
    config: BlenderConfig, source: PeopleSource, seeds: Seeds, plate: Plate | None = None,
    panoramas: Sequence[Panorama] = (),
) -> Scene:  # fmt: skip
    """Draw a scene: in a room of its own, or in that of a plate, under an even sky or one of the panoramas.

    Raises:
        DatasetError: when what was noted about the plate cannot be so through its camera.
    """
    shutter_s = _uniform(seeds.stream("exposure"), config.sensor.shutter_s)
    if plate is not None:
        camera = plate_camera(config, plate, seeds)
        scene = _plate_scene(config, source, seeds, camera, shutter_s, plate_space(config, plate, camera))
    else:
        camera = draw_camera(config.camera, config.width_px, config.height_px, seeds.stream("camera"))
        scene = _room_scene(config, source, seeds, camera, shutter_s)
    panorama, turn_rad = drawn(panoramas, seeds.stream("environment"))
    if panorama is None:
        return scene
    sky = attrs.evolve(scene.sky, panorama=panorama, turn_rad=turn_rad)
    return attrs.evolve(scene, sky=sky, meta={**scene.meta, "environment": panorama.name})


def at_time(scene: Scene, time_s: float, source: PeopleSource) -> Scene:
    """Return a scene at a time of its clip: people have moved, all else is as it was."""
    figures = tuple(figure.at(time_s, source) for figure in scene.figures)
    things = [thing for thing in scene.things if thing.group != "people"]
    return attrs.evolve(scene, things=(*things, *people_things(figures)), figures=figures)


def plate_camera(config: BlenderConfig, plate: Plate, seeds: Seeds) -> FisheyeCamera:
    """Return the camera that took a plate, over axes x right and y up in it; what is not known of it is drawn."""
    known = plate.seen.camera
    ranges: dict[str, Any] = {
        name: (value, value) for name in KNOWN_OF_PLATES if (value := getattr(known, name)) is not None
    }
    place = attrs.evolve(config.camera, yaw_degrees=(0.0, 0.0), **ranges)
    if known.equisolid is not None or known.calibration is not None:
        place = attrs.evolve(place, lens="mixed", lens_polynomial=())
    if known.calibration is not None and plate.lens is not None:
        place = attrs.evolve(place, calibration=plate.lens.path)
    rng, (width, height) = seeds.stream("camera"), plate.image_px
    return draw_camera(place, width, height, rng, circle_px=known.circle_px, calibration=plate.seen_lens)


def plate_space(config: BlenderConfig, plate: Plate, camera: FisheyeCamera) -> Space:
    """Return the room in a plate as its camera sees it.

    Raises:
        DatasetError: when what was noted about the plate cannot be so through the camera.
    """
    try:
        return space_of(plate.seen, camera, config.plates.floor_radius_m)
    except ValueError as error:
        lines = [f"background {plate.path}: {line} (in {NOTES})" for line in str(error).splitlines()]
        raise DatasetError("\n".join(lines)) from None


def _room_scene(
    config: BlenderConfig, source: PeopleSource, seeds: Seeds, camera: FisheyeCamera, shutter_s: float
) -> Scene:
    height_m = float(camera.world_from_camera[2, 3])
    plan = _plan(config.room, seeds.stream("room"), height_m)
    room = furnish(plan, seeds.child("room"))
    stage = Stage(
        room.floor, room.seats, room.decor, room.office_chairs, _sight(camera), empty_chairs=True,
        free_walls=room.free_walls,
        free_chairs=room.free_chairs, places=room.places, solids=room.solids, furniture_m=room.furniture_m,
    )  # fmt: skip
    crowd = populate(stage, config.people, source, seeds.child("people"), shutter_s, config.sequence.times_s)
    rng = seeds.stream("light")
    kelvin, window, ambient = (
        _uniform(rng, limits) for limits in (config.light.kelvin, config.light.window_share, config.light.ambient_share)
    )
    window = window if room.windows else 0.0
    watts = WATTS_PER_M2 * plan.length_m * plan.width_m
    lamps = [*panels(plan, kelvin, watts * (1 - window), rng), *daylight(room, watts * window)]
    things = [Thing((part,), np.eye(4), "room") for part in room.shell]
    if looks_up(camera):
        things += _ceiling(plan, lamps)
    placed = (*out_of_the_way(room.placed, crowd.figures), *crowd.chairs)
    things += placed_things(placed) + people_things(crowd.figures)
    meta = {"room_style": room.style, "room_layout": room.layout, "light_kelvin": round(kelvin)}
    return Scene(camera, tuple(things), tuple(lamps), Sky(kelvin_rgb(kelvin), ambient * 4.0), crowd.figures, dict(meta))


def _ceiling(plan: RoomPlan, lamps: list[Lamp]) -> list[Thing]:
    """Return the ceiling and its panels for a camera that sees them; light comes in from above all the same."""
    (x, y), length, width, up = plan.centre_m, plan.length_m / 2, plan.width_m / 2, plan.height_m
    across = [[x - length, y - width, up], [x - length, y + width, up], [x + length, y + width, up],
              [x + length, y - width, up]]  # fmt: skip
    things = [Thing(((quad(across), CEILING),), np.eye(4), "room", only_seen=True)]
    for lamp in lamps:
        if lamp.matrix[2, 2] > 0.99:  # it shines down: a panel, not a window
            a, b = lamp.size_m[0] / 2, lamp.size_m[1] / 2
            glow = Surface(lamp.color, emission=lamp.watts / (math.pi * lamp.size_m[0] * lamp.size_m[1]))
            mesh = quad([[-a, -b, 0], [-a, b, 0], [a, b, 0], [a, -b, 0]])
            things.append(Thing(((mesh, glow),), lamp.matrix, "room", only_seen=True))
    return things


def _plan(config: RoomConfig, rng: np.random.Generator, height_m: float) -> RoomPlan:
    styles, layouts = sorted(PALETTES), sorted(SIZES_M)
    style = styles[int(rng.integers(len(styles)))] if config.style == "any" else config.style
    layout = layouts[int(rng.integers(len(layouts)))] if config.layout == "any" else config.layout
    lengths, widths = SIZES_M[layout]
    length, width = _uniform(rng, config.length_m or lengths), _uniform(rng, config.width_m or widths)
    centre = tuple(float(v) for v in rng.uniform(-0.14, 0.14, 2) * (length, width))
    return RoomPlan(length, width, height_m + 0.02, (centre[0], centre[1]), style, layout)


def _plate_scene(
    config: BlenderConfig, source: PeopleSource, seeds: Seeds, camera: FisheyeCamera, shutter_s: float, space: Space
) -> Scene:
    decor = plate_decor(seeds)
    office = bool(seeds.stream("chairs").random() < 0.4)
    floor, furniture_m = space.free_floor()
    stage = Stage(
        floor, (), decor, office, _sight(camera), empty_chairs=False, places=space.seats, solids=space.solids,
        furniture_m=furniture_m,
    )  # fmt: skip
    crowd = populate(stage, config.people, source, seeds.child("people"), shutter_s, config.sequence.times_s)
    rng = seeds.stream("light")
    kelvin, ambient = _uniform(rng, config.light.kelvin), _uniform(rng, config.light.ambient_share)
    low, high = space.floor_m.min(axis=0), space.floor_m.max(axis=0)
    length, width = (float(v) for v in high - low)
    x, y = (float(v) for v in (low + high) / 2)
    plan = RoomPlan(length, width, max(float(camera.world_from_camera[2, 3]), space.ceiling_m) + 0.3, (x, y), "", "")
    lamps = panels(plan, kelvin, WATTS_PER_M2 * plan.length_m * plan.width_m, rng, space.floor_m)
    things = [Thing(tuple((mesh, PLATE_SURFACE) for mesh in space.meshes), np.eye(4), "plate")]
    things += placed_things(crowd.chairs) + people_things(crowd.figures)
    meta: dict[str, object] = {"light_kelvin": round(kelvin)}
    return Scene(camera, tuple(things), tuple(lamps), Sky(kelvin_rgb(kelvin), ambient * 4.0), crowd.figures, meta)


def _sight(camera: FisheyeCamera) -> Sight:
    """Return the function that tells of a place (x, y) whether a standing person's head is well in view there."""

    def sees(x_m: float, y_m: float) -> bool:
        return math.hypot(x_m, y_m) <= REACH_M and well_seen(camera, (x_m, y_m, HEAD_M))

    return sees


def _uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(rng.uniform(*limits))
