# SPDX-License-Identifier: Apache-2.0
"""From linear light to the sensor's picture: optics, noise, colour, tone, sharpening, compression, timestamp."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit.seeds import Seeds
from synthkit_blender.config import SensorConfig
from synthkit_blender.light import LUMINANCE, Image, Linear, Metered, image_circle, shouldered, to_bytes, to_srgb
from synthkit_blender.timestamp import Timestamp

LEAST_BLUR_PX = 0.05
HALO_PX = 1.0  # standard deviation of the sharpening's mask


@attrs.frozen
class Sensor:
    """The sensor of one scene; see ``SensorConfig`` for what its values mean.

    Args:
        jpeg_quality: None without compression. timestamp: None without.
    """

    exposure_ev: float
    vignette: float
    blur_px: float
    read_noise: float
    shot_noise: float
    grain_px: float
    auto_white_balance: float
    white_balance: float
    green_tint: float
    saturation: float
    gamma: float
    contrast: float
    black_level: float
    sharpening: float
    jpeg_quality: int | None = None
    timestamp: Timestamp | None = None

    @classmethod
    def sample(cls, config: SensorConfig, seeds: Seeds, time_s: float = 0.0) -> Sensor:
        """Draw a sensor, each value from a stream of its own; its clock has run for ``time_s`` since a clip began."""
        names = [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]
        values = {name: float(seeds.stream(name).uniform(*getattr(config, name))) for name in names}
        low, high = config.jpeg_quality
        rng = seeds.stream("compression")
        compressed, quality = rng.random() < config.compressed_share, int(rng.integers(low, high + 1))
        stamped = seeds.stream("stamped").random() < config.timestamp_share
        stamp = Timestamp.sample(seeds.stream("timestamp")).later(time_s) if stamped else None
        return cls(**values, jpeg_quality=quality if compressed else None, timestamp=stamp)

    @property
    def plain(self) -> dict[str, float | int | str | None]:
        """Its values, rounded, to be kept with the sample."""
        values = {f.name: getattr(self, f.name) for f in attrs.fields(type(self)) if f.name != "timestamp"}
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
        return {**rounded, "timestamp": None if self.timestamp is None else self.timestamp.text}


def develop(color: Linear, seen: Metered, sensor: Sensor, camera: FisheyeCamera, rng: np.random.Generator) -> Image:
    """Return the sensor's picture (H, W, 3) of linear light.

    Noise comes upon the light as the sensor counts it, before colours are balanced and the tone curve bends it.

    Args:
        color: (H, W, 3) scene-linear Rec. 709. seen: what the camera metered.
    """
    circle, radius = image_circle(camera)
    light = color * np.float32(seen.gain * 2**sensor.exposure_ev)
    light *= (1 - np.float32(sensor.vignette) * radius**3)[..., None]
    if sensor.blur_px > LEAST_BLUR_PX:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sensor.blur_px), np.float32)
    spread = np.sqrt(sensor.read_noise**2 + sensor.shot_noise**2 * np.clip(light, 0, 1)).astype(np.float32)
    light = _coloured(light + grain(light.shape, sensor.grain_px, rng) * spread, seen.cast, sensor)
    image = to_bytes(_sharpened(_toned(to_srgb(shouldered(light)), sensor), sensor.sharpening), circle)
    if sensor.timestamp is not None:
        image = sensor.timestamp.drawn(image)
    return image if sensor.jpeg_quality is None else compressed(image, sensor.jpeg_quality)


def grain(shape: tuple[int, ...], grain_px: float, rng: np.random.Generator) -> Linear:
    """Return noise (H, W, 3) of standard deviation 1 whose neighbours are alike as after a blur of ``grain_px``."""
    noise = rng.standard_normal(shape, np.float32)
    if grain_px <= LEAST_BLUR_PX:
        return noise
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(4 * grain_px)) + 1, grain_px)
    # A sum of independent values spreads as the root of the sum of its squared weights.
    return np.asarray(cv2.sepFilter2D(noise, -1, kernel, kernel) / np.float32((kernel**2).sum()))


def compressed(image: Image, quality: int) -> Image:
    """Return a picture (H, W, 3) as it comes back from JPEG."""
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def uncast(cast: tuple[float, float, float], share: float) -> NDArray[np.float64]:
    """Return the factors (3,) of colours that take out that share of a cast; a white's luminance stays."""
    factors = np.array(cast) ** -share
    return np.asarray(factors / (np.array(cast) * factors @ LUMINANCE))


def _coloured(light: Linear, cast: tuple[float, float, float], sensor: Sensor) -> Linear:
    balance = np.exp2(np.array([sensor.white_balance, sensor.green_tint, -sensor.white_balance]) * 0.5)
    light = light * (balance * uncast(cast, sensor.auto_white_balance)).astype(np.float32)
    grey = (light @ LUMINANCE)[..., None]
    return np.asarray(grey + (light - grey) * np.float32(sensor.saturation))


def _toned(srgb: Linear, sensor: Sensor) -> Linear:
    """Bend sRGB's values: x^g, then the sigmoid x^c / (x^c + (1 - x)^c), whose slope at 1/2 is c."""
    tone = np.power(srgb, np.float32(sensor.gamma))
    if sensor.contrast != 1:
        bright, dark = np.power(tone, np.float32(sensor.contrast)), np.power(1 - tone, np.float32(sensor.contrast))
        tone = bright / (bright + dark)
    black = np.float32(sensor.black_level)
    return np.asarray(black + (1 - black) * tone)


def _sharpened(tone: Linear, strength: float) -> Linear:
    """Add to the luminance what a blur takes from it (unsharp masking): sensors do so after their tone curve."""
    if strength <= 0:
        return tone
    grey = tone @ LUMINANCE
    return np.asarray(tone + np.float32(strength) * (grey - cv2.GaussianBlur(grey, (0, 0), HALO_PX))[..., None])
