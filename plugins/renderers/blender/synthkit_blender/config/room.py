# SPDX-License-Identifier: Apache-2.0
"""Settings of rooms."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import setting
from synthkit_blender.config.limits import Range, within

Style = Literal["any", "modern", "warm", "institutional"]
Layout = Literal["any", "meeting", "office", "seminar"]


@attrs.frozen
class RoomConfig:
    """The room around the people, where no plate is."""

    style: Style = setting("any", help="colours and materials")
    layout: Layout = setting("any", help="furniture")
    length_m: Range = setting((5.5, 9.0), help="longer side", validator=within(4, 20))
    width_m: Range = setting((4.5, 6.5), help="shorter side", validator=within(4, 20))
