# SPDX-License-Identifier: Apache-2.0
"""Settings: every field with a default, what it means, and what it may be."""

from __future__ import annotations

import attrs

from synthkit.config import all_of, at_least, between, ordered, setting


@attrs.frozen
class DiscsConfig:
    """Settings of the renderer ``discs``."""

    size_px: int = setting(128, help="width and height of the images", validator=between(16, 4096))
    samples_per_scene: int = setting(2, help="images of each room, with other people", validator=at_least(1))
    people: tuple[int, int] = setting(
        (1, 4), help="fewest and most people in an image", validator=all_of(between(0, 50), ordered)
    )
    room_m: float = setting(3.0, help="how far from the nadir people may stand", validator=between(0.5, 20))
    camera_height_m: float = setting(2.8, help="height of the camera above the floor", validator=between(2.2, 20))
    fov_degrees: float = setting(180.0, help="field of view, edge to edge", validator=between(60, 220))
    light: float = setting(1.0, help="brightness of everything", validator=between(0, 1))


@attrs.frozen
class TintConfig:
    """Settings of the refiner ``tint``."""

    colour: tuple[int, int, int] = setting(
        (150, 110, 90), help="mean colour (sRGB) that people get", validator=between(0, 255)
    )
    strength: float = setting(0.7, help="0 leaves the image as it is, 1 moves the mean fully", validator=between(0, 1))
