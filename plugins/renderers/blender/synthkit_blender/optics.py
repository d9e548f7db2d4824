# SPDX-License-Identifier: Apache-2.0
"""The sensor's lens: between equidistant and equisolid, as a polynomial Cycles renders exactly."""

from __future__ import annotations

import math

import numpy as np

from synthkit.camera import FisheyeCamera, looking_down


def lens(fov_degrees: float, equisolid: float, radius_px: float) -> tuple[float, ...]:
    """Return theta(r)'s coefficients (c1..c4) for a mix of lenses whose image circle has ``radius_px``.

    Args:
        equisolid: 0 for r = f theta, 1 for r = 2 f sin(theta / 2), between them a blend of the angles.
    """
    half = math.radians(fov_degrees) / 2
    share = np.linspace(0, 1, 256)
    curved = 2 * np.arcsin(share * math.sin(half / 2))
    theta = (1 - equisolid) * half * share + equisolid * curved
    design = np.stack([share**n for n in (1, 2, 3, 4)], axis=1)
    fitted = np.linalg.lstsq(design, theta, rcond=None)[0]
    fitted *= half / fitted.sum()  # the circle's edge is exact
    return tuple(float(c) / radius_px**n for n, c in enumerate(fitted, start=1))


def ceiling_camera(
    width_px: int, height_px: int, fov_degrees: float, equisolid: float, height_m: float, yaw_degrees: float,
    circle_px: tuple[float, float, float] | None = None,
) -> FisheyeCamera:  # fmt: skip
    """Return a camera over the origin that looks straight down.

    Args:
        circle_px: centre and radius of its image circle; None for one that touches the image's shorter sides.
    """
    cx, cy, radius_px = circle_px or (width_px / 2, height_px / 2, min(width_px, height_px) / 2)
    coefficients = lens(fov_degrees, equisolid, radius_px)
    pose = looking_down(height_m, yaw_degrees=yaw_degrees)
    return FisheyeCamera(width_px, height_px, cx, cy, coefficients, math.radians(fov_degrees) / 2, pose)
