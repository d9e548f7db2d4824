# SPDX-License-Identifier: Apache-2.0
"""Settings of what the plates show."""

from __future__ import annotations

import attrs

from synthkit.config import at_least, between, setting


@attrs.frozen
class PlatesConfig:
    """What the plates show, where their ``plates.toml`` does not say it."""

    scenes_per_background: int = setting(5, help="successive scenes that share a plate", validator=at_least(1))
    floor_radius_m: float = setting(
        2.8, help="free floor around the point below the camera, where none was drawn", validator=between(0.5, 20)
    )
