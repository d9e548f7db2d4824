# SPDX-License-Identifier: Apache-2.0
"""What hangs on walls or is set into them, its back at y = 0: it keeps nobody off."""

from __future__ import annotations

import numpy as np

from synthkit_blender import surfaces
from synthkit_blender.furniture.piece import Piece, hanging, upright
from synthkit_blender.geometry import box, merged
from synthkit_blender.printed import Printed
from synthkit_blender.surfaces import Decor

VIEW_GLOW = 1.3  # radiance of what is white in a view, over the window's


def window(width_m: float, height_m: float, sill_m: float, decor: Decor, glow: float, number: int) -> Piece:
    """Return a window: bright panes, with one of the views, in a frame with a cross bar."""
    pane = surfaces.of_print(decor.prints.views, roughness=0.2, emission=VIEW_GLOW * glow)
    glass = decor.prints.views.sheet(number, upright(width_m, height_m, 0.015, sill_m))
    bars = [box(width_m + 0.12, 0.05, 0.06).at(0, 0.025, z) for z in (sill_m - 0.06, sill_m + height_m)]
    bars += [box(0.06, 0.05, height_m).at(x, 0.025, sill_m) for x in (-width_m / 2 - 0.03, 0.0, width_m / 2 + 0.03)]
    bars.append(box(width_m + 0.2, 0.16, 0.03).at(0, 0.08, sill_m - 0.09))
    return hanging(((glass, pane), (merged(bars), decor.trim)))


def radiator(width_m: float) -> Piece:
    """Return a flat radiator under a window."""
    ribs = [box(0.028, 0.06, 0.5).at(float(x), 0.06, 0.12) for x in np.arange(-width_m / 2, width_m / 2, 0.05)]
    return hanging(((merged([*ribs, box(width_m, 0.03, 0.46).at(0, 0.05, 0.14)]), surfaces.ENAMEL),))


def whiteboard(width_m: float, boards: Printed) -> Piece:
    """Return a whiteboard in a thin frame with its tray, and what is left on it."""
    sheet = boards.sheet(0, upright(width_m, 1.1, 0.022, 0.9))
    frame = [box(width_m + 0.04, 0.024, 1.14).at(0, 0.012, 0.88).at(0, -0.008)]
    frame.append(box(width_m * 0.6, 0.07, 0.02).at(0, 0.045, 0.86))
    return hanging(((sheet, surfaces.of_print(boards, roughness=0.25)), (merged(frame), surfaces.GREY_METAL)))


def screen() -> Piece:
    """Return a wall screen, switched off."""
    return hanging(((box(1.45, 0.06, 0.84).at(0, 0.04, 1.05), surfaces.SCREEN_OFF),))


def picture(decor: Decor, rng: np.random.Generator, number: int) -> Piece:
    """Return one of the pictures in a frame."""
    width, height = (float(v) for v in rng.uniform(0.4, 1.0, 2))
    pictures = decor.prints.pictures
    frame = box(width + 0.06, 0.025, height + 0.06).at(0, 0.0125, 1.2)
    canvas = pictures.sheet(number, upright(width, height, 0.027, 1.23))
    return hanging(((frame, decor.frame), (canvas, surfaces.of_print(pictures, roughness=0.6))))


def door(decor: Decor) -> Piece:
    """Return a closed door in its frame, with a handle."""
    leaf = box(0.92, 0.04, 2.04).at(0, 0.02, 0.005)
    frame = [box(0.08, 0.06, 2.05).at(x, 0.03) for x in (-0.5, 0.5)] + [box(1.08, 0.06, 0.08).at(0, 0.03, 2.05)]
    handle = box(0.13, 0.03, 0.02).at(0.36, 0.065, 1.02)
    return hanging(((leaf, decor.door), (merged(frame), decor.trim), (handle, surfaces.GREY_METAL)))
