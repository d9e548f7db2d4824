# SPDX-License-Identifier: Apache-2.0
"""The sensor's lens and place: named lenses and calibrations as the quartic Cycles renders, and what is in view."""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera, looking_down, quartic
from synthkit.errors import ConfigError
from synthkit_blender.calibration import Calibration
from synthkit_blender.config import CameraConfig, Range

Floats = NDArray[np.float64]
Circle = tuple[float, float, float]  # centre and radius in pixels
EQUISOLID = {"stereographic": -1.0, "equidistant": 0.0, "equisolid": 1.0}
LENS_POINTS = 512
USUAL_FOV_DEGREES = 180.0
MAX_HEAD_THETA_RAD = math.radians(80)  # heads farther from the axis are seen edge on
VIEW_SHARE = 0.92  # of the image circle, and of the image, in which a head is well seen


def draw_camera(
    config: CameraConfig, width_px: int, height_px: int, rng: np.random.Generator, *,
    circle_px: Circle | None = None, calibration: Calibration | None = None,
) -> FisheyeCamera:  # fmt: skip
    """Return the camera of one scene, over the origin.

    Args:
        circle_px: centre and radius of the image circle where they are known, instead of the settings'.
        calibration: the lens in pixels of the image where these are not simply those of the settings' file.

    Raises:
        ConfigError: for a calibration that cannot be read or met, or a polynomial no lens can have.
    """
    height_m, yaw, equisolid = (
        _draw(rng, limits) for limits in (config.height_m, config.yaw_degrees, config.equisolid)
    )
    tilt, roll = _draw(rng, config.tilt_degrees), _draw(rng, config.roll_degrees)
    center = _draw(rng, config.centre_x_share) * width_px, _draw(rng, config.centre_y_share) * height_px
    circle = circle_px or (*center, _draw(rng, config.circle_share) * min(width_px, height_px) / 2)
    half_rad = None if config.fov_degrees is None else math.radians(_draw(rng, config.fov_degrees)) / 2
    pose = looking_down(height_m, yaw_degrees=yaw, tilt_degrees=tilt, roll_degrees=roll)
    if config.calibration is not None:
        calibration = calibration or Calibration.read(config.calibration).fitted(width_px, height_px)
        return calibration.camera(half_rad, config.misfit_px, pose)
    half_rad = half_rad or math.radians(USUAL_FOV_DEGREES) / 2
    theta = np.linspace(0, half_rad, LENS_POINTS)
    radii = fisheye(EQUISOLID.get(config.lens, equisolid), theta)
    if config.lens == "polynomial":
        radii = np.polyval((*config.lens_polynomial[::-1], 0.0), theta)
    try:
        return _camera(width_px, height_px, circle, radii, theta, pose)
    except ValueError as error:
        raise ConfigError([f"camera.lens_polynomial: {error}"]) from None


def check_lens(config: CameraConfig, width_px: int, height_px: int) -> None:
    """Draw a camera of the widest view and the largest circle, for what else can be drawn is easier.

    Raises:
        ConfigError: when there can be none.
    """
    widest = None if config.fov_degrees is None else (config.fov_degrees[1], config.fov_degrees[1])
    largest = config.circle_share[1], config.circle_share[1]
    hardest = attrs.evolve(config, fov_degrees=widest, circle_share=largest)
    draw_camera(hardest, width_px, height_px, np.random.default_rng(0))


def ceiling_camera(width_px: int, height_px: int, fov_degrees: float, equisolid: float, height_m: float,
                   yaw_degrees: float) -> FisheyeCamera:  # fmt: skip
    """Return a camera over the origin that looks straight down; its circle touches the image's shorter sides."""
    theta = np.linspace(0, math.radians(fov_degrees) / 2, LENS_POINTS)
    circle = width_px / 2, height_px / 2, min(width_px, height_px) / 2
    pose = looking_down(height_m, yaw_degrees=yaw_degrees)
    return _camera(width_px, height_px, circle, fisheye(equisolid, theta), theta, pose)


def fisheye(equisolid: float, theta_rad: Floats) -> Floats:
    """Return the radii of a lens between stereographic (-1), equidistant (0) and equisolid (1), of any scale.

    tan(k t) / k, t and sin(k t) / k with k = |equisolid| / 2: PTGui 11's lens formula with -equisolid / 2.
    """
    k = abs(equisolid) / 2
    if k < 1e-9:
        return np.array(theta_rad)
    return np.asarray((np.sin if equisolid > 0 else np.tan)(k * theta_rad) / k)


def looks_up(camera: FisheyeCamera) -> bool:
    """Return whether some of the image circle looks above the horizon."""
    lean_rad = math.acos(min(1.0, max(-1.0, -float(camera.world_from_camera[2, 2]))))
    return camera.max_theta_rad + lean_rad > math.pi / 2 + 1e-6


def well_seen(camera: FisheyeCamera, point_m: tuple[float, float, float]) -> bool:
    """Return whether a point lies within the image and its circle, and not at the edge of either."""
    pixels, valid = camera.project(point_m)
    if not bool(valid):
        return False
    x, y = (float(v) for v in pixels)
    size = camera.width_px, camera.height_px
    inside = all(abs(place / side - 0.5) <= VIEW_SHARE / 2 for place, side in zip((x, y), size, strict=True))
    theta = float(camera.theta_rad(math.hypot(x - camera.cx_px, y - camera.cy_px)))
    return inside and theta <= min(MAX_HEAD_THETA_RAD, camera.max_theta_rad * VIEW_SHARE)


def _camera(
    width_px: int, height_px: int, circle_px: Circle, radii: Floats, theta_rad: Floats, pose: Floats
) -> FisheyeCamera:
    """Return the camera whose image circle is at the last of a lens's radii, of any scale."""
    if (np.diff(radii) <= 0).any():
        turns = math.degrees(float(theta_rad[int((np.diff(radii) <= 0).argmax())]))
        raise ValueError(f"the radius must grow with the angle, and stops at {turns:.1f} degrees")
    cx, cy, radius_px = circle_px
    coefficients = quartic(radii / radii[-1] * radius_px, theta_rad)
    return FisheyeCamera(width_px, height_px, cx, cy, coefficients, float(theta_rad[-1]), pose)


def _draw(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))
