# SPDX-License-Identifier: Apache-2.0
"""The renderer: anti-aliased circles on a plain background, and the truth about them."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime, sample_key
from synthkit.sample import Box, Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_circles.config import CirclesConfig

Floats = npt.NDArray[np.float64]

_WHITE = (255.0, 255.0, 255.0)
_HUE, _SATURATION, _VALUE = 0.0, 0.75, 0.9  # of the circles that are all alike: red
_BACKGROUND = np.array([60.0, 75.0, 90.0])
_DARKEST, _LIGHTEST = 20.0, 130.0  # of a background's channels: circles always stand out


@attrs.frozen(eq=False)
class _Circle:
    """A circle as drawn: how much it covers of each pixel, (H, W) in 0..1, before others hide it."""

    centre_px: tuple[float, float]
    radius_px: float
    colour: tuple[float, ...]
    distance_px: Floats

    @property
    def coverage(self) -> Floats:
        return np.clip(self.radius_px - self.distance_px + 0.5, 0, 1)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The pixels whose centres lie in the circle."""
        return self.distance_px <= self.radius_px


class CirclesRenderer:
    """Draws circles; the same scene and seeds always give the same pixels.

    Places, sizes, backgrounds and colours have streams of their own: with the same seed, domain ``y`` shows the scenes
    of domain ``x`` with other circles, pixel for pixel.
    """

    def __init__(self, config: CirclesConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @property
    def samples_per_scene(self) -> int:
        """As configured."""
        return self._config.samples_per_scene

    def render(self, scene: int, seeds: Seeds) -> Iterator[Sample]:
        """Yield the images of a scene; with several circles, later ones lie upon earlier ones."""
        for n in range(self.samples_per_scene):
            yield self._sample(sample_key(scene, n), seeds.child("sample", n))

    def _sample(self, key: str, seeds: Seeds) -> Sample:
        size = self._config.size_px
        background = np.broadcast_to(self._background(seeds.stream("background")), (size, size, 3))
        image = background.copy()
        free = np.ones((size, size))
        owner = np.zeros((size, size), np.int64)
        circles = self._circles(seeds)
        for number, circle in enumerate(circles, start=1):
            image += circle.coverage[..., None] * (np.array(circle.colour) - image)
            free *= 1 - circle.coverage
            owner[circle.mask] = number
        people, instances = _truth(circles, owner)
        return Sample(
            key=key,
            image=np.rint(image).astype(np.uint8),
            people=people,
            layers={
                "instances": instances,
                "alpha": np.rint(255 * (1 - free)).astype(np.uint8),
                "background": np.rint(background).astype(np.uint8),
            },
            meta={"renderer": "circles", "domain": self._config.domain},
        )

    def _circles(self, seeds: Seeds) -> list[_Circle]:
        size, (low, high) = self._config.size_px, self._config.circles
        count = int(seeds.stream("count").integers(low, high + 1))
        centres = np.arange(size) + 0.5
        circles = []
        for n in range(count):
            draw = seeds.stream("place", n)
            radius = size * draw.uniform(*self._config.radius)
            x, y = draw.uniform(radius, size - radius, 2)
            dx, dy = centres - x, centres - y
            distance = np.sqrt(dx**2 + dy[:, None] ** 2)
            circles.append(_Circle((x, y), radius, self._colour(seeds.stream("colour", n)), distance))
        return circles

    def _colour(self, draw: np.random.Generator) -> tuple[float, ...]:
        if self._config.domain == "y":
            return _WHITE
        hue = _HUE + self._config.foreground_variety * draw.uniform(-0.5, 0.5)
        return tuple(255 * channel for channel in colorsys.hsv_to_rgb(hue % 1, _SATURATION, _VALUE))

    def _background(self, draw: np.random.Generator) -> Floats:
        anything = draw.uniform(_DARKEST, _LIGHTEST, 3)
        return np.asarray(_BACKGROUND + self._config.background_variety * (anything - _BACKGROUND))


def _truth(circles: Sequence[_Circle], owner: npt.NDArray[Any]) -> tuple[list[Person], npt.NDArray[np.uint8]]:
    """Return the circles that are seen, as people, and the instance layer.

    Args:
        owner: (H, W), the number of the circle (from 1) that a pixel's centre shows, 0 for the background.
    """
    seen = [number for number in range(1, len(circles) + 1) if (owner == number).any()]
    instances = np.zeros(owner.shape, np.uint8)
    for instance, number in enumerate(seen, start=1):
        instances[owner == number] = instance
    people = [_person(instance, circles[number - 1], instances) for instance, number in enumerate(seen, start=1)]
    return people, instances


def _person(instance: int, circle: _Circle, instances: npt.NDArray[np.uint8]) -> Person:
    visible = instances == instance
    hidden_by = np.bincount(instances[circle.mask & ~visible])
    (x, y), r = circle.centre_px, circle.radius_px
    box = _box(visible)
    return Person(
        instance=instance,
        head_px=(x, y),
        head_box_xyxy_px=(x - r, y - r, x + r, y + r),
        box_xyxy_px=box,
        rotated_box=RotatedBox.normalized(
            (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1], 0
        ),
        full_box_xyxy_px=(x - r, y - r, x + r, y + r),
        visible_fraction=float(visible.sum() / circle.mask.sum()),
        occluder=int(hidden_by.argmax()) if hidden_by.size else None,
        attributes={"radius_px": round(r, 3), "colour": [round(channel) for channel in circle.colour]},
    )


def _box(mask: npt.NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
