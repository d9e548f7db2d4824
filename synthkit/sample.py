# SPDX-License-Identifier: Apache-2.0
"""What flows between the stages: samples, the people in them, and samples that could not be made.

Conventions, stated once and used everywhere:

* Pixel coordinates are (x, y), x to the right and y downwards, in pixels. (0, 0) is the outer corner of
  the top-left pixel, whose centre is (0.5, 0.5); an image spans [0, width] x [0, height].
* Boxes ``*_xyxy_px`` are (left, top, right, bottom) edges, so width = right - left.
* Rotated boxes are (cx, cy, w, h, degrees): degrees clockwise as seen on the screen, w <= h,
  -90 <= degrees < 90 (the convention of CEPDOF, HABBOF and MW-R).
* World coordinates are metres, z up, the floor at z = 0. Camera coordinates are in ``camera.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.camera import FisheyeCamera

Array = npt.NDArray[Any]
Layer = npt.NDArray[Any]
Box = tuple[float, float, float, float]

LAYER_DTYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "instances": ("uint8", "uint16"),  # 0 is no person, n is Person.instance
        "amodal": ("uint8", "uint16", "uint32", "uint64"),  # bit n - 1: instance n is there, hidden or not
        "depth": ("float32",),  # metres along the ray, 0 where there is none
        "normals": ("uint8",),  # (H, W, 3): 128 + 127 n of the unit normal in camera axes, 0 0 0 where there is none
        "surface": ("uint16",),  # 1 + the vertex of the MPFB base mesh, 0 where there is none
        "surface_smpl": ("uint16",),  # 1 + the vertex of SMPL's halved mesh, 0 where there is none; see surfaces.py
        "background": ("uint8",),  # (H, W, 3) sRGB, the scene without its people
        "light": ("float32",),  # (H, W, 3): the scene's light, linear Rec. 709, before the sensor
        "alpha": ("uint8",),  # coverage by people, 255 = fully covered
        "attention": ("uint8",),  # how much of a pixel a refiner attended, 255 = all, 0 also where it never looked
    }
)
"""Layers the kit knows, and the dtypes each may have. Others are carried as they are."""

SCENERY, FRAME = "furniture", "frame"
"""What may hide a person, besides other people: things, and the rim of what the sensor shows."""

_T = TypeVar("_T")


def _locked(array: Any) -> Array:
    """Return a read-only view (a private copy when the caller could still write to it)."""
    result = np.asarray(array)
    if result.flags.writeable:
        result = result.copy()
        result.flags.writeable = False
    return result


def _locked_layers(layers: Mapping[str, Any]) -> Mapping[str, Layer]:
    return MappingProxyType({name: _locked(layer) for name, layer in layers.items()})


def frozen_mapping(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a read-only copy."""
    return MappingProxyType(dict(mapping))


def _floats(values: Any, count: int) -> tuple[float, ...]:
    result = tuple(map(float, values))
    if len(result) != count or not all(map(math.isfinite, result)):
        raise ValueError(f"expected {count} finite numbers, got {values!r}")
    return result


def _point(values: Any) -> tuple[float, float] | None:
    return None if values is None else cast(tuple[float, float], _floats(values, 2))


def _world_point(values: Any) -> tuple[float, float, float] | None:
    return None if values is None else cast(tuple[float, float, float], _floats(values, 3))


def _box(values: Any) -> Box | None:
    return None if values is None else cast(Box, _floats(values, 4))


def _check_box(_: Any, attribute: attrs.Attribute[Any], box: Box | None) -> None:
    if box is not None and (box[2] < box[0] or box[3] < box[1]):
        raise ValueError(f"{attribute.name} must be (left, top, right, bottom), got {box}")


def _occluder(value: int | str | None) -> int | str | None:
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if value is not None and not number and value not in (SCENERY, FRAME):
        raise ValueError(f"an occluder is an instance number, {SCENERY!r} or {FRAME!r}, got {value!r}")
    return value


@attrs.frozen
class RotatedBox:
    """A box with an angle: centre and sizes in pixels, ``degrees`` clockwise, w <= h, -90 <= degrees < 90."""

    cx: float = attrs.field(converter=float)
    cy: float = attrs.field(converter=float)
    w: float = attrs.field(converter=float)
    h: float = attrs.field(converter=float)
    degrees: float = attrs.field(converter=float)

    def __attrs_post_init__(self) -> None:
        if not all(map(math.isfinite, self.as_tuple())) or self.w < 0 or self.h < 0:
            raise ValueError(f"a rotated box needs finite numbers and sizes >= 0, got {self.as_tuple()}")

    @classmethod
    def normalized(cls, cx: float, cy: float, w: float, h: float, degrees: float) -> RotatedBox:
        """Return the same rectangle in the convention: w <= h and -90 <= degrees < 90."""
        if w > h:
            w, h, degrees = h, w, degrees + 90.0
        return cls(cx, cy, w, h, (degrees + 90.0) % 180.0 - 90.0)

    def as_tuple(self) -> tuple[float, float, float, float, float]:
        """Return (cx, cy, w, h, degrees)."""
        return self.cx, self.cy, self.w, self.h, self.degrees

    def corners_px(self) -> Array:
        """Return the corners, (4, 2) float64, clockwise on the screen from the box's own top-left."""
        angle = math.radians(self.degrees)
        across = np.array([math.cos(angle), math.sin(angle)]) * self.w / 2
        along = np.array([-math.sin(angle), math.cos(angle)]) * self.h / 2
        centre = np.array([self.cx, self.cy])
        return np.stack([centre - across - along, centre + across - along,
                         centre + across + along, centre - across + along])  # fmt: skip


def normalized_rotated(boxes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return (N, 5) float64 rotated boxes as ``RotatedBox.normalized`` gives each: the same rectangles, w <= h.

    Args:
        boxes: (N, 5) cx, cy, w, h in pixels and degrees clockwise, w and h in any order, any angle.
    """
    cx, cy, w, h, degrees = np.asarray(boxes, dtype=np.float64).reshape(-1, 5).T
    turned = np.where(w > h, degrees + 90.0, degrees)
    return np.stack([cx, cy, np.minimum(w, h), np.maximum(w, h), (turned + 90.0) % 180.0 - 90.0], axis=1)


@attrs.frozen
class Keypoint:
    """A named point of a body: pixels, metres in the world where known, and whether it is seen.

    ``visible``: True seen, False hidden or outside the image, None unknown.
    """

    x_px: float = attrs.field(converter=float)
    y_px: float = attrs.field(converter=float)
    visible: bool | None = None
    world_m: tuple[float, float, float] | None = attrs.field(default=None, converter=_world_point)


@attrs.frozen
class Person:
    """One person in an image; every field may be unknown (None or empty).

    Args:
        instance: this person's value in the ``instances`` layer, dense from 1.
        identity: a name that is stable across images.
        head_px: centre of the head (x, y); head_box_xyxy_px: the box of the whole head, hidden parts too.
        box_xyxy_px: the box of the visible pixels. rotated_box: the tightest rotated box of the same (that of
            least area, as in CEPDOF). radial_box: the tightest rotated box of the same whose middle axis points
            at the nadir, as in HABBOF. full_box_xyxy_px: the box of all pixels, seen or not; it may reach
            beyond the image.
        keypoints: by name. floor_m: the point of the floor, in world axes, where the person stands or sits.
        visible_fraction: visible over all pixels of the person, 0..1; those beyond the image count as hidden.
        occluder: what hides most of what is hidden: the instance of another person, "furniture", or "frame"
            for the rim of the image.
        attributes: plain JSON values.
    """

    instance: int | None = None
    identity: str | None = None
    head_px: tuple[float, float] | None = attrs.field(default=None, converter=_point)
    head_box_xyxy_px: Box | None = attrs.field(default=None, converter=_box, validator=_check_box)
    box_xyxy_px: Box | None = attrs.field(default=None, converter=_box, validator=_check_box)
    rotated_box: RotatedBox | None = None
    radial_box: RotatedBox | None = None
    full_box_xyxy_px: Box | None = attrs.field(default=None, converter=_box, validator=_check_box)
    floor_m: tuple[float, float, float] | None = attrs.field(default=None, converter=_world_point)
    keypoints: Mapping[str, Keypoint] = attrs.field(factory=dict, converter=frozen_mapping, hash=False)
    visible_fraction: float | None = None
    occluder: int | str | None = attrs.field(default=None, converter=_occluder)
    attributes: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping, hash=False)


def _people(people: Iterable[Person] | None) -> tuple[Person, ...] | None:
    return None if people is None else tuple(people)


def _check_key(_: Any, __: attrs.Attribute[Any], key: str) -> None:
    # WebDataset readers group members by what stands before the first dot of the base name.
    if not key or "." in key or "/" in key or "\\" in key or not key.isprintable():
        raise ValueError(f"a sample key must be printable, without dots or slashes, got {key!r}")


@attrs.frozen(eq=False)
class Sample:
    """One image with everything known about it; arrays are read-only.

    Args:
        key: unique in its data set, no dots and no slashes.
        image: (H, W, 3) uint8, sRGB.
        people: who is in it; None means unknown, an empty tuple that nobody is there.
        camera: how the image was projected, when known.
        layers: arrays of the image's height and width, by name (see ``LAYER_DTYPES``).
        sequence, frame, time_s: place in a clip, for videos.
        meta: plain JSON values (sources, licences, scene parameters).
    """

    key: str = attrs.field(validator=_check_key)
    image: npt.NDArray[np.uint8] = attrs.field(converter=_locked)
    people: tuple[Person, ...] | None = attrs.field(default=None, converter=_people)
    camera: FisheyeCamera | None = None
    layers: Mapping[str, Layer] = attrs.field(factory=dict, converter=_locked_layers)
    sequence: str | None = None
    frame: int | None = None
    time_s: float | None = None
    meta: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)

    def __attrs_post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise ValueError(f"{self.key}: image must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
        for name, layer in self.layers.items():
            if layer.shape[:2] != image.shape[:2]:
                raise ValueError(f"{self.key}: layer {name!r} is {layer.shape[:2]}, the image {image.shape[:2]}")
            allowed = LAYER_DTYPES.get(name)
            if allowed and layer.dtype.name not in allowed:
                raise ValueError(f"{self.key}: layer {name!r} must be {' or '.join(allowed)}, got {layer.dtype}")

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height)."""
        return int(self.image.shape[1]), int(self.image.shape[0])


@attrs.frozen
class Skipped:
    """A sample that could not be made, and why; a legal result of every stage, kept in the records."""

    key: str = attrs.field(validator=_check_key)
    reason: str


@attrs.frozen(eq=False)
class Sidecar:
    """What was found out later about a sample of another set: detections, masks, surfaces; no pixels.

    Args:
        key: the sample's key. people: found in it, where people were looked for.
        layers: arrays of the image's height and width, by name. meta: plain JSON values.
        sequence, frame, time_s: the sample's place in a clip.
    """

    key: str = attrs.field(validator=_check_key)
    people: tuple[Person, ...] | None = attrs.field(default=None, converter=_people)
    layers: Mapping[str, Layer] = attrs.field(factory=dict, converter=_locked_layers)
    meta: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    sequence: str | None = None
    frame: int | None = None
    time_s: float | None = None


def evolve(thing: _T, **changes: Any) -> _T:
    """Return a copy of a frozen sample, person or config with some fields changed."""
    return attrs.evolve(thing, **changes)  # type: ignore[misc]


def _rows(columns: int | None) -> Any:
    """Return a validator: one row (of ``columns`` numbers) for each score."""

    def check(instance: Detections, attribute: attrs.Attribute[Any], array: Array | None) -> None:
        shape = (len(instance.scores),) if columns is None else (len(instance.scores), columns)
        if array is not None and array.shape != shape:
            raise ValueError(f"{instance.key}: {attribute.name} must be {shape}, one row a find, got {array.shape}")

    return check


@attrs.frozen(eq=False)
class Detections:
    """What a detector found in one image: parallel arrays, one row each, best score first.

    Args:
        key: the sample's key.
        boxes_xyxy_px: (N, 4) float32. scores: (N,) float32 in 0..1.
        rotated_boxes: (N, 5) float32, when the detector has them, in the convention of ``RotatedBox`` (cx, cy, w, h,
            degrees clockwise); ``boxes_xyxy_px`` are then boxes around them.
        points_px: (N, 2) float32, where each find is, when the detector tells (for a head its centre).
        labels: (N,) int32 indices into the detector's class names.
        layers: arrays of the image's height and width, by name, when the detector tells more: ``instances``, in which
            n is the find in row n - 1 and 0 is nobody; ``surface`` and others as in ``LAYER_DTYPES``.
    """

    key: str = attrs.field(validator=_check_key)
    boxes_xyxy_px: npt.NDArray[np.float32] = attrs.field(converter=_locked, validator=_rows(4))
    scores: npt.NDArray[np.float32] = attrs.field(converter=_locked, validator=_rows(None))
    labels: npt.NDArray[np.int32] = attrs.field(converter=_locked, validator=_rows(None))
    rotated_boxes: npt.NDArray[np.float32] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_locked), validator=_rows(5)
    )
    points_px: npt.NDArray[np.float32] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_locked), validator=_rows(2)
    )
    layers: Mapping[str, Layer] = attrs.field(factory=dict, converter=_locked_layers)
