# SPDX-License-Identifier: Apache-2.0
"""The settings of the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import optional

from synthkit.config import When, at_least, between, setting
from synthkit.own_networks import known
from synthkit.training.taps import TAPS, check_layer

Preprocessing = Literal["own", "tf1", "clean", "pillow", "squash", "centre-crop"]
Region = Literal["image", "crops", "masked-crops"]

EXTRACTORS = (
    "inception", "clip", "dinov2_vits14", "dinov2_vitb14", "dinov2_vitl14", "mobilenet_v2", "squeezenet1_1", "vgg16"
)  # fmt: skip
_FIXED_PX = {"inception": 299, "clip": 224}
_DINO_PATCH_PX = 14


@attrs.frozen
class RegionConfig:
    """What is looked at."""

    weights: Path | None = setting(
        None, help="file or folder of the network's weights; none looks in the usual places", decides="nothing"
    )
    region: Region = setting(
        "image",
        help="whole images; head-aligned crops of the people in them, as thesis 000 compares; or these with all but"
        " the person's mask grey",
    )
    crop_px: int = setting(128, help="side of the crops before they are resized", validator=between(16, 1024))
    batch: int = setting(16, help="images that go through the network at once", validator=at_least(1))
    max_items: int | None = setting(
        None,
        help="at most so many images or crops of each part; none takes all",
        validator=optional(at_least(2)),
    )
    keep: int = setting(
        50_000,
        help="vectors of each set that are kept as they are, evenly drawn; of the rest only moments",
        validator=at_least(2),
    )

    @property
    def needs(self) -> frozenset[str]:
        """What samples must carry."""
        return frozenset({"instances"}) if self.region == "masked-crops" else frozenset()


@attrs.frozen
class FeatureConfig(RegionConfig):
    """In which space it is compared."""

    extractor: str = setting(
        "mobilenet_v2",
        help=f"the network whose features are compared: {', '.join(EXTRACTORS)}, FILE.onnx or pkg.mod:Class",
        validator=known("extractor", EXTRACTORS),
    )
    layer: str | None = setting(
        None, help="where mobilenet_v2 or vgg16 is tapped: stride2 ... stride32, pool1 ... pool5; none takes the last"
    )
    preprocessing: Preprocessing = setting(
        "own", help="how images are resized; own: tf1 for inception, squash for clip, pillow for all others"
    )
    input_px: int | None = setting(
        None,
        help="side of what goes into the network; none: 299 for inception, 224 for all others",
        validator=optional(at_least(32)),
    )
    normalise: Literal["imagenet", "unit", "symmetric"] = setting(
        "imagenet",
        help="values that an ONNX file or a class takes: ImageNet's mean and deviation off, 0..1, or -1..1",
        when=When("extractor is an .onnx file or a class", lambda config: config.extractor not in EXTRACTORS),
    )

    def __attrs_post_init__(self) -> None:
        name, side = self.extractor, self.input_px
        if name in TAPS:
            check_layer(name, self.layer)
        elif self.layer is not None:
            raise ValueError(f"{name} has one layer only: leave layer away")
        if side is not None and side != _FIXED_PX.get(name, side):
            raise ValueError(f"{name} takes images of {_FIXED_PX[name]} px only, not {side}")
        if side is not None and name.startswith("dinov2") and side % _DINO_PATCH_PX:
            raise ValueError(f"{name} takes whole patches of {_DINO_PATCH_PX} px: {side} px are none")

    @property
    def side_px(self) -> int:
        """The side of what goes into the network."""
        return self.input_px or _FIXED_PX.get(self.extractor, 224)

    @property
    def resizing(self) -> str:
        """How images are resized."""
        if self.preprocessing != "own":
            return self.preprocessing
        return {"inception": "tf1", "clip": "squash"}.get(self.extractor, "pillow")


@attrs.frozen
class FrechetConfig(FeatureConfig):
    """Which features of which pixels are compared, and how bias is shown."""

    infinity_points: int = setting(
        15,
        help="subsets from which the distance of endlessly many images is extrapolated; 0 leaves it away",
        validator=at_least(0),
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.infinity_points in (1, 2):
            raise ValueError("infinity_points: no line goes through fewer than 3 points; 0 leaves it away")


@attrs.frozen
class KidConfig(FeatureConfig):
    """Which features are compared, and on which subsets."""

    subsets: int = setting(100, help="random subsets that are compared", validator=at_least(2))
    subset_size: int = setting(1000, help="images in each of them", validator=at_least(2))


@attrs.frozen
class InceptionScoreConfig(RegionConfig):
    """On how many parts it is computed."""

    splits: int = setting(10, help="parts of the set, each with a score", validator=at_least(1))


@attrs.frozen
class PrdcConfig(FeatureConfig):
    """Which features are compared, and what counts as near."""

    neighbours: int = setting(5, help="the neighbour whose distance is a ball's radius", validator=at_least(1))
    at_most: int = setting(10_000, help="vectors of each set, evenly drawn: time grows with its square",
                           validator=at_least(3))  # fmt: skip


@attrs.frozen
class PcaConfig(FeatureConfig):
    """Which activations are shown."""

    flat: bool = setting(True, help="activations place by place, as thesis 000; else averaged over the image")
    source: str | None = setting(
        None, help="data set that was refined, folder or URL: shown beside what became of it", decides="nothing"
    )
    at_most: int = setting(500, help="images or crops of each set, as many of each", validator=between(3, 5000))


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
