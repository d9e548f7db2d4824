# SPDX-License-Identifier: Apache-2.0
"""Masks as COCO has them, polygons and run lengths: checked before the C code of pycocotools sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit.dataset.formats.base import is_finite
from synthkit.sample import Layer

_CHARACTER = 48  # six bits a character from "0": five of the number, then whether more follow
_MORE, _NEGATIVE, _VALUE = 32, 16, 31
_MAX_CHARACTERS = 8  # of one number; images have fewer than 2^40 pixels


def encode(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return an (H, W) mask as compressed run lengths, JSON values; fastest when it lies in columns."""
    from pycocotools import mask as coco_mask

    encoded = coco_mask.encode(np.asfortranarray(mask).view(np.uint8))
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def check(segmentation: Any, size_px: tuple[int, int]) -> None:
    """Check polygons, or run lengths compressed or not, for an image of (width, height).

    Raises:
        ValueError: when they are none, or do not fit the image.
    """
    if isinstance(segmentation, list):
        for polygon in segmentation:
            _check_polygon(polygon, size_px)
    elif isinstance(segmentation, Mapping):
        _check_runs(segmentation, size_px)
    else:
        raise ValueError(f"segmentation must be polygons or run lengths, got {str(segmentation)[:60]}")


def decode(segmentation: Any, size_px: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the (H, W) mask of what ``check`` let pass."""
    return _unpacked(_runs(segmentation, size_px))


def paint(masks: Sequence[tuple[int, Any]], size_px: tuple[int, int]) -> Layer:
    """Return the ``instances`` layer of (instance, segmentation) pairs; small ones lie on large ones.

    Where masks overlap, which body is in front is not known, and the smaller one hides less.
    """
    from pycocotools import mask as coco_mask

    # Run lengths take little memory, masks a byte a pixel: one of them is unpacked at a time.
    runs = [(instance, _runs(segmentation, size_px)) for instance, segmentation in masks]
    highest = max((instance for instance, _ in runs), default=0)
    layer = np.zeros(size_px[::-1], np.uint8 if highest <= 255 else np.uint16, order="F")  # as the masks lie
    for instance, one in sorted(runs, key=lambda item: -int(coco_mask.area(item[1]))):
        layer[_unpacked(one)] = instance
    return np.ascontiguousarray(layer)


def _runs(segmentation: Any, size_px: tuple[int, int]) -> dict[str, Any]:
    """Return what ``check`` let pass as compressed run lengths."""
    from pycocotools import mask as coco_mask

    width, height = size_px
    if isinstance(segmentation, list):
        return dict(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    if isinstance(segmentation["counts"], list):
        return dict(coco_mask.frPyObjects(dict(segmentation), height, width))
    return dict(segmentation)


def _unpacked(runs: dict[str, Any]) -> npt.NDArray[np.bool_]:
    from pycocotools import mask as coco_mask

    return np.asarray(coco_mask.decode(runs)).view(np.bool_)


def _check_polygon(polygon: Any, size_px: tuple[int, int]) -> None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(map(is_finite, polygon)):
        raise ValueError(f"a polygon must be three or more pairs of finite numbers, got {str(polygon)[:60]}")
    for values, length in ((polygon[0::2], size_px[0]), (polygon[1::2], size_px[1])):
        if min(values) < -length or max(values) > 2 * length:
            raise ValueError(f"a polygon reaches from {min(values):g} to {max(values):g} in {length} pixels")


def _check_runs(runs: Mapping[str, Any], size_px: tuple[int, int]) -> None:
    if runs.get("size") != [size_px[1], size_px[0]]:
        raise ValueError(f"run lengths are of size {str(runs.get('size'))[:40]}, the image of {[*size_px[::-1]]}")
    counts = runs.get("counts")
    if isinstance(counts, str) and counts.isascii():
        lengths = _lengths(counts.encode())
    elif isinstance(counts, list) and all(isinstance(n, int) and 0 <= n < 2**40 for n in counts):
        lengths = np.array(counts, dtype=np.int64)
    else:
        raise ValueError(f"run lengths must be text or whole numbers, got {str(counts)[:60]}")
    if (lengths < 0).any() or int(lengths.sum()) != size_px[0] * size_px[1]:
        raise ValueError("run lengths do not add up to the image's pixels")


def _lengths(text: bytes) -> npt.NDArray[np.int64]:
    """Return the run lengths that a compressed text stands for.

    Raises:
        ValueError: when it stands for none.
    """
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - _CHARACTER
    if not codes.size or (codes < 0).any() or (codes > 63).any() or codes[-1] & _MORE:
        raise ValueError("run lengths are damaged")
    ends = np.flatnonzero(codes & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts >= _MAX_CHARACTERS).any():
        raise ValueError("run lengths are damaged")
    shifts = 5 * (np.arange(codes.size) - np.repeat(starts, ends - starts + 1))
    values = np.add.reduceat((codes & _VALUE) << shifts, starts)
    negative = codes[ends] & _NEGATIVE != 0
    values[negative] -= np.int64(1) << (shifts[ends][negative] + 5)
    for first in (1, 2):  # from the fourth on, each is stored as what it has more than the last but one
        values[first::2] = np.cumsum(values[first::2])
    return values
