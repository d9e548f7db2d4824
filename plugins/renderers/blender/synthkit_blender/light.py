# SPDX-License-Identifier: Apache-2.0
"""Linear light and the bytes of pictures, the image circle, and what a camera meters: exposure and colour of light."""

from __future__ import annotations

import functools

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera

Linear = NDArray[np.float32]
Image = NDArray[np.uint8]

METERED_MEAN = 0.28  # where the meter puts the mean luminance, linear
METERED_BRIGHT = 0.85  # where it keeps the brightest pixels below
BRIGHT_PERCENTILE = 97.0
SATURATED = 0.95  # linear value from which on a sensor cannot tell colours
SHOULDER = 0.75  # linear value above which highlights roll off
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709


def image_circle(camera: FisheyeCamera) -> tuple[NDArray[np.bool_], Linear]:
    """Return (H, W) which pixel centres see anything, and their radius as a share of the circle's; both read-only."""
    return _circle(camera.width_px, camera.height_px, camera.cx_px, camera.cy_px, camera.max_radius_px)


@functools.lru_cache(maxsize=2)  # a frame asks for its own several times
def _circle(
    width_px: int, height_px: int, cx_px: float, cy_px: float, radius_px: float
) -> tuple[NDArray[np.bool_], Linear]:
    y, x = np.mgrid[0:height_px, 0:width_px] + 0.5
    radius = np.hypot(x - cx_px, y - cy_px) / radius_px
    within, share = radius <= 1.0, radius.astype(np.float32)
    within.flags.writeable = share.flags.writeable = False
    return within, share


def metered_gain(color: Linear, circle: NDArray[np.bool_]) -> float:
    """Return the gain that a camera's exposure meter would choose."""
    light = (color @ LUMINANCE)[circle]
    mean, bright = float(light.mean()), float(np.percentile(light, BRIGHT_PERCENTILE))
    return min(METERED_MEAN / max(mean, 1e-6), METERED_BRIGHT / max(bright, 1e-6))


@attrs.frozen
class Metered:
    """What a camera measures before it takes a picture.

    Args:
        gain: what light is multiplied by. cast: the colour (red, green, blue) that grey has, of luminance 1.
    """

    gain: float
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)


def metered(color: Linear, circle: NDArray[np.bool_]) -> Metered:
    """Return the exposure for linear light (H, W, 3), and the cast of what is not overexposed by it."""
    gain = metered_gain(color, circle)
    return Metered(gain, shades_of_grey(color[circle] * np.float32(gain)))


def shades_of_grey(light: Linear) -> tuple[float, float, float]:
    """Return the colour of the light upon pixels (N, 3) in 0..1, of luminance 1; white where nothing tells.

    It is each channel's Minkowski norm, of order 6 (Finlayson and Trezzi, "Shades of gray and colour constancy", 2004,
    equation 4): between the mean, which a large coloured floor leads astray, and the brightest pixel.
    """
    # Channel by channel: reductions over so short an axis are slow, and so are powers.
    told = np.maximum.reduce(list(light.T)) < SATURATED
    channels = [np.clip(channel[told], 0, None).astype(np.float64) for channel in light.T]
    norm = np.array([np.mean((c * c * c) ** 2) for c in channels]) ** (1 / 6) if told.any() else np.zeros(3)
    if norm.min() <= 1e-6:
        return 1.0, 1.0, 1.0
    red, green, blue = (round(float(c), 6) for c in norm / (norm @ LUMINANCE))
    return red, green, blue


def shouldered(light: Linear) -> Linear:
    """Roll highlights off towards 1 as sensors' tone curves do."""
    room = 1 - SHOULDER
    rolled = np.maximum(light, np.float32(0))
    bright = rolled > SHOULDER  # few pixels are, and exponentials are slow
    rolled[bright] = SHOULDER + room * (1 - np.exp(-(rolled[bright] - np.float32(SHOULDER)) / room))
    return rolled


def to_srgb(light: Linear) -> Linear:
    """Return sRGB's nonlinear values in 0..1 (IEC 61966-2-1) of linear light."""
    light = np.clip(light, 0, 1, dtype=np.float32)
    curve = np.maximum(light, np.float32(0.0031308))
    np.power(curve, np.float32(1 / 2.4), out=curve)
    curve *= np.float32(1.055)
    curve -= np.float32(0.055)
    dark = light <= 0.0031308
    curve[dark] = np.float32(12.92) * light[dark]
    return curve


def to_bytes(srgb: Linear, circle: NDArray[np.bool_]) -> Image:
    """Return values in 0..1 as bytes, black outside the image circle."""
    levels = np.clip(srgb, 0, 1)
    levels *= 255
    image: Image = np.rint(levels, out=levels).astype(np.uint8)
    image[~circle] = 0
    return image


def decode(image: Image) -> Linear:
    """Return the linear light of sRGB bytes."""
    table = np.arange(256) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    levels: Linear = linear.astype(np.float32)
    return levels[image]
