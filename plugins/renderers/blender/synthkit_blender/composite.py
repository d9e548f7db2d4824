# SPDX-License-Identifier: Apache-2.0
"""People over a plate: their shadows, and the blur and the noise of the sensor that took the plate."""

from __future__ import annotations

import math

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray

from synthkit.camera import FisheyeCamera
from synthkit_blender.develop import Sensor, grain, uncast
from synthkit_blender.light import (
    LUMINANCE,
    Image,
    Linear,
    decode,
    image_circle,
    shades_of_grey,
    shouldered,
    to_bytes,
    to_srgb,
)
from synthkit_blender.plate_sensor import PlateSensor

WALL_ALBEDO = 0.72  # what the bright surfaces of a plate's room are taken to reflect
PLATE_FLOOR_ALBEDO = 0.4
PLATE_CAST_SHARE = 0.5
EDGE_PX = 0.55  # the least blur where people end: makes an edge of the steps that a handful of light paths leave
RENDERED_BLUR_PX = 0.3  # how blurred Cycles' pixel filter leaves an edge, by the measure of ``PlateSensor``


@attrs.frozen(eq=False)
class Backdrop:
    """A plate as people are laid over it, measured once for all scenes that share it.

    Args:
        image: (H, W, 3) sRGB. light: the same, linear. sight: its blur and noise.
        white: the radiance of its white surfaces. tint: (3,) what its cast does to light.
    """

    image: Image
    light: Linear
    sight: PlateSensor
    white: float
    tint: NDArray[np.float64]

    @classmethod
    def of(cls, plate: Image, camera: FisheyeCamera, sight: PlateSensor | None = None) -> Backdrop:
        """Measure a plate within the image circle, its blur and noise too unless they are known."""
        (circle, _), light = image_circle(camera), decode(plate)
        white = float(np.percentile((light @ LUMINANCE)[circle], 90)) / WALL_ALBEDO
        sight = PlateSensor.of(plate, circle) if sight is None else sight
        return cls(plate, light, sight, white, _tint(shades_of_grey(light[circle])))


def composite(
    people: Linear, shaded: Linear, unshaded: Linear, backdrop: Backdrop, sensor: Sensor, camera: FisheyeCamera,
    rng: np.random.Generator,
) -> Image:  # fmt: skip
    """Lay people over a plate with their shadows: ``people + plate * clip(shaded / unshaded) * (1 - alpha)``.

    The plate has been through its sensor and stays as it is. The people are blurred as its edges are, and get noise as
    strong and as grainy as it has where it is as bright. The colour of the rendered lamps is taken out as the sensor's
    white balance takes it out, and some of the plate's cast comes instead.

    Args:
        people: (H, W, 4) linear, premultiplied. shaded, unshaded: the floor's light with and without people,
            at any size, 0 where there is no floor.
        sensor: the scene's, for its exposure over the matching light and its automatic white balance.
    """
    circle, _ = image_circle(camera)
    sight = backdrop.sight
    ratio, white = _shadow(shaded, unshaded, (camera.width_px, camera.height_px))
    bright = max(float(white @ LUMINANCE), 1e-6)
    lamps = white / bright
    tint = uncast((float(lamps[0]), float(lamps[1]), float(lamps[2])), sensor.auto_white_balance) * backdrop.tint
    gain = (np.clip(backdrop.white / bright, 0, 1e4) * 2**sensor.exposure_ev * tint).astype(np.float32)
    blur_px = math.sqrt(max(0.0, sight.blur_px**2 - RENDERED_BLUR_PX**2))
    above = np.concatenate([shouldered(people[..., :3] * gain), np.clip(people[..., 3:], 0, 1)], axis=-1)
    above = _edges_softened(above) if blur_px < EDGE_PX else _blurred(above, blur_px)
    alpha, below = above[..., 3:], backdrop.light * ratio
    there = alpha[..., 0] > 0
    below[there] *= 1 - alpha[there]
    srgb = to_srgb(above[..., :3] + below)
    if there.any():
        rows = np.flatnonzero(there.any(axis=1))
        band = slice(rows[0], rows[-1] + 1)
        noise = sight.noise(srgb[band] @ LUMINANCE, grain(srgb.shape, sight.grain_px, rng)[band])
        srgb[band] += noise * alpha[band]
    return to_bytes(srgb, circle)


def _tint(cast: tuple[float, float, float]) -> NDArray[np.float64]:
    """Return what a plate's cast does to light (3,): part of it, for the rest may be the colour of its walls."""
    tint = np.array(cast) ** PLATE_CAST_SHARE
    return np.asarray(tint / (tint @ LUMINANCE))


def _edges_softened(people: Linear) -> Linear:
    """Blur people (H, W, 4) where they end: few light paths leave coverage noisy there, and no denoiser sees it."""
    partly = np.abs(people[..., 3] - 0.5) < 0.48
    edges = cv2.dilate(partly.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    softened = people.copy()
    softened[edges] = _blurred(people, EDGE_PX)[edges]
    return softened


def _blurred(people: Linear, blur_px: float) -> Linear:
    return np.asarray(cv2.GaussianBlur(people, (0, 0), blur_px), np.float32)


def _shadow(shaded: Linear, unshaded: Linear, size_px: tuple[int, int]) -> tuple[Linear, NDArray[np.float64]]:
    """Return how much light is left (H, W, 3), and the radiance (3,) of a white floor."""
    lit = np.maximum.reduce([unshaded[..., channel] for channel in range(3)]) > 1e-4
    full = unshaded[..., :3][lit]
    ratio = np.ones((*lit.shape, 3), np.float32)
    ratio[lit] = np.clip(shaded[..., :3][lit] / np.maximum(full, 1e-4), 0, 1)
    # Towards the rim of the free floor shadows fade, for what lies beyond is not known.
    weight = cv2.GaussianBlur(lit.astype(np.float32), (0, 0), max(1.0, lit.shape[0] / 80))
    ratio = 1 - (1 - ratio) * (np.clip(2 * weight - 1, 0, 1) * lit)[..., None]
    white = np.array([np.median(channel) for channel in full.T]) / PLATE_FLOOR_ALBEDO if len(full) else np.ones(3)
    return cv2.resize(ratio, size_px, interpolation=cv2.INTER_LINEAR), white.astype(np.float64)
