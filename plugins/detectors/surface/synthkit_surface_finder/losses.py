# SPDX-License-Identifier: Apache-2.0
"""What the network learns by."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from synthkit_surface_finder.examples import UNKNOWN, Crop
from synthkit_surface_finder.network import Answers

_PLACES_WEIGHT = 2.0
_BETA = 0.1  # of a part's reach: errors below it count by their squares


@attrs.frozen(eq=False)
class Batch:
    """Crops as tensors: N of h x w pixels.

    Args:
        images: (N, h, w, 3) uint8. boxes, masks: (N, h, w) bool. parts: (N, h, w) int64. places: (N, 3, h, w) float32.
    """

    images: Tensor
    boxes: Tensor
    masks: Tensor
    parts: Tensor
    places: Tensor

    @classmethod
    def of(cls, crops: Sequence[Crop], device: torch.device) -> Batch:
        """Return crops as a batch on a device."""
        columns = zip(*(attrs.astuple(crop, recurse=False) for crop in crops), strict=True)
        images, boxes, masks, parts, places = (torch.from_numpy(np.stack(column)).to(device) for column in columns)
        return cls(images, boxes, masks, parts, places.permute(0, 3, 1, 2))


def losses(answers: Answers, batch: Batch) -> dict[str, Tensor]:
    """Return the parts of the loss, already weighted.

    The mask's is the cross entropy and Dice's (Milletari, Navab and Ahmadi, V-Net, arXiv 1606.04797); the parts' a
    cross entropy, and the places' a smooth distance in the true part's coordinates, both over the person's pixels.
    """
    wanted = batch.masks.float()
    entropy = functional.binary_cross_entropy_with_logits(answers.mask, wanted)
    found = torch.sigmoid(answers.mask)
    shared, sizes = (found * wanted).sum(dim=(1, 2)), (found + wanted).sum(dim=(1, 2))
    dice = 1.0 - ((2.0 * shared + 1.0) / (sizes + 1.0)).mean()
    known = batch.parts != UNKNOWN
    count = known.sum().clamp(min=1)
    classes = functional.cross_entropy(answers.parts, batch.parts, ignore_index=UNKNOWN, reduction="sum") / count
    of_part = _of_parts(answers.places, batch.parts.clamp(min=0))
    off = functional.smooth_l1_loss(of_part, batch.places, beta=_BETA, reduction="none").sum(dim=1)
    return {
        "loss_mask": entropy + dice,
        "loss_parts": classes,
        "loss_places": _PLACES_WEIGHT * (off * known).sum() / count,
    }


def _of_parts(places: Tensor, parts: Tensor) -> Tensor:
    """Return of each pixel the place (N, 3, h, w) that is said for its part (N, h, w)."""
    index = parts[:, None, None].expand(-1, 1, 3, -1, -1)
    return places.gather(1, index)[:, 0]


def chosen(answers: Answers) -> tuple[Tensor, Tensor]:
    """Return of each pixel the likeliest part (N, h, w), and the place (N, 3, h, w) that is said for it."""
    parts = answers.parts.argmax(dim=1)
    return parts, _of_parts(answers.places, parts)
