# SPDX-License-Identifier: Apache-2.0
"""YOLOX-Nano's layers, for its speed alone: Ge et al., YOLOX (arXiv 2107.08430), written from the description.

Depth 0.33, width 0.25, depthwise convolutions: 0.91 million parameters with 80 classes, as published; drawn weights.
Batch normalisation is folded away, as in what is deployed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BASE = 16
STRIDES = (8, 16, 32)


class Conv(nn.Sequential):
    """A convolution, normalised and followed by SiLU."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out, eps=1e-3),
            nn.SiLU(),
        )


class Separable(nn.Sequential):
    """A depthwise and a pointwise convolution."""

    def __init__(self, channels: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(Conv(channels, channels, kernel, stride, channels), Conv(channels, out, 1))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(Conv(channels, channels, 1), Separable(channels, channels))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result + x if self.shortcut else result


class Partial(nn.Module):
    """A cross-stage partial layer: half of the channels through bottlenecks."""

    def __init__(self, channels: int, out: int, count: int = 1, shortcut: bool = True) -> None:
        super().__init__()
        half = out // 2
        self.left, self.right = Conv(channels, half, 1), Conv(channels, half, 1)
        self.middle = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(count)))
        self.last = Conv(2 * half, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(torch.cat([self.middle(self.left(x)), self.right(x)], dim=1))
        return result


class Pyramid(nn.Module):
    """Spatial pyramid pooling."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = Conv(channels, channels // 2, 1), Conv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        pooled = [functional.max_pool2d(x, size, 1, size // 2) for size in (5, 9, 13)]
        result: Tensor = self.last(torch.cat([x, *pooled], dim=1))
        return result


class YoloxNano(nn.Module):
    """Images (N, 3, H, W) to rows (N, cells, 5 + classes), not decoded; H and W are multiples of 32."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        b = BASE
        self.stem = Conv(12, b, 3)
        self.dark2 = nn.Sequential(Separable(b, 2 * b, stride=2), Partial(2 * b, 2 * b))
        self.dark3 = nn.Sequential(Separable(2 * b, 4 * b, stride=2), Partial(4 * b, 4 * b, 3))
        self.dark4 = nn.Sequential(Separable(4 * b, 8 * b, stride=2), Partial(8 * b, 8 * b, 3))
        self.dark5 = nn.Sequential(
            Separable(8 * b, 16 * b, stride=2), Pyramid(16 * b), Partial(16 * b, 16 * b, shortcut=False)
        )
        self.lateral, self.reduce = Conv(16 * b, 8 * b, 1), Conv(8 * b, 4 * b, 1)
        self.up4, self.up3 = Partial(16 * b, 8 * b, shortcut=False), Partial(8 * b, 4 * b, shortcut=False)
        self.down3, self.down4 = Separable(4 * b, 4 * b, stride=2), Separable(8 * b, 8 * b, stride=2)
        self.out4, self.out5 = Partial(8 * b, 8 * b, shortcut=False), Partial(16 * b, 16 * b, shortcut=False)
        self.heads = nn.ModuleList(Head(channels, classes) for channels in (4 * b, 8 * b, 16 * b))

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows of all grids, one after the other."""
        corners = [images[..., y::2, x::2] for x in (0, 1) for y in (0, 1)]
        c3 = self.dark3(self.dark2(self.stem(torch.cat(corners, dim=1))))
        c4 = self.dark4(c3)
        top = self.lateral(self.dark5(c4))
        middle = self.reduce(self.up4(torch.cat([_twice(top), c4], dim=1)))
        p3 = self.up3(torch.cat([_twice(middle), c3], dim=1))
        p4 = self.out4(torch.cat([self.down3(p3), middle], dim=1))
        p5 = self.out5(torch.cat([self.down4(p4), top], dim=1))
        maps = [head(x).flatten(2) for head, x in zip(self.heads, (p3, p4, p5), strict=True)]
        return torch.cat(maps, dim=2).permute(0, 2, 1)


class Head(nn.Module):
    """The decoupled head of one grid."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        wide = 4 * BASE
        self.stem = Conv(channels, wide, 1)
        self.classes = nn.Sequential(Separable(wide, wide), Separable(wide, wide), nn.Conv2d(wide, classes, 1))
        self.boxes = nn.Sequential(Separable(wide, wide), Separable(wide, wide))
        self.box, self.objectness = nn.Conv2d(wide, 4, 1), nn.Conv2d(wide, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        boxes = self.boxes(x)
        return torch.cat(
            [self.box(boxes), torch.sigmoid(self.objectness(boxes)), torch.sigmoid(self.classes(x))], dim=1
        )


def folded(network: nn.Module) -> nn.Module:
    """Return a network with its normalisations folded into the convolutions before them, in place."""
    for module in network.modules():
        if isinstance(module, Conv):
            fused = nn.utils.fusion.fuse_conv_bn_eval(module[0], module[1])
            module[0], module[1] = fused, nn.Identity()
    return network


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
