# SPDX-License-Identifier: Apache-2.0
"""What shops are filled with: shelves of goods, racks of clothes, tables of offers, counters.

Local frames as in ``furniture``: metres, z up, on the floor; what stands at a wall has its back at y = 0.
"""

from __future__ import annotations

import math

import numpy as np

from synthkit_blender import surfaces
from synthkit_blender.furniture import Piece, rectangle
from synthkit_blender.geometry import Mesh, box, cylinder, merged, slab, tube, turned_z
from synthkit_blender.placement import Floats
from synthkit_blender.surfaces import Decor, Surface

SHELF_DEPTH_M = 0.4
BASE_M = 0.12
LEVEL_M = 0.36
GOODS = (
    "b5342b", "d9772e", "e2b93b", "5d8f3e", "2f6f8f", "34457f", "6d3f7a", "c9c3b6", "efe9dc", "3b3a38", "8a5a35",
    "9fb8c4",
)  # fmt: skip
GARMENTS = ("2b2d33", "454c59", "7a2f35", "c8bfae", "38506b", "5d6b4f", "8c8f94", "b98d6a", "e3ded4", "1f2a3f")

Parts = list[tuple[Mesh, Surface]]


def wall_shelf(length_m: float, height_m: float, decor: Decor, rng: np.random.Generator) -> Piece:
    """Return a one-sided shelf of goods that stands at a wall."""
    parts: Parts = [(_frame(length_m, height_m, 1), decor.trim), *_goods(length_m, height_m, rng)]
    solid = _solid(length_m, 0.0, SHELF_DEPTH_M + 0.03, height_m)
    return Piece(tuple(parts), solid, rectangle(length_m, SHELF_DEPTH_M + 0.03, 0, (SHELF_DEPTH_M + 0.03) / 2))


def gondola(length_m: float, height_m: float, decor: Decor, rng: np.random.Generator) -> Piece:
    """Return a shelf with goods on both sides, its length along x, centred."""
    parts: Parts = []
    for side in range(2):
        turn = turned_z(side * math.pi)
        parts.append((_frame(length_m, height_m, side).moved(turn), decor.trim))
        parts += [(mesh.moved(turn), surface) for mesh, surface in _goods(length_m, height_m, rng)]
    depth = SHELF_DEPTH_M + 0.03
    return Piece(tuple(parts), _solid(length_m, -depth, depth, height_m), rectangle(length_m, 2 * depth))


def rack(length_m: float, decor: Decor, rng: np.random.Generator) -> Piece:
    """Return a rail on two feet, full of hanging clothes."""
    height = float(rng.uniform(1.25, 1.45))
    metal = [tube([(-length_m / 2, 0, height), (length_m / 2, 0, height)], 0.014)]
    for x in (-length_m / 2, length_m / 2):
        metal += [tube([(x, 0, 0.02), (x, 0, height)], 0.014), box(0.04, 0.5, 0.03).at(x, 0)]
    parts: Parts = [(merged(metal), decor.frame)]
    x = -length_m / 2 + 0.06
    while x < length_m / 2 - 0.08:
        color = surfaces.varied(surfaces.linear(_one_of(GARMENTS, rng)), rng)
        drop = float(rng.uniform(0.6, 0.95))
        kin = []
        for _ in range(int(rng.integers(2, 7))):
            if x >= length_m / 2 - 0.08:
                break
            width = float(rng.uniform(0.38, 0.46))
            garment = slab(0.022, width, drop, corner_m=0.01, bevel_m=0.008, steps=1)
            kin.append(
                garment.moved(turned_z(float(rng.normal(0, 0.06)), x, float(rng.normal(0, 0.01)), height - drop))
            )
            x += float(rng.uniform(0.03, 0.055))
        parts.append((merged(kin), Surface(color, roughness=0.9)))
    return Piece(tuple(parts), _solid(length_m + 0.04, -0.25, 0.25, height), rectangle(length_m + 0.04, 0.5))


def offers(decor: Decor, rng: np.random.Generator) -> Piece:
    """Return a low table with piles of folded or boxed goods."""
    length, width, height = float(rng.uniform(1.0, 1.5)), float(rng.uniform(0.7, 1.0)), 0.8
    top = slab(length, width, 0.05, corner_m=0.03, bevel_m=0.006).at(0, 0, height - 0.05)
    foot = box(length - 0.2, width - 0.2, height - 0.05)
    parts: Parts = [(merged([top, foot]), decor.table)]
    columns, rows = max(2, round(length / 0.36)), max(2, round(width / 0.34))
    for i in range(columns):
        for j in range(rows):
            place = ((i + 0.5) / columns - 0.5) * (length - 0.04), ((j + 0.5) / rows - 0.5) * (width - 0.04)
            pile = box(length / columns - 0.05, width / rows - 0.05, float(rng.uniform(0.04, 0.22)))
            color = surfaces.varied(surfaces.linear(_one_of(GARMENTS, rng)), rng, 0.2)
            parts.append((pile.at(*place, height), Surface(color, roughness=0.85)))
    return Piece(tuple(parts), _solid(length, -width / 2, width / 2, height + 0.1), rectangle(length, width))


def counter(length_m: float, decor: Decor, *, till: bool) -> Piece:
    """Return a counter whose staff stand at +y, with a till on a shop's."""
    depth, height = 0.65, 1.05
    body = box(length_m - 0.06, depth - 0.1, height - 0.04).at(0, 0.02)
    top = slab(length_m, depth, 0.04, corner_m=0.02, bevel_m=0.006).at(0, 0, height - 0.04)
    ledge = box(length_m, 0.16, 0.2).at(0, -depth / 2 + 0.08, height - 0.04)
    parts: Parts = [(merged([body, ledge]), decor.cabinet), (top, decor.table)]
    if till:
        parts.append((merged([box(0.4, 0.4, 0.12), box(0.34, 0.04, 0.26).at(0, -0.08, 0.12)]).at(0.2, 0.05, height),
                      surfaces.BLACK_PLASTIC))  # fmt: skip
    return Piece(tuple(parts), _solid(length_m, -depth / 2, depth / 2, height + 0.16), rectangle(length_m, depth))


def _frame(length_m: float, height_m: float, side: int) -> Mesh:
    """Return the back, ends and boards of a shelf that reaches from y = 0 along +y."""
    boards = [box(length_m, 0.02, height_m).at(0, 0.01), box(length_m, SHELF_DEPTH_M, BASE_M).at(0, SHELF_DEPTH_M / 2)]
    boards += [
        box(0.025, SHELF_DEPTH_M, height_m - 0.1).at(x, SHELF_DEPTH_M / 2) for x in (-length_m / 2, length_m / 2)
    ]
    boards += [box(length_m, SHELF_DEPTH_M, 0.02).at(0, SHELF_DEPTH_M / 2, float(z)) for z in _levels(height_m)[1:]]
    return merged(boards[side:])  # two back to back need one back


def _levels(height_m: float) -> list[float]:
    """Return the heights that goods stand at."""
    count = max(2, int((height_m - BASE_M) / LEVEL_M))
    return [BASE_M + n * (height_m - BASE_M) / count for n in range(count)]


def _goods(length_m: float, height_m: float, rng: np.random.Generator) -> Parts:
    """Return goods in front of y = 0 in blocks of one kind each, as they are filled up: a few gaps, uneven depths."""
    found: dict[str, list[Mesh]] = {}
    levels = _levels(height_m)
    tall = levels[1] - levels[0] - 0.05
    for z in (*levels, height_m - 0.02):
        room = tall if z < levels[-1] + 0.01 else 0.3
        x = -length_m / 2 + 0.03
        while x < length_m / 2 - 0.15:
            block = min(float(rng.uniform(0.25, 0.6)), length_m / 2 - 0.03 - x)
            if rng.random() < (0.92 if z < height_m - 0.05 else 0.35):
                kind = found.setdefault(_one_of(GOODS, rng), [])
                kind += _block_of_goods(x, block, z + 0.021, room * float(rng.uniform(0.4, 0.95)), rng)
            x += block + 0.01
    return [
        (merged(meshes), Surface(surfaces.varied(surfaces.linear(color), rng), roughness=float(rng.uniform(0.3, 0.7))))
        for color, meshes in found.items()
        if meshes
    ]


def _block_of_goods(x_m: float, block_m: float, z_m: float, height_m: float, rng: np.random.Generator) -> list[Mesh]:
    width = float(rng.uniform(0.07, 0.2))
    count = max(1, int(block_m / width))
    round_ones = rng.random() < 0.35
    meshes = []
    for n in range(count):
        place = x_m + (n + 0.5) * block_m / count
        depth = SHELF_DEPTH_M * float(rng.uniform(0.55, 0.95))
        if round_ones:
            radius = min(block_m / count, 0.12) / 2 - 0.004
            meshes.append(cylinder(max(radius, 0.02), height_m, 8).at(place, depth - radius, z_m))
        else:
            meshes.append(box(block_m / count - 0.008, depth - 0.03, height_m).at(place, depth / 2, z_m))
    return meshes


def _solid(length_m: float, low_y_m: float, high_y_m: float, height_m: float) -> Floats:
    return np.array([[-length_m / 2, low_y_m, 0.0, length_m / 2, high_y_m, height_m]])


def _one_of(colors: tuple[str, ...], rng: np.random.Generator) -> str:
    return colors[int(rng.integers(len(colors)))]
