# SPDX-License-Identifier: Apache-2.0
"""Fitting images of any size into a network's input, and boxes back."""

from __future__ import annotations

from typing import Literal

import attrs
import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Fit = Literal["centre", "corner", "stretch"]

_ROUNDED_UP_PX = 16  # an input is at most so much larger than the images it was made for


@attrs.frozen
class Letterbox:
    """How an image lies in the input: scaled by one factor, with one grey around it.

    Args:
        image_px, input_px: (width, height).
        fit: ``centre``: in the middle; ``corner``: at the top left; ``stretch``: each side by its own factor, so that
            it fills the input. grey: the value around it, 0 to 255.
    """

    image_px: tuple[int, int]
    input_px: tuple[int, int]
    fit: Fit = "centre"
    grey: int = 0

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Input pixels per image pixel; an image that fits is not enlarged by rounding up the input."""
        x, y = (big / small for big, small in zip(self.input_px, self.image_px, strict=True))
        if self.fit == "stretch":
            return x, y
        ratio = min(x, y)
        scale = 1.0 if ratio >= 1.0 and self._padding_only() else ratio
        return scale, scale

    @property
    def offset_px(self) -> tuple[int, int]:
        """Where the image's top-left corner lies in the input."""
        if self.fit != "centre":
            return 0, 0
        width, height = self._scaled_px()
        return (self.input_px[0] - width) // 2, (self.input_px[1] - height) // 2

    def apply(self, image: Pixels) -> Pixels:
        """Return the input, (height, width, 3) uint8; pixels are averaged when the image shrinks."""
        width, height = self._scaled_px()
        if (width, height) != self.image_px:
            method = cv2.INTER_AREA if min(self.scale_xy) < 1.0 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
        if (width, height) == self.input_px:
            return image
        result = np.full((self.input_px[1], self.input_px[0], 3), self.grey, dtype=np.uint8)
        x, y = self.offset_px
        result[y : y + height, x : x + width] = image
        return result

    def to_input(self, points: Floats) -> Floats:
        """Return (..., 2) image points in pixels of the input."""
        moved: Floats = points * np.array(self.scale_xy) + np.array(self.offset_px)
        return moved

    def boxes_to_image(self, boxes_xyxy: Floats) -> Floats:
        """Return (N, 4) boxes of the input in pixels of the image, clipped to it."""
        offset = np.array(self.offset_px * 2)
        limit = np.array(self.image_px * 2)
        boxes: Floats = np.clip((boxes_xyxy - offset) / np.array(self.scale_xy * 2), 0.0, limit)
        return boxes

    def _padding_only(self) -> bool:
        gaps = [big - small for big, small in zip(self.input_px, self.image_px, strict=True)]
        return all(0 <= gap < _ROUNDED_UP_PX for gap in gaps)

    def _scaled_px(self) -> tuple[int, int]:
        width, height = (round(side * scale) for side, scale in zip(self.image_px, self.scale_xy, strict=True))
        return max(1, min(width, self.input_px[0])), max(1, min(height, self.input_px[1]))
