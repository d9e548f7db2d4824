# SPDX-License-Identifier: Apache-2.0
"""The small things on every wall: sockets, switches, notices, a clock, ducts for cables."""

from __future__ import annotations

import numpy as np

from synthkit_blender import surfaces
from synthkit_blender.furniture import Piece
from synthkit_blender.geometry import Mesh, box, cylinder, merged, turned_x
from synthkit_blender.placement import Placed, Pose2D
from synthkit_blender.printed import Prints
from synthkit_blender.rooms.plan import WallStretch
from synthkit_blender.surfaces import Surface

CLOCK_M = 0.3  # half of the least stretch that has one
CLOCK_RADIUS_M, CLOCK_Z_M = 0.16, 2.05
FLAT_M = 0.008  # what people may have at their backs is no thicker
DUCT_M = (2.02, 2.2)  # over everybody's head
NOTICES = ("f4f2ea", "f3e9b8", "dbe8f2", "f2d9d4", "d9ead3")


def fittings(stretches: list[WallStretch], prints: Prints, rng: np.random.Generator) -> list[Placed]:
    """Return what is on the free stretches of a room's walls."""
    white: list[Mesh] = []
    found: list[Placed] = []
    clock = bool(rng.random() < 0.5)
    for stretch in stretches:
        half, pose = stretch.width_m / 2, stretch.middle
        for _ in range(int(rng.integers(0, 3))):
            white.append(_on(pose, _socket(float(rng.uniform(-half + 0.1, half - 0.1)), 0.3)))
        if rng.random() < 0.4:
            white.append(_on(pose, _socket(float(rng.choice([-1, 1])) * (half - 0.1), 1.1)))
        if rng.random() < 0.35 and not (clock and half > CLOCK_M):
            at, low = float(rng.uniform(-half + 0.1, half - 0.1)), float(rng.uniform(*DUCT_M))
            duct = [
                box(2 * half - 0.1, 0.04, 0.06).at(0, 0.02, low),
                box(0.035, FLAT_M, low - 0.3).at(at, FLAT_M / 2, 0.3),
            ]
            white.append(_on(pose, merged(duct)))
        count = int(rng.integers(1, 5)) if rng.random() < 0.4 else 0
        notices = [_notice(half, n, prints, rng) for n in range(count)]
        if clock and half > CLOCK_M:
            clock = False
            at = float(rng.uniform(-half + 0.2, half - 0.2))
            found.append(_clock(stretch, at))
            notices = [one for one in notices if not _behind_clock(one[0], at)]
        found += [_hanging(_on(pose, sheet), paper) for sheet, paper in notices]
    if white:
        found.append(_hanging(merged(white), surfaces.ENAMEL))
    return found


def _on(pose: Pose2D, mesh: Mesh) -> Mesh:
    return mesh.moved(pose.matrix)


def _socket(x_m: float, z_m: float) -> Mesh:
    return box(0.085, FLAT_M, 0.085).at(x_m, FLAT_M / 2, z_m)


def _notice(half_m: float, number: int, prints: Prints, rng: np.random.Generator) -> tuple[Mesh, Surface]:
    """Return a sheet of paper that somebody put up within so far of a wall's middle, over those with a lower number."""
    half = half_m - 0.15
    width, height = ((0.21, 0.297), (0.297, 0.21), (0.297, 0.42))[int(rng.integers(3))]
    x, low = float(rng.uniform(-half, half)), float(rng.uniform(1.25, 1.6))
    tint = surfaces.linear(NOTICES[int(rng.integers(len(NOTICES)))])
    printed = prints.pictures if width > height else prints.pages
    front = 0.0015 + 0.0018 * number
    corners = [(x - side * width / 2, front, low + up * height) for side, up in ((-1, 0), (1, 0), (1, 1), (-1, 1))]
    return printed.sheet(int(rng.integers(printed.cells)), corners), surfaces.of_print(printed, tint)


def _behind_clock(sheet: Mesh, clock_x_m: float) -> bool:
    x, _, z = sheet.vertices_m.T
    beside = x.max() < clock_x_m - CLOCK_RADIUS_M or x.min() > clock_x_m + CLOCK_RADIUS_M
    return not beside and float(z.max()) > CLOCK_Z_M - CLOCK_RADIUS_M


def _clock(stretch: WallStretch, x_m: float) -> Placed:
    rim, face = cylinder(CLOCK_RADIUS_M, 0.03, 24), cylinder(0.145, 0.032, 24)
    stand = turned_x(-np.pi / 2)  # a cylinder's axis out of the wall
    rim, face = (_on(stretch.middle, mesh.moved(stand).at(x_m, 0, CLOCK_Z_M)) for mesh in (rim, face))
    parts = ((rim, surfaces.BLACK_PLASTIC), (face, surfaces.PAPER))
    return Placed(Piece(parts, np.zeros((0, 6)), np.zeros((0, 2))), Pose2D(0, 0))


def _hanging(mesh: Mesh, surface: Surface) -> Placed:
    return Placed(Piece(((mesh, surface),), np.zeros((0, 6)), np.zeros((0, 2))), Pose2D(0, 0))
