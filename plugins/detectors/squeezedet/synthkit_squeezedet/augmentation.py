# SPDX-License-Identifier: Apache-2.0
"""How training images vary, and what is to be found in them with them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import product

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import outlines
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.objects import Object

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_PUBLISHED_DRIFT = (150 / 1248, 100 / 384)
_TILES = 4
_TILE_ZOOM = (0.5, 1.0)
_CROSS = (0.35, 0.65)  # where the corners of a mosaic's images meet, in its width and height
_LUMA = np.array([0.299, 0.587, 0.114])
_COLOUR_SHARES = np.array([1.0, 1.0, 1.0, 0.5, 0.5])  # of exposure, saturation, gamma, red, blue


@attrs.frozen(eq=False)
class Example:
    """One image of the network's input size.

    Args:
        image: (H, W, 3) uint8. objects: what is to be found in it, or may be, in pixels of the input.
        nadir_px: (x, y) of the place straight below the camera.
    """

    image: Pixels
    objects: tuple[Object, ...]
    nadir_px: tuple[float, float]

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return int(self.image.shape[1]), int(self.image.shape[0])


class Augmentation(ABC):
    """A way in which examples vary."""

    def others(self, generator: np.random.Generator) -> int:
        """Return how many other examples ``draw`` is to get beside the one that it varies."""
        return 0

    @abstractmethod
    def draw(self, examples: Sequence[Example], generator: np.random.Generator) -> Example:
        """Return a varied example of the size of the first."""


@attrs.frozen
class Published(Augmentation):
    """The released augmentation (``imdb.read_batch``): drift, then mirror half.

    Left and top edges move by up to 150 of 1248 and 100 of 384 pixels, outwards over black or inwards, but not over a
    box; what is between them and the other two edges is stretched to the input.
    """

    def draw(self, examples: Sequence[Example], generator: np.random.Generator) -> Example:
        """Return a varied example."""
        (example,) = examples
        size = np.array(example.size_px, dtype=np.float64)
        most = np.array(_PUBLISHED_DRIFT) * size
        corners = [item.outline.min(axis=0) for item in example.objects if item.label is not None]
        free = np.array(corners).reshape(-1, 2).min(axis=0, initial=np.inf)
        cut = generator.uniform(-most, np.clip(free, 0.0, most))
        linear = np.diag(size / (size - cut))
        offset = -linear @ cut
        if generator.random() < 0.5:
            mirror = np.diag([-1.0, 1.0])
            linear, offset = mirror @ linear, mirror @ offset + [size[0], 0.0]
        return warped(example, linear, offset, example.size_px)


@attrs.frozen
class Looks:
    """How a sensor may see the same: its light, colours and noise; black stays black.

    Args:
        colour: exposure, saturation and gamma vary by up to this share, the gains of red and blue by half of it.
        noise: deviation of the noise at white, up to this share of it; it grows with the root of the light, from a
            third of that at black, and in half of the images it is grain, of two pixels.
    """

    colour: float = 0.0
    noise: float = 0.0

    def draw(self, image: Pixels, generator: np.random.Generator) -> Pixels:
        """Return an image (H, W, 3) uint8 with other looks."""
        if self.colour:
            image = self._coloured(image, generator)
        return self._noisy(image, generator) if self.noise else image

    def _coloured(self, image: Pixels, generator: np.random.Generator) -> Pixels:
        exposure, saturation, gamma, red, blue = 1.0 + generator.uniform(-1.0, 1.0, 5) * self.colour * _COLOUR_SHARES
        grey = np.tile(_LUMA, (3, 1))
        matrix = exposure * np.diag([red, 1.0, blue]) @ (saturation * np.eye(3) + (1.0 - saturation) * grey)
        curve = 255.0 * (np.arange(256) / 255.0) ** gamma
        return np.asarray(cv2.transform(cv2.LUT(image, curve.round().astype(np.uint8)), matrix), np.uint8)

    def _noisy(self, image: Pixels, generator: np.random.Generator) -> Pixels:
        most = 255.0 * self.noise * generator.random()
        grain = generator.random() < 0.5
        values = generator.standard_normal(image.shape, dtype=np.float32)
        if grain:
            values = 2.0 * cv2.blur(values, (2, 2))  # as deviating as before
        deviation = most * np.sqrt(np.linspace(1 / 9, 1.0, 256))
        values *= cv2.LUT(image, deviation.astype(np.float32))
        values += image
        return np.asarray(np.clip(values + 0.5, 0.0, 255.0), np.uint8)


@attrs.frozen
class Ceiling(Augmentation):
    """What a camera on a ceiling may see as well: any turn about the nadir, and the rest by the settings.

    Args:
        flip: mirror half of the examples. rotate_degrees: turn by up to this much either way. drift: move by up to
            this share of width and height. zoom: enlarge or shrink by up to this factor. colour, noise: see ``Looks``.
        mosaic: share of examples put together from four (Bochkovskiy et al., YOLOv4, arXiv 2004.10934): each lies with
            some part of it in a corner, at half to full size.
    """

    flip: bool = False
    rotate_degrees: float = 0.0
    drift: float = 0.0
    zoom: float = 1.0
    looks: Looks = Looks()
    mosaic: float = 0.0

    def others(self, generator: np.random.Generator) -> int:
        """Return 3 where a mosaic is to be drawn."""
        return _TILES - 1 if generator.random() < self.mosaic else 0

    def draw(self, examples: Sequence[Example], generator: np.random.Generator) -> Example:
        """Return a varied example, of several a mosaic; what is uncovered is black, as around a fisheye's circle."""
        found = self._moved(examples[0], generator) if len(examples) == 1 else self._mosaic(examples, generator)
        return attrs.evolve(found, image=self.looks.draw(found.image, generator))

    def _moved(self, example: Example, generator: np.random.Generator) -> Example:
        zoom = math.exp(generator.uniform(-1.0, 1.0) * math.log(self.zoom))
        linear = self._turn(generator) * zoom
        shift = generator.uniform(-1.0, 1.0, 2) * self.drift * example.size_px
        nadir = np.array(example.nadir_px)
        return warped(example, linear, nadir + shift - linear @ nadir, example.size_px)

    def _mosaic(self, examples: Sequence[Example], generator: np.random.Generator) -> Example:
        width, height = examples[0].size_px
        column, row = (round(generator.uniform(*_CROSS) * side) for side in (width, height))
        columns, rows = ((0, column), (column, width)), ((0, row), (row, height))
        image = np.zeros_like(examples[0].image)
        objects: list[Object] = []
        for example, ((top, bottom), (left, right)) in zip(examples, product(rows, columns), strict=True):
            tile = self._tile(example, (right - left, bottom - top), generator)
            image[top:bottom, left:right] = tile.image
            objects += [item.moved(np.eye(2), np.array([left, top], dtype=np.float64)) for item in tile.objects]
        return Example(image, tuple(objects), (column, row))

    def _tile(self, example: Example, size_px: tuple[int, int], generator: np.random.Generator) -> Example:
        """Return a part of an example: one about a place within half of the image around its nadir."""
        linear = self._turn(generator) * generator.uniform(*_TILE_ZOOM)
        shown = np.array(example.nadir_px) + generator.uniform(-0.25, 0.25, 2) * example.size_px
        return warped(example, linear, np.array(size_px) / 2 - linear @ shown, size_px)

    def _turn(self, generator: np.random.Generator) -> Floats:
        angle = math.radians(generator.uniform(-1.0, 1.0) * self.rotate_degrees)
        mirror = -1.0 if self.flip and generator.random() < 0.5 else 1.0
        cos, sin = math.cos(angle), math.sin(angle)
        return np.array([[mirror * cos, -sin], [mirror * sin, cos]])


def augmentation_of(config: SqueezeDetConfig) -> Augmentation:
    """Return how training images vary by the settings."""
    if config.augmentation == "published":
        return Published()
    looks = Looks(config.colour, config.noise)
    return Ceiling(config.flip, config.rotate_degrees, config.drift, config.zoom, looks, config.mosaic)


def warped(example: Example, linear: Floats, offset: Floats, size_px: tuple[int, int]) -> Example:
    """Return an example of another size, (width, height), after ``p -> linear @ p + offset``."""
    image = outlines.warped(example.image, linear, offset, size_px)
    moved = (item.moved(linear, offset).inside(size_px) for item in example.objects)
    x, y = linear @ example.nadir_px + offset
    return Example(image, tuple(item for item in moved if item is not None), (float(x), float(y)))
