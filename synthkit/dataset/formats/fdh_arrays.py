# SPDX-License-Identifier: Apache-2.0
"""The arrays of one FDH sample: its bytes to pixels, masks, key points and vertices, and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from synthkit.dataset import codec, images
from synthkit.dataset.formats import coco_points
from synthkit.sample import Keypoint
from synthkit.surfaces import SurfaceSpace

KEEP = 255
FAR = 2.0
"""Beyond so many images' widths or heights, a key point's numbers are pixels."""
_PNG_LEVEL = 4
_DEPTH_AT = 24  # of a PNG's bytes
Pixels = npt.NDArray[np.uint8]


def image_of(data: bytes) -> Pixels:
    """Return (H, W, 3) uint8.

    Raises:
        ValueError: when it is no such image, or too large.
    """
    image: Pixels = images.decode(data, rgb=True)
    if data[_DEPTH_AT] > 8:
        raise ValueError(f"image.png is of {data[_DEPTH_AT]} bits, expected 8")
    return image


def mask_of(name: str, data: bytes, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return an (H, W) mask: whether a pixel is anything but 0.

    Raises:
        ValueError: when it is no image of that shape.
    """
    mask = codec.decode_layer("png", data)
    mask = mask if mask.ndim == 2 else mask.max(axis=-1)
    if mask.shape != shape:
        raise ValueError(f"{name} has {mask.shape[1]}x{mask.shape[0]} pixels, the image {shape[1]}x{shape[0]}")
    return np.asarray(mask > 0)


def surface_of(data: bytes, known: npt.NDArray[np.bool_], space: SurfaceSpace) -> npt.NDArray[np.uint16]:
    """Return ``vertices.npy`` as a surface map (H, W): 1 + the vertex where it is known, else 0.

    Raises:
        ValueError: when they are of another shape than ``known``, or none of the space's.
    """
    shape = known.shape
    found = codec.decode_npy(data, kinds="iu")
    if [n for n in found.shape if n != 1] != [n for n in shape if n != 1]:
        raise ValueError(f"vertices.npy is {found.shape}, the image {shape}")
    squeezed = found.reshape(shape)
    if squeezed.min() < 0 or squeezed.max() >= space.vertices:
        raise ValueError(f"vertices.npy has {squeezed.min()}..{squeezed.max()}, expected 0..{space.vertices - 1}")
    return np.where(known, squeezed.astype(np.uint16) + np.uint16(1), np.uint16(0))


def points_of(data: bytes) -> npt.NDArray[np.float64]:
    """Return (17, 3) x, y and whether they are seen (more than 0), in the set's own unit.

    Raises:
        ValueError: when they are of another shape, or not finite.
    """
    found = codec.decode_npy(data, kinds="iuf")
    if found.size != 3 * len(coco_points.NAMES) or found.shape[-2:] != (len(coco_points.NAMES), 3):
        raise ValueError(f"keypoints.npy is {found.shape}, expected {(len(coco_points.NAMES), 3)}")
    points = found.reshape(-1, 3).astype(np.float64)
    if not np.isfinite(points).all() or abs(points).max() > 1e6:
        raise ValueError("keypoints.npy has numbers that are not finite, or far too large")
    return points


def farthest(points: npt.NDArray[np.float64]) -> float:
    """Return the largest coordinate of the seen points, 0 when none is seen."""
    return float(abs(points[points[:, 2] > 0, :2]).max(initial=0.0))


def keypoints_of(points: npt.NDArray[np.float64], size_px: tuple[int, int], *, pixels: bool) -> Mapping[str, Keypoint]:
    """Return named points; those outside the image are not visible, and those at (0, 0, 0) unknown."""
    width, height = size_px
    named = {}
    for name, (x, y, seen) in zip(coco_points.NAMES, points.tolist(), strict=True):
        if (x, y, seen) == (0, 0, 0):
            continue
        x_px, y_px = (x, y) if pixels else (x * width, y * height)
        named[name] = Keypoint(x_px, y_px, visible=seen > 0 and 0 <= x_px <= width and 0 <= y_px <= height)
    return named


def points_npy(keypoints: Mapping[str, Keypoint], size_px: tuple[int, int]) -> bytes:
    """Return ``keypoints.npy``, float32 in 0..1: 0 for what is unknown, seen where it is not known to be hidden."""
    points = np.zeros((len(coco_points.NAMES), 3), np.float32)
    for row, name in zip(points, coco_points.NAMES, strict=True):
        if name in keypoints:
            point = keypoints[name]
            row[:] = point.x_px / size_px[0], point.y_px / size_px[1], point.visible is not False
    return npy(points)


def npy(array: npt.NDArray[Any]) -> bytes:
    """Return an array as npy bytes."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def png(array: Pixels) -> bytes:
    """Return an image or mask as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()
