# SPDX-License-Identifier: Apache-2.0
"""Settings of the CycleGAN refiner; no torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import at_least, between, setting
from synthkit.training.taps import TAPS, check_layer
from synthkit_cyclegan.crop_settings import CropSettings

MOST_FILTERS = 512
"""What a network may be, as settings and in the cards of checkpoints."""


@attrs.frozen
class CycleGANConfig(CropSettings):
    """How a CycleGAN is built, trained and applied; defaults are those of thesis 000, section 3.5.1."""

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

    def __attrs_post_init__(self) -> None:
        if self.perceptual != "auto":
            check_layer(self.perceptual, self.perceptual_layer)
        elif self.perceptual_layer is not None:
            raise ValueError(f"perceptual_layer is of one network: set perceptual too ({', '.join(TAPS)})")
