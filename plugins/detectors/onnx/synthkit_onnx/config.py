# SPDX-License-Identifier: Apache-2.0
"""The settings of the detector ``onnx``."""

from __future__ import annotations

from pathlib import Path

import attrs
from attrs.validators import optional

from synthkit.config import When, between, setting


@attrs.frozen
class OnnxConfig:
    """Which file is run, and how it is read."""

    model: Path = setting(help="the ONNX file", decides="content")
    card: Path | None = setting(
        None,
        help="its card, in TOML or JSON; none takes the one in the file, which files of synthkit export have, or else"
        " the .toml or .json beside it",
        decides="content",
    )
    score_threshold: float | None = setting(
        None, help="least score of a detection; none takes the card's", validator=optional(between(0, 1))
    )
    nms_iou: float | None = setting(
        None,
        help="of detections of a class that overlap more than this the best remains; none takes the card's; files that"
        " filter by themselves do not ask",
        validator=optional(between(0, 1)),
    )
    windows: int = setting(
        0,
        help="for images from ceilings and detectors of upright people: at how many turns around the nadir to look at"
        " upright windows, such as 12; 0 looks at the image as it is",
        validator=between(0, 72),
    )
    masks: Path | None = setting(
        None,
        help="an ONNX file of a network that tells which pixels of a crop around a find are the person's; none: boxes"
        " alone",
        decides="content",
    )
    masks_card: Path | None = setting(
        None,
        help="its card, in TOML or JSON; none takes the .toml or .json beside it",
        decides="content",
        when=When("masks is given", lambda config: config.masks is not None),
    )
