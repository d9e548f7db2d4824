# SPDX-License-Identifier: Apache-2.0
"""A whole detector: what fixes its shape, and the network with its decoding and filter around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from synthkit.errors import WeightsError
from synthkit_squeezedet.anchors import Centres, Floats, anchor_grid
from synthkit_squeezedet.decoding import decode, filter_boxes
from synthkit_squeezedet.network import STRIDE, SqueezeDet, normalize


@attrs.frozen
class Design:
    """What fixes a detector's shape besides its weights; kept in the card of its checkpoint.

    Args:
        classes: names of the labels. input_px: (width, height). anchors: (width, height) of each.
        centres: where anchors lie in their cells.
    """

    classes: tuple[str, ...]
    input_px: tuple[int, int]
    anchors: tuple[tuple[float, float], ...]
    centres: Centres

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Design:
        """Return the design in a checkpoint's card.

        Raises:
            WeightsError: when the card has none.
        """
        try:
            plan = card["design"]
            width, height = plan["input_px"]
            return cls(
                classes=tuple(str(name) for name in plan["classes"]),
                input_px=(int(width), int(height)),
                anchors=tuple((float(w), float(h)) for w, h in plan["anchors"]),
                centres=cast(Centres, plan["centres"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise WeightsError(f"the checkpoint's card does not describe a SqueezeDet detector: {error}") from None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "classes": list(self.classes),
            "input_px": list(self.input_px),
            "anchors": [list(size) for size in self.anchors],
            "centres": self.centres,
            "stride": STRIDE,
        }

    def anchor_boxes(self) -> Floats:
        """Return all anchors, (A, 4): cx, cy, w, h in pixels of the input."""
        return anchor_grid(self.input_px, STRIDE, np.array(self.anchors), self.centres)

    def network(self) -> SqueezeDet:
        """Return the network, its weights not yet set."""
        return SqueezeDet(len(self.classes), len(self.anchors))


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
        self._score = score
        self._overlap = overlap
        self.register_buffer("anchors", torch.tensor(design.anchor_boxes(), dtype=torch.float32))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes (N, K, 4), scores (N, K), labels (N, K) and count (N,)."""
        predictions = decode(self.network(normalize(images)).float(), self.anchors, self._size_px)
        return filter_boxes(predictions, score=self._score, overlap=self._overlap)
