# SPDX-License-Identifier: Apache-2.0
"""Shops: rows of shelves or racks of clothes, tables of offers, and a counter."""

from __future__ import annotations

import numpy as np

from synthkit.seeds import Seeds
from synthkit_blender.furniture import Piece
from synthkit_blender.placement import Floor, Placed, Pose2D
from synthkit_blender.rooms import goods
from synthkit_blender.rooms.plan import QUARTER_TURNS, Furnishing, RoomPlan
from synthkit_blender.surfaces import Decor

AISLE_M = 1.15
CLOTHES_SHARE = 0.4


def shop(plan: RoomPlan, decor: Decor, floor: Floor, seeds: Seeds) -> Furnishing:
    """Return the shelves of a grocer's or the racks of a clothes shop, and its counter."""
    rng = seeds.stream("shop")
    placed: list[Placed] = []
    _free(goods.counter(float(rng.uniform(1.4, 2.4)), decor, till=True), 0.8, floor, rng, placed)
    if rng.random() < CLOTHES_SHARE:
        for _ in range(int(rng.integers(3, 7))):
            _free(goods.rack(float(rng.uniform(1.0, 1.7)), decor, rng), 0.7, floor, rng, placed)
        for _ in range(int(rng.integers(1, 4))):
            _free(goods.offers(decor, rng), 0.7, floor, rng, placed)
    else:
        _rows(plan, decor, floor, rng, placed)
        for _ in range(int(rng.integers(0, 3))):
            _free(goods.offers(decor, rng), 0.7, floor, rng, placed)
    return Furnishing(tuple(placed))


def _rows(plan: RoomPlan, decor: Decor, floor: Floor, rng: np.random.Generator, placed: list[Placed]) -> None:
    """Place double shelves side by side along the room, with aisles between and at their ends."""
    height, length = float(rng.uniform(1.25, 1.65)), float(rng.uniform(0.45, 0.65)) * plan.length_m
    spacing = 2 * goods.SHELF_DEPTH_M + AISLE_M + float(rng.uniform(0.0, 0.4))
    count = max(1, int((plan.width_m - 1.6) / spacing))
    cx, cy = plan.centre_m
    aside = float(rng.normal(0, 0.3))
    for n in range(count):
        piece = goods.gondola(length, height, decor, rng)
        pose = Pose2D(cx + aside, cy + (n - (count - 1) / 2) * spacing)
        if floor.fits(pose.outline(piece.outline_m), 0.5):
            _place(piece, pose, floor, placed)


def _free(piece: Piece, gap_m: float, floor: Floor, rng: np.random.Generator, placed: list[Placed]) -> None:
    """Place a piece anywhere along the room's axes, if there is room around it."""
    pose = floor.find(piece.outline_m, rng, gap_m=gap_m, yaws=QUARTER_TURNS)
    if pose is not None:
        _place(piece, pose, floor, placed)


def _place(piece: Piece, pose: Pose2D, floor: Floor, placed: list[Placed]) -> None:
    thing = Placed(piece, pose)
    floor.take(thing.outline_m)
    placed.append(thing)
