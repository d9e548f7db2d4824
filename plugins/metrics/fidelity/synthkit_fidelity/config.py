# SPDX-License-Identifier: Apache-2.0
"""The settings of the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import optional

from synthkit.config import at_least, between, setting
from synthkit.training.taps import check_layer


@attrs.frozen
class FrechetConfig:
    """Which features of which pixels are compared."""

    extractor: Literal["mobilenet_v2", "vgg16"] = setting(
        "mobilenet_v2", help="the network whose features are compared, with its ImageNet weights"
    )
    layer: str | None = setting(
        None, help="where it is tapped: stride2 ... stride32 or pool1 ... pool5; none takes the last"
    )
    weights: Path | None = setting(
        None, help="file or folder of the network's weights; none looks in the usual places", decides="nothing"
    )
    region: Literal["image", "crops"] = setting(
        "image", help="whole images, or head-aligned crops of the people in them, as thesis 000 compares"
    )
    crop_px: int = setting(128, help="side of the crops before they are resized", validator=between(16, 1024))
    input_px: int = setting(
        224,
        help="side of the square that images and crops are squeezed to",
        validator=at_least(32),
    )
    batch: int = setting(16, help="images that go through the network at once", validator=at_least(1))
    max_items: int | None = setting(
        None,
        help="at most so many images or crops of each part; none takes all",
        validator=optional(at_least(2)),
    )

    def __attrs_post_init__(self) -> None:
        check_layer(self.extractor, self.layer)


@attrs.frozen
class MemorisationConfig:
    """In which space people are compared, and what is concluded."""

    space: Literal["auto", "mobilenet_v2", "pixels"] = setting(
        "auto", help="mobilenet_v2: its activations, place by place; pixels: coarse colours; auto: what can be had"
    )
    weights: Path | None = setting(
        None, help="file or folder of the network's weights; none looks in the usual places", decides="nothing"
    )
    chance: float = setting(
        0.01, help="share of people that may be so near to somebody real by chance", validator=between(0.001, 0.2)
    )
    picture: Path | None = setting(
        None, help="PNG to write: the refined people nearest to real ones, above these", decides="nothing"
    )
    shown: int = setting(16, help="pairs in the picture", validator=at_least(1))
