# SPDX-License-Identifier: Apache-2.0
"""From linear light to the sensor's picture: exposure, optics, noise, tone; and people over a plate."""

from __future__ import annotations

import functools

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit_blender.config import SensorConfig

Linear = NDArray[np.float32]
Image = NDArray[np.uint8]

METERED_MEAN = 0.28  # where the meter puts the mean luminance, linear
METERED_BRIGHT = 0.85  # where it keeps the brightest pixels below
BRIGHT_PERCENTILE = 97.0
SHOULDER = 0.75  # linear value above which highlights roll off
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ITU-R BT.709
WALL_ALBEDO = 0.72  # what the bright surfaces of a plate's room are taken to reflect
PLATE_FLOOR_ALBEDO = 0.4


@attrs.frozen
class Sensor:
    """The sensor of one scene, drawn from ``SensorConfig``."""

    exposure_ev: float
    white_balance: float
    green_tint: float
    saturation: float
    gamma: float
    vignette: float
    noise: float
    blur_px: float

    @classmethod
    def sample(cls, config: SensorConfig, rng: np.random.Generator) -> Sensor:
        """Draw a sensor."""
        values = {f.name: float(rng.uniform(*getattr(config, f.name))) for f in attrs.fields(cls)}
        return cls(**values)


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


def develop(color: Linear, gain: float, sensor: Sensor, camera: FisheyeCamera, rng: np.random.Generator) -> Image:
    """Return the sensor's picture (H, W, 3) of linear light.

    Noise is that of reading plus that of photons, in linear light before the tone curve.
    """
    circle, radius = image_circle(camera)
    light = color * np.float32(gain * 2**sensor.exposure_ev)
    balance = np.exp2(np.array([sensor.white_balance, sensor.green_tint, -sensor.white_balance]) * 0.5)
    light = light * balance.astype(np.float32)
    light *= (1 - np.float32(sensor.vignette) * radius**3)[..., None]
    if sensor.blur_px > 0.05:
        light = cv2.GaussianBlur(light, (0, 0), sensor.blur_px)
    grey = (light @ LUMINANCE)[..., None]
    light = grey + (light - grey) * np.float32(sensor.saturation)
    spread = np.sqrt(sensor.noise**2 + sensor.noise * 0.02 * np.clip(light, 0, 1))
    light = light + rng.standard_normal(light.shape, np.float32) * spread.astype(np.float32)
    return encode(shouldered(light), circle, sensor.gamma)


def composite(
    people: Linear, shaded: Linear, unshaded: Linear, plate: Image, gain_ev: float, camera: FisheyeCamera
) -> Image:
    """Lay people over a plate with their shadows: ``people + plate * clip(shaded / unshaded) * (1 - alpha)``.

    Args:
        people: (H, W, 4) linear, premultiplied. shaded, unshaded: the floor's light with and without people,
            at any size, 0 where there is no floor. plate: (H, W, 3) sRGB. gain_ev: stops over the matching light.
    """
    circle, _ = image_circle(camera)
    below = decode(plate)
    ratio, white = _shadow(shaded, unshaded, (camera.width_px, camera.height_px))
    wanted = float(np.percentile((below @ LUMINANCE)[circle], 90)) / WALL_ALBEDO
    gain = np.float32(np.clip(wanted / max(white, 1e-6), 0, 1e4) * 2**gain_ev)
    above = shouldered(people[..., :3] * gain)
    return encode(above + below * ratio * (1 - np.clip(people[..., 3:], 0, 1)), circle, 1.0)


def _shadow(shaded: Linear, unshaded: Linear, size_px: tuple[int, int]) -> tuple[Linear, float]:
    """Return how much light is left (H, W, 3), and the radiance of a white floor."""
    lit = unshaded[..., :3].max(axis=-1) > 1e-4
    ratio = np.ones((*lit.shape, 3), np.float32)
    ratio[lit] = np.clip(shaded[..., :3][lit] / np.maximum(unshaded[..., :3][lit], 1e-4), 0, 1)
    # Towards the rim of the free floor shadows fade, for what lies beyond is not known.
    weight = cv2.GaussianBlur(lit.astype(np.float32), (0, 0), max(1.0, lit.shape[0] / 80))
    ratio = 1 - (1 - ratio) * (np.clip(2 * weight - 1, 0, 1) * lit)[..., None]
    white = float(np.median((unshaded[..., :3] @ LUMINANCE)[lit])) / PLATE_FLOOR_ALBEDO if lit.any() else 1.0
    return cv2.resize(ratio, size_px, interpolation=cv2.INTER_LINEAR), white


def shouldered(light: Linear) -> Linear:
    """Roll highlights off towards 1 as sensors' tone curves do."""
    room = 1 - SHOULDER
    over = SHOULDER + room * (1 - np.exp(-(np.maximum(light, SHOULDER) - SHOULDER) / room))
    return np.where(light > SHOULDER, over, np.maximum(light, 0)).astype(np.float32)


def encode(light: Linear, circle: NDArray[np.bool_], gamma: float) -> Image:
    """Return sRGB bytes (IEC 61966-2-1), black outside the image circle."""
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(np.maximum(light, 0.0031308), 1 / 2.4) - 0.055)
    image: Image = np.rint(np.power(srgb, gamma) * 255).astype(np.uint8)
    image[~circle] = 0
    return image


def decode(image: Image) -> Linear:
    """Return the linear light of sRGB bytes."""
    table = np.arange(256) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    levels: Linear = linear.astype(np.float32)
    return levels[image]
