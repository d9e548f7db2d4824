# SPDX-License-Identifier: Apache-2.0
"""Layers that every network here is made of.

Weights are kept with unit variance and scaled when they are used, so that Adam moves all layers alike (equalised
learning rate; Karras et al.: Progressive Growing of GANs, ICLR 2018, section 4.1).
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.2
GAIN = math.sqrt(2)
"""Of a leaky ReLU: it about keeps the variance of what goes through."""

CLAMP = 256.0
"""Activations beyond it are cut off, so that no precision overflows, as in StyleGAN2-ADA (Karras et al. 2020)."""

_TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8  # StyleGAN2's filter against aliasing, along one axis


class Linear(nn.Module):
    """Maps (N, inputs) to (N, outputs).

    Args:
        bias: its initial value. rate: factor on the learning rate, by way of the weights' scale.
        generator: the random numbers of the initial weights.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate
        nn.init.normal_(self.weight, 0.0, 1.0 / rate, generator=generator)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the mapped values."""
        # The values are scaled, of which there are far fewer than weights.
        return functional.linear(values * self.scale, self.weight, self.bias * self.rate)


class Convolution(nn.Module):
    """Maps (N, inputs, H, W) to (N, outputs, H, W), or to half of that height and width.

    Args:
        kernel: its width, 1 or 3. down: whether it halves. active: whether a leaky ReLU follows, clamped.
        biased: whether it has a bias. generator: the random numbers of the initial weights.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3,
        *, down: bool = False, active: bool = True, biased: bool = True, generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if biased else None
        # The leaky ReLU's gain is put before it: the same, and a pass over the result less.
        self.gain = GAIN if active else 1.0
        self.scale, self.active, self.down = self.gain / math.sqrt(inputs * kernel**2), active, down
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the mapped images."""
        kernel, stride = self.weight.shape[-1], 1
        weight, bias = self.weight * self.scale, None if self.bias is None else self.bias * self.gain
        padding = kernel // 2
        if self.down and kernel == 1:
            images = halved(images)
        elif self.down:  # the filter reaches one further, instead of the convolution's border
            images, stride, padding = filtered(images, 2), 2, 0
        flow = functional.conv2d(images, weight, bias, stride=stride, padding=padding)
        return activated(flow) if self.active else flow


def activated(flow: torch.Tensor) -> torch.Tensor:
    """Return a leaky ReLU of activations that have its gain already, clamped."""
    if torch.is_grad_enabled():
        return functional.hardtanh(functional.leaky_relu(flow, SLOPE), -CLAMP, CLAMP)  # clamp's gradient is slower
    return functional.leaky_relu_(flow, SLOPE).clamp_(-CLAMP, CLAMP)


def filtered(images: torch.Tensor, padding: int, *, stride: int = 1, gain: float = 1.0) -> torch.Tensor:
    """Return images (N, C, H, W) through the filter 1 3 3 1 along both axes, with zeros beyond the border.

    Args:
        padding: how many of these on each side; the result is (H + 2 padding - 3) high. stride: of the result's pixels.
        gain: factor on the result.
    """
    channels = images.shape[1]
    taps = (_TAPS * math.sqrt(gain)).to(images)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    return functional.conv2d(images, kernel, stride=stride, padding=padding, groups=channels)


def halved(images: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W), H and W even, at half of the height and width."""
    return filtered(images, 1, stride=2)


def doubled(images: torch.Tensor) -> torch.Tensor:
    """Return images (N, C, H, W) at twice the height and width, their rim going on beyond it.

    Zeros between the pixels and the filter 1 3 3 1 after it are linear interpolation.
    """
    return functional.interpolate(images, scale_factor=2.0, mode="bilinear")
