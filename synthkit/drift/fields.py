# SPDX-License-Identifier: Apache-2.0
"""Normalised gradient fields: where an image has edges and how they run, whatever its colours and contrast.

The rendered and the refined picture of a person are the same scene in two looks, as a CT and an MR scan of one
body are. What such pairs share is where their edges lie, so they are compared as in registration across
modalities by normalised gradient fields (Haber and Modersitzki: Intensity gradient based registration and fusion
of multi-modal images, MICCAI 2006, equations 4 to 6): of a gradient only its direction counts, up to its sign, and
whether it stands out from the picture's mean gradient. Colours have one gradient together (Di Zenzo: A note on the
gradient of a multi-image, 1986), and in twice the angle two directions agree by a plain scalar product.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""(2, H, W): cosine and sine of twice the edge's angle, times how far it is an edge, in 0..1."""

_FAINTEST = 0.03  # grey levels per pixel: where a picture is flat, this is no edge


def edge_field(image: npt.NDArray[Any], sigma_px: float) -> Field:
    """Return the normalised gradient field of an image.

    Args:
        image: (H, W, 3), 0..255. sigma_px: standard deviation of the Gaussian whose derivatives are taken.
    """
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    along_x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32, borderType=cv2.BORDER_REPLICATE)
    xx, yy, xy = (
        np.einsum("ijc,ijc->ij", a, b) for a, b in ((along_x, along_x), (along_y, along_y), (along_x, along_y))
    )
    noise = max(float(np.sqrt(xx + yy).mean()), _FAINTEST)
    return np.asarray(np.stack([xx - yy, 2 * xy]) / (xx + yy + noise**2), dtype=np.float32)
