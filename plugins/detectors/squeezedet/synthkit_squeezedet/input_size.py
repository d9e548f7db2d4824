# SPDX-License-Identifier: Apache-2.0
"""The size of the network's input where none is set."""

from __future__ import annotations

import math

_LARGEST_DEFAULT_PX = 640


def default_input_px(image_px: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return an input for images of a size: theirs, at most 640 pixels on the longer side, in whole strides."""
    shrink = min(1.0, _LARGEST_DEFAULT_PX / max(image_px))
    width, height = (math.ceil(round(side * shrink) / stride) * stride for side in image_px)
    return width, height
