# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; light, so that listing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_anonymizer_gan.config import SHIPPED, GeneratingConfig

_STYLEGAN = {"appearance": False, "co_modulation": False, "discriminator_sees": "mask"}
_BASE = {"co_modulation": False, "discriminator_sees": "mask", "feature_maps": [3, 4, 5, 6]}
_MORE_FM = {"co_modulation": False, "discriminator_sees": "mask"}
_CO_MOD = {"discriminator_sees": "mask"}
_LARGE = {"channels": 64, "discriminator_channels": 64}
_SMALL = {
    "crop_px": [40, 72],
    "channels": 8,
    "discriminator_channels": 8,
    "latent": 64,
    # So small, people are nearer to their originals than with the condition of section 4.10 (docs/generating.md).
    "discriminator_sees": "mask",
    "images": 40_000,
    "batch": 8,
    "learning_rate": 4e-3,
    "ema": 0.995,
    # 5 by the share of the thesis's pixels that such crops have: the fewer, the steeper is the gradient at each.
    "r1_weight": 0.3,
}
"""What one core learns in half an hour (ship_small.py)."""


@hookimpl
def synthkit_components() -> list[Component]:
    """Return the two models of thesis 002, table 5.1, and what table 5.3 and section 6.4 make on the way.

    The settings' defaults are the row "+ impr disc conditioning" of table 5.3; each preset says in what it differs.
    """
    return [
        _preset(
            "anonymizer-stylegan",
            "people generated anew, each image by itself: the StyleGAN baseline of thesis 002 (table 5.1)",
            {**_STYLEGAN, **_LARGE, "images": 40_000_000},
        ),
        _preset(
            "anonymizer-consistent",
            "people generated anew, the same in all images: the final model of thesis 002 (table 5.1)",
            {**_LARGE, "images": 30_000_000},
        ),
        attrs.evolve(
            _preset(
                "anonymizer-small", "people generated anew, trained: small and blurred; learned from renders", _SMALL
            ),
            demo_checkpoint=SHIPPED,
        ),
        _preset("anonymizer-ladder-stylegan", "the baseline at the size of the ladder (table 5.3)", _STYLEGAN),
        _preset("anonymizer-ladder-base", "with appearance mapper, features of resolutions 3 to 6 (table 5.3)", _BASE),
        _preset("anonymizer-ladder-more-fm", "features of resolutions 0 to 4 (table 5.3)", _MORE_FM),
        _preset("anonymizer-ladder-co-mod", "more-fm with co-modulation (table 5.3)", _CO_MOD),
        _preset("anonymizer-ladder-disc-cond", "co-mod with another discriminator's condition (table 5.3)", {}),
        _preset("anonymizer-ladder-large", "disc-cond with twice the channels (table 5.3)", _LARGE),
        _preset("anonymizer-ladder-no-kl", "disc-cond without the divergence (section 6.4)", {"kl_weight": 0.0}),
    ]


def _preset(name: str, summary: str, defaults: Mapping[str, Any]) -> Component:
    return Component(
        kind="refiner",
        name=name,
        summary=summary,
        config=GeneratingConfig,
        target="synthkit_anonymizer_gan.refiner:GeneratingRefiner",
        revision=3,
        defaults=defaults,
        needs={"surface"},
        reads={"instances", "surface", "surface_smpl"},
        trainable=True,
        learns_from={"target"},
        keeps_people=False,
        sees_people=False,
    )
