# SPDX-License-Identifier: Apache-2.0
"""The settings of the detectors ``surface`` and ``surface-ceiling``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs

from synthkit.config import When, at_least, between, setting
from synthkit.training.settings import TrainingSettings

SHIPPED = "synthkit_surface_finder:weights/ceiling.safetensors"
"""The checkpoint that comes with this package; ``ship_ceiling.py`` beside it says how it is made."""

STRIDE = 16
"""Pixels of a crop from one cell of the network's coarsest level to the next."""

LEAST_SIDE_PX, MOST_SIDE_PX = 32, 512
LEAST_MARGIN, MOST_MARGIN = 1.0, 4.0
MOST_WIDTH = 256
MOST_WHOLE_PX = 2048
"""What a finder may be, as settings and in the cards of checkpoints."""


def _whole_strides(_: Any, __: attrs.Attribute[Any], value: int) -> None:
    if not LEAST_SIDE_PX <= value <= MOST_SIDE_PX or value % STRIDE:
        raise ValueError(f"must be a multiple of {STRIDE} from {LEAST_SIDE_PX} to {MOST_SIDE_PX}, got {value}")


@attrs.frozen
class SurfaceFinderConfig(TrainingSettings):
    """Where people are looked at, how the network learns, and what is kept of its answers."""

    boxes: Path | None = setting(
        None,
        help="checkpoint of a SqueezeDet that finds people, by which boxes are found; none: squeezedet-ceiling, which"
        " ships with it. Training looks at true boxes alone",
        decides="content",
    )
    side_px: int = setting(
        96,
        help="side of the square crops that the network sees, a multiple of 16",
        validator=_whole_strides,
        settled=True,
    )
    margin: float = setting(
        1.7,
        help="side of a crop over the longer side of the box in it: boxes that are found may be too short, or beside",
        validator=between(LEAST_MARGIN, MOST_MARGIN),
        settled=True,
    )
    width: int = setting(
        32, help="filters of the network where its way up ends", validator=between(4, MOST_WIDTH), settled=True
    )
    backbone: Literal["rendered", "none"] = setting(
        "rendered",
        help="weights of the way down to start from: those of squeezedet-ceiling, which learned from renders; or none",
        when=When("start is none", lambda config: config.start is None),
    )
    start: Path | None = setting(
        None, help="checkpoint of a finder to start from, such as the one that ships", decides="content"
    )
    steps: int = setting(3000, help="training steps", validator=at_least(1))
    batch: int = setting(16, help="crops per step", validator=at_least(2))
    learning_rate: float = setting(0.002, help="the highest, of AdamW", validator=between(1e-8, 1))
    weight_decay: float = setting(0.0001, help="of AdamW, on kernels", validator=between(0, 1))
    min_px: int = setting(
        40, help="people of whom fewer pixels are seen are not learned from, nor judged by", validator=at_least(1)
    )
    flip: bool = setting(True, help="mirror half of the crops, and left with right")
    box_shift: float = setting(
        0.13, help="deviation by which true boxes are moved, of their longer side", validator=between(0, 1)
    )
    box_stretch: float = setting(
        0.25, help="deviation of the logarithm by which sides of true boxes are stretched", validator=between(0, 1)
    )
    box_turn_degrees: float = setting(
        18.0, help="deviation by which true boxes are turned, and crops about them", validator=between(0, 180)
    )
    whole_share: float = setting(
        0.3,
        help="share of crops that are parts of the whole image, in which everybody is meant and no box is told",
        validator=between(0, 1),
    )
    whole_px: int = setting(
        256,
        help="longer side of the image when all of it is looked at at once",
        validator=between(64, MOST_WHOLE_PX),
        settled=True,
    )
    colour: float = setting(
        0.3,
        help="vary exposure, saturation and gamma of crops by up to this share, the light's colour by half of it",
        validator=between(0, 0.9),
    )
    noise: float = setting(0.03, help="sensor noise of crops, up to this share of white", validator=between(0, 0.5))
    evaluate_every: int = setting(
        250, help="steps between evaluations on the validation set; the best weights are kept", validator=at_least(1)
    )
    score_threshold: float = setting(0.05, help="least score of a box that is looked at", validator=between(0.005, 1))
    unboxed: bool = setting(True, help="also find people about whom there is no box; with scores that leave doubt")
    mask_threshold: float = setting(
        0.35, help="probability from which on a pixel is somebody's", validator=between(0.01, 0.99)
    )
