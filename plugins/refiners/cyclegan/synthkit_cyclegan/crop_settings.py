# SPDX-License-Identifier: Apache-2.0
"""Settings of every refiner that learns from crops of people and is applied to them; no torch here."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import When, all_of, at_least, between, setting
from synthkit.crop_choice import CropChoice
from synthkit.training.settings import TrainingSettings

REFINE_ONLY = frozenset({"feather_px", "tile_px"})
"""Settings that say how images are refined, and have no part in training."""

LEAST_CROP_PX, MOST_CROP_PX = 32, 4096
"""What crops may be, as settings and in the cards of checkpoints."""

MOST_FILTERS = 512
"""What a network may be, as settings and in the cards of checkpoints."""


def _multiple_of_four(_: object, __: object, value: int) -> None:
    if value % 4:
        raise ValueError(f"must be a multiple of 4 (the generator halves it twice), got {value}")


@attrs.frozen
class CropSettings(TrainingSettings):
    """How crops are cut, seen in training, and put back; defaults are those of thesis 000, section 3.5.1."""

    steps: int | None = setting(
        None,
        help="training steps; none means 160 rounds of the smaller of the two sets of crops",
        validator=at_least(1),
    )
    crop_px: int = setting(
        128,
        help="width and height of the crops, a multiple of 4",
        validator=all_of(between(LEAST_CROP_PX, MOST_CROP_PX), _multiple_of_four),
    )
    target_crops: CropChoice = setting(
        attrs.Factory(CropChoice), help="which crops of the target are learned from ('synthkit crops' shows them)"
    )
    batch: int = setting(1, help="crops of each domain per step", validator=at_least(1))
    flip: bool = setting(True, help="mirror crops at random while training")
    feather_px: float = setting(
        0.5,
        help="where samples have no alpha layer: width of the soft edge inside a person's mask when refining",
        validator=between(0, 50),
    )

    @property
    def windows(self) -> bool:
        """Whether it learns from windows of whole images, rather than from crops of people."""
        return False


@attrs.frozen
class AdversarialSettings(CropSettings):
    """How generators are trained against discriminators; defaults are those of thesis 000, section 3.5.1."""

    learning_rate: float = setting(2e-4, help="Adam's rate in the first half", validator=between(1e-8, 1))
    beta1: float = setting(0.5, help="Adam's momentum", validator=between(0, 0.999))
    pool: int = setting(50, help="generated crops the discriminators remember", validator=at_least(0))
    generator_filters: int = setting(
        64, help="filters of the generator's first layer", validator=between(1, MOST_FILTERS)
    )
    discriminator_filters: int = setting(
        64, help="filters of the discriminator's first layer", validator=between(1, MOST_FILTERS)
    )
    skip: bool = setting(True, help="add the generator's input to its output")
    match_colours: bool = setting(
        False,
        help="begin with the mean and covariance of the target's colours in place of the source's (Pitié and Kokaram"
        " 2007): in short trainings networks hardly learn these",
        when=When("skip is true", lambda config: config.skip),
    )
    antialias: bool = setting(
        False,
        help="blur before the networks halve and interpolate where they double (Zhang 2019): no grid after short"
        " trainings, for a longer step",
    )
    precision: Literal["float32", "tfloat32", "bfloat16"] = setting(
        "float32",
        help="precision of training: bfloat16 forward passes are faster where the device has them, tfloat32 products on"
        " NVIDIA GPUs",
    )


@attrs.frozen
class ResnetSettings(AdversarialSettings):
    """How a trained ResNet generator is applied."""

    region: Literal["people", "image"] = setting(
        "people",
        help="what is learned from and refined: people alone, in crops and through their masks, or images as they are,"
        " background and all, of which windows are learned from",
    )
    tile_px: int = setting(
        1024,
        help="larger images go through the device in parts of this size, which changes no more than roundings",
        validator=between(16, 1 << 16),
    )

    @property
    def windows(self) -> bool:
        """Whether it learns from windows of whole images."""
        return self.region == "image"

    @property
    def needs(self) -> frozenset[str]:
        """What samples must carry."""
        return frozenset({"instances"}) if self.region == "people" else frozenset()
