# SPDX-License-Identifier: Apache-2.0
"""Settings of AGGAN; no torch here."""

from __future__ import annotations

from typing import Literal

import attrs

from synthkit.config import When, at_least, between, setting
from synthkit_cyclegan.crop_settings import MOST_FILTERS, ResnetSettings

REFINE_ONLY = frozenset({"attention_layer"})
"""Settings that say what refined samples carry, and have no part in training."""


@attrs.frozen
class AGGANConfig(ResnetSettings):
    """How an AGGAN is built, trained and applied; defaults are those of thesis 000, section 3.5.1 and table 3.2."""

    generator_filters: int = setting(
        32, help="filters of the generator's first layer", validator=between(1, MOST_FILTERS)
    )
    attention_filters: int = setting(
        32, help="filters of the attention network's first layer", validator=between(1, MOST_FILTERS)
    )
    cyclic_pixel_weight: float = setting(
        1e-5,
        help="weight of the cyclic loss, a mean over pixels (equation 2.12); 1e-5 as the thesis prints it holds next"
        " to nothing, 10 is usual",
        validator=at_least(0),
    )
    switch: float = setting(
        30 / 160,
        help="part of the training after which attention is fixed and only what is attended is judged: epoch 30 of 160;"
        " 1 for never",
        validator=between(0, 1),
    )
    threshold: float = setting(
        0.1,
        help="attention above which a pixel is judged after the switch (equation 2.14)",
        validator=between(0, 1),
        when=When("switch is below 1", lambda config: config.switch < 1),
    )
    attention: Literal["learned", "instances"] = setting(
        "learned",
        help="learned by a network, or in the source the people's masks, instances (thesis 000, section 5.5.1)",
    )
    attention_layer: bool = setting(
        False, help="add the layer 'attention' to refined samples: how much of each pixel of the crops was attended"
    )

    def __attrs_post_init__(self) -> None:
        if self.region == "image" and self.attention == "instances":
            raise ValueError("attention: 'instances' are people's masks, and of images all is refined; take 'learned'")
