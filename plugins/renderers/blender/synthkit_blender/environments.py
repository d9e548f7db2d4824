# SPDX-License-Identifier: Apache-2.0
"""Panoramas of light: what shines into rooms from above instead of an even sky."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import OpenEXR
from numpy.typing import NDArray

from synthkit.dataset.images import MAX_PIXELS
from synthkit.errors import DatasetError

SUFFIXES = (".exr", ".hdr")
WIDTH_PX, HEIGHT_PX = 256, 128  # enough for light; what is seen of it is out of the image
CLIPPINGS = 16
BRIGHTEST = 40.0  # times the mean: a smaller, brighter sun would speckle images of few light paths
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear RGB (ITU-R BT.709)


@attrs.frozen(eq=False)
class Panorama:
    """Light from all directions.

    Args:
        radiance: (HEIGHT_PX, WIDTH_PX, 3) float32, linear RGB, equirectangular with the zenith on top, its mean
            over the upper half of the sphere 1.
    """

    name: str
    radiance: NDArray[np.float32]


def open_environments(folder: Path) -> tuple[Panorama, ...]:
    """Read the panoramas of a folder, in the order of their names.

    Raises:
        DatasetError: when there is none, with all that are damaged or no panoramas.
    """
    if not folder.is_dir():
        raise DatasetError(f"environments {folder}: is not a folder; expected a folder of panoramas (.hdr, .exr)")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DatasetError(f"environments {folder}: holds no panorama; expected {' or '.join(SUFFIXES)} files")
    found: list[Panorama] = []
    problems: list[str] = []
    for path in paths:
        try:
            found.append(Panorama(path.name, _normalized(_read(path))))
        except (ValueError, RuntimeError, OSError, cv2.error) as error:
            problems.append(f"environment {path}: {error}")
    if problems:
        raise DatasetError("\n".join(problems))
    return tuple(found)


def drawn(panoramas: Sequence[Panorama], rng: np.random.Generator) -> tuple[Panorama | None, float]:
    """Return one of the panoramas and its turn about the vertical in radians; None where there are none."""
    turn_rad = float(rng.uniform(-np.pi, np.pi))
    return (panoramas[int(rng.integers(len(panoramas)))] if panoramas else None), turn_rad


def _read(path: Path) -> NDArray[np.float32]:
    if path.suffix.lower() == ".hdr":
        pixels = _hdr(path)
    else:
        with OpenEXR.File(str(path)) as file:
            channels = file.channels()
            planes = [channels.get(name) for name in ("RGB", "RGBA") if name in channels]
            if not planes or planes[0] is None:
                raise ValueError(f"has channels {', '.join(sorted(channels))}; expected R, G and B")
            pixels = np.asarray(planes[0].pixels, np.float32)[..., :3]
    height, width = pixels.shape[:2]
    if width != 2 * height:
        raise ValueError(f"is {width}x{height}; expected a panorama twice as wide as high (equirectangular)")
    return pixels


def _hdr(path: Path) -> NDArray[np.float32]:
    """Read Radiance's format, whose header states the size, looked at first."""
    with path.open("rb") as file:
        head = file.read(4096).decode("latin-1")
    size = next((line.split() for line in head.split("\n\n", 1)[-1].splitlines() if line.startswith("-Y")), [])
    if not head.startswith("#?") or len(size) != 4 or not (size[1] + size[3]).isdigit():
        raise ValueError("is not a Radiance image")
    if int(size[1]) * int(size[3]) > MAX_PIXELS:
        raise ValueError(f"has {size[3]}x{size[1]} pixels, more than {MAX_PIXELS} are refused")
    pixels = cv2.imread(os.fspath(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("is damaged")
    return np.asarray(pixels[..., ::-1], np.float32)


def _normalized(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(pixels).all():
        raise ValueError("holds values that are not finite")
    light = np.maximum(np.ascontiguousarray(pixels), 0)  # colours outside the gamut come with negative shares
    small = cv2.resize(light, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
    if _mean(small) <= 0:
        raise ValueError("is dark above the horizon")
    clipped = small
    for _ in range(CLIPPINGS):  # each takes the sun's own share out of the mean that it is measured by
        clipped = np.minimum(small, BRIGHTEST * _mean(clipped))
    return np.asarray(clipped / _mean(clipped), np.float32)


def _mean(radiance: NDArray[Any]) -> float:
    """Return the mean luminance of the upper half of the sphere."""
    polar_rad = (np.arange(HEIGHT_PX // 2) + 0.5) * np.pi / HEIGHT_PX
    weights = np.repeat(np.sin(polar_rad)[:, None], WIDTH_PX, axis=1)  # of a pixel on the sphere
    return float(np.average(radiance[: HEIGHT_PX // 2] @ LUMA, weights=weights))
