# SPDX-License-Identifier: Apache-2.0
"""The settings of the metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import When, at_least, between, setting
from synthkit.resampling import Unit

Network = Literal["alex", "vgg", "squeeze"]

_CROPS = When("metric.region is crops or masked-crops", lambda config: config.crops)


@attrs.frozen
class PairConfig:
    """Which pixels of two images of one key are compared."""

    region: Literal["image", "masked-image", "crops", "masked-crops"] = setting(
        "image",
        help="whole images, or head-aligned crops of the people in them; masked: people alone, for what is outside"
        " their masks is made equal and not counted",
    )
    crop_px: int = setting(128, help="side of the crops", validator=between(32, 1024), when=_CROPS)
    bootstrap: int = setting(
        1000, help="resamples for the confidence interval; 0 for none", validator=between(0, 100_000)
    )
    resample: Unit = setting(
        "image", help="what is resampled: images, or sequences, as frames of one video resemble each other"
    )

    @property
    def crops(self) -> bool:
        """Whether people are cut out."""
        return self.region.endswith("crops")

    @property
    def masked(self) -> bool:
        """Whether people alone count."""
        return self.region.startswith("masked")

    @property
    def needs(self) -> frozenset[str]:
        """What one sample of each pair must carry."""
        return frozenset({"instances"}) if self.masked else frozenset()


@attrs.frozen
class LpipsConfig(PairConfig):
    """Which LPIPS, and of what."""

    network: Network = setting("alex", help="the network whose features are compared")
    measure: Literal["original", "reconstruction", "diversity"] = setting(
        "original",
        help="what it says: how far from the original; how well the original was reconstructed; or, with another draw"
        " from the same originals as reference, how diverse draws are",
    )
    backbone: Path | None = setting(
        None,
        help="file or folder of the network's published weights; none looks in the usual places",
        decides="nothing",
    )
    heads: Path | None = setting(
        None, help="file or folder of LPIPS's linear heads; none looks in the usual places", decides="nothing"
    )
    stand_in: Path | None = setting(
        None,
        help="file with other weights of the same network, such as Caffe's of SqueezeNet 1.1: what comes out is no"
        " LPIPS, and not called so",
        decides="content",
    )
    batch: int = setting(8, help="pairs that go through the network at once", validator=at_least(1))

    def __attrs_post_init__(self) -> None:
        if self.stand_in is not None and self.backbone is not None:
            raise ValueError("stand_in takes the place of backbone: give one of them")
