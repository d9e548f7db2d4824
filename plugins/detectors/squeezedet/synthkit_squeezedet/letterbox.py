# SPDX-License-Identifier: Apache-2.0
"""Fitting images of any size into the network's input, and boxes back."""

from __future__ import annotations

import math

import attrs
import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_LARGEST_DEFAULT_PX = 640


@attrs.frozen
class Letterbox:
    """How an image lies in the input: scaled by one factor, centred, black around it.

    Args:
        image_px, input_px: (width, height).
    """

    image_px: tuple[int, int]
    input_px: tuple[int, int]

    @property
    def scale(self) -> float:
        """Input pixels per image pixel; an image that fits is not enlarged by rounding up the input."""
        ratio = min(self.input_px[0] / self.image_px[0], self.input_px[1] / self.image_px[1])
        return 1.0 if ratio >= 1.0 and self._padding_only() else ratio

    @property
    def offset_px(self) -> tuple[int, int]:
        """Where the image's top-left corner lies in the input."""
        width, height = self._scaled_px()
        return (self.input_px[0] - width) // 2, (self.input_px[1] - height) // 2

    def apply(self, image: Pixels) -> Pixels:
        """Return the input, (height, width, 3) uint8; pixels are averaged when the image shrinks."""
        width, height = self._scaled_px()
        if (width, height) != self.image_px:
            method = cv2.INTER_AREA if self.scale < 1.0 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
        if (width, height) == self.input_px:
            return image
        result = np.zeros((self.input_px[1], self.input_px[0], 3), dtype=np.uint8)
        x, y = self.offset_px
        result[y : y + height, x : x + width] = image
        return result

    def to_input(self, points: Floats) -> Floats:
        """Return (..., 2) image points in pixels of the input."""
        moved: Floats = points * self.scale + np.array(self.offset_px)
        return moved

    def boxes_to_image(self, boxes_xyxy: Floats) -> Floats:
        """Return (N, 4) boxes of the input in pixels of the image, clipped to it."""
        offset = np.array(self.offset_px * 2)
        limit = np.array(self.image_px * 2)
        boxes: Floats = np.clip((boxes_xyxy - offset) / self.scale, 0.0, limit)
        return boxes

    def _padding_only(self) -> bool:
        gaps = [big - small for big, small in zip(self.input_px, self.image_px, strict=True)]
        return all(0 <= gap < 16 for gap in gaps)

    def _scaled_px(self) -> tuple[int, int]:
        width, height = (round(side * self.scale) for side in self.image_px)
        return max(1, min(width, self.input_px[0])), max(1, min(height, self.input_px[1]))


def default_input_px(image_px: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return an input for images of a size: theirs, at most 640 pixels on the longer side, in whole strides."""
    shrink = min(1.0, _LARGEST_DEFAULT_PX / max(image_px))
    width, height = (math.ceil(round(side * shrink) / stride) * stride for side in image_px)
    return width, height
