# SPDX-License-Identifier: Apache-2.0
"""The settings of the ``blender`` renderer. Pairs are (low, high) of a uniform draw per scene."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.config import Validator, all_of, at_least, between, ordered, setting

Range = tuple[float, float]
Style = Literal["any", "modern", "warm", "institutional"]
Layout = Literal["any", "meeting", "office", "seminar"]


def _within(low: float, high: float) -> Validator:
    return all_of(ordered, between(low, high))


def _counts(_: Any, __: Any, value: tuple[int, int]) -> None:
    if not 0 <= value[0] <= value[1] <= 20:
        raise ValueError(f"must be (least, most) with 0 <= least <= most <= 20, got {value}")


def _convex(_: Any, __: Any, value: tuple[Range, ...]) -> None:
    if not value:
        return
    turns_rad = []
    for (ax, ay), (bx, by), (cx, cy) in zip(value, value[1:] + value[:1], value[2:] + value[:2], strict=True):
        first, second = (bx - ax, by - ay), (cx - bx, cy - by)
        cross, along = first[0] * second[1] - first[1] * second[0], first[0] * second[0] + first[1] * second[1]
        turns_rad.append(math.atan2(cross, along))
    # A star turns left at each corner too, but goes round more than once.
    if len(value) < 3 or min(turns_rad) <= 0 or sum(turns_rad) > 3 * math.pi:
        raise ValueError("must be empty, or three or more corners of a convex area in counter-clockwise order")


def _all_convex(_: Any, __: Any, value: tuple[tuple[Range, ...], ...]) -> None:
    for outline in value:
        if not outline:
            raise ValueError("an outline must have three or more corners")
        _convex(None, None, outline)


@attrs.frozen
class SensorConfig:
    """What the sensor does to the light, drawn anew for each scene; not applied over background plates."""

    exposure_ev: Range = setting(
        (-0.35, 0.35), help="stops brighter than the exposure meter wants", validator=_within(-4, 4)
    )
    white_balance: Range = setting((-0.15, 0.15), help="colour cast, -1 blue to 1 orange", validator=_within(-1, 1))
    green_tint: Range = setting((-0.05, 0.05), help="colour cast, -1 magenta to 1 green", validator=_within(-1, 1))
    saturation: Range = setting((0.85, 1.1), help="1 keeps colours, 0 is grey", validator=_within(0, 3))
    gamma: Range = setting(
        (0.95, 1.08), help="exponent over the sRGB curve; above 1 is darker", validator=_within(0.3, 3)
    )
    vignette: Range = setting((0.0, 0.25), help="share of light lost at the circle's edge", validator=_within(0, 1))
    noise: Range = setting(
        (0.001, 0.005), help="standard deviation of read noise, of full scale", validator=_within(0, 0.3)
    )
    blur_px: Range = setting((0.0, 0.4), help="standard deviation of the optics' blur", validator=_within(0, 10))


@attrs.frozen
class PeopleConfig:
    """Who is there (thesis tables 7.1 and 7.2 give the counts)."""

    sitting: tuple[int, int] = setting((1, 5), help="least and most sitting people", validator=_counts)
    standing: tuple[int, int] = setting((0, 4), help="least and most people on their feet", validator=_counts)
    walking_share: float = setting(0.35, help="share of those on their feet who walk", validator=between(0, 1))
    age_years: Range = setting((18.0, 80.0), help="ages", validator=_within(18, 90))
    female_share: float = setting(0.5, help="share of women", validator=between(0, 1))
    pattern_share: float = setting(0.3, help="share of garments with a pattern", validator=between(0, 1))
    pose_amount: float = setting(1.0, help="how far poses stray from the library's", validator=between(0, 2))


MOST_PATHS, LEAST_PATHS = 7, 4
FEW_PIXELS = 448 * 336  # an image whose pixels need MOST_PATHS light paths each


@attrs.frozen
class BlenderConfig:
    """Images of people under a ceiling fisheye."""

    width_px: int = setting(448, help="image width", validator=between(16, 8192))
    height_px: int = setting(336, help="image height", validator=between(16, 8192))
    samples: int | None = setting(
        None,
        help="light paths per pixel; by itself 7 at 448x336, enough with denoising, and fewer in larger images",
        validator=attrs.validators.optional(between(1, 4096)),
    )
    denoise: bool = setting(True, help="whether to denoise (Open Image Denoise)")
    motion_blur: bool = setting(True, help="whether people move while the shutter is open")
    exposure_s: Range = setting((0.005, 0.03), help="how long the shutter is open", validator=_within(0, 1))
    fov_degrees: float = setting(
        180.0, help="field of view across the image circle; with plates, that of their sensor",
        validator=between(30, 220),
    )  # fmt: skip
    camera_height_m: Range = setting(
        (2.4, 3.2), help="the sensor's height over the floor; with plates, theirs, twice the same number",
        validator=_within(1.9, 8),
    )  # fmt: skip
    camera_yaw_degrees: Range = setting((0.0, 360.0), help="turn about the vertical", validator=_within(-360, 360))
    lens_equisolid: Range = setting(
        (0.0, 0.6), help="0 equidistant lens, 1 equisolid; with plates, that of their sensor, twice the same number",
        validator=_within(0, 1),
    )  # fmt: skip
    people: PeopleConfig = setting(attrs.Factory(PeopleConfig), help="who is there")
    backgrounds: Path | None = setting(
        None,
        help="folder of plates: photos of an empty room by the sensor, whose circle touches their shorter sides; "
        "set fov_degrees, camera_height_m and lens_equisolid to the sensor's",
        decides="content",
    )
    scenes_per_background: int = setting(5, help="successive scenes that share a plate", validator=at_least(1))
    floor_radius_m: float = setting(
        2.8, help="plates: free floor around the point below the camera", validator=between(0.5, 20)
    )
    floor_polygon_m: tuple[Range, ...] = setting(
        (), help="plates: corners of the free floor, convex, instead of the radius; +x is right in the image, +y up",
        validator=_convex,
    )  # fmt: skip
    obstacles_m: tuple[tuple[Range, ...], ...] = setting(
        (), help="plates: convex outlines of furniture in the plate, where nobody may be", validator=_all_convex
    )
    room_style: Style = setting("any", help="colours and materials of rooms")
    room_layout: Layout = setting("any", help="furniture of rooms")
    room_length_m: Range = setting((5.5, 9.0), help="longer side of rooms", validator=_within(4, 20))
    room_width_m: Range = setting((4.5, 6.5), help="shorter side of rooms", validator=_within(4, 20))
    window_share: Range = setting(
        (0.0, 0.5), help="share of the light that comes in by windows", validator=_within(0, 0.9)
    )
    ambient_share: Range = setting(
        (0.12, 0.3), help="share of the light that comes from everywhere", validator=_within(0, 1)
    )
    light_kelvin: Range = setting((3200.0, 6500.0), help="colour temperature of lamps", validator=_within(2000, 10000))
    sensor: SensorConfig = setting(attrs.Factory(SensorConfig), help="what the sensor does to the light")
    min_visible_px: int = setting(12, help="people with fewer visible pixels count as unseen", validator=at_least(1))
    depth: bool = setting(False, help="add the layer 'depth' (rooms only; plates have none)")
    background: bool = setting(False, help="add the layer 'background', the scene without people; rooms render twice")
    alpha: bool = setting(False, help="add the layer 'alpha', coverage by people")
    python: Path | None = setting(
        None, help="Python with synthkit-blender-worker installed; none is this one", decides="nothing"
    )
    timeout_s: float = setting(
        300.0, help="a frame that takes longer is given up", validator=at_least(0.05), decides="nothing"
    )
    recycle_after: int = setting(
        500, help="frames after which the worker is replaced", validator=at_least(1), decides="nothing"
    )

    def __attrs_post_init__(self) -> None:
        if self.depth and self.backgrounds is not None:
            raise ValueError("depth is known in rendered rooms only; set depth=false or leave backgrounds out")

    @property
    def light_paths(self) -> int:
        """How many light paths each pixel gets.

        In a larger image the denoiser has more pixels of the same surface to join: the paths go down with the square
        root of the pixels, to LEAST_PATHS. At 1024x1024, 4 and 8 were looked at side by side and not told apart.
        """
        if self.samples is not None:
            return self.samples
        share = FEW_PIXELS / (self.width_px * self.height_px)
        return max(LEAST_PATHS, min(MOST_PATHS, round(MOST_PATHS * share**0.5)))
