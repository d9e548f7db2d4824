# SPDX-License-Identifier: Apache-2.0
"""The features of SqueezeNet 1.1 (Iandola et al. 2016), with torchvision's parameter names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

FEATURES = 512

_FIRES = ((3, 64, 16, 64), (4, 128, 16, 64), (6, 128, 32, 128), (7, 256, 32, 128), (9, 256, 48, 192),
          (10, 384, 48, 192), (11, 384, 64, 256), (12, 512, 64, 256))  # fmt: skip
_POOLS_BEFORE = (3, 6, 9)


class SqueezeNet(nn.Module):
    """The convolutional part: (N, 512, h, w) activations of (N, 3, H, W) normalised images."""

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {"0": nn.Conv2d(3, 64, 3, 2)}
        layers |= {str(place): _Fire(*widths) for place, *widths in _FIRES}
        self.features = nn.ModuleDict(layers)
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the activations of the last fire module."""
        flow = F.relu(self.features["0"](images))
        for place, *_ in _FIRES:
            if place in _POOLS_BEFORE:
                flow = F.max_pool2d(flow, 3, 2, ceil_mode=True)
            flow = self.features[str(place)](flow)
        return flow


class _Fire(nn.Module):
    """Squeeze to few channels, then expand by 1x1 and 3x3 filters side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        flow = F.relu(self.squeeze(flow))
        return torch.cat([F.relu(self.expand1x1(flow)), F.relu(self.expand3x3(flow))], dim=1)
