# SPDX-License-Identifier: Apache-2.0
"""What images look like, in numbers: colour by ring, noise and sharpness, all inside the image circle.

Real and rendered images are looked at alike: the square around the image circle, at the size of the smaller of the two.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.interfaces import Runtime
from synthkit.sample import Sample

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RINGS = (0.0, 0.5, 0.75, 0.95)  # of the circle's radius; three rings of about the same area
BANDS = 3  # octaves of detail
_COARSE_RIM = 0.9  # where an image of half the size still shows nothing of the outside
NOISE_FLOOR = 0.1  # in Lab's units: noise and detail below make no difference that matters
_LAB_UNIT, _LOG_UNIT = 8.0, 0.4  # how much of each counts as one
# Immerkaer (1996), equation 1: blind to planes and edges, its response to noise is 6 times as wide.
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_NOISE_GAIN, _MEDIAN_TO_DEVIATION = 6.0, 1.4826
_BATCH = 32
NETWORK_PX = 160
NETWORK_LAYERS: Mapping[str, tuple[str, ...]] = {"mobilenet_v2": ("stride8", "stride16"), "vgg16": ("pool2", "pool3")}
"""Networks whose features may be compared, and those layers of each that see texture more than things."""


def circle_of(sample: Sample) -> tuple[float, float, float]:
    """Return centre and radius of the image circle in pixels: the camera's, or the largest that fits the image."""
    camera, (width, height) = sample.camera, sample.size_px
    if camera is None:
        return width / 2, height / 2, min(width, height) / 2
    return camera.cx_px, camera.cy_px, camera.max_radius_px


def view(sample: Sample, side_px: int) -> Picture:
    """Return the square (side, side, 3) around the image circle; what lies beyond the image is black."""
    cx, cy, radius = circle_of(sample)
    left, top, size = round(cx - radius), round(cy - radius), max(2, round(2 * radius))
    width, height = sample.size_px
    square = np.zeros((size, size, 3), np.uint8)
    x, y = slice(max(left, 0), min(left + size, width)), slice(max(top, 0), min(top + size, height))
    square[y.start - top : y.stop - top, x.start - left : x.stop - left] = sample.image[y, x]
    if size == side_px:
        return square
    how = cv2.INTER_AREA if size > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (side_px, side_px), interpolation=how), np.uint8)


def statistics(picture: Picture) -> Vectors:
    """Return an image's statistics (d,), in the order of ``NAMES``, in their own units.

    Args:
        picture: (S, S, 3), as ``view`` gives it.
    """
    rings = _rings(picture.shape[0])
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    found: list[float] = []
    for ring in rings:
        pixels = lab[ring]
        found += [*pixels.mean(axis=0), *pixels.std(axis=0), *np.percentile(pixels[:, 0], (5, 95))]
    inside = np.logical_or.reduce(rings)
    dark = lab[..., 0] < np.median(lab[inside][:, 0])
    residuals = np.abs(cv2.filter2D(lab, -1, _NOISE_KERNEL / _NOISE_GAIN))
    found += [_noise(residuals[..., 0], inside & dark), _noise(residuals[..., 0], inside & ~dark)]
    found += [_noise(residuals[..., n], inside) for n in (1, 2)]
    small = cv2.resize(lab[..., 0], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    coarse = np.abs(cv2.filter2D(small, -1, _NOISE_KERNEL / _NOISE_GAIN))
    found.append(_noise(coarse, _between(small.shape[0], 0.0, _COARSE_RIM)))
    found += _detail(np.asarray(lab[..., 0], np.float32), inside)
    return np.array(found, np.float64)


_PER_RING = ("lightness", "red-green", "yellow-blue", "spread of lightness", "spread of red-green",
             "spread of yellow-blue", "dark parts", "bright parts")  # fmt: skip
_NOISES = ("noise in dark parts", "noise in bright parts", "noise of red-green", "noise of yellow-blue", "coarse noise")
NAMES = (
    *(f"{name}, ring {ring + 1}" for ring in range(len(RINGS) - 1) for name in _PER_RING),
    *_NOISES,
    *(f"{name}, octave {band + 1}" for band in range(BANDS) for name in ("detail", "edges")),
)
"""What the statistics are: Lab's units for colours, the logarithm of them for noise and sharpness."""


def group_of(name: str) -> str:
    """Return which group a statistic belongs to: "colour", "noise" or "sharpness"."""
    if "noise" in name:
        return "noise"
    return "sharpness" if "octave" in name else "colour"


def _weights() -> Vectors:
    """Return what statistics are multiplied by: each group counts the same, whatever its number of statistics."""
    groups = [group_of(name) for name in NAMES]
    units = [_LAB_UNIT if group == "colour" else _LOG_UNIT for group in groups]
    return np.array([1 / (unit * groups.count(group) ** 0.5) for unit, group in zip(units, groups, strict=True)])


_WEIGHTS = _weights()


@attrs.frozen(eq=False)
class Eye:
    """Turns images into vectors, one kind of them by name: ``statistics``, and a network's where there is one.

    Args:
        side_px: at which size images are looked at. network: takes pictures and gives features (N, d).
        network_name: of its features. threads: how many images are looked at at once; of no matter to the result.
    """

    side_px: int
    network: Callable[[Sequence[Picture]], Vectors] | None = None
    network_name: str = ""
    threads: int = 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of vectors."""
        return ("statistics", self.network_name) if self.network is not None else ("statistics",)

    def view(self, sample: Sample) -> Picture:
        """Return what of a sample is looked at."""
        return view(sample, self.side_px)

    def glance(self, views: Iterable[Picture]) -> Vectors:
        """Return statistics (N, d) of pictures."""
        with ThreadPoolExecutor(self.threads) as pool:
            return np.asarray(np.stack(list(pool.map(statistics, views))) * _WEIGHTS)

    def look(self, views: Iterable[Picture]) -> dict[str, Vectors]:
        """Return vectors (N, d) of pictures by kind; few of the pictures are held at a time."""
        rows: dict[str, list[Vectors]] = {kind: [] for kind in self.kinds}
        rest = iter(views)
        while batch := list(itertools.islice(rest, _BATCH)):
            rows["statistics"].append(self.glance(batch))
            if self.network is not None:
                rows[self.network_name].append(self.network(batch))
        return {kind: np.concatenate(parts) for kind, parts in rows.items()}


def plain_statistics(vectors: Vectors) -> Vectors:
    """Return vectors of the kind ``statistics`` in their own units."""
    return vectors / _WEIGHTS


def network_features(name: str, runtime: Runtime) -> Callable[[Sequence[Picture]], Vectors]:
    """Return a function from pictures to features of a pretrained network, averaged over the image.

    Raises:
        WeightsError: when the weights cannot be had. ConfigError: for an unknown network.
    """
    import torch

    from synthkit.training.devices import set_up
    from synthkit.training.perceptual import load_features

    device = set_up(runtime)
    network, _ = load_features(name, NETWORK_LAYERS[name], progress=runtime.progress)
    network.to(device)

    def features(pictures: Sequence[Picture]) -> Vectors:
        size = (NETWORK_PX, NETWORK_PX)
        images = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in pictures])
        with torch.inference_mode():
            taps = network(torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255)
            rows = torch.cat([taps[layer].mean(dim=(2, 3)) for layer in NETWORK_LAYERS[name]], dim=1)
        return np.asarray(rows.cpu().numpy(), np.float64)

    return features


def _detail(lightness: Plane, inside: Mask) -> list[float]:
    """Return logarithms of the mean and the strongest differences from a blur, octave by octave.

    Blurs are of what is inside alone: the edge of the image circle is no detail.
    """
    found: list[float] = []
    share = inside.astype(np.float32)
    for _ in range(BANDS):
        weight = cv2.GaussianBlur(share, (0, 0), 1.0)
        lower = cv2.GaussianBlur(lightness * share, (0, 0), 1.0) / np.maximum(weight, 1e-6)
        band = np.abs(lightness - lower)[share > 0.5]
        found += [np.log(NOISE_FLOOR + band.mean()), np.log(NOISE_FLOOR + np.percentile(band, 98))]
        half = cv2.resize(share, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        light = cv2.resize(lower * share, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        lightness, share = np.asarray(light / np.maximum(half, 1e-6), np.float32), np.asarray(half, np.float32)
    return [float(value) for value in found]


def _rings(side_px: int) -> list[Mask]:
    return [_between(side_px, low, high) for low, high in itertools.pairwise(RINGS)]


@functools.lru_cache(maxsize=16)
def _between(side_px: int, low: float, high: float) -> Mask:
    """Return (S, S) which pixels are between two radii, as shares of the circle's."""
    centres = np.arange(side_px) + 0.5 - side_px / 2
    radius = np.hypot(centres[:, None], centres) / (side_px / 2)
    mask = np.asarray((radius >= low) & (radius < high))
    mask.flags.writeable = False  # shared among the images
    return mask


def _noise(residuals: Plane, where: Mask) -> float:
    """Return the logarithm of noise's standard deviation, robustly by the median, as detail has large residuals."""
    there = residuals[where]
    deviation = _MEDIAN_TO_DEVIATION * float(np.median(there)) if there.size else 0.0
    return float(np.log(NOISE_FLOOR + deviation))
