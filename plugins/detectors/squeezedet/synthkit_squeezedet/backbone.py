# SPDX-License-Identifier: Apache-2.0
"""What training starts from: ImageNet's SqueezeNet 1.1, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import torch

from synthkit import weights
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress

SQUEEZENET = "squeezenet1_1"


@attrs.frozen(eq=False)
class Backbone:
    """Weights to start from.

    Args:
        tensors: torchvision's, or None to start from random weights. sha256: of their file.
        note: why none were taken, when they might have been.
    """

    tensors: Mapping[str, torch.Tensor] | None = None
    sha256: str | None = None
    note: str = ""

    def card(self) -> dict[str, Any]:
        """Return what the checkpoint's card says of it."""
        if self.tensors is None:
            return {"weights": "none", "note": self.note}
        entry = weights.entry(SQUEEZENET)
        return {
            "weights": SQUEEZENET,
            "sha256": self.sha256,
            "source": entry.source,
            "licence": entry.licence,
        }


def choose_backbone(
    wanted: Literal["auto", "none", "squeezenet1_1"], before: Mapping[str, Any] | None, progress: Progress
) -> Backbone:
    """Return the weights to start from.

    Args:
        wanted: the setting. before: the card of the choice made when this training began; it is kept, so that
            weights that appear later do not change a training that goes on.

    Raises:
        WeightsError: when ``squeezenet1_1`` is demanded and cannot be had.
    """
    if before is not None and before["weights"] == "none":
        return Backbone(note=str(before["note"]))
    if wanted == "none" and before is None:
        return Backbone(note="training from scratch was asked for")
    try:
        found = weights.find(SQUEEZENET)
        return Backbone(tensors=weights.load(found), sha256=found.entry.sha256)
    except WeightsError as error:
        if wanted == SQUEEZENET or before is not None:
            raise
        progress("backbone", 0, None, "SqueezeNet 1.1 cannot be had: training from scratch")
        return Backbone(note=f"trained from scratch: {error}")
