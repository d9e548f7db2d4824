# SPDX-License-Identifier: Apache-2.0
"""The ceiling fisheye: exact projection both ways, and to and from OpenCV's fisheye model.

Camera axes are OpenCV's: x to the right of the image, y down the image, z out of the lens. A pixel's
place is measured from the outer corner of the top-left pixel (see ``sample.py``); OpenCV counts from
that pixel's centre, so conversions shift by half a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NEWTON_STEPS = 30
_ARRIVED_RAD = 1e-14  # below 1e-11 px
_FIT_POINTS = 512
_FIT_ROUNDS = 60
MISFIT_PX = 0.1
"""How far a calibration may be from the camera that stands for it."""


def _identity() -> Floats:
    return _pose(np.eye(4))


def _pose(matrix: Any) -> Floats:
    result = np.array(matrix, dtype=np.float64)
    if result.shape != (4, 4) or not np.isfinite(result).all():
        raise ValueError(f"world_from_camera must be a finite (4, 4) matrix, got shape {result.shape}")
    result.flags.writeable = False
    return result


def _coefficients(values: Iterable[float]) -> tuple[float, float, float, float]:
    c1, c2, c3, c4 = map(float, values)
    return c1, c2, c3, c4


@attrs.frozen(eq=False)
class FisheyeCamera:
    """A radially symmetric lens: the angle from the axis is a polynomial of the radius in pixels.

    theta(r) = c1 r + c2 r^2 + c3 r^3 + c4 r^4, increasing from the image centre to ``max_theta_rad``.
    It is the form Blender's Cycles renders exactly. Equidistant lenses are of this form; in an image circle of
    1000 px and 180 degrees equisolid and stereographic lenses come within 0.12 px of it, and most Kannala-Brandt
    calibrations within 0.2 px, but some only within a few (see ``quartic``).

    Args:
        width_px, height_px: image size.
        cx_px, cy_px: where the axis meets the image, which may be outside it; for a ceiling camera the nadir
            when it looks straight down.
        theta_coefficients: (c1, c2, c3, c4), radians per pixel to the power.
        max_theta_rad: half the field of view; beyond it the image is black.
        world_from_camera: (4, 4) rigid transform, metres.
    """

    width_px: int
    height_px: int
    cx_px: float
    cy_px: float
    theta_coefficients: tuple[float, float, float, float] = attrs.field(converter=_coefficients)
    max_theta_rad: float
    world_from_camera: Floats = attrs.field(factory=_identity, converter=_pose)

    def __attrs_post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0:
            raise ValueError(f"image size must be positive, got {self.width_px}x{self.height_px}")
        if not 0 < self.max_theta_rad < math.pi:
            raise ValueError(f"max_theta_rad must lie in (0, pi), got {self.max_theta_rad}")
        if self.theta_coefficients[0] <= 0:
            raise ValueError(f"the first coefficient of theta must be > 0, got {self.theta_coefficients}")
        radii = np.linspace(0, self.max_radius_px, _FIT_POINTS)
        if (self._theta_slope(radii) <= 0).any():
            raise ValueError(f"theta(r) must increase up to max_theta_rad, {self.theta_coefficients} does not")

    @classmethod
    def equidistant(
        cls,
        width_px: int,
        height_px: int,
        fov_degrees: float = 180.0,
        *,
        radius_px: float | None = None,
        world_from_camera: Any = None,
    ) -> FisheyeCamera:
        """Return theta = r / f with the image circle of ``radius_px`` (default: half the shorter side)."""
        radius = min(width_px, height_px) / 2 if radius_px is None else radius_px
        half = math.radians(fov_degrees) / 2
        pose = np.eye(4) if world_from_camera is None else world_from_camera
        return cls(width_px, height_px, width_px / 2, height_px / 2, (half / radius, 0.0, 0.0, 0.0), half, pose)

    @classmethod
    def from_opencv(
        cls,
        width_px: int,
        height_px: int,
        matrix: Any,
        distortion: Sequence[float],
        max_theta_rad: float,
        *,
        misfit_px: float = MISFIT_PX,
        world_from_camera: Any = None,
    ) -> FisheyeCamera:
        """Fit a ``cv2.fisheye`` calibration, r = f (theta + k1 theta^3 + ... + k4 theta^9).

        Args:
            matrix: (3, 3) K without skew; pixels are taken to be square, with the mean of fx and fy.
            distortion: k1..k4.
            max_theta_rad: the largest angle the calibration covers.
            misfit_px: how far a point may be projected from where the calibration says.

        Raises:
            ValueError: when radii do not grow up to ``max_theta_rad``, or the camera misses the calibration by more
                than ``misfit_px``.
        """
        k = np.asarray(matrix, dtype=np.float64)
        fx, fy = float(k[0, 0]), float(k[1, 1])
        if min(fx, fy) <= 0 or abs(k[0, 1]) > 1e-6 * fx:
            raise ValueError(f"the fisheye needs positive fx and fy and no skew, got {fx}, {fy} and {k[0, 1]}")
        theta = np.linspace(0, max_theta_rad, _FIT_POINTS)
        curve = kannala_brandt(theta, distortion)
        if (np.diff(curve) <= 0).any():
            turns = math.degrees(float(theta[int((np.diff(curve) <= 0).argmax())]))
            raise ValueError(f"the calibration's radius stops growing at {turns:.1f} degrees; lower max_theta_rad")
        radius = (fx + fy) / 2 * curve
        pose = np.eye(4) if world_from_camera is None else world_from_camera
        coefficients = quartic(radius, theta, rim=False)
        try:
            camera = cls(width_px, height_px, k[0, 2] + 0.5, k[1, 2] + 0.5, coefficients, max_theta_rad, pose)
        except ValueError as error:
            raise ValueError(f"no quartic follows this calibration: {error}") from None
        bent, stretched = float(np.abs(camera.radius_px(theta) - radius).max()), float(abs(fx - fy) / 2 * curve[-1])
        if bent + stretched > misfit_px:
            raise ValueError(
                f"misses this calibration by up to {bent + stretched:.2f} px, more than {misfit_px}: {bent:.2f} px by"
                f" the quartic, {stretched:.2f} px because fx is not fy; a lower max_theta_rad or a smaller image helps"
            )
        return camera

    @property
    def max_radius_px(self) -> float:
        """Radius of the image circle in pixels."""
        return float(self.radius_px(np.array(self.max_theta_rad)))

    def theta_rad(self, radius_px: npt.ArrayLike) -> Floats:
        """Return the angle from the axis for radii in pixels."""
        r = np.asarray(radius_px, dtype=np.float64)
        c1, c2, c3, c4 = self.theta_coefficients
        return np.asarray(r * (c1 + r * (c2 + r * (c3 + r * c4))))

    def radius_px(self, theta_rad: npt.ArrayLike) -> Floats:
        """Return the radius in pixels for angles in [0, max_theta_rad]: theta(r) inverted by Newton steps."""
        theta = np.asarray(theta_rad, dtype=np.float64)
        low = np.zeros_like(theta)
        high = np.full_like(theta, 4 * self.max_theta_rad / self.theta_coefficients[0])
        r = np.minimum(theta / self.theta_coefficients[0], high)
        for _ in range(_NEWTON_STEPS):
            error = self.theta_rad(r) - theta
            # A point that has arrived stays, so that it never matters which others are asked for with it.
            arrived = np.abs(error) <= _ARRIVED_RAD
            if arrived.all():
                break
            low, high = np.where(error < 0, r, low), np.where(error > 0, r, high)
            slope = self._theta_slope(r)
            step = r - error / np.where(slope > 0, slope, 1.0)
            inside = (slope > 0) & (step >= low) & (step <= high)
            r = np.where(arrived, r, np.where(inside, step, (low + high) / 2))
        return r

    def project(self, points_world_m: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Project world points.

        Args:
            points_world_m: (..., 3).

        Returns:
            (..., 2) pixels, NaN where not valid; and (...,) bool, whether the point lies inside the field
            of view (it may still fall outside the image).
        """
        points = np.asarray(points_world_m, dtype=np.float64)
        rotation, origin = self.world_from_camera[:3, :3], self.world_from_camera[:3, 3]
        local = (points - origin) @ rotation
        across = np.hypot(local[..., 0], local[..., 1])
        # NumPy picks its loop for strided operands by where they lie in memory, and the loops differ in the last bit.
        theta = np.arctan2(across, np.array(local[..., 2], order="C"))
        valid = (theta <= self.max_theta_rad) & ((across > 0) | (local[..., 2] > 0))
        radius = self.radius_px(np.where(valid, theta, 0.0))
        scale = radius / np.where(across > 0, across, 1.0)
        pixels = np.stack([self.cx_px + scale * local[..., 0], self.cy_px + scale * local[..., 1]], axis=-1)
        return np.where(valid[..., None], pixels, np.nan), valid

    def unproject(self, pixels: npt.ArrayLike) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return unit rays in world axes for (..., 2) pixels, NaN outside the image circle; and validity."""
        pix = np.asarray(pixels, dtype=np.float64)
        dx, dy = pix[..., 0] - self.cx_px, pix[..., 1] - self.cy_px
        radius = np.hypot(dx, dy)
        theta = self.theta_rad(radius)
        valid = radius <= self.max_radius_px * (1 + 1e-12)
        scale = np.sin(theta) / np.where(radius > 0, radius, 1.0)
        local = np.stack([dx * scale, dy * scale, np.cos(theta)], axis=-1)
        rays = local @ self.world_from_camera[:3, :3].T
        return np.where(valid[..., None], rays, np.nan), valid

    def to_opencv(self) -> tuple[Floats, Floats]:
        """Return (K, distortion) for ``cv2.fisheye``, least squares over the field of view."""
        theta = np.linspace(0, self.max_theta_rad, _FIT_POINTS)[1:]
        focal = 1 / self.theta_coefficients[0]
        excess = self.radius_px(theta) / focal - theta
        design = np.stack([theta**n for n in (3, 5, 7, 9)], axis=1)
        distortion = np.linalg.lstsq(design, excess, rcond=None)[0]
        k = np.array([[focal, 0, self.cx_px - 0.5], [0, focal, self.cy_px - 0.5], [0, 0, 1]])
        return k, distortion

    def _theta_slope(self, radius_px: Floats) -> Floats:
        c1, c2, c3, c4 = self.theta_coefficients
        return np.asarray(c1 + radius_px * (2 * c2 + radius_px * (3 * c3 + radius_px * 4 * c4)))


def quartic(radius_px: Floats, theta_rad: Floats, *, rim: bool = True) -> tuple[float, ...]:
    """Return (c1, c2, c3, c4) of the theta(r) that is nowhere far from a lens, in pixels.

    Lawson's iteration (C. L. Lawson, "Contributions to the theory of linear least maximum approximation", 1961):
    least squares, each point's weight multiplied by its error again and again, tend to the least maximum.

    Args:
        radius_px, theta_rad: (N,) radii and angles of the lens, both increasing from 0.
        rim: whether the last point is met exactly; the others then lie about a fifth farther off.
    """
    share = radius_px / radius_px[-1]
    slope = np.gradient(theta_rad, radius_px)  # turns an error of the angle into one in pixels
    powers, wanted = np.stack([share**n for n in (1, 2, 3, 4)], axis=1), theta_rad
    if rim:  # where every power is 1; the fourth coefficient is what the others leave of the angle there
        powers, wanted = powers[:, :3] - powers[:, 3:], wanted - wanted[-1] * powers[:, 3]
    powers, wanted = powers / slope[:, None], wanted / slope
    weights = np.full(len(share), 1 / len(share))
    best, least = np.zeros(powers.shape[1]), math.inf
    for _ in range(_FIT_ROUNDS):
        root = np.sqrt(weights)
        found = np.linalg.lstsq(powers * root[:, None], wanted * root, rcond=None)[0]
        error = np.abs(powers @ found - wanted)
        worst = float(error.max())
        if worst < least:
            best, least = found, worst
        if worst < 1e-9:
            break
        weights = weights * (error + 1e-3 * worst)
        weights /= weights.sum()
    coefficients = (*best, theta_rad[-1] - best.sum()) if rim else tuple(best)
    return tuple(float(c) / float(radius_px[-1]) ** n for n, c in enumerate(coefficients, start=1))


def kannala_brandt(theta: Floats, distortion: Sequence[float]) -> Floats:
    """Return r / f for angles (Kannala and Brandt 2006, equation 6, as ``cv2.fisheye`` has it)."""
    square = theta**2
    k1, k2, k3, k4 = distortion
    return np.asarray(theta * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))))


def looking_down(
    height_m: float, *, x_m: float = 0.0, y_m: float = 0.0, yaw_degrees: float = 0.0, tilt_degrees: float = 0.0,
    roll_degrees: float = 0.0,
) -> Floats:  # fmt: skip
    """Return world_from_camera for a ceiling camera at ``height_m`` looking straight down, or nearly.

    At yaw 0 the image's right is world +x and its top is world +y; a positive yaw turns the camera
    clockwise as seen from above. A positive tilt then leans the axis towards what was at the image's top, and a
    positive roll towards what is at its right.
    """
    yaw, tilt, roll = (math.radians(degrees) for degrees in (yaw_degrees, tilt_degrees, roll_degrees))
    c, s = math.cos(yaw), math.sin(yaw)
    # Columns: the camera's x (image right), y (image down) and z (into the room) in world axes.
    pose = np.array([[c, -s, 0, x_m], [-s, -c, 0, y_m], [0, 0, -1, height_m], [0, 0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(tilt), -math.sin(tilt)], [0, math.sin(tilt), math.cos(tilt)]])
    about_y = np.array([[math.cos(roll), 0, math.sin(roll)], [0, 1, 0], [-math.sin(roll), 0, math.cos(roll)]])
    pose[:3, :3] = pose[:3, :3] @ about_x @ about_y
    return pose
