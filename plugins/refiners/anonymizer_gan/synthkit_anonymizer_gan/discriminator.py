# SPDX-License-Identifier: Apache-2.0
"""The discriminator: StyleGAN2's (Karras et al. 2020, figure 7c), which also tells the features that are compared."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from synthkit_anonymizer_gan.layers import GAIN, Convolution, Linear, activated
from synthkit_anonymizer_gan.networks import Residual, sizes_of, widths_of

SEEN = 3 + 3 + 1
"""Channels that it sees: an image, and as condition what is known of it and a mask."""

_GROUP = 4  # StyleGAN2's, of images whose deviation from each other is told
_EPSILON = 1e-8


class Discriminator(nn.Module):
    """Judges images (N, 7, H, W), of which 4 channels are the condition.

    Args:
        channels: at the finest resolution. size: (height, width). generator: the random numbers of the initial weights.
    """

    def __init__(self, channels: int, size: tuple[int, int], *, generator: torch.Generator) -> None:
        super().__init__()
        sizes = sizes_of(size)
        widths = widths_of(channels, len(sizes))
        self.first = Convolution(SEEN, widths[0], 1, generator=generator)
        self.blocks = nn.ModuleList(
            Residual(finer, coarser, generator=generator) for finer, coarser in itertools.pairwise(widths)
        )
        self.last = Convolution(widths[-1] + 1, widths[-1], generator=generator)
        self.told = Linear(widths[-1] * sizes[-1][0] * sizes[-1][1], widths[-1], generator=generator)
        self.score = Linear(widths[-1], 1, generator=generator)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return scores (N,), high where images look real, and the feature maps.

        Feature map 0 is of the finest resolution; the last two are both of the coarsest.
        """
        maps = [self.first(images.contiguous(memory_format=torch.channels_last))]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        maps.append(self.last(torch.cat([maps[-1], deviation(maps[-1])], dim=1)))
        told = activated(self.told(maps[-1].flatten(1)) * GAIN)
        return self.score(told).float()[:, 0], maps


def map_count(size: tuple[int, int]) -> int:
    """Return how many feature maps a discriminator of images of a size has."""
    return len(sizes_of(size)) + 1


def deviation(features: torch.Tensor) -> torch.Tensor:
    """Return how much images of a batch (N, C, H, W) differ, (N, 1, H, W), each from its neighbours in groups of 4.

    Karras et al. 2018, section 3: so that a generator which makes the same again and again is found out. Where the
    batch is no multiple of 4, groups are smaller.
    """
    count, _, height, width = features.shape
    group = next(size for size in range(min(_GROUP, count), 0, -1) if count % size == 0)
    grouped = features.float().reshape(-1, group, *features.shape[1:])
    variances = (grouped - grouped.mean(dim=1, keepdim=True)).square().mean(dim=1)  # var() is slow across a batch
    deviations = torch.sqrt(variances + _EPSILON).mean(dim=(1, 2, 3))
    of_each = deviations.repeat_interleave(group)[:, None, None, None]
    return of_each.expand(-1, 1, height, width).to(features.dtype)
