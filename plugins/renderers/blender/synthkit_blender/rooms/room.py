# SPDX-License-Identifier: Apache-2.0
"""A procedural room: walls, what hangs on and stands along them, furniture, and the seats."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender import surfaces
from synthkit_blender.geometry import Mesh, box, polygon, quad, turned_z
from synthkit_blender.placement import Floor
from synthkit_blender.rooms.fittings import fittings
from synthkit_blender.rooms.lounge import corridor, lobby
from synthkit_blender.rooms.plan import Furnishing, Room, RoomPlan
from synthkit_blender.rooms.shop import shop
from synthkit_blender.rooms.tables import tables
from synthkit_blender.rooms.walls import Walls
from synthkit_blender.surfaces import Decor, Surface

SKIRTING_M = 0.09


# Of each kind of room: what fills its midst, and whether people bring chairs to anywhere in it.
LAYOUTS: Mapping[str, tuple[Callable[[RoomPlan, Decor, Floor, Seeds], Furnishing], bool]] = {
    "corridor": (corridor, False),
    "lobby": (lobby, False),
    "meeting": (tables, True),
    "office": (tables, True),
    "seminar": (tables, True),
    "shop": (shop, False),
}


def furnish(plan: RoomPlan, seeds: Seeds) -> Room:
    """Return the room of a plan; every draw is from its own stream."""
    decor = Decor(plan.style, seeds.stream("decor"))
    floor = Floor(plan.corners_m)
    walls = Walls(plan, decor, floor, seeds.stream("walls"))
    walls.furnish()
    fill, free_chairs = LAYOUTS[plan.layout]
    midst = fill(plan, decor, floor, seeds)
    for outline in walls.clearances:
        floor.free(outline)
    rng = seeds.stream("shell")
    return Room(
        shell=_shell(plan, decor, rng),
        placed=(
            *walls.placed,
            *fittings(walls.free_stretches(), decor.prints, seeds.stream("fittings")),
            *midst.placed,
        ),
        seats=midst.seats,
        floor=floor,
        windows=tuple(walls.windows),
        decor=decor,
        style=plan.style,
        layout=plan.layout,
        office_chairs=bool(rng.random() < (0.8 if plan.layout == "office" else 0.35)),
        free_walls=tuple(walls.free_stretches()),
        free_chairs=free_chairs,
        places=midst.places,
        solids=midst.solids,
        furniture_m=midst.furniture_m,
    )


def _shell(plan: RoomPlan, decor: Decor, rng: np.random.Generator) -> tuple[tuple[Mesh, Surface], ...]:
    corners = plan.corners_m
    parts = [(polygon(corners), decor.floor)]
    accent = int(rng.integers(8))  # half of all rooms have an accent wall
    for n in range(4):
        a, b = corners[n], corners[(n + 1) % 4]
        wall = quad([[*b, 0], [*a, 0], [*a, plan.height_m], [*b, plan.height_m]])
        parts.append((wall, decor.accent_wall if n == accent else decor.wall))
        middle, yaw = (a + b) / 2, n * math.pi / 2
        skirting = box(float(np.hypot(*(b - a))) - 0.02, 0.015, SKIRTING_M)
        parts.append((skirting.at(0, 0.008).moved(turned_z(yaw, *middle)), decor.trim))
    if rng.random() < 0.3:
        length, width = (float(v) for v in rng.uniform((1.6, 1.2), (2.8, 2.0)))
        x, y = (float(v) for v in np.asarray(plan.centre_m) + rng.normal(0, 0.4, 2))
        parts.append((box(length, width, 0.008).at(x, y), decor.rug))
    return tuple(parts)


def plate_decor(seeds: Seeds) -> Decor:
    """Return the look of the chairs that sitting people bring along onto a plate."""
    styles = sorted(surfaces.PALETTES)
    rng = seeds.stream("decor")
    return Decor(styles[int(rng.integers(len(styles)))], rng)
