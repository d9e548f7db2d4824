# SPDX-License-Identifier: Apache-2.0
"""Settings of what the sensor does to the light."""

from __future__ import annotations

import attrs

from synthkit.config import setting
from synthkit_blender.config.limits import Range, within


@attrs.frozen
class SensorConfig:
    """What the sensor does to the light, drawn anew for each scene; plates keep what their own sensor did."""

    shutter_s: Range = setting(
        (0.005, 0.03), help="how long the shutter is open, while people move; 0 freezes them", validator=within(0, 1)
    )
    exposure_ev: Range = setting(
        (-0.35, 0.35), help="stops brighter than the exposure meter wants", validator=within(-4, 4)
    )
    white_balance: Range = setting((-0.15, 0.15), help="colour cast, -1 blue to 1 orange", validator=within(-1, 1))
    green_tint: Range = setting((-0.05, 0.05), help="colour cast, -1 magenta to 1 green", validator=within(-1, 1))
    saturation: Range = setting((0.85, 1.1), help="1 keeps colours, 0 is grey", validator=within(0, 3))
    gamma: Range = setting(
        (0.95, 1.08), help="exponent over the sRGB curve; above 1 is darker", validator=within(0.3, 3)
    )
    vignette: Range = setting((0.0, 0.25), help="share of light lost at the circle's edge", validator=within(0, 1))
    noise: Range = setting(
        (0.001, 0.005), help="standard deviation of read noise, of full scale", validator=within(0, 0.3)
    )
    blur_px: Range = setting((0.0, 0.4), help="standard deviation of the optics' blur", validator=within(0, 10))
