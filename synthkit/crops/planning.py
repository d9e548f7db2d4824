# SPDX-License-Identifier: Apache-2.0
"""Where each person's crop comes from (thesis 000, appendix, algorithm 5).

A person is cropped in a box whose axis points at the nadir, the place in the image straight below the
camera, and turned upright: away from the nadir is up, because a ceiling camera sees heads farther out than
feet. The head always lands on the same place of the crop, and the scale follows the person's extent, so
that the whole of the person fits.

Where no head is known (real sets often carry rotated body boxes only), the end of the body's box that lies
farther from the nadir stands for it. A person straight below the camera has no such end: there the choice
is arbitrary, but still the same every time.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.camera import FisheyeCamera
from synthkit.sample import Person, RotatedBox, Sample

REVISION = 2
"""Raised when the same sample yields other crops; part of the fingerprint of everything cut with them."""

HEAD_AT = (0.5, 0.25)
"""Where the head's centre lands: fractions of the crop's width and height, from its top left."""

Floats = npt.NDArray[np.float64]

_MARGIN = 0.04  # of the crop's sides, kept free around the person
_HEAD_INSET = 0.25  # of a body box's width: how far inside its end a head's centre lies
_DIRECTION_EPSILON_PX = 0.5  # nearer to the nadir than this, "away from the nadir" means nothing
_LEAN = 1e-9  # less than that a camera looks straight down
_UP_STEP = 1e-3  # of the distance to a head
_MAX_SCALE = 8.0  # crop pixels per image pixel; beyond it a crop holds no information


def _matrix(value: Any) -> Floats:
    result = np.array(value, dtype=np.float64)
    if result.shape != (2, 3) or not np.isfinite(result).all():
        raise ValueError(f"crop_from_image must be a finite (2, 3) matrix, got shape {result.shape}")
    result.flags.writeable = False
    return result


@attrs.frozen(eq=False)
class CropPlan:
    """Where one crop comes from.

    Args:
        person: index into ``Sample.people``. instance: its value in the instance layer, when known.
        size_px: (width, height) of the crop.
        crop_from_image: (2, 3) similarity that takes image pixels to crop pixels, both counted from the
            outer corner of the top-left pixel (see ``sample.py``).
    """

    person: int
    instance: int | None
    size_px: tuple[int, int]
    crop_from_image: Floats = attrs.field(converter=_matrix)

    @property
    def scale(self) -> float:
        """Crop pixels per image pixel."""
        return float(np.hypot(self.crop_from_image[0, 0], self.crop_from_image[1, 0]))

    @property
    def image_from_crop(self) -> Floats:
        """The (2, 3) inverse of ``crop_from_image``."""
        return np.asarray(cv2.invertAffineTransform(self.crop_from_image))

    def to_crop(self, points_px: npt.ArrayLike) -> Floats:
        """Take (..., 2) image pixels to crop pixels."""
        return apply(self.crop_from_image, points_px)

    def to_image(self, points_px: npt.ArrayLike) -> Floats:
        """Take (..., 2) crop pixels to image pixels."""
        return apply(self.image_from_crop, points_px)


def plan_crops(
    sample: Sample,
    size_px: tuple[int, int] = (128, 128),
    *,
    head_at: tuple[float, float] = HEAD_AT,
    min_extent_px: float = 12.0,
) -> list[CropPlan]:
    """Return a plan for each person of whom enough is known and seen (thesis 000, algorithm 5).

    Args:
        sample: its people need a head point or a box, or an instance number and the ``instances`` layer.
        size_px: (width, height) of the crops.
        head_at: where the head lands, fractions of width and height in (0, 1).
        min_extent_px: people whose visible extent is shorter than this are left out.
    """
    nadir = nadir_px(sample)
    instances = sample.layers.get("instances")
    plans = []
    for index, person in enumerate(sample.people or ()):
        outline = outline_px(person, instances)
        if outline is None or np.ptp(outline, axis=0).max() < min_extent_px:
            continue
        head = _head_px(person, outline, nadir)
        matrix = _crop_from_image(head, upward_px(sample, person, outline), outline, size_px, head_at)
        plans.append(CropPlan(index, person.instance, size_px, matrix))
    return plans


def outline_px(person: Person, instances: npt.NDArray[Any] | None) -> Floats | None:
    """Return points (N, 2) whose hull holds all that is known of the visible person, or None."""
    parts: list[Floats] = []
    if person.rotated_box is not None:
        parts.append(person.rotated_box.corners_px())
    if instances is not None and person.instance is not None:
        seen = cv2.findNonZero((instances == person.instance).astype(np.uint8))
        if seen is None:
            return None  # fully hidden: boxes of it would show somebody else
        hull = cv2.convexHull(seen)[:, 0].astype(np.float64)
        parts += [hull + corner for corner in ((0, 0), (0, 1), (1, 0), (1, 1))]
    elif person.rotated_box is None and person.box_xyxy_px is not None:
        left, top, right, bottom = person.box_xyxy_px
        parts.append(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))
    return np.concatenate(parts) if parts else None


def upward_px(sample: Sample, person: Person, outline: Floats) -> Floats:
    """Return the unit vector (2,) in the image that is up for a person: away from the nadir, under it to the head.

    Args:
        outline: of the person, as ``outline_px`` gives it.
    """
    nadir = nadir_px(sample)
    head = _head_px(person, outline, nadir)
    return _upward(head, outline, _away_px(sample.camera, head, nadir))


def nadir_px(sample: Sample) -> Floats:
    """Return where the image shows the place straight below the camera, (2,) pixels.

    Without a camera that is the image's centre; when the camera does not see it, the lens's axis.
    """
    if sample.camera is None:
        width, height = sample.size_px
        return np.array([width / 2, height / 2])
    return camera_nadir_px(sample.camera)


def camera_nadir_px(camera: FisheyeCamera) -> Floats:
    """Return where a camera shows the place straight below it, (2,) pixels; unseen, it is the lens's axis."""
    pose = camera.world_from_camera
    pixels, valid = camera.project(pose[:3, 3] - (0.0, 0.0, 1.0))
    return pixels if bool(valid) else np.array([camera.cx_px, camera.cy_px])


def _head_px(person: Person, outline: Floats, nadir: Floats) -> Floats:
    if person.head_px is not None:
        return np.array(person.head_px)
    box = person.rotated_box
    if box is None:
        (cx, cy), (w, h), degrees = cv2.minAreaRect(outline.astype(np.float32))
        box = RotatedBox.normalized(cx, cy, w, h, degrees)
    angle = math.radians(box.degrees)
    half = np.array([-math.sin(angle), math.cos(angle)]) * (box.h / 2 - _HEAD_INSET * box.w)
    ends = np.array([box.cx, box.cy]) + np.stack([-half, half])
    distances = np.hypot(*(ends - nadir).T)
    # On a tie (the box's centre is the nadir) rounding must not choose: the first end is taken.
    return np.asarray(ends[1] if distances[1] > distances[0] + 1e-6 else ends[0])


def _away_px(camera: FisheyeCamera | None, head: Floats, nadir: Floats) -> Floats:
    """Return the direction in which an upright line through a head goes up in the image, as long as the nadir is far.

    Upright lines run straight away from the nadir under a camera that looks straight down. A leaning one bends them.
    """
    away = np.asarray(head - nadir)
    if camera is None or not -1 + _LEAN < camera.world_from_camera[2, 2] < 0:
        return away
    ray, valid = camera.unproject(head)
    higher, seen = camera.project(camera.world_from_camera[:3, 3] + ray + (0.0, 0.0, _UP_STEP))
    if not (valid and seen):
        return away
    step = higher - head
    return np.asarray(step * (np.hypot(*away) / max(float(np.hypot(*step)), 1e-9)))


def _upward(head: Floats, outline: Floats, away: Floats) -> Floats:
    """Return the unit vector in the image that becomes "up" in the crop."""
    centre = (outline.min(axis=0) + outline.max(axis=0)) / 2
    for direction in (away, head - centre):
        length = float(np.hypot(*direction))
        if length >= _DIRECTION_EPSILON_PX:
            return np.asarray(direction / length)
    return np.array([0.0, -1.0])


def _crop_from_image(
    head: Floats, up: Floats, outline: Floats, size_px: tuple[int, int], head_at: tuple[float, float]
) -> Floats:
    """Return the similarity that turns ``up`` upright, puts the head at its place, and fits the outline."""
    rotation = np.array([[-up[1], up[0]], [-up[0], -up[1]]])  # rows: the crop's right and down in the image
    target = np.array(size_px) * head_at
    room_low = target - np.array(size_px) * _MARGIN
    room_high = np.array(size_px) * (1 - _MARGIN) - target
    around = (outline - head) @ rotation.T
    need_low, need_high = np.maximum(-around.min(axis=0), 0), np.maximum(around.max(axis=0), 0)
    room, need = np.concatenate([room_low, room_high]), np.concatenate([need_low, need_high])
    scale = min(_MAX_SCALE, float((room / np.maximum(need, 1e-6)).min()))
    linear = rotation * scale
    return np.column_stack([linear, target - linear @ head])


def apply(matrix: Floats, points: npt.ArrayLike) -> Floats:
    """Take (..., 2) points through a (2, 3) matrix."""
    return np.asarray(np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2])
