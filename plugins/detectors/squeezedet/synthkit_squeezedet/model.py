# SPDX-License-Identifier: Apache-2.0
"""A whole detector: what fixes its shape, and the network with its decoding and filter around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from synthkit.errors import WeightsError
from synthkit_squeezedet.anchors import Centres, Floats, anchor_grid
from synthkit_squeezedet.config import (
    MOST_ANCHORS,
    MOST_CLASSES,
    MOST_INPUT_PX,
    STRIDE,
    BoxKind,
    NetworkName,
)
from synthkit_squeezedet.decoding import UPRIGHT_NUMBERS, Predictions, decode, filter_boxes
from synthkit_squeezedet.network import SqueezeDet, normalize
from synthkit_squeezedet.rotated import NUMBERS as ROTATED_NUMBERS


@attrs.frozen
class Design:
    """What fixes a detector's shape besides its weights; kept in the card of its checkpoint.

    Args:
        classes: names of the labels. input_px: (width, height). anchors: (width, height) of each.
        centres: where anchors lie in their cells. boxes: which boxes it finds. network: which layers it has.
    """

    classes: tuple[str, ...]
    input_px: tuple[int, int]
    anchors: tuple[tuple[float, float], ...]
    centres: Centres
    boxes: BoxKind = "upright"
    network: NetworkName = "squeezedet"

    @classmethod
    def from_card(cls, card: Mapping[str, Any], origin: Path) -> Design:
        """Return the design in a checkpoint's card, or in a state of training; each part is checked.

        Raises:
            WeightsError: naming ``origin``, when there is none or none that could be built.
        """
        try:
            plan = card["design"]
            width, height = plan["input_px"]
            design = cls(
                classes=tuple(plan["classes"]),
                input_px=(width, height),
                anchors=tuple((w, h) for w, h in plan["anchors"]),
                centres=plan["centres"],
                boxes=plan["boxes"],
                network=plan["network"],
            )
        except KeyError as error:
            raise WeightsError(
                f"checkpoint {origin}: its card does not tell the detector's {error.args[0]}; if it is of an"
                " older release, train the detector anew"
            ) from None
        except (TypeError, ValueError):
            raise WeightsError(f"checkpoint {origin}: its card does not describe a SqueezeDet detector") from None
        if not design._is_sound():
            raise WeightsError(f"checkpoint {origin}: its card describes no detector that could be built")
        return design

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "classes": list(self.classes),
            "input_px": list(self.input_px),
            "anchors": [list(size) for size in self.anchors],
            "centres": self.centres,
            "boxes": self.boxes,
            "network": self.network,
            "stride": STRIDE,
        }

    def _is_sound(self) -> bool:
        """Tell whether this can be built, whatever was in the card."""
        sides = [side for size in self.anchors for side in size]
        return (
            0 < len(self.classes) <= MOST_CLASSES
            and all(type(name) is str for name in self.classes)
            and all(type(side) is int and STRIDE <= side <= MOST_INPUT_PX for side in self.input_px)
            and not any(side % STRIDE for side in self.input_px)
            and 0 < len(self.anchors) <= MOST_ANCHORS
            and all(type(side) in (int, float) and math.isfinite(side) and side > 0 for side in sides)
            and self.centres in get_args(Centres)
            and self.boxes in get_args(BoxKind)
            and self.network in get_args(NetworkName)
        )

    def anchor_boxes(self) -> Floats:
        """Return all anchors, (A, 4): cx, cy, w, h in pixels of the input."""
        return anchor_grid(self.input_px, STRIDE, np.array(self.anchors), self.centres)

    @property
    def numbers(self) -> int:
        """How many numbers tell a box."""
        return UPRIGHT_NUMBERS if self.boxes == "upright" else ROTATED_NUMBERS

    def build(self) -> SqueezeDet:
        """Return the network, its weights not yet set."""
        return SqueezeDet(len(self.classes), len(self.anchors), numbers=self.numbers, name=self.network)


class WholeDetector(nn.Module):
    """Images in, boxes out: (N, H, W, 3) uint8 sRGB to what ``decoding.filter_boxes`` gives.

    Args:
        design, network: what detects. score, overlap: of the filter.
    """

    anchors: Tensor

    def __init__(self, design: Design, network: SqueezeDet, *, score: float, overlap: float) -> None:
        super().__init__()
        self.network = network
        self._size_px = design.input_px
        self._numbers = design.numbers
        self._score = score
        self._overlap = overlap
        self.register_buffer("anchors", torch.tensor(design.anchor_boxes(), dtype=torch.float32))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes (N, K, 4), or rotated ones (N, K, 5), scores (N, K), labels (N, K) and count (N,)."""
        return self.filtered(self.decoded(self.network(normalize(images))))

    def decoded(self, raw: Tensor) -> Predictions:
        """Return what the network's raw predictions mean."""
        return decode(raw.float(), self.anchors, self._size_px, self._numbers)

    def filtered(self, predictions: Predictions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what ``forward`` does, of predictions."""
        return filter_boxes(predictions, score=self._score, overlap=self._overlap)
