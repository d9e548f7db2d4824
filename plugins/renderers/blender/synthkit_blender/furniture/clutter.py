# SPDX-License-Identifier: Apache-2.0
"""What lies and stands on tables; its user sits towards +y."""

from __future__ import annotations

import math

import numpy as np

from synthkit_blender import surfaces
from synthkit_blender.furniture.piece import Piece, block, rectangle, upright
from synthkit_blender.geometry import box, cylinder, merged, slab, turned_x, turned_z
from synthkit_blender.printed import Printed
from synthkit_blender.surfaces import Surface


def laptop(rng: np.random.Generator, screens: Printed, number: int) -> Piece:
    """Return an open laptop on z = 0 whose user sits towards +y; it shows one of the screens."""
    base = slab(0.32, 0.22, 0.018, corner_m=0.015, bevel_m=0.004)
    keys = slab(0.28, 0.11, 0.002, corner_m=0.005, bevel_m=0.001).at(0, -0.03, 0.0185)
    lean = float(rng.uniform(0.15, 0.45))
    lid = slab(0.32, 0.21, 0.01, corner_m=0.012, bevel_m=0.003).at(0, 0.105, 0)
    glass = screens.sheet(number, [(x, y, 0.0108) for x, y in ((0.145, 0), (-0.145, 0), (-0.145, 0.18), (0.145, 0.18))])
    glass = glass.at(0, 0.015)
    stand = turned_x(math.pi / 2 + lean)
    lid, glass = (m.moved(stand).at(0, -0.11, 0.012) for m in (lid, glass))
    shell = surfaces.GREY_METAL if rng.random() < 0.6 else surfaces.BLACK_PLASTIC
    glow = surfaces.of_print(screens, roughness=0.2, emission=float(rng.uniform(0.1, 0.5)))
    parts = ((merged([base, lid]), shell), (keys, surfaces.BLACK_PLASTIC), (glass, glow))
    solids = np.array([block(0.32, 0.22, 0, 0.02), block(0.32, 0.12, 0.0, 0.22, 0, -0.16)])
    return Piece(parts, solids, rectangle(0.32, 0.33, 0, -0.055))


def papers(rng: np.random.Generator, pages: Printed, number: int) -> Piece:
    """Return a few sheets, a little askew, from a page on."""
    sheets, printed = [], []
    for n in range(int(rng.integers(1, 5))):
        x, y = rng.normal(0, 0.05, 2)
        place = turned_z(float(rng.normal(0, 0.3)), x, y, 0.001 + n * 0.0018)
        sheets.append(box(0.21, 0.297, 0.0016).moved(place))
        corners = [(x, y, 0.0017) for x, y in rectangle(0.205, 0.292)]
        printed.append(pages.sheet(number + n, corners).moved(place))
    parts = ((merged(sheets), surfaces.PAPER), (merged(printed), surfaces.of_print(pages)))
    return Piece(parts, np.array([block(0.2, 0.2, 0, 0.01)]), rectangle(0.34, 0.4))


def mug(rng: np.random.Generator) -> Piece:
    """Return a mug."""
    color = surfaces.COVERS[int(rng.integers(len(surfaces.COVERS)))]
    body = cylinder(0.04, 0.095, 14)
    coffee = cylinder(0.034, 0.001, 14).at(0, 0, 0.0955)
    parts = ((body, Surface(surfaces.linear(color), roughness=0.3)), (coffee, Surface(surfaces.linear("3a2415"))))
    return Piece(parts, np.array([block(0.08, 0.08, 0, 0.1)]), rectangle(0.09, 0.09))


def bottle(rng: np.random.Generator) -> Piece:
    """Return a bottle of water, or of something else."""
    drink = ("a9c4d4", "c9d6dc", "7a4a22", "5f8f4e")[int(rng.integers(4))]
    body = merged([cylinder(0.033, 0.16, 14), cylinder(0.033, 0.04, 14, top_radius_m=0.014).at(0, 0, 0.16)])
    label = cylinder(0.0335, 0.06, 14).at(0, 0, 0.06)
    cap = cylinder(0.015, 0.025, 10).at(0, 0, 0.2)
    color = surfaces.linear(surfaces.COVERS[int(rng.integers(len(surfaces.COVERS)))])
    parts = (
        (body, Surface(surfaces.linear(drink), roughness=0.1, specular=0.6)),
        (merged([label, cap]), Surface(color, roughness=0.4)),
    )
    return Piece(parts, np.array([block(0.068, 0.068, 0, 0.225)]), rectangle(0.07, 0.07))


def notebook(rng: np.random.Generator) -> Piece:
    """Return a book or a folder that lies askew."""
    width, height, thick = ((0.15, 0.21, 0.012), (0.21, 0.3, 0.015), (0.25, 0.32, 0.03))[int(rng.integers(3))]
    turn = turned_z(float(rng.uniform(-0.5, 0.5)))
    color = surfaces.varied(surfaces.linear(surfaces.COVERS[int(rng.integers(len(surfaces.COVERS)))]), rng)
    pages = box(width - 0.006, height - 0.006, thick - 0.004).at(0.004, 0, 0.002).moved(turn)
    covers = merged([box(width, height, 0.002).at(0, 0, z).moved(turn) for z in (0.0, thick - 0.002)])
    side = math.hypot(width, height) * 0.9
    parts = ((pages, surfaces.PAPER), (covers, Surface(color, roughness=0.5)))
    return Piece(parts, np.array([block(width, height, 0, thick)]), rectangle(side, side))


def monitor(screens: Printed, number: int) -> Piece:
    """Return a desktop monitor, which shows one of the screens, and keyboard; its user sits towards +y."""
    foot = slab(0.24, 0.18, 0.012, corner_m=0.03, bevel_m=0.004)
    neck = box(0.04, 0.03, 0.2).at(0, -0.03, 0.01)
    frame = box(0.56, 0.03, 0.34).at(0, 0, 0.12)
    glass = screens.sheet(number, upright(0.53, 0.31, 0.0155, 0.135))
    keys = slab(0.43, 0.13, 0.016, corner_m=0.012, bevel_m=0.004).at(0, 0.28)
    glow = surfaces.of_print(screens, roughness=0.2, emission=0.5)
    parts = ((merged([foot, neck, frame, keys]), surfaces.BLACK_PLASTIC), (glass, glow))
    solids = np.array([block(0.56, 0.1, 0, 0.48), block(0.43, 0.13, 0, 0.02, 0, 0.28)])
    return Piece(parts, solids, rectangle(0.56, 0.4, 0, 0.14))
