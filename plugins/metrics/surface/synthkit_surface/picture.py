# SPDX-License-Identifier: Apache-2.0
"""A picture of the body from before and behind that shows where colours do not stay."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from synthkit.report.drawing import write_png
from synthkit_surface.patches import Patches

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

_HEIGHT_PX = 900
_MARGIN_PX = 30
_BAR_PX = 46  # of the scale below the bodies
_FINE = 2  # drawn so much larger, and shrunk
_UNSEEN = np.array([205.0, 205.0, 205.0])
# From alike to as different as others: dark blue, green, yellow of the palette viridis, even for colour-blind readers.
_STOPS = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float64)


def write_picture(patches: Patches, own: Floats, others: Floats, path: Path) -> None:
    """Write a PNG in which each patch has the colour of its spread: 0 dark, 1 and more yellow, unknown grey.

    Args:
        own, others: (patches,) mean differences, NaN where a patch was not compared.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.where(others > 0, own / others, np.nan)
    colours = np.where(np.isnan(spread)[:, None], _UNSEEN, _palette(np.nan_to_num(spread)))
    bodies = [_body(patches, colours, behind=behind) for behind in (False, True)]
    sheet = np.concatenate(bodies, axis=1)
    canvas = Image.new("RGB", (sheet.shape[1], sheet.shape[0] + 3 * _BAR_PX), "white")
    canvas.paste(Image.fromarray(sheet), (0, _BAR_PX))
    _legend(canvas, sheet.shape[0] + _BAR_PX)
    write_png(np.asarray(canvas), path)


def _palette(share: Floats) -> Floats:
    place = np.clip(share, 0, 1) * (len(_STOPS) - 1)
    return np.stack([np.interp(place, np.arange(len(_STOPS)), _STOPS[:, c]) for c in range(3)], axis=-1)


def _body(patches: Patches, colours: Floats, *, behind: bool) -> Picture:
    """Return the body at rest, seen level from before or behind; far faces first (the painter's algorithm)."""
    skin = patches.vertices_m[np.unique(patches.faces)]
    low, high = skin.min(axis=0), skin.max(axis=0)
    scale = (_HEIGHT_PX - 2 * _MARGIN_PX) / (high[2] - low[2]) * _FINE
    width = round((high[0] - low[0]) * scale) + 2 * _MARGIN_PX * _FINE
    side = -1.0 if behind else 1.0
    x = width / 2 + side * (patches.vertices_m[:, 0] - (low[0] + high[0]) / 2) * scale
    y = _MARGIN_PX * _FINE + (high[2] - patches.vertices_m[:, 2]) * scale
    corners = patches.vertices_m[patches.faces]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    facing = -side * normals[:, 1] / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    depth = side * corners[:, :, 1].mean(axis=1)
    points = np.rint(np.stack([x, y], axis=1)).astype(np.int32)[patches.faces]
    shaded = colours[patches.of_vertex[patches.faces[:, 0]]] * (0.6 + 0.4 * np.clip(facing, 0, 1))[:, None]
    canvas = np.full((_HEIGHT_PX * _FINE, width, 3), 255, np.uint8)
    for face in np.argsort(-depth, kind="stable"):
        if facing[face] > 0:
            cv2.fillConvexPoly(canvas, points[face], shaded[face].tolist())
    small = cv2.resize(canvas, (width // _FINE, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _legend(canvas: Image.Image, top: int) -> None:
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(18)
    width = canvas.width
    pen.text((width / 4, _BAR_PX / 2), "front", fill="black", font=font, anchor="mm")
    pen.text((3 * width / 4, _BAR_PX / 2), "back", fill="black", font=font, anchor="mm")
    left, right = width // 4, 3 * width // 4
    ramp = _palette(np.linspace(0, 1, right - left))[None].repeat(20, axis=0)
    canvas.paste(Image.fromarray(np.rint(ramp).astype(np.uint8)), (left, top + 10))
    pen.text((left - 10, top + 20), "keeps its colours", fill="black", font=font, anchor="rm")
    pen.text((right + 10, top + 20), "as other people", fill="black", font=font, anchor="lm")
    pen.text((width / 2, top + 56), "grey: not compared", fill="black", font=font, anchor="mm")
