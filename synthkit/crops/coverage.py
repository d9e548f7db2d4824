# SPDX-License-Identifier: Apache-2.0
"""How much of each pixel each person covers.

All people together cover what the layer ``alpha`` says. Where a sample has none, their masks' inside stands
for it, softened towards its edge, so that nothing outside the masks is anybody's. Among people who meet in a
pixel its share goes to each as the blurred masks weigh there: the instance layer gives a pixel to the nearest
person, so the edges between people run where depth has them, as soft as the pixels of an image are.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.crops.cutting import Picture
from synthkit.sample import Sample

_SPREAD_PX = 0.6  # a pixel of an image sees about so far around itself (standard deviation)
_REACH_PX = 5  # how far outside its mask a person may cover a part of pixels

Window = tuple[slice, slice]


@attrs.frozen(eq=False)
class Coverage:
    """Who covers how much in one image.

    Args:
        instances: (H, W) numbers, 0 for nobody. total: (H, W) in 0..1, covered by people at all.
    """

    instances: npt.NDArray[Any]
    total: Picture

    @classmethod
    def of(cls, sample: Sample, feather_px: float) -> Coverage:
        """Return the coverage in a sample with the ``instances`` layer.

        Args:
            sample: its ``alpha`` layer is used where it has one.
            feather_px: without it, the width of the ramp inside the masks' edge; 0 for none.
        """
        instances, alpha = sample.layers["instances"], sample.layers.get("alpha")
        if alpha is None:
            return cls(instances, softened(instances > 0, feather_px))
        return cls(instances, alpha.astype(np.float32) / 255)

    def of_person(self, instance: int) -> tuple[Window, Picture]:
        """Return a person's window of the image and how much of its pixels the person covers, (h, w) in 0..1."""
        mine = self.instances == instance
        near = _around(mine, _REACH_PX)
        far = _around(mine, 2 * _REACH_PX)
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(near, far, strict=True))
        own, all_ = (_blurred(mask)[inner] for mask in (mine[far], self.instances[far] > 0))
        share = np.divide(own, all_, out=np.zeros_like(own), where=all_ > 0)
        return near, share * self.total[near]


def softened(mask: npt.NDArray[np.bool_], feather_px: float) -> Picture:
    """Return 0 outside a mask, rising to 1 ``feather_px`` inside its edge; the image's rim is no edge."""
    if feather_px <= 0:
        return mask.astype(np.float32)
    # The distance of an edge pixel to the nearest pixel outside is 1.
    padded = np.pad(mask, 1, mode="edge").astype(np.uint8)
    if padded.all():
        return np.ones(mask.shape, np.float32)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray(np.clip(distance / (feather_px + 1), 0, 1), dtype=np.float32)


def _around(mask: npt.NDArray[np.bool_], reach_px: int) -> Window:
    """Return the window of all that is set, and of what is near it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return (
        slice(max(0, rows[0] - reach_px), rows[-1] + 1 + reach_px),
        slice(max(0, columns[0] - reach_px), columns[-1] + 1 + reach_px),
    )


def _blurred(mask: npt.NDArray[np.bool_]) -> Picture:
    side = 2 * _REACH_PX + 1
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (side, side), _SPREAD_PX, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, dtype=np.float32)
