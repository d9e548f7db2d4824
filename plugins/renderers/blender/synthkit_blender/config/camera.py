# SPDX-License-Identifier: Apache-2.0
"""Settings of where the sensor hangs and what its lens shows."""

from __future__ import annotations

import attrs

from synthkit.config import between, setting
from synthkit_blender.config.limits import Range, within


@attrs.frozen
class CameraConfig:
    """Where the sensor hangs, and its lens; with plates, as it was when they were taken."""

    fov_degrees: float = setting(180.0, help="field of view across the image circle", validator=between(30, 220))
    equisolid: Range = setting((0.0, 0.6), help="0 equidistant lens, 1 equisolid", validator=within(0, 1))
    height_m: Range = setting(
        (2.4, 3.2), help="the sensor's height over the floor; with plates, theirs, twice the same number",
        validator=within(1.9, 8),
    )  # fmt: skip
    yaw_degrees: Range = setting(
        (0.0, 360.0), help="rooms: turn about the vertical; a plate's axes are the image's", validator=within(-360, 360)
    )
