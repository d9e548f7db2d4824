# SPDX-License-Identifier: Apache-2.0
"""Settings of the refiners ``anonymizer-*``."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import between, setting


@attrs.frozen
class AnonymizerConfig:
    """What of people is treated."""

    extent: Literal["body", "head"] = setting(
        "body", help="body, or head alone; who has no known head is treated as a whole"
    )
    margin: float = setting(
        0.04, help="how far beyond their masks people are treated, of their length", validator=between(0, 1)
    )
    least_margin_px: float = setting(2.0, help="least such margin in pixels", validator=between(0, 100))


@attrs.frozen
class MaskConfig(AnonymizerConfig):
    """What people are covered with."""

    colour: tuple[int, int, int] = setting(
        (118, 118, 118), help="red, green and blue of the cover", validator=between(0, 255)
    )


@attrs.frozen
class CellsConfig(AnonymizerConfig):
    """How much of people is left."""

    body_cells: float = setting(
        3.0, help="how many cells go over a person's length; fewer hide more", validator=between(1, 12)
    )
    head_cells: float = setting(
        2.0, help="how many cells go over a head where heads alone are treated", validator=between(1, 4)
    )
    shades: int = setting(
        3,
        help="how many shades of grey a cell may have; 0 keeps its colour, by which people can be told apart",
        validator=between(0, 16),
    )
