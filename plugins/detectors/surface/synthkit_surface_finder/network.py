# SPDX-License-Identifier: Apache-2.0
"""The network: a small U-Net that tells of each pixel of a crop whether it is the person's, and of which place of them.

Source: Ronneberger, Fischer and Brox, U-Net (arXiv 1505.04597). The way down is SqueezeNet's (Iandola et al., arXiv
1602.07360), so that it can start from the layers of a SqueezeDet that already knows people; the way up has nearest
neighbours and convolutions, and ends at half of the crop's resolution. As in DensePose (Güler, Neverova and Kokkinos,
arXiv 1802.00434) a pixel's part of the body is a class, and each part has coordinates of its own; these are the place
at rest (as in NOCS, Wang et al., arXiv 1901.02970), of which the nearest vertex is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthkit_squeezedet.network import ARCHITECTURES, Fire, normalize

OUTPUT_STRIDE = 2
"""Pixels of a crop from one of an answer to the next."""

_PLAN = ARCHITECTURES["squeezedet"]
_FIRES = 8  # fire2 to fire9, SqueezeNet's
_LEVELS = (_PLAN.filters, *(2 * _PLAN.fires[number][1] for number in (1, 3, 7)))  # channels at strides 2, 4, 8, 16
_INPUTS = 4  # red, green, blue, and the box


@attrs.frozen(eq=False)
class Answers:
    """What the network says of crops: N of h x w pixels at ``OUTPUT_STRIDE``, P parts.

    Args:
        mask: (N, h, w) logits. parts: (N, P, h, w) logits. places: (N, P, 3, h, w), see ``Surface.places``.
    """

    mask: Tensor
    parts: Tensor
    places: Tensor


class BodyNet(nn.Module):
    """Crops and boxes in, masks and places out.

    Args:
        parts: of the body, P. width: filters of the way up where it ends; each coarser level has half as many more.
        vertices: of the surface, which it carries along.
    """

    vertices_m: Tensor
    vertex_parts: Tensor

    def __init__(self, parts: int, width: int, vertices: int) -> None:
        super().__init__()
        self._parts = parts
        self.conv1 = nn.Conv2d(_INPUTS, _PLAN.filters, _PLAN.kernel_px, stride=2)
        channels, fires = _PLAN.filters, {}
        for number, (squeeze, expand) in enumerate(_PLAN.fires[:_FIRES], start=2):
            fires[f"fire{number}"] = Fire(channels, squeeze, expand)
            channels = 2 * expand
        self.fires = nn.ModuleDict(fires)
        widths = [width, 3 * width // 2, 2 * width, 5 * width // 2]  # at strides 2, 4, 8, 16
        self.beside = nn.ModuleList([nn.Conv2d(level, own, 1) for level, own in zip(_LEVELS, widths, strict=True)])
        self.up = nn.ModuleList([nn.Conv2d(own + low, own, 3, padding=1) for own, low in pairwise(widths)])
        self.head = nn.Conv2d(width, 1 + 4 * parts, 3, padding=1)
        self.register_buffer("vertices_m", torch.zeros(vertices, 3))
        self.register_buffer("vertex_parts", torch.zeros(vertices, dtype=torch.uint8))

    def initialize(self, generator: torch.Generator) -> None:
        """Draw all weights, after He et al. (2015); the last layer's are a tenth of it, so that nothing is sure yet."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def load_features(self, weights: Mapping[str, Tensor]) -> None:
        """Take the way down from a SqueezeDet, by its own names; the box is not looked at yet.

        Raises:
            KeyError, RuntimeError: when a tensor is missing or of another shape.
        """
        own = self.state_dict()
        down = {name: weights[name] for name in own if name.startswith("fires.") or name == "conv1.bias"}
        first = torch.zeros_like(self.conv1.weight)
        first[:, :3] = weights["conv1.weight"]
        self.load_state_dict({**own, **down, "conv1.weight": first})

    def carry(self, vertices_m: npt.NDArray[np.float32], parts: npt.NDArray[np.int64]) -> None:
        """Take the surface along: where each vertex lies at rest, (V, 3), and the part that it is of, (V,)."""
        self.vertices_m.copy_(torch.from_numpy(np.array(vertices_m)))
        self.vertex_parts.copy_(torch.from_numpy(parts.astype(np.uint8)))

    def forward(self, images: Tensor, boxes: Tensor) -> Answers:
        """Return the answers.

        Args:
            images: (N, h, w, 3) uint8 sRGB, h and w multiples of 16. boxes: (N, h, w) bool, where the box is.
        """
        flow = torch.cat([normalize(images), boxes.unsqueeze(1).float()], dim=1)
        levels = [functional.relu(layer(one)) for layer, one in zip(self.beside, self._down(flow), strict=True)]
        flow = levels.pop()
        for layer, level in zip(reversed(self.up), reversed(levels), strict=True):
            flow = functional.relu(layer(torch.cat([level, functional.interpolate(flow, scale_factor=2.0)], dim=1)))
        mask, parts, places = self.head(flow).split([1, self._parts, 3 * self._parts], dim=1)
        return Answers(mask[:, 0], parts, places.unflatten(1, (self._parts, 3)))

    def _down(self, flow: Tensor) -> list[Tensor]:
        """Return SqueezeNet's activations at strides 2, 4, 8 and 16."""
        padded = functional.pad(flow.contiguous(memory_format=torch.channels_last), (0, 1, 0, 1))
        flow = functional.relu(self.conv1(padded))
        levels = []
        for name, fire in self.fires.items():
            if name in _PLAN.pools:
                levels.append(flow)
                flow = functional.max_pool2d(flow, 3, 2, ceil_mode=True)
            flow = fire(flow)
        return [*levels, flow]
