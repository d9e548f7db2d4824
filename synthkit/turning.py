# SPDX-License-Identifier: Apache-2.0
"""Samples turned about their middle: a ceiling camera has no up, so every turn of an image is an image as well."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import config
from synthkit.camera import FisheyeCamera
from synthkit.dataset import Dataset
from synthkit.errors import DatasetError
from synthkit.outlines import (
    Floats,
    area,
    box_around,
    clipped,
    ellipse,
    extent,
    mask_hull,
    moved_box,
    turn,
    warped,
)
from synthkit.sample import FRAME, Box, Keypoint, Layer, Person, RotatedBox, Sample
from synthkit.seeds import Seeds

_MARK = "-turn"


@attrs.frozen(eq=False)
class _Move:
    """A turn: ``p -> linear @ p + offset``, onto an image of ``size_px``, (width, height)."""

    linear: Floats
    offset: Floats
    size_px: tuple[int, int]

    def points(self, points: Floats) -> Floats:
        return np.asarray(points @ self.linear.T + self.offset)

    def point(self, point: tuple[float, float]) -> tuple[float, float]:
        x, y = self.points(np.array(point)).tolist()
        return x, y


def turned(sample: Sample, degrees: float, key: str) -> Sample:
    """Return a sample turned clockwise about the middle of its image, with another key.

    Nothing of the image circle is cut: the image grows where the circle is wider than one of its sides; where no camera
    tells, a circle as wide as the longer side is assumed. What is uncovered is black. Boxes are those of the turned
    outlines (see ``synthkit.outlines``), so that a head's box, or that of a person without a mask, is an ellipse's.
    Layers are taken from the nearest pixels, normals turned. ``meta["turned"]`` tells of which sample it is a turn.
    """
    width, height = sample.size_px
    middle, linear = np.array([width / 2, height / 2]), turn(degrees)
    size = _size(sample)
    move = _Move(linear, np.array(size) / 2 - linear @ middle, size)
    instances = sample.layers.get("instances")
    people = sample.people
    if people is not None:
        people = tuple(_person(person, move, instances) for person in people)
    return attrs.evolve(
        sample,
        key=key,
        image=warped(np.asarray(sample.image), move.linear, move.offset, size),
        people=people,
        camera=None if sample.camera is None else _camera(sample.camera, move),
        layers=_layers(sample.layers, move),
        meta={**sample.meta, "turned": {"of": sample.key, "degrees": degrees}},
    )


def original_key(sample: Sample) -> str:
    """Return the key of the sample that one is a turn of, or its own."""
    told = sample.meta.get("turned")
    return str(told["of"]) if isinstance(told, Mapping) and "of" in told else sample.key


@attrs.frozen(eq=False)
class Turned:
    """Every sample of a set at several random turns, one in each part of the full circle.

    Args:
        data: the set. count: turns of each sample. seeds: of the angles; only a sample's key decides about its own.
    """

    data: Dataset
    count: int
    seeds: Seeds

    @functools.cached_property
    def fingerprint(self) -> str:
        """The identity of the content."""
        return config.fingerprint({"turned": self.data.fingerprint, "count": self.count, "seeds": repr(self.seeds)})

    @property
    def location(self) -> str:
        """The path or URL of the set."""
        return self.data.location

    def __len__(self) -> int:
        return self.count * len(self.data)

    def __getitem__(self, index: int, /) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        sample, number = divmod(index % len(self), self.count)
        return self._turned(self.data[sample], number)

    def __iter__(self) -> Iterator[Sample]:
        return (self._turned(sample, number) for sample in self.data for number in range(self.count))

    def by_key(self, key: str) -> Sample:
        """Return a sample by its key.

        Raises:
            DatasetError: when there is none, or more than one.
        """
        of, mark, number = key.rpartition(_MARK)
        if not mark or not number.isdecimal() or int(number) >= self.count:
            raise DatasetError(f"{self.location}: has no turned sample {key!r}")
        return self._turned(self.data.by_key(of), int(number))

    def _turned(self, sample: Sample, number: int) -> Sample:
        share = self.seeds.child(sample.key).stream("turn", number).random()
        return turned(sample, 360.0 * (number + share) / self.count, f"{sample.key}{_MARK}{number}")


def _size(sample: Sample) -> tuple[int, int]:
    """Return the size of a turned image: its sides, grown to hold the image circle however it is turned."""
    width, height = sample.size_px
    if sample.camera is None:
        reach = max(width, height) / 2
    else:
        camera, corner = sample.camera, math.hypot(width, height) / 2
        beside = math.hypot(camera.cx_px - width / 2, camera.cy_px - height / 2)
        reach = min(beside + camera.max_radius_px, corner)
    return _grown(width, reach), _grown(height, reach)


def _grown(side: int, reach: float) -> int:
    """Return a side grown by whole pixels at both its ends until it reaches so far from the middle."""
    return side + 2 * max(0, math.ceil(reach - side / 2 - 1e-6))


def _camera(camera: FisheyeCamera, move: _Move) -> FisheyeCamera:
    (cx, cy), (width, height) = move.point((camera.cx_px, camera.cy_px)), move.size_px
    back = np.eye(4)
    back[:2, :2] = move.linear.T
    pose = camera.world_from_camera @ back
    return attrs.evolve(camera, width_px=width, height_px=height, cx_px=cx, cy_px=cy, world_from_camera=pose)


def _layers(layers: Mapping[str, Layer], move: _Move) -> dict[str, Layer]:
    if not layers:
        return {}
    width, height = move.size_px
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    before = (np.stack([x, y], axis=-1) - move.offset) @ move.linear  # the inverse of a turn is its transpose
    column, row = np.floor(before).astype(np.int64).transpose(2, 0, 1)
    found: dict[str, Layer] = {}
    for name, layer in layers.items():
        rows, columns = layer.shape[:2]
        there = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        result = np.zeros((height, width, *layer.shape[2:]), layer.dtype)
        result[there] = layer[row[there], column[there]]
        found[name] = _turned_normals(result, move.linear) if name == "normals" else result
    return found


def _turned_normals(normals: npt.NDArray[Any], linear: Floats) -> npt.NDArray[np.uint8]:
    """Return normals, 128 + 127 n, whose x and y are turned as the image is."""
    known = normals.any(axis=2)
    result = normals.copy()
    across = (normals[known][:, :2].astype(np.float64) - 128.0) @ linear.T
    result[known, :2] = np.clip(np.rint(across + 128.0), 1, 255)
    return result


def _person(person: Person, move: _Move, instances: Layer | None) -> Person:
    seen = _outline(person, instances)
    head = person.head_box_xyxy_px
    changes: dict[str, Any] = {
        "head_px": None if person.head_px is None else move.point(person.head_px),
        "head_box_xyxy_px": None if head is None else extent(move.points(ellipse(head))),
        "full_box_xyxy_px": _full_box(person, seen, move),
        "keypoints": {name: _keypoint(point, move) for name, point in person.keypoints.items()},
    }
    if seen is not None:
        changes |= _seen_parts(person, move.points(seen), move)
    return attrs.evolve(person, **changes)


def _outline(person: Person, instances: Layer | None) -> Floats | None:
    """Return the points of what is seen of a person, None where nothing is known of it."""
    if instances is not None and person.instance is not None:
        hull = mask_hull(instances == person.instance)
        if hull is not None:
            return hull
    if person.box_xyxy_px is not None:
        return ellipse(person.box_xyxy_px)
    box = person.rotated_box or person.radial_box
    return None if box is None else box.corners_px()


def _seen_parts(person: Person, outline: Floats, move: _Move) -> dict[str, Any]:
    """Return the boxes of what is seen of a person after the turn, and how much that is."""
    left = clipped(outline, move.size_px)
    share = area(left) / area(outline) if len(left) >= 3 and area(outline) > 0 else 0.0
    if share == 0.0:
        return {"box_xyxy_px": None, "rotated_box": None, "radial_box": None,
                "visible_fraction": 0.0, "occluder": FRAME}  # fmt: skip
    cut = share < 1.0 - 1e-9

    def boxed(box: RotatedBox | None) -> RotatedBox | None:
        if box is None:
            return None
        after = moved_box(box, move.linear, move.offset)
        return box_around(left, after.degrees) if cut else after

    visible = person.visible_fraction
    return {
        "box_xyxy_px": None if person.box_xyxy_px is None else extent(left),
        "rotated_box": boxed(person.rotated_box),
        "radial_box": boxed(person.radial_box),
        "visible_fraction": visible if visible is None or not cut else visible * share,
    }


def _full_box(person: Person, seen: Floats | None, move: _Move) -> Box | None:
    """Return the box of all of a person: of what is seen, and of the ellipse where the rest is."""
    if person.full_box_xyxy_px is None:
        return None
    points = ellipse(person.full_box_xyxy_px)
    if seen is not None:
        points = seen if person.full_box_xyxy_px == person.box_xyxy_px else np.concatenate([points, seen])
    return extent(move.points(points))


def _keypoint(point: Keypoint, move: _Move) -> Keypoint:
    x, y = move.point((point.x_px, point.y_px))
    inside = 0 <= x <= move.size_px[0] and 0 <= y <= move.size_px[1]
    return attrs.evolve(point, x_px=x, y_px=y, visible=point.visible if inside else False)
