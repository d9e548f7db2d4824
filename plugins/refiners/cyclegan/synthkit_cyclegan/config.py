# SPDX-License-Identifier: Apache-2.0
"""Settings of the CycleGAN refiner; no torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import all_of, at_least, between, setting
from synthkit.training.taps import TAPS, check_layer

REFINE_ONLY = frozenset({"feather_px"})
"""Settings that say how crops are put back, and have no part in training."""

MOST_FILTERS = 512
LEAST_CROP_PX, MOST_CROP_PX = 32, 4096
"""What a network may be, as settings and in the cards of checkpoints."""


def _multiple_of_four(_: object, __: object, value: int) -> None:
    if value % 4:
        raise ValueError(f"must be a multiple of 4 (the generator halves it twice), got {value}")


@attrs.frozen
class CycleGANConfig:
    """How a CycleGAN is built, trained and applied; defaults are those of thesis 000, section 3.5.1."""

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
    batch: int = setting(1, help="crops of each domain per step", validator=at_least(1))
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
    flip: bool = setting(True, help="mirror crops at random while training")
    discriminator_cycle_weight: float = setting(
        1e-5,
        help="weight of the cyclic loss in the discriminators' feature space (equations 2.21, 2.22)",
        validator=at_least(0),
    )
    identity_feature_weight: float = setting(
        5e-6,
        help="weight of the identity loss in the perceptual network's feature space (equation 2.19)",
        validator=at_least(0),
    )
    perceptual: Literal["auto", "vgg16", "mobilenet_v2"] = setting(
        "auto",
        help="the perceptual network; auto means vgg16, or mobilenet_v2 where vgg16's weights cannot be had",
    )
    perceptual_layer: str | None = setting(
        None, help="its layer, when perceptual names it; none means pool2 of vgg16, stride4 of mobilenet_v2"
    )
    perceptual_weights: Path | None = setting(
        None, help="its weights' file or folder; none means wherever they are found", decides="nothing"
    )
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", help="precision of forward passes in training; bfloat16 is faster where the device has it"
    )
    checkpoint_every: int = setting(
        250, help="steps between the states from which training can go on", validator=at_least(1), decides="nothing"
    )
    log_every: int = setting(10, help="steps per line of the training curves", validator=at_least(1), decides="nothing")
    picture_every: int = setting(
        500,
        help="steps between pictures of crops before and after; 0 for none",
        validator=at_least(0),
        decides="nothing",
    )
    feather_px: float = setting(
        1.5, help="width of the soft edge inside a person's mask when refining", validator=between(0, 50)
    )

    def __attrs_post_init__(self) -> None:
        if self.perceptual != "auto":
            check_layer(self.perceptual, self.perceptual_layer)
        elif self.perceptual_layer is not None:
            raise ValueError(f"perceptual_layer is of one network: set perceptual too ({', '.join(TAPS)})")
