# SPDX-License-Identifier: Apache-2.0
"""The settings of the ``blender`` renderer, one class per area. Pairs are (low, high) of a uniform draw per scene."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import at_least, between, different, setting
from synthkit_blender.config.camera import CameraConfig
from synthkit_blender.config.light import LightConfig
from synthkit_blender.config.limits import Range, a_folder
from synthkit_blender.config.people import PeopleConfig
from synthkit_blender.config.plates import PlatesConfig
from synthkit_blender.config.room import RoomConfig
from synthkit_blender.config.sensor import SensorConfig
from synthkit_blender.config.sequence import SequenceConfig
from synthkit_blender.config.worker import WorkerConfig

__all__ = [
    "BlenderConfig",
    "CameraConfig",
    "Layer",
    "LightConfig",
    "PeopleConfig",
    "PlatesConfig",
    "Range",
    "RoomConfig",
    "SensorConfig",
    "SequenceConfig",
    "WorkerConfig",
]

Layer = Literal["depth", "normals", "surface", "amodal", "background", "alpha", "light"]
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
    device: Literal["cpu", "gpu"] = setting(
        "cpu", help="what Cycles renders on; gpu is all GPUs that it can use, whose images are not the same bytes"
    )
    backgrounds: Path | None = setting(
        None,
        help="folder of plates: photos of an empty room by the sensor, with a plates.toml of what is known about "
        "its lens, the floor and the furniture",
        validator=a_folder,
        decides="content",
    )
    layers: tuple[Layer, ...] = setting(
        ("alpha",),
        help="layers beside 'instances': depth (along the ray) and normals, which over plates only people and chairs "
        "have; surface (vertices of the body), amodal (hidden parts too), background (the scene without people; rooms "
        "render twice), alpha (coverage by people, for blending), light (rooms: linear, before the sensor)",
        validator=different,
    )
    keypoints: Literal["body", "all"] = setting(
        "body", help="key points: body (COCO's 17, and 4 of the trunk), all (spine, hands and feet too)"
    )
    min_visible_px: int = setting(12, help="people with fewer visible pixels count as unseen", validator=at_least(1))
    camera: CameraConfig = setting(attrs.Factory(CameraConfig), help="where the sensor hangs, and its lens")
    sensor: SensorConfig = setting(attrs.Factory(SensorConfig), help="what the sensor does to the light")
    people: PeopleConfig = setting(attrs.Factory(PeopleConfig), help="who is there")
    room: RoomConfig = setting(attrs.Factory(RoomConfig), help="the room, where no plate is")
    plates: PlatesConfig = setting(attrs.Factory(PlatesConfig), help="what the plates show")
    light: LightConfig = setting(attrs.Factory(LightConfig), help="where the light comes from")
    sequence: SequenceConfig = setting(attrs.Factory(SequenceConfig), help="clips instead of single images")
    worker: WorkerConfig = setting(attrs.Factory(WorkerConfig), help="the process that runs Blender")

    def __attrs_post_init__(self) -> None:
        if self.backgrounds is not None and "light" in self.layers:
            raise ValueError("layers: 'light' is of rooms; a plate has been through its sensor")

    @property
    def provides(self) -> frozenset[str]:
        """What samples carry besides what all have."""
        return frozenset(self.layers)

    @property
    def light_paths(self) -> int:
        """How many light paths each pixel gets.

        In a larger image the denoiser has more pixels of the same surface to join: the paths go down with the square
        root of the pixels, to LEAST_PATHS. At 1024x1024, 4 and 8 were looked at side by side and not told apart.
        """
        if self.samples is not None:
            return self.samples
        share = FEW_PIXELS / (self.width_px * self.height_px)
        return max(LEAST_PATHS, min(MOST_PATHS, round(MOST_PATHS * math.sqrt(share))))
