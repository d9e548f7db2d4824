# SPDX-License-Identifier: Apache-2.0
"""The generator's layers for inference: all that depends on weights alone is computed once.

Scales of weights, the sums of squares that demodulation needs (see ``modulation``), biases and noise with their gain.
Results are those of the layers they are made of, up to rounding.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from synthkit_anonymizer_gan.layers import GAIN, Convolution, Linear, activated, filtered, halved
from synthkit_anonymizer_gan.modulation import EPSILON, ModulatedConvolution, ToColours


def quicken(network: nn.Module) -> None:
    """Put quick layers into the place of a trained network's; it cannot be trained or kept afterwards."""
    for name, layer in list(network.named_children()):
        if isinstance(layer, ModulatedConvolution):
            network.add_module(name, _Modulated(layer))
        elif isinstance(layer, ToColours):
            network.add_module(name, _Colours(layer))
        elif isinstance(layer, Convolution):
            network.add_module(name, _Convolution(layer))
        elif isinstance(layer, Linear):
            network.add_module(name, _Linear(layer))
        else:
            quicken(layer)


class _Linear(nn.Module):
    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, layer: Linear, scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("weight", layer.weight.detach() * (layer.scale * scale))
        self.register_buffer("bias", layer.bias.detach() * (layer.rate * scale))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return functional.linear(values, self.weight, self.bias)


class _Convolution(nn.Module):
    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.register_buffer("weight", _laid(layer.weight.detach() * layer.scale))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach() * layer.gain)
        self.active, self.down = layer.active, layer.down

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.weight.shape[-1], 1
        padding = kernel // 2
        if self.down and kernel == 1:
            images = halved(images)
        elif self.down:
            images, stride, padding = filtered(images, 2), 2, 0
        flow = functional.conv2d(images, self.weight, self.bias, stride=stride, padding=padding)
        return activated(flow) if self.active else flow


class _Modulated(nn.Module):
    weight: torch.Tensor
    squares: torch.Tensor
    bias: torch.Tensor
    strength: torch.Tensor
    rest: torch.Tensor

    def __init__(self, layer: ModulatedConvolution) -> None:
        super().__init__()
        weight = layer.weight.detach() * layer.scale
        self.styles = _Linear(layer.styles)
        self.register_buffer("weight", _laid(weight.transpose(0, 1) if layer.up else weight))
        self.register_buffer("squares", weight.square().sum(dim=(2, 3)).T.contiguous())
        self.register_buffer("bias", (layer.bias.detach() * GAIN)[:, None, None])
        self.register_buffer("strength", layer.noise_strength.detach() * GAIN)
        self.register_buffer("rest", _laid(self.bias + layer.fixed_noise * self.strength))
        self.up = layer.up

    def forward(self, images: torch.Tensor, latents: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        styles = self.styles(latents)
        roots = torch.rsqrt(styles.square() @ self.squares + EPSILON) * GAIN
        flow = images * styles[..., None, None]
        if self.up:
            flow = filtered(functional.conv_transpose2d(flow, self.weight, stride=2), 1, gain=4.0)
        else:
            flow = functional.conv2d(flow, self.weight, padding=1)
        rest = self.rest if noise is None else self.bias + noise * self.strength
        return activated(torch.addcmul(rest, flow, roots[..., None, None]))


class _Colours(nn.Module):
    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, layer: ToColours) -> None:
        super().__init__()
        self.styles = _Linear(layer.styles, layer.scale)
        self.register_buffer("weight", layer.weight.detach())
        self.register_buffer("bias", layer.bias.detach())

    def forward(self, images: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(images * self.styles(latents)[..., None, None], self.weight, self.bias)


def _laid(weight: torch.Tensor) -> torch.Tensor:
    return weight.contiguous(memory_format=torch.channels_last)
