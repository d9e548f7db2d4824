# SPDX-License-Identifier: Apache-2.0
"""The renderer: a tiled floor through a fisheye, and people as a disc for the head on an ellipse."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.camera import FisheyeCamera, looking_down
from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime, sample_key
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_example_discs.config import DiscsConfig

Mask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.uint8]

_TILE_M = 0.5
_WALLS = 1.5  # where the walls stand, in room_m
_SHOULDERS_M = 0.23  # half of a body's width
_HEAD_M = 0.12  # a head's radius


@attrs.frozen(eq=False)
class _Figure:
    """A person as drawn: masks before anyone hides anyone, and where the head is."""

    body: Mask
    head: Mask
    head_px: tuple[float, float]
    head_radius_px: float
    axis: npt.NDArray[np.float64]
    identity: int
    distance_m: float


class DiscsRenderer:
    """Renders discs; the same scene and seeds always give the same pixels."""

    def __init__(self, config: DiscsConfig, checkpoint: Checkpoint | None, runtime: Runtime) -> None:
        self._config = config
        self._camera = FisheyeCamera.equidistant(
            config.size_px,
            config.size_px,
            config.fov_degrees,
            world_from_camera=looking_down(config.camera_height_m),
        )

    def __enter__(self) -> Self:
        centres = np.arange(self._config.size_px) + 0.5
        self._x, self._y = np.meshgrid(centres, centres)
        rays, seen = self._camera.unproject(np.stack([self._x, self._y], axis=-1))
        falling = seen & (rays[..., 2] < -0.02)
        scale = self._config.camera_height_m / np.where(falling, -rays[..., 2], 1.0)
        floor_m = rays[..., :2] * scale[..., None]
        inside = falling & (np.abs(floor_m).max(axis=-1) < _WALLS * self._config.room_m)
        self._floor_m = np.where(inside[..., None], floor_m, np.nan)
        self._seen = seen
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
        """Yield the images of one room."""
        floor = self._floor(seeds.stream("floor"))
        for n in range(self.samples_per_scene):
            yield self._sample(sample_key(scene, n), floor, seeds.stream("people", n))

    def _sample(self, key: str, floor: Image, draw: np.random.Generator) -> Sample:
        low, high = self._config.people
        count = int(draw.integers(low, high + 1))
        figures = [self._figure(draw, identity) for identity in range(count)]
        figures.sort(key=lambda figure: -figure.distance_m)  # the nearer cover the farther
        image = floor.copy()
        owner = np.full(image.shape[:2], -1)
        for n, figure in enumerate(figures):
            clothes, skin = draw.integers(20, 236, 3), draw.integers((150, 100, 70), (240, 190, 170))
            shade = self._config.light * (0.75 + 0.25 * draw.random(image.shape[:2]))
            for mask, colour in ((figure.body, clothes), (figure.head, skin)):
                image[mask] = (colour * shade[mask][:, None]).astype(np.uint8)
                owner[mask] = n
        people, instances = self._truth(figures, owner)
        return Sample(
            key=key,
            image=image,
            people=people,
            camera=self._camera,
            layers={"instances": instances, "background": floor},
            meta={"renderer": "discs"},
        )

    def _figure(self, draw: np.random.Generator, identity: int) -> _Figure:
        angle, radius = draw.uniform(0, 2 * np.pi), self._config.room_m * np.sqrt(draw.uniform())
        x, y, height = radius * np.cos(angle), radius * np.sin(angle), draw.uniform(1.55, 1.9)
        centre = np.array([x, y, height - _HEAD_M])
        camera = self._camera.world_from_camera[:3, 3]
        points, _ = self._camera.project(np.stack([np.array([x, y, 0.0]), centre]))
        feet, head = points
        px_per_m = self._px_per_m(centre)
        along = head - feet
        length = float(np.hypot(*along))
        axis = along / length if length > 1e-6 else np.array([0.0, 1.0])
        middle = (feet + head) / 2
        dx, dy = self._x - middle[0], self._y - middle[1]
        lengthwise, across = dx * axis[0] + dy * axis[1], dx * axis[1] - dy * axis[0]
        half_width = 0.8 * _SHOULDERS_M * px_per_m
        half_length = length / 2 + half_width / 2
        body = (lengthwise / half_length) ** 2 + (across / half_width) ** 2 <= 1
        disc = np.hypot(self._x - head[0], self._y - head[1]) <= _HEAD_M * px_per_m
        distance = float(np.linalg.norm(centre - camera))
        return _Figure(
            body & self._seen, disc & self._seen, (head[0], head[1]), _HEAD_M * px_per_m, axis, identity, distance
        )

    def _px_per_m(self, point_m: npt.NDArray[np.float64]) -> float:
        """Return the scale around a point, across the line of sight and level."""
        across = np.array([-point_m[1], point_m[0], 0.0]) / max(float(np.hypot(*point_m[:2])), 1e-9)
        if not across.any():
            across = np.array([1.0, 0.0, 0.0])
        ends, _ = self._camera.project(np.stack([point_m - across * _HEAD_M, point_m + across * _HEAD_M]))
        return float(np.hypot(*(ends[1] - ends[0]))) / (2 * _HEAD_M)

    def _truth(self, figures: list[_Figure], owner: npt.NDArray[Any]) -> tuple[list[Person], Image]:
        people: list[Person] = []
        instances = np.zeros(owner.shape, np.uint8)
        for n, figure in enumerate(figures):
            visible = owner == n
            if not visible.any():
                continue
            instances[visible] = len(people) + 1
            everything = figure.body | figure.head
            (hx, hy), r = figure.head_px, figure.head_radius_px
            people.append(
                Person(
                    instance=len(people) + 1,
                    identity=f"disc-{figure.identity}",
                    head_px=(hx, hy),
                    head_box_xyxy_px=(hx - r, hy - r, hx + r, hy + r),
                    box_xyxy_px=_box(visible),
                    rotated_box=_rotated_box(visible, figure.axis),
                    visible_fraction=float(visible.sum() / everything.sum()),
                )
            )
        return people, instances

    def _floor(self, draw: np.random.Generator) -> Image:
        light, dark = draw.integers(150, 220, 3), draw.integers(60, 140, 3)
        shift = draw.uniform(0, _TILE_M, 2)
        tiles = np.floor(np.nan_to_num(self._floor_m + shift, nan=0.0) / _TILE_M).astype(int)
        odd = (tiles.sum(axis=-1) % 2).astype(bool)
        colours = np.where(odd[..., None], light, dark).astype(float)
        wall = self._seen & np.isnan(self._floor_m[..., 0])
        colours[wall] = (light + dark) / 2
        grain = draw.normal(0, 6, colours.shape)
        lit = np.clip(self._config.light * colours + grain, 0, 255)
        return np.where(self._seen[..., None], lit, 0).astype(np.uint8)


def _box(mask: Mask) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _rotated_box(mask: Mask, axis: npt.NDArray[np.float64]) -> RotatedBox:
    """Return the tightest box around the pixels of a mask with a side along ``axis``."""
    rows, columns = np.nonzero(mask)
    x, y = columns + 0.5, rows + 0.5
    lengthwise, across = x * axis[0] + y * axis[1], x * axis[1] - y * axis[0]
    spans = [(values.min(), values.max()) for values in (lengthwise, across)]
    (l0, l1), (a0, a1) = spans
    middle_l, middle_a = (l0 + l1) / 2, (a0 + a1) / 2
    cx, cy = middle_l * axis[0] + middle_a * axis[1], middle_l * axis[1] - middle_a * axis[0]
    # A pixel reaches (|cos| + |sin|) / 2 to either side of its centre.
    pixel = abs(axis[0]) + abs(axis[1])
    degrees = np.degrees(np.arctan2(-axis[0], axis[1]))
    return RotatedBox.normalized(cx, cy, a1 - a0 + pixel, l1 - l0 + pixel, degrees)
