# SPDX-License-Identifier: Apache-2.0
"""The settings of the detector ``squeezedet``."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs.validators import optional

from synthkit.config import at_least, between, setting
from synthkit.training.settings import TrainingSettings
from synthkit_detection.truth import Target

Sizes = tuple[tuple[float, float], ...]

STRIDE = 16
"""Pixels of the input from one cell of the network's output grid to the next."""

MOST_INPUT_PX = 4096
MOST_ANCHORS = 64
"""What a detector may be, as settings and in the cards of checkpoints."""


def _whole_strides(_: Any, __: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    if any(not STRIDE <= side <= MOST_INPUT_PX or side % STRIDE for side in value):
        raise ValueError(f"width and height must be multiples of {STRIDE}, at most {MOST_INPUT_PX}, got {list(value)}")


def _positive_sizes(_: Any, __: attrs.Attribute[Any], value: Sizes) -> None:
    if not 1 <= len(value) <= MOST_ANCHORS or any(side <= 0 for size in value for side in size):
        raise ValueError(f"must be a list of 1 to {MOST_ANCHORS} [width, height] in pixels, all above 0")


@attrs.frozen
class SqueezeDetConfig(TrainingSettings):
    """How SqueezeDet is trained and what it gives; where it differs from the release, ``help`` says so."""

    target: Literal["head", "person", "both"] = setting(
        "head",
        help="what to find: heads (as thesis 000), people by their visible pixels, or both as two classes",
    )
    input_px: tuple[int, int] | None = setting(
        None,
        help="[width, height] of the network's input, multiples of 16; images are scaled and centred in it."
        " none takes the size of the first training image, at most 640 on the longer side",
        validator=optional(_whole_strides),
    )
    anchors: Sizes | None = setting(
        None,
        help="[[width, height], ...] in pixels of the input; none fits them to the training boxes",
        validator=optional(_positive_sizes),
    )
    anchor_count: int | None = setting(
        None,
        help="how many anchors to fit (released: 9); none takes the fewest, up to 9, that overlap the training boxes by"
        " 0.65 in the mean: only one anchor learns from each object, and anchors alike compete for it",
        validator=optional(between(1, 32)),
    )
    anchor_centres: Literal["cells", "published"] = setting(
        "cells",
        help="where anchors lie: in the middle of their cells, or as released at i*W/(columns+1), up to half a"
        " stride off, which a convolution cannot make up for: small boxes lose overlap",
    )
    backbone: Literal["auto", "none", "squeezenet1_1", "rendered"] = setting(
        "auto",
        help="weights to start from: ImageNet's SqueezeNet 1.1 (its first layer stays fixed, as released); rendered:"
        " a small set that ships with this plugin, learned from renders; none; auto: SqueezeNet 1.1 where it can be"
        " had, else rendered",
    )
    steps: int = setting(3000, help="training steps", validator=at_least(1))
    batch: int = setting(
        8,
        help="images per step (released: 20); the loss weighs objects against background by 1/batch, so small batches"
        " find them sooner",
        validator=at_least(1),
    )
    learning_rate: float = setting(0.01, help="of stochastic gradient descent", validator=between(1e-8, 10))
    schedule: Literal["cosine", "published"] = setting(
        "cosine",
        help="learning rate: a short rise and a cosine to zero over all steps, or as released halved every 10000 steps",
    )
    momentum: float = setting(0.9, help="of stochastic gradient descent", validator=between(0, 0.999))
    weight_decay: float = setting(1e-4, help="pull of every kernel to zero", validator=at_least(0))
    clip: float = setting(1.0, help="largest norm of each tensor's gradient", validator=at_least(1e-6))
    flip: bool = setting(True, help="mirror half of the training images")
    rotate_degrees: float = setting(
        180.0,
        help="turn training images by up to this much about the nadir; a ceiling camera has no up (released: 0)",
        validator=between(0, 180),
    )
    drift: float = setting(
        0.1, help="move training images by up to this fraction of their size", validator=between(0, 0.5)
    )
    precision: Literal["auto", "float32", "tfloat32", "bfloat16"] = setting(
        "auto",
        help="of convolutions in training; auto takes bfloat16 where the processor has matrix units for it, else"
        " float32; tfloat32 is of NVIDIA GPUs. Detection is always float32",
    )
    evaluate_every: int = setting(
        250,
        help="steps between evaluations on the validation set; the best F1 is kept",
        validator=at_least(1),
    )
    score_threshold: float = setting(0.005, help="least score of a detection", validator=between(1e-4, 1))
    nms_iou: float = setting(
        0.4, help="of detections that overlap more than this the best remains", validator=between(0, 1)
    )

    @property
    def targets(self) -> tuple[Target, ...]:
        """The classes, in the order of their labels."""
        return ("head", "person") if self.target == "both" else (self.target,)
