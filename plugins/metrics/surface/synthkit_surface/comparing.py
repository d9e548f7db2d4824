# SPDX-License-Identifier: Apache-2.0
"""How different the colours of two views are on the places that both show, light aside.

Light differs between views, so equal paint has other colours. Two views are brought to one exposure (or, of each colour
by itself, to one cast of the light) before they are compared: by the median over shared places of the ratio, which
neither a garment that was repainted nor a hard shadow moves. Shading stays. Counting lightness less takes more of what
tells people apart than of what light does: on rendered people it made both kinds of pairs harder to tell apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit_surface.config import Light

Floats = npt.NDArray[np.float64]

_AT_ONCE = 512  # pairs
_GREY = 0.18  # where the median luminance of what two views share is put, before it is seen as CIELAB
_LEAST = 1e-4  # of linear light: darker is noise
_XYZ_OF_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ_OF_RGB.sum(axis=1)  # D65


def differences(first: npt.NDArray[Any], second: npt.NDArray[Any], light: Light, least: int) -> Floats:
    """Return (N, places) colour differences in CIELAB (CIE 1976), NaN where fewer than ``least`` places are shared.

    Args:
        first, second: (N, places, 3) linear Rec. 709, NaN where not seen; so is the difference there.
        light: see ``SurfaceConfig``.
    """
    found = [
        _differences(first[n : n + _AT_ONCE].astype(np.float64), second[n : n + _AT_ONCE].astype(np.float64), light)
        for n in range(0, len(first), _AT_ONCE)
    ]
    apart = np.concatenate(found) if found else np.zeros(first.shape[:2])
    apart[(~np.isnan(apart)).sum(axis=1) < least] = np.nan
    return apart


def _differences(first: Floats, second: Floats, light: Light) -> Floats:
    shared = ~np.isnan(first[..., 0] + second[..., 0])
    logs = [np.log(np.maximum(view, _LEAST)) for view in (first, second)]
    luminance = [np.log(np.maximum(view @ _XYZ_OF_RGB[1], _LEAST)) for view in (first, second)]
    apart: Floats = np.zeros((len(first), 1, 3))
    if light == "exposure":
        apart = _median(luminance[0] - luminance[1], shared)[:, None, None]
    elif light == "cast":
        apart = np.stack([_median(logs[0][..., c] - logs[1][..., c], shared) for c in range(3)], axis=1)[:, None, :]
    middle = _median((luminance[0] + luminance[1]) / 2, shared)[:, None, None] - np.log(_GREY)
    labs = [_lab(np.exp(log - middle + sign * apart / 2)) for log, sign in zip(logs, (-1, 1), strict=True)]
    return np.where(shared, np.linalg.norm(labs[0] - labs[1], axis=2), np.nan)


def _median(values: Floats, shared: npt.NDArray[np.bool_]) -> Floats:
    """Return the median (N,) over shared places; 0 where there are none."""
    ordered = np.sort(np.where(shared, values, np.inf), axis=1)
    count = shared.sum(axis=1)
    rows = np.arange(len(values))
    low, high = (ordered[rows, np.maximum(place, 0)] for place in ((count - 1) // 2, count // 2))
    return np.where(count > 0, (np.where(count > 0, low, 0) + np.where(count > 0, high, 0)) / 2, 0.0)


def _lab(linear: Floats) -> Floats:
    """Return CIELAB (CIE 15:2004, 8.2.1) of linear Rec. 709 under D65."""
    ratio = linear @ _XYZ_OF_RGB.T / _WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
