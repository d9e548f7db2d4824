# SPDX-License-Identifier: Apache-2.0
"""Settings of what the plates show."""

from __future__ import annotations

import attrs

from synthkit.config import at_least, between, setting
from synthkit_blender.config.limits import Range, all_convex, convex


@attrs.frozen
class PlatesConfig:
    """What the plates show; x is to the right in the image, y up, in metres from the point below the camera."""

    scenes_per_background: int = setting(5, help="successive scenes that share a plate", validator=at_least(1))
    floor_radius_m: float = setting(
        2.8, help="free floor around the point below the camera", validator=between(0.5, 20)
    )
    floor_polygon_m: tuple[Range, ...] = setting(
        (), help="corners of the free floor, convex, instead of the radius", validator=convex
    )
    obstacles_m: tuple[tuple[Range, ...], ...] = setting(
        (), help="convex outlines of furniture in the plate, where nobody may be", validator=all_convex
    )
