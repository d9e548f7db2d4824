# SPDX-License-Identifier: Apache-2.0
"""Settings of contrastive unpaired translation; no torch here."""

from __future__ import annotations

import attrs

from synthkit.config import at_least, between, setting
from synthkit_cyclegan.crop_settings import ResnetSettings


@attrs.frozen
class CUTConfig(ResnetSettings):
    """How CUT is trained and applied; its own defaults are the published ones, the others those of CycleGAN here."""

    pool: int = setting(0, help="generated crops the discriminator remembers", validator=at_least(0))
    skip: bool = setting(False, help="add the generator's input to its output")
    antialias: bool = setting(True, help="blur before networks halve and interpolate where they double (Zhang 2019)")
    nce_weight: float = setting(
        1.0, help="weight of the contrastive loss beside the adversarial", validator=at_least(0)
    )
    identity_nce: bool = setting(True, help="ask target crops, translated, to keep their content too")
    flip_equivariance: bool = setting(
        False, help="translate crops mirrored half the time, and ask for features that are mirrored back"
    )
    patches: int = setting(256, help="places in each layer that are compared", validator=at_least(2))
    temperature: float = setting(0.07, help="of the contrastive loss; lower is stricter", validator=between(1e-3, 10))
    head_width: int = setting(256, help="features of the projection heads", validator=between(1, 4096))
