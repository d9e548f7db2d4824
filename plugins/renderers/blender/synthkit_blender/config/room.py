# SPDX-License-Identifier: Apache-2.0
"""Settings of rooms."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import setting
from synthkit_blender.config.limits import Range, within

Style = Literal["any", "modern", "warm", "institutional"]
Layout = Literal["any", "corridor", "lobby", "meeting", "office", "seminar", "shop"]


@attrs.frozen
class RoomConfig:
    """The room around the people, where no plate is."""

    style: Style = setting("any", help="colours and materials")
    layout: Layout = setting(
        "any", help="furniture; people sit at tables, on sofas and benches, and stand where there is no seat"
    )
    length_m: Range | None = setting(
        None, help="longer side; by itself what suits the layout", validator=attrs.validators.optional(within(3, 20))
    )
    width_m: Range | None = setting(
        None, help="shorter side; by itself what suits the layout", validator=attrs.validators.optional(within(1.6, 20))
    )
