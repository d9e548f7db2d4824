# SPDX-License-Identifier: Apache-2.0
"""The card of a detector in an ONNX file: what goes in, what comes out, and how boxes are made of it.

``synthkit export`` writes one, as the table ``detector`` of the file's JSON; for a stranger's file it is written by
hand, in TOML or JSON. With it any runner, on any device, gets the boxes that synthkit gets.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import optional

from synthkit import config as configs
from synthkit.config import between, setting
from synthkit.errors import ConfigError
from synthkit.files import small_file
from synthkit.letterbox import Fit

MOST_INPUT_PX = 4096
MOST_ANCHORS = 64
MOST_CLASSES = 1000
MAX_CARD_BYTES = 1 << 17
MAX_TOML_BYTES = 1 << 14  # Python's reader takes time with the square of the dots in a key
MOST_CANDIDATES = 2000

Sizes = tuple[tuple[float, float], ...]
Triple = tuple[float, float, float]


def _size(_: Any, __: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    if any(not 1 <= side <= MOST_INPUT_PX for side in value):
        raise ValueError(f"width and height must lie between 1 and {MOST_INPUT_PX}, got {list(value)}")


def _not_zero(_: Any, __: attrs.Attribute[Any], value: Triple) -> None:
    if any(number == 0 for number in value):
        raise ValueError("divides: none of its values may be 0")


def _anchors(_: Any, __: attrs.Attribute[Any], value: Sizes) -> None:
    if not 1 <= len(value) <= MOST_ANCHORS or any(side <= 0 for size in value for side in size):
        raise ValueError(f"must be a list of 1 to {MOST_ANCHORS} [width, height] in pixels, all above 0")


def _names(_: Any, __: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not 1 <= len(value) <= MOST_CLASSES or len(set(value)) != len(value):
        raise ValueError(f"must be a list of 1 to {MOST_CLASSES} different names")


def _strides(_: Any, __: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    if len(value) > 8 or any(not 1 <= stride <= 256 for stride in value):
        raise ValueError("must be a list of at most 8 numbers between 1 and 256")


@attrs.frozen
class InputCard:
    """How an image becomes the network's input."""

    name: str = setting(help="of the graph's input")
    size_px: tuple[int, int] = setting(help="[width, height]", validator=_size)
    layout: Literal["NCHW", "NHWC"] = setting("NCHW", help="order of its axes: images, channels, height, width")
    dtype: Literal["uint8", "float32"] = setting("float32", help="of its values")
    colour: Literal["RGB", "BGR"] = setting("RGB", help="order of its channels")
    mean: Triple = setting((0.0, 0.0, 0.0), help="subtracted from pixel values 0 to 255, per channel as they go in")
    deviation: Triple = setting((1.0, 1.0, 1.0), help="divides what is left", validator=_not_zero)
    fit: Fit = setting(
        "centre",
        help="images of another size are scaled by one factor and lie in the middle of the input (centre; an image"
        " less than 16 pixels smaller is not scaled) or at its top left (corner), or fill it (stretch)",
    )
    grey: int = setting(0, help="value of the pixels around them", validator=between(0, 255))

    def __attrs_post_init__(self) -> None:
        if self.dtype == "uint8" and (self.mean != (0.0, 0.0, 0.0) or self.deviation != (1.0, 1.0, 1.0)):
            raise ValueError("pixels that go in as uint8 have no mean and no deviation")


@attrs.frozen
class BoxesOutput:
    """A graph that decodes and filters by itself.

    Its boxes are (N, K, 4) left, top, right, bottom in pixels of the input, or rotated: (N, K, 5) cx, cy, w, h, degrees
    clockwise.
    """

    boxes: str = setting("boxes", help="output with the boxes, best score first")
    scores: str = setting("scores", help="output with their scores (N, K)")
    labels: str | None = setting("labels", help="output with their labels (N, K); none: all are of the first class")
    count: str | None = setting("count", help="output with the number of rows that count (N,); none: all")


@attrs.frozen
class AnchorsOutput:
    """SqueezeDet's maps: h x w cells of ``stride`` pixels, A anchors in each, C classes.

    confidence (1, A, h, w) is a probability; deltas (1, 4 A, h, w) hold dx, dy, dw, dh of one anchor after the other,
    of rotated boxes (1, 6 A, h, w) two more; classes (1, C A, h, w) hold logits. See ``decoding.anchor_boxes`` for the
    arithmetic.
    """

    confidence: str = setting("confidence", help="output with the confidences")
    deltas: str = setting("deltas", help="output with the deltas")
    classes: str | None = setting(None, help="output with the logits of classes; none with one class")
    anchors: Sizes = setting(help="[[width, height], ...] in pixels of the input", validator=_anchors)
    boxes: Literal["upright", "rotated"] = setting("upright", help="which boxes they tell")
    stride: int = setting(16, help="pixels of the input from one cell to the next", validator=between(1, 256))
    centres: Literal["cells", "published"] = setting(
        "cells", help="anchors lie in the middle of their cells, or at i*W/(columns+1), i = 1 ... columns"
    )


@attrs.frozen
class YoloOutput:
    """Rows of the YOLO family: (1, rows, columns), columns cx, cy, w, h, objectness (if any), a score per class."""

    rows: str = setting(help="the output")
    transposed: bool = setting(False, help="whether it is (1, columns, rows), as of YOLOv8")
    objectness: bool = setting(True, help="whether the fifth column is an objectness, which multiplies the scores")
    strides: tuple[int, ...] = setting(
        (),
        help="when rows are not decoded: strides of the grids they run over, as of YOLOX [8, 16, 32], where"
        " cx = (column + x) * stride and w = exp(x) * stride; empty: rows are pixels of the input",
        validator=_strides,
    )


@attrs.frozen
class OutputCard:
    """What comes out: one of these tables."""

    boxes: BoxesOutput | None = setting(None, help="decoded and filtered boxes")
    anchors: AnchorsOutput | None = setting(None, help="SqueezeDet's maps")
    yolo: YoloOutput | None = setting(None, help="rows of the YOLO family")

    def __attrs_post_init__(self) -> None:
        given = [field.name for field in attrs.fields(OutputCard) if getattr(self, field.name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of boxes, anchors, yolo (got {' and '.join(given) or 'none'})")


@attrs.frozen
class DetectorCard:
    """What a runner must know of a detector in an ONNX file."""

    classes: tuple[str, ...] = setting(
        help="names of the labels; class scores beyond them are other things and left out", validator=_names
    )
    input: InputCard = setting(help="what goes in")
    output: OutputCard = setting(help="what comes out")
    score_threshold: float = setting(0.005, help="least score of a detection", validator=between(0, 1))
    operating_score: float | None = setting(
        None, help="the score from which on detections are best believed", validator=optional(between(0, 1))
    )
    nms_iou: float = setting(
        0.4, help="of detections of a class that overlap more than this the best remains", validator=between(0, 1)
    )
    most: int = setting(64, help="how many best predictions enter that filter", validator=between(1, MOST_CANDIDATES))


def read_card(path: Path) -> DetectorCard:
    """Read a card: TOML or JSON, by itself or as the table ``detector``.

    Raises:
        ConfigError: naming the file and everything that is wrong in it.
    """
    try:
        if path.suffix.lower() == ".json":
            values = json.loads(small_file(path, MAX_CARD_BYTES, "a card"))
        else:
            values = tomllib.loads(small_file(path, MAX_TOML_BYTES, "a card in TOML").decode())
        return parse_card(values, str(path))
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: is no card of a detector: {error}"]) from None


def parse_card(values: Any, origin: str) -> DetectorCard:
    """Return the card in plain values, which may be a stranger's.

    Raises:
        ConfigError: with ``origin`` and everything that is wrong.
    """
    if isinstance(values, Mapping) and isinstance(values.get("detector"), Mapping):
        values = values["detector"]
    if not isinstance(values, Mapping):
        raise ConfigError([f"{origin}: is no card of a detector: expected a table"])
    try:
        return configs.structure(DetectorCard, values)
    except ConfigError as error:
        raise ConfigError([f"{origin}: {problem}" for problem in error.problems]) from None
