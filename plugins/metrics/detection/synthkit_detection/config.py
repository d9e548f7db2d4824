# SPDX-License-Identifier: Apache-2.0
"""The settings of the metric ``detection``."""

from __future__ import annotations

from typing import Literal

import attrs
from attrs.validators import optional

from synthkit.config import at_least, between, setting


@attrs.frozen
class DetectionConfig:
    """How detections are judged."""

    target: Literal["head", "person"] = setting(
        "head", help="which boxes are the truth: heads (hidden parts too) or the visible pixels of people"
    )
    label: int | None = setting(
        None, help="judge only detections with this label; none judges all", validator=optional(at_least(0))
    )
    iou: float = setting(
        0.5,
        help="overlap at which a detection is right, for precision, recall, F1 and AP",
        validator=between(0.01, 1),
    )
    score: float | None = setting(
        None,
        help="least score of a detection, for precision, recall and F1; none takes the score with the best F1"
        " on the judged set itself, which flatters a little",
        validator=optional(between(0, 1)),
    )
    coco: bool = setting(False, help="also give AP averaged over IoU .50, .55 ... .95")
    max_detections: int = setting(100, help="best detections per image that count", validator=at_least(1))
    min_box_px: float = setting(
        2.0,
        help="truth whose part inside the image is narrower or lower than this is left out",
        validator=at_least(0),
    )
    bootstrap: int = setting(
        1000,
        help="resamples of the images for the 95 % confidence intervals; 0 for none",
        validator=at_least(0),
    )
