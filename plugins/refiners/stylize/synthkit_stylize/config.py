# SPDX-License-Identifier: Apache-2.0
"""Settings of the refiner ``stylize``."""

from __future__ import annotations

from pathlib import Path

import attrs

from synthkit.config import all_of, between, ordered, setting

_SHARE = all_of(between(0, 1), ordered)


@attrs.frozen
class StylizeConfig:
    """Where the textures come from, and how much of them people get."""

    textures: Path = setting(help="folder of pictures (PNG, JPEG; folders in it count too)", decides="content")
    licence: str = setting("not stated", help="terms of the pictures, as they are to stand in the data set")
    strength: tuple[float, float] = setting(
        (0.4, 0.8), help="share of the texture in the blend, drawn for each person", validator=_SHARE
    )
    shading: float = setting(
        0.7,
        help="how much of a person's light and shade the texture takes on; 0 is a flat blend",
        validator=between(0, 1),
    )
    span: tuple[float, float] = setting(
        (0.4, 1.0),
        help="share of a picture's shorter side that a person's crop shows, drawn for each person",
        validator=all_of(between(0.02, 1), ordered),
    )
    feather_px: float = setting(
        0.5,
        help="where samples have no alpha layer: width of the soft edge inside a person's mask",
        validator=between(0, 50),
    )
