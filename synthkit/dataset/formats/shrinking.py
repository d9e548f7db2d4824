# SPDX-License-Identifier: Apache-2.0
"""Smaller images with their labels, for sources of any format."""

from __future__ import annotations

import attrs
import numpy as np
from PIL import Image

from synthkit.camera import FisheyeCamera
from synthkit.dataset.formats.source import Derived, Source, Stored
from synthkit.sample import Box, Keypoint, Layer, Person, RotatedBox, Sample


class Shrunk(Derived):
    """A source whose images have at most ``max_size_px`` pixels a side."""

    def __init__(self, source: Source, max_size_px: int) -> None:
        super().__init__(source)
        self._max_size_px = max_size_px

    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one sample, shrunk where it is larger, with its file where it is not."""
        sample, stored = self._source.read(index)
        small = shrunk(sample, self._max_size_px)
        return small, stored if small is sample else None


def shrunk(sample: Sample, max_size_px: int) -> Sample:
    """Return a sample of at most so many pixels a side: image, layers, people and camera.

    Lengths are scaled by one factor; image sizes are rounded to whole pixels.
    """
    width, height = sample.size_px
    scale = max_size_px / max(width, height)
    if scale >= 1:
        return sample
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(sample.image).resize(size, Image.Resampling.LANCZOS)
    return attrs.evolve(
        sample,
        image=np.asarray(image),
        people=None if sample.people is None else [_person(person, scale) for person in sample.people],
        camera=None if sample.camera is None else _camera(sample.camera, scale, size),
        layers={name: _nearest(layer, size) for name, layer in sample.layers.items()},
    )


def _nearest(layer: Layer, size: tuple[int, int]) -> Layer:
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for new, old in ((size[1], layer.shape[0]), (size[0], layer.shape[1]))
    )
    return np.asarray(layer[rows[:, None], columns[None, :]])


def _person(person: Person, scale: float) -> Person:
    return attrs.evolve(
        person,
        head_px=None if person.head_px is None else [value * scale for value in person.head_px],
        head_box_xyxy_px=_box(person.head_box_xyxy_px, scale),
        box_xyxy_px=_box(person.box_xyxy_px, scale),
        full_box_xyxy_px=_box(person.full_box_xyxy_px, scale),
        rotated_box=_rotated(person.rotated_box, scale),
        radial_box=_rotated(person.radial_box, scale),
        keypoints={name: _point(point, scale) for name, point in person.keypoints.items()},
    )


def _rotated(box: RotatedBox | None, scale: float) -> RotatedBox | None:
    return box and RotatedBox(box.cx * scale, box.cy * scale, box.w * scale, box.h * scale, box.degrees)


def _box(box: Box | None, scale: float) -> list[float] | None:
    return None if box is None else [value * scale for value in box]


def _point(point: Keypoint, scale: float) -> Keypoint:
    return attrs.evolve(point, x_px=point.x_px * scale, y_px=point.y_px * scale)


def _camera(camera: FisheyeCamera, scale: float, size: tuple[int, int]) -> FisheyeCamera:
    return attrs.evolve(
        camera,
        width_px=size[0],
        height_px=size[1],
        cx_px=camera.cx_px * scale,
        cy_px=camera.cy_px * scale,
        theta_coefficients=[c / scale**power for power, c in enumerate(camera.theta_coefficients, 1)],
    )
