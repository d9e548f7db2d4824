# SPDX-License-Identifier: Apache-2.0
"""Settings of who is there."""

from __future__ import annotations

import attrs

from synthkit.config import between, setting
from synthkit_blender.config.limits import Range, counts, within


@attrs.frozen
class PeopleConfig:
    """Who is there (thesis tables 7.1 and 7.2 give the counts)."""

    sitting: tuple[int, int] = setting((1, 5), help="least and most sitting people", validator=counts)
    standing: tuple[int, int] = setting((0, 4), help="least and most people on their feet", validator=counts)
    walking_share: float = setting(0.35, help="share of those on their feet who walk", validator=between(0, 1))
    age_years: Range = setting((18.0, 80.0), help="ages", validator=within(18, 90))
    female_share: float = setting(0.5, help="share of women", validator=between(0, 1))
    pattern_share: float = setting(0.3, help="share of garments with a pattern", validator=between(0, 1))
    pose_amount: float = setting(1.0, help="how far poses stray from the library's", validator=between(0, 2))
