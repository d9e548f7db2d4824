# SPDX-License-Identifier: Apache-2.0
"""The settings of the metric."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import at_least, between, setting

Light = Literal["exposure", "cast", "none"]


@attrs.frozen
class SurfaceConfig:
    """Which views of people are compared, and what of their colours."""

    compare: Literal["views", "draws"] = setting(
        "views",
        help="people with themselves in other images of the set; or in the image of the same key of the reference,"
        " which is another draw",
    )
    light: Light = setting(
        "exposure",
        help="what of the light is taken off between two views: exposure, one gain; cast, one of each colour; none",
    )
    patches: int = setting(40, help="places that the body's surface is divided into", validator=between(17, 2000))
    min_pixels: int = setting(4, help="pixels of a place, without which it counts as not seen", validator=at_least(1))
    min_places: int = setting(10, help="places that two views must share to be compared", validator=at_least(3))
    pairs: int = setting(200, help="at most so many pairs of views of each person, drawn", validator=at_least(1))
    bootstrap: int = setting(
        1000, help="resamples of the people for the confidence intervals; 0 for none", validator=between(0, 100_000)
    )
    picture: Path | None = setting(
        None, help="PNG to write: where on the body colours do not stay, from before and behind", decides="nothing"
    )
