# SPDX-License-Identifier: Apache-2.0
"""Lamps: panels under the ceiling, windows, and the colour of their light."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit_blender.geometry import Matrix, turned_x
from synthkit_blender.placement import Floats
from synthkit_blender.polygons import holds
from synthkit_blender.rooms import Room, RoomPlan
from synthkit_blender.surfaces import Rgb

PANEL_CLEARANCE_M = 0.9
DAYLIGHT: Rgb = (0.9, 0.96, 1.0)
KELVINS = (2000.0, 3000.0, 4000.0, 5500.0, 7500.0, 10000.0)
TINTS = ((1.0, 0.66, 0.36), (1.0, 0.82, 0.62), (1.0, 0.91, 0.8), (1.0, 1.0, 1.0), (0.89, 0.95, 1.0), (0.8, 0.9, 1.0))


@attrs.frozen(eq=False)
class Lamp:
    """A rectangular lamp that shines along its local -z."""

    matrix: Matrix
    size_m: tuple[float, float]
    watts: float
    color: Rgb


def panels(
    plan: RoomPlan, kelvin: float, watts: float, rng: np.random.Generator, floor_m: Floats | None = None
) -> list[Lamp]:
    """Return a grid of ceiling panels, none right beside the camera: light from there hides shadows.

    With the outline of a floor (N, 2), those that would not hang over it are left out, unless none would be left.
    """
    columns, rows = max(2, round(plan.length_m / 2.4)), max(1, round(plan.width_m / 2.4))
    size = ((0.6, 0.6), (1.2, 0.3), (0.3, 1.2), (0.25, 0.25))[int(rng.integers(4))]
    cx, cy = plan.centre_m
    spots = [
        (cx + (i - (columns - 1) / 2) * plan.length_m / columns, cy + (j - (rows - 1) / 2) * plan.width_m / rows)
        for i in range(columns)
        for j in range(rows)
    ]
    if floor_m is not None:
        spots = [spot for spot in spots if holds(floor_m, spot)] or spots
    clear = [spot for spot in spots if math.hypot(*spot) > PANEL_CLEARANCE_M]
    lit = [spot for spot in clear if rng.random() < 0.85]
    lit = lit or clear or [max(spots, key=lambda spot: math.hypot(*spot))]
    color = kelvin_rgb(kelvin)
    shares = rng.uniform(0.7, 1.3, len(lit))
    shares /= shares.sum()
    lamps = []
    for (x, y), share in zip(lit, shares, strict=True):
        matrix = np.eye(4)
        matrix[:3, 3] = x, y, plan.height_m - 0.01
        lamps.append(Lamp(matrix, size, float(watts * share), color))
    return lamps


def daylight(room: Room, watts: float) -> list[Lamp]:
    """Return a lamp in each window, which share ``watts``."""
    # A lamp shines along -z: a turn of +90 degrees about x makes that the window's +y, into the room.
    return [
        Lamp(matrix @ turned_x(math.pi / 2), (width, height), watts / len(room.windows), DAYLIGHT)
        for matrix, width, height in room.windows
    ]


def kelvin_rgb(kelvin: float) -> Rgb:
    """Return the colour of light as a half-adapted sensor sees it: less tinted than a black body's."""
    r, g, b = (float(np.interp(kelvin, KELVINS, [tint[c] for tint in TINTS])) for c in range(3))
    return r, g, b
