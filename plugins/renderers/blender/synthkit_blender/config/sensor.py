# SPDX-License-Identifier: Apache-2.0
"""Settings of what the sensor does to the light."""

from __future__ import annotations

from typing import Any

import attrs

from synthkit.config import between, setting
from synthkit_blender.config.limits import Range, within


def _qualities(_: Any, __: Any, value: tuple[int, int]) -> None:
    if not 5 <= value[0] <= value[1] <= 100:
        raise ValueError(f"must be (least, most) with 5 <= least <= most <= 100, got {value}")


@attrs.frozen
class SensorConfig:
    """What the sensor does to the light, drawn anew for each scene.

    All of it goes for rooms. A plate has been through its own sensor: there only ``shutter_s``, ``exposure_ev`` and
    ``auto_white_balance`` go for the people, who else get the noise and the blur of the plate they stand in.
    """

    shutter_s: Range = setting(
        (0.005, 0.03), help="how long the shutter is open, while people move; 0 freezes them", validator=within(0, 1)
    )
    exposure_ev: Range = setting(
        (-0.35, 0.35), help="stops brighter than the exposure meter wants", validator=within(-4, 4)
    )
    vignette: Range = setting((0.0, 0.25), help="share of light lost at the circle's edge", validator=within(0, 1))
    blur_px: Range = setting((0.0, 0.4), help="standard deviation of the optics' blur", validator=within(0, 10))
    read_noise: Range = setting(
        (0.0005, 0.003), help="noise without light: its standard deviation, of full scale", validator=within(0, 0.3)
    )
    shot_noise: Range = setting(
        (0.004, 0.015), help="noise of light: its standard deviation at full scale; it goes with the light's root",
        validator=within(0, 0.3),
    )  # fmt: skip
    grain_px: Range = setting(
        (0.0, 0.6), help="standard deviation of the blur that makes noise grainy, which keeps its strength",
        validator=within(0, 5),
    )  # fmt: skip
    auto_white_balance: Range = setting(
        (0.6, 0.95), help="how much of the light's colour the sensor takes out, as far as it can tell; 1 is all of it",
        validator=within(0, 1),
    )  # fmt: skip
    white_balance: Range = setting(
        (-0.15, 0.15), help="colour cast that is left, -1 blue to 1 orange", validator=within(-1, 1)
    )
    green_tint: Range = setting((-0.05, 0.05), help="colour cast, -1 magenta to 1 green", validator=within(-1, 1))
    saturation: Range = setting((0.85, 1.1), help="1 keeps colours, 0 is grey", validator=within(0, 3))
    gamma: Range = setting(
        (0.95, 1.08), help="tone curve: exponent over the sRGB curve; above 1 is darker", validator=within(0.3, 3)
    )
    contrast: Range = setting(
        (0.95, 1.2),
        help="tone curve: slope at mid grey, with black and white kept; 1 is none",
        validator=within(0.3, 3),
    )
    black_level: Range = setting((0.0, 0.01), help="tone curve: how bright black is", validator=within(0, 0.3))
    sharpening: Range = setting(
        (0.0, 0.9), help="halos along edges, as cheap sensors have: strength of an unsharp mask", validator=within(0, 5)
    )
    compressed_share: float = setting(0.5, help="share of scenes with traces of compression", validator=between(0, 1))
    jpeg_quality: tuple[int, int] = setting((75, 98), help="of these, as JPEG's quality", validator=_qualities)
    timestamp_share: float = setting(
        0.2, help="share of scenes with date and time written into a corner", validator=between(0, 1)
    )
