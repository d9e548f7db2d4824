# SPDX-License-Identifier: Apache-2.0
"""Settings of the CycleGAN refiner; no torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from synthkit.config import at_least, setting
from synthkit.training.taps import TAPS, check_layer
from synthkit_cyclegan.crop_settings import ResnetSettings


@attrs.frozen
class CycleGANConfig(ResnetSettings):
    """How a CycleGAN is built, trained and applied; defaults are those of thesis 000, section 3.5.1."""

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

    def __attrs_post_init__(self) -> None:
        if self.perceptual != "auto":
            check_layer(self.perceptual, self.perceptual_layer)
        elif self.perceptual_layer is not None:
            raise ValueError(f"perceptual_layer is of one network: set perceptual too ({', '.join(TAPS)})")
