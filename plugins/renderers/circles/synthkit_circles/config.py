# SPDX-License-Identifier: Apache-2.0
"""Settings of the circles."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import all_of, at_least, between, ordered, setting

MOST_CIRCLES = 50


@attrs.frozen
class CirclesConfig:
    """What the circles look like.

    A scene has the same circles and background in both domains; only the colour of the circles differs.
    """

    domain: Literal["x", "y"] = setting("x", help="x: circles in colours; y: the same scenes with white circles")
    size_px: int = setting(64, help="width and height of the images", validator=between(16, 4096))
    samples_per_scene: int = setting(1, help="images of each scene, drawn independently", validator=at_least(1))
    circles: tuple[int, int] = setting(
        (1, 1), help="fewest and most circles in an image", validator=all_of(between(0, MOST_CIRCLES), ordered)
    )
    radius: tuple[float, float] = setting(
        (0.1, 0.2),
        help="smallest and largest radius, as fractions of the image's width",
        validator=all_of(between(0.02, 0.45), ordered),
    )
    foreground_variety: float = setting(
        0.0, help="how much circles differ in colour: 0 all alike, 1 every hue (domain x)", validator=between(0, 1)
    )
    background_variety: float = setting(
        1.0, help="how much backgrounds differ in colour: 0 all alike, 1 any dark colour", validator=between(0, 1)
    )
