# SPDX-License-Identifier: Apache-2.0
"""Where the network looks: a square about a box, turned so that away from the nadir is up.

A ceiling camera sees heads farther out than feet, so people stand upright in such a crop wherever they are in the
image. It is as large as the box is long, whatever the box's angle: which may be wrong, and means nothing of a square.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.crops import CropPlan
from synthkit.sample import RotatedBox
from synthkit_surface_finder.config import STRIDE

Floats = npt.NDArray[np.float64]

_LEAST_LENGTH_PX = 4.0  # of a box; a crop of less shows nothing
_DIRECTION_EPSILON_PX = 0.5  # nearer to the nadir than this, "away from the nadir" means nothing


def plan_window(box: RotatedBox, nadir_px: Floats, side_px: int, margin: float, turn_degrees: float = 0.0) -> CropPlan:
    """Return the crop about a box.

    Args:
        nadir_px: (2,), of the image. side_px: of the crop. margin: the crop's side over the box's longer one.
        turn_degrees: by which the crop is turned clockwise in the image besides.
    """
    centre = np.array([box.cx, box.cy])
    away = centre - nadir_px
    length = float(np.hypot(*away))
    up = away / length if length >= _DIRECTION_EPSILON_PX else np.array([0.0, -1.0])
    angle = math.radians(turn_degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    up = np.array([cos * up[0] - sin * up[1], sin * up[0] + cos * up[1]])
    scale = side_px / (margin * max(box.w, box.h, _LEAST_LENGTH_PX))
    linear = scale * np.array([[-up[1], up[0]], [-up[0], -up[1]]])  # rows: the crop's right and down in the image
    return CropPlan(0, None, (side_px, side_px), np.column_stack([linear, side_px / 2 - linear @ centre]))


def plan_part(centre_px: Floats, scale: float, degrees: float, side_px: int) -> CropPlan:
    """Return the crop about a place of the image at a scale, turned clockwise in the image."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    linear = scale * np.array([[cos, sin], [-sin, cos]])
    return CropPlan(0, None, (side_px, side_px), np.column_stack([linear, side_px / 2 - linear @ centre_px]))


def plan_whole(image_px: tuple[int, int], whole_px: int) -> CropPlan:
    """Return all of an image, (width, height), as one crop whose longer side is ``whole_px``, up to whole strides."""
    scale = whole_scale(image_px, whole_px)
    width, height = (STRIDE * math.ceil(side * scale / STRIDE - 1e-9) for side in image_px)
    return CropPlan(0, None, (width, height), np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]]))


def whole_scale(image_px: tuple[int, int], whole_px: int) -> float:
    """Return pixels of a whole crop per pixel of an image."""
    return whole_px / max(image_px)


def coarser(plan: CropPlan, stride: int) -> CropPlan:
    """Return the same crop with pixels ``stride`` times as large."""
    width, height = plan.size_px
    return CropPlan(plan.person, plan.instance, (width // stride, height // stride), plan.crop_from_image / stride)


def centres(size_px: tuple[int, int]) -> Floats:
    """Return the centres of all pixels of a picture, (H, W, 2) x, y."""
    width, height = size_px
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


def cut_nearest(layer: npt.NDArray[Any], plan: CropPlan) -> npt.NDArray[Any]:
    """Return a crop (h, w) of a layer (H, W) of numbers: of each pixel what lies under its centre; 0 beyond."""
    x, y = np.moveaxis(np.floor(plan.to_image(centres(plan.size_px))).astype(np.int64), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < layer.shape[1]) & (y < layer.shape[0])
    cut = np.zeros(inside.shape, layer.dtype)
    cut[inside] = layer[y[inside], x[inside]]
    return cut


def box_mask(box: RotatedBox, plan: CropPlan) -> npt.NDArray[np.bool_]:
    """Return which pixels of a crop have their centres in a box, (h, w) bool."""
    offset = plan.to_image(centres(plan.size_px)) - (box.cx, box.cy)
    angle = math.radians(box.degrees)
    across = offset @ [math.cos(angle), math.sin(angle)]
    along = offset @ [-math.sin(angle), math.cos(angle)]
    return np.asarray((abs(across) <= box.w / 2) & (abs(along) <= box.h / 2))


def covered(plan: CropPlan, image_px: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of an image, (width, height), that hold all of a crop; empty where none does."""
    side_x, side_y = plan.size_px
    corners = plan.to_image([[0, 0], [side_x, 0], [side_x, side_y], [0, side_y]])
    limit = np.array(image_px)
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limit)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, limit)
    return slice(int(top), int(bottom)), slice(int(left), int(right))
