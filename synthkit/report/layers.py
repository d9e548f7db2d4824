# SPDX-License-Identifier: Apache-2.0
"""Layers as pictures, by name for those the kit knows and by their kind of numbers for the others."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from synthkit.report.drawing import Picture
from synthkit.sample import Layer, Sample

_NOTHING = 24  # grey where a layer has nothing
_SHARE = 0.7  # of a person's colour over the image
_WHITE = 0.99  # the share of light that is darker than white


def picture(sample: Sample, name: str) -> Picture:
    """Return a layer of a sample as (H, W, 3) uint8.

    People are coloured over the image; light is exposed; numbers go from dark blue (least) to red (most) through
    green, and are dark grey where there are none.
    """
    layer = sample.layers[name]
    if name == "amodal":
        return _people(sample, [layer >> layer.dtype.type(n) & 1 == 1 for n in range(8 * layer.dtype.itemsize)])
    if name == "instances":
        return _people(sample, [layer == n for n in range(1, int(layer.max(initial=0)) + 1)])
    if layer.ndim == 3 and layer.shape[2] == 3 and layer.dtype == np.uint8:
        return layer
    if _is_light(name, layer):
        return _exposed(layer)
    if layer.dtype == np.uint8:
        return np.repeat(_flat(layer)[..., None], 3, axis=2)
    return _numbers(_flat(layer))


def span(sample: Sample, name: str) -> tuple[float, float] | None:
    """Return the least and the most of the numbers that ``picture`` colours; None where there are none."""
    layer = sample.layers[name]
    if name in ("amodal", "instances") or layer.dtype == np.uint8 or _is_light(name, layer):
        return None
    flat = _flat(layer)
    there = _there(flat)
    return (float(flat[there].min()), float(flat[there].max())) if there.any() else None


def _is_light(name: str, layer: Layer) -> bool:
    return name == "light" and layer.ndim == 3 and layer.shape[2] == 3


def _flat(layer: Layer) -> Layer:
    return layer if layer.ndim == 2 else layer.reshape(*layer.shape[:2], -1)[..., 0]


def _there(values: Layer) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values) & (values != 0))


def _exposed(light: Layer) -> Picture:
    """Return light (H, W, 3), linear and of any strength, as sRGB in which its brighter parts are just not white."""
    finite = np.where(np.isfinite(light), light, 0).clip(0)
    linear = np.minimum(finite / max(float(np.quantile(finite, _WHITE)), 1e-9), 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return np.asarray(np.rint(255 * coded), dtype=np.uint8)


def _people(sample: Sample, masks: list[npt.NDArray[np.bool_]]) -> Picture:
    """Return the image in grey with each person in a colour; where they overlap, colours mix."""
    grey = np.repeat(cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.float32)
    for number, mask in enumerate(masks):
        if mask.any():
            grey[mask] += _SHARE * (_colour(number) - grey[mask])
    return np.rint(grey).astype(np.uint8)


def _colour(number: int) -> npt.NDArray[np.float32]:
    """Return the RGB of a number: hues a golden angle apart, so that neighbours differ."""
    hsv = np.array([[[int(number * 137.508) % 360 // 2, 200, 255]]], np.uint8)  # OpenCV's hue: steps of two degrees
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def _numbers(values: Layer) -> Picture:
    shown, there = np.full((*values.shape, 3), _NOTHING, np.uint8), _there(values)
    if there.any():
        low, high = float(values[there].min()), float(values[there].max())
        scaled = (np.where(there, values, low) - low) / max(high - low, 1e-9) * 255
        coloured = cv2.cvtColor(cv2.applyColorMap(scaled.astype(np.uint8), cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
        shown[there] = coloured[there]
    return shown
