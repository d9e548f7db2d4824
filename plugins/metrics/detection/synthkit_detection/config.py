# SPDX-License-Identifier: Apache-2.0
"""The settings of the metric ``detection``."""

from __future__ import annotations

import itertools
from typing import Literal

import attrs
from attrs.validators import optional

from synthkit.config import Validator, all_of, at_least, between, setting
from synthkit.resampling import Unit
from synthkit_detection.geometry import Boxes
from synthkit_detection.truth import Attribute, Target


def _rising(_: object, __: object, values: tuple[float, ...]) -> None:
    if any(second <= first for first, second in itertools.pairwise(values)):
        raise ValueError(f"must rise, got {list(values)}")


def _an_attribute(_: object, __: object, text: str) -> None:
    if text:
        Attribute.of(text)


_EDGES: Validator = all_of(at_least(0), _rising)


@attrs.frozen
class DetectionConfig:
    """How detections are judged."""

    target: Target = setting(
        "head", help="who is to be found: heads (hidden parts too) or the visible pixels of people"
    )
    boxes: Boxes = setting(
        "upright",
        help="what is compared: upright boxes; rotated boxes with the tightest rotated box of a person (as CEPDOF) or"
        " with the one that points at the nadir (radial, as HABBOF); or points, with the middle of the head or person",
    )
    people: str = setting(
        "",
        help="ATTRIBUTE=VALUE of the people who are to be found, such as posture=sitting; empty: everybody",
        validator=_an_attribute,
    )
    others: Literal["wrong", "left out"] = setting(
        "wrong",
        help="what finds of people without that attribute are: wrong, as of a class of its own; or left out, as where a"
        " detector of everybody is judged on some",
    )
    label: int | None = setting(
        None, help="judge only detections with this label; none judges all", validator=optional(at_least(0))
    )
    iou: float = setting(
        0.5,
        help="agreement at which a detection is right, for precision, recall, F1 and counts: intersection over union;"
        " for points 1 - distance / diagonal of the head or person",
        validator=between(0.01, 1),
    )
    ap_ious: tuple[float, ...] = setting(
        (0.3, 0.5, 0.75), help="agreements at which average precision is given", validator=between(0.01, 1)
    )
    coco: bool = setting(True, help="also give AP averaged over agreements of .50, .55 ... .95")
    score: float | None = setting(
        None,
        help="least score of a detection, for precision, recall, F1 and counts; none takes the one that training chose"
        " (operating_score in the checkpoint's card) or, where there is none, the score with the best F1 on the judged"
        " set itself, which flatters a little",
        validator=optional(between(0, 1)),
    )
    size_edges_px: tuple[float, ...] = setting(
        (32.0, 96.0),
        help="also judge by size, parted at these square roots of areas; [] does not part (COCO: [32, 96])",
        validator=_EDGES,
    )
    distance_edges: tuple[float, ...] = setting(
        (0.35, 0.7),
        help="also judge by distance from what is straight below the camera (unknown: from the image's centre), parted"
        " here, in halves of the image's shorter side; [] does not part",
        validator=_EDGES,
    )
    max_detections: int = setting(100, help="best detections per image that count", validator=at_least(1))
    min_box_px: float = setting(
        2.0,
        help="truth that is narrower or lower than this need not be found, and may be (boxes: inside the image)",
        validator=at_least(0),
    )
    min_visible: float = setting(
        0.0,
        help="truth of which less than this share is seen need not be found, and may be; unknown counts as seen",
        validator=between(0, 1),
    )
    point_px: float | None = setting(
        None, help="diagonal of a head of which only the middle is known, for points", validator=optional(at_least(1))
    )
    bootstrap: int = setting(
        1000, help="resamples for the 95 % confidence intervals; 0 for none", validator=at_least(0)
    )
    resample: Unit = setting(
        "image",
        help="what is resampled: images, each with all its turns; or sequences, as frames of one video resemble each"
        " other",
    )

    def __attrs_post_init__(self) -> None:
        if self.target == "head" and self.boxes in ("rotated", "radial"):
            raise ValueError(f"heads have no rotated boxes: boxes={self.boxes} needs target=person")
