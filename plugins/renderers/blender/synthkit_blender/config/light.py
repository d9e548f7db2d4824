# SPDX-License-Identifier: Apache-2.0
"""Settings of the light."""

from __future__ import annotations

from pathlib import Path

import attrs

from synthkit.config import setting
from synthkit_blender.config.limits import Range, a_folder, within


@attrs.frozen
class LightConfig:
    """Where the light comes from."""

    window_share: Range = setting((0.0, 0.5), help="rooms: share that comes in by windows", validator=within(0, 0.9))
    ambient_share: Range = setting((0.12, 0.3), help="share that comes from everywhere", validator=within(0, 1))
    kelvin: Range = setting((3200.0, 6500.0), help="colour temperature of lamps", validator=within(2000, 10000))
    environments: Path | None = setting(
        None,
        help="folder of panoramas (.hdr, .exr, equirectangular): one of them, turned at random, is the light from "
        "everywhere; by itself it is even",
        validator=a_folder,
        decides="content",
    )
