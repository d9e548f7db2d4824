# SPDX-License-Identifier: Apache-2.0
"""What every training can be told; a light module, for config classes to inherit from."""

from __future__ import annotations

import attrs

from synthkit.config import at_least, between, setting


@attrs.frozen
class TrainingSettings:
    """How a training is kept and shown, and which weights its checkpoint gets."""

    ema: float = setting(
        0.0,
        help="the checkpoint gets a moving average of the weights with this decay, such as 0.999, which scatters less"
        " than the last ones; 0: the last",
        validator=between(0, 0.999999),
    )
    checkpoint_every: int = setting(
        250, help="steps between the states from which training can go on", validator=at_least(1), decides="nothing"
    )
    log_every: int = setting(10, help="steps per line of the training curves", validator=at_least(1), decides="nothing")
    picture_every: int = setting(
        500, help="steps between pictures of what is learned; 0 for none", validator=at_least(0), decides="nothing"
    )
    tensorboard: bool = setting(
        False,
        help="write curves and pictures for TensorBoard too, into the folder tensorboard"
        " (needs pip install 'synthkit-core[tensorboard]')",
        decides="nothing",
    )
