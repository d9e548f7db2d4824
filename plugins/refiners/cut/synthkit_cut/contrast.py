# SPDX-License-Identifier: Apache-2.0
"""Patchwise contrast: what a place of an image has become must be told from all other places of that image.

Park et al. 2020, section 3.2, in the details as their released code has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from synthkit_cyclegan.networks import Generator, Residual

_INIT_GAIN = 0.02
_TINY = 1e-7


def taps(generator: Generator) -> tuple[int, ...]:
    """Return which layers are compared: pixels, both convolutions before halving, residual blocks 1 and 5."""
    convolutions, blocks = (
        [index for index, layer in enumerate(generator.layers) if isinstance(layer, kind)]
        for kind in (nn.Conv2d, Residual)
    )
    return 0, convolutions[1], convolutions[2], blocks[0], blocks[4]


def tapped(generator: Generator, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the features (N, c, h, w) of images (N, 3, H, W) in -1..1 at the taps; later layers are not run."""
    found, places = [], taps(generator)
    flow = images
    for index, layer in enumerate(list(generator.layers)[: places[-1] + 1]):
        flow = layer(flow)
        if index in places:
            found.append(flow)
    return found


def channels(filters: int) -> tuple[int, ...]:
    """Return how many channels each tap has in a generator of so many filters."""
    return 3, 2 * filters, 4 * filters, 4 * filters, 4 * filters


class Heads(nn.Module):
    """For each tap a perceptron of two layers, whose results are scaled to unit length.

    The release makes them when it first sees features; here their sizes are known, and so are their weights.

    Args:
        filters: of the generator. width: features of a result.
        generator: the random numbers of the initial weights (Xavier's, with the release's gain of 0.02).
    """

    def __init__(self, filters: int, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width)) for count in channels(filters)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight, _INIT_GAIN, generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, features: Sequence[torch.Tensor], places: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return (N, P, width) float32 for each tap.

        Args:
            features: (N, c, h, w) by tap. places: (P,) indices into h x w, row by row, by tap.
        """
        found = []
        for head, feature, place in zip(self.heads, features, places, strict=True):
            projected = head(feature.flatten(2)[:, :, place].transpose(1, 2)).float()
            found.append(projected / (projected.norm(dim=2, keepdim=True) + _TINY))
        return found


def patch_nce(queries: torch.Tensor, keys: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean cross-entropy of telling each query's own key from the others of its image (equation 2).

    Args:
        queries, keys: (N, P, width), of unit length; gradients flow through the queries alone.
    """
    likeness = queries @ keys.detach().transpose(1, 2) / temperature
    images, places = likeness.shape[:2]
    own = torch.arange(places, device=likeness.device).repeat(images)
    return nn.functional.cross_entropy(likeness.flatten(0, 1), own)
