# SPDX-License-Identifier: Apache-2.0
"""What of a crop is made anew: a person, and a rim around them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

DILATION = 0.02
"""Radius of the rim, of the mean side of a crop: 4 pixels at 160x288, as DeepPrivacy2 dilates the masks of FDH."""


def dilated(person: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the mask of a person (H, W) grown by a disk."""
    radius = int(np.sqrt(person.size) * DILATION)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    return np.asarray(cv2.dilate(person.astype(np.uint8), disk) > 0)
