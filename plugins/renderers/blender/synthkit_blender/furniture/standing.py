# SPDX-License-Identifier: Apache-2.0
"""What stands at walls, its back at y = 0, and reaches into the room along +y."""

from __future__ import annotations

import math

import numpy as np

from synthkit_blender import surfaces
from synthkit_blender.furniture.piece import Piece, block, rectangle, standing
from synthkit_blender.geometry import Mesh, box, cylinder, ellipsoid, merged, tube, turned_x, turned_z
from synthkit_blender.surfaces import Decor, Surface


def cabinet(length_m: float, depth_m: float, height_m: float, decor: Decor, doors: int) -> Piece:
    """Return a cupboard with doors and handles."""
    body = box(length_m, depth_m, height_m).at(0, depth_m / 2)
    width = length_m / doors
    fronts, handles = [], []
    for n in range(doors):
        x = -length_m / 2 + (n + 0.5) * width
        fronts.append(box(width - 0.012, 0.014, height_m - 0.1).at(x, depth_m + 0.007, 0.07))
        handles.append(box(0.015, 0.02, 0.14).at(x + (width / 2 - 0.05) * (-1) ** n, depth_m + 0.022, height_m * 0.6))
    parts = ((body, decor.cabinet), (merged(fronts), decor.cabinet), (merged(handles), decor.frame))
    return standing(parts, length_m, depth_m + 0.03, height_m)


def bookcase(length_m: float, height_m: float, decor: Decor, rng: np.random.Generator) -> Piece:
    """Return open shelves with rows of books."""
    depth = 0.3
    boards = [box(length_m, 0.02, height_m).at(0, 0.01)]
    boards += [box(0.025, depth, height_m).at(x, depth / 2) for x in (-length_m / 2, length_m / 2)]
    levels = np.linspace(0.06, height_m - 0.025, max(3, round(height_m / 0.38)))
    boards += [box(length_m, depth, 0.025).at(0, depth / 2, float(z)) for z in levels]
    books: list[tuple[Mesh, Surface]] = []
    for z in levels[:-1]:
        books += _books(length_m, float(z) + 0.026, rng)
    return standing(((merged(boards), decor.cabinet), *books), length_m, depth, height_m)


def _books(length_m: float, z_m: float, rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    found = []
    x = -length_m / 2 + 0.04
    while x < length_m / 2 - 0.2:
        width = float(rng.uniform(0.08, 0.22))  # several volumes alike
        if rng.random() < 0.75:
            height, color = float(rng.uniform(0.2, 0.29)), surfaces.COVERS[int(rng.integers(len(surfaces.COVERS)))]
            book = box(width - 0.005, 0.2, height).at(x + width / 2, 0.14, z_m)
            found.append((book, Surface(surfaces.linear(color), roughness=0.6)))
        x += width
    return found


def plant(height_m: float, rng: np.random.Generator) -> Piece:
    """Return a potted plant with long leaves."""
    pot, reach = cylinder(0.13, 0.28, 14, top_radius_m=0.17).at(0, 0.2), 0.26
    leaves = []
    for n in range(16):
        a, tilt = 2.4 * n, float(rng.uniform(0.25, 1.0))
        length = height_m * float(rng.uniform(0.28, 0.4))
        tilt = min(tilt, math.asin(min(0.92 * min(reach, 0.2 / max(math.cos(a), 1e-6)) / length, 1.0)))
        leaf = ellipsoid((0.05, 0.008, length / 2), 8, 5).at(0, 0, length / 2)
        rise = 0.28 + (height_m - 0.28 - length) * float(rng.uniform(0.1, 1.0))
        leaves.append(leaf.moved(turned_x(tilt)).moved(turned_z(a, 0, 0.2, rise)))
    stem = tube([(0, 0.2, 0.25), (0, 0.2, height_m * 0.75)], 0.014)
    parts = ((pot, surfaces.POT), (merged([*leaves, stem]), surfaces.LEAF))
    return Piece(parts, np.array([block(2 * reach, 2 * reach, 0, height_m, 0, 0.2)]), rectangle(0.52, 0.52, 0, 0.26))


def bin_() -> Piece:
    """Return a waste-paper bin."""
    body = cylinder(0.11, 0.32, 16, top_radius_m=0.14).at(0, 0.15)
    return standing(((body, surfaces.BLACK_PLASTIC),), 0.3, 0.3, 0.32)
