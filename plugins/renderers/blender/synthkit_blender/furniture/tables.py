# SPDX-License-Identifier: Apache-2.0
"""Tables, which lie centred with their length along x."""

from __future__ import annotations

import numpy as np

from synthkit_blender.furniture.piece import Piece, block, rectangle
from synthkit_blender.geometry import Mesh, box, cylinder, merged, slab
from synthkit_blender.surfaces import Decor

TABLE_TOP_M, TABLE_UNDER_M = 0.735, 0.705


def table(length_m: float, width_m: float, decor: Decor, *, panel_legs: bool, round_m: float) -> Piece:
    """Return a table with four legs, or two panels."""
    under = TABLE_UNDER_M
    top = slab(length_m, width_m, TABLE_TOP_M - under, corner_m=round_m, bevel_m=0.004).at(0, 0, under)
    solids = [block(length_m, width_m, under, TABLE_TOP_M)]
    legs: list[Mesh] = []
    inset_x, inset_y = length_m / 2 - 0.07 - round_m * 0.4, width_m / 2 - 0.07 - round_m * 0.4
    if panel_legs:
        for x in (-inset_x, inset_x):
            legs.append(box(0.03, width_m * 0.75, under).at(x, 0))
            solids.append(block(0.03, width_m * 0.75, 0, under, x))
    else:
        for x in (-inset_x, inset_x):
            for y in (-inset_y, inset_y):
                legs.append(cylinder(0.025, under).at(x, y))
                solids.append(block(0.05, 0.05, 0, under, x, y))
    parts = ((top, decor.table), (merged(legs), decor.table if panel_legs else decor.frame))
    return Piece(parts, np.array(solids), rectangle(length_m, width_m))
