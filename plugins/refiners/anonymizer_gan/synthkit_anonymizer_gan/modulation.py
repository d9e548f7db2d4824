# SPDX-License-Identifier: Apache-2.0
"""Modulated convolutions (Karras et al. 2020: Analyzing and Improving the Image Quality of StyleGAN, section 2.2).

A style s scales each input channel i of a weight w (equation 1), and the result is demodulated, so that each output
channel j has unit variance whatever the style (equation 3)::

    w'_ijk = s_i w_ijk           w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + eps)

Written down like that each image of a batch has weights of its own, which is a grouped convolution. It is the same to
scale the channels that go in by s and those that come out by the root, with one weight for all; the roots of a batch
are then a product of two small matrices, as sum_ik (s_i w_ijk)^2 = sum_i s_i^2 sum_k w_ijk^2. For a single image it is
faster to put both into the weight.
"""

from __future__ import annotations

import contextlib
import math

import torch
from torch import nn
from torch.nn import functional

from synthkit_anonymizer_gan.layers import GAIN, Linear, activated, filtered

EPSILON = 1e-8
"""Of equation 3."""


def modulated_convolution(
    images: torch.Tensor, weight: torch.Tensor, styles: torch.Tensor, *, demodulate: bool = True, up: bool = False
) -> torch.Tensor:
    """Return images (N, I, H, W) convolved as their styles say: (N, O, H, W), or twice as high and wide.

    Args:
        weight: (O, I, k, k), k odd. styles: (N, I). demodulate: equation 3. up: doubles height and width, by a
            transposed convolution and a filter (Karras et al. 2020, figure 7); needs k = 3.
    """
    roots = demodulation(weight, styles) if demodulate else None
    if images.shape[0] == 1:
        scale = styles[0, None, :, None, None] * (1 if roots is None else roots[0, :, None, None, None])
        return _convolved(images, (weight * scale).to(images.dtype), up)
    flow = _convolved(images * styles[..., None, None].to(images.dtype), weight.to(images.dtype), up)
    return flow if roots is None else flow * roots[..., None, None].to(flow.dtype)


def demodulation(weight: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
    """Return what equation 3 multiplies each output channel by, (N, O), for a weight (O, I, k, k) and styles (N, I)."""
    # Squares of half precision would overflow. Where there is none, nothing is switched: exporters know no such switch.
    halved = torch.is_autocast_enabled(weight.device.type)
    with torch.autocast(weight.device.type, enabled=False) if halved else contextlib.nullcontext():
        squares = weight.float().square().sum(dim=(2, 3))
        return torch.rsqrt(styles.float().square() @ squares.T + EPSILON)


def _convolved(images: torch.Tensor, weight: torch.Tensor, up: bool) -> torch.Tensor:
    if not up:
        return functional.conv2d(images, weight, padding=weight.shape[-1] // 2)
    flow = functional.conv_transpose2d(images, weight.transpose(0, 1), stride=2)
    return filtered(flow, 1, gain=4.0)


class ModulatedConvolution(nn.Module):
    """A modulated convolution with noise, bias and a leaky ReLU; (N, inputs, H, W) to (N, outputs, H, W).

    Args:
        style: width of the latent w that the styles are made of by a linear layer ("A" in figure 2c of the paper).
        size: (height, width) of the result, for the noise that it has where none is drawn. up: whether it doubles.
        generator: the random numbers of the initial weights and of that noise.
    """

    fixed_noise: torch.Tensor

    def __init__(
        self, inputs: int, outputs: int, style: int, size: tuple[int, int],
        *, up: bool = False, generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.styles = Linear(style, inputs, bias=1.0, generator=generator)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("fixed_noise", torch.empty(1, 1, *size))
        nn.init.normal_(self.weight, generator=generator)
        nn.init.normal_(self.fixed_noise, generator=generator)
        self.up, self.scale = up, 1 / math.sqrt(inputs * 9)

    def forward(self, images: torch.Tensor, latents: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        """Return the result for latents w (N, style); noise is (N, 1, H, W), None for what is fixed."""
        styles = self.styles(latents)
        flow = modulated_convolution(images, self.weight * self.scale, styles, up=self.up)
        grain = (self.fixed_noise if noise is None else noise) * (self.noise_strength * GAIN)
        rest = (self.bias * GAIN)[:, None, None] + grain
        return activated(torch.add(rest.to(flow.dtype), flow, alpha=GAIN))


class ToColours(nn.Module):
    """Turns features (N, inputs, H, W) into colours (N, 3, H, W): modulated, not demodulated, no leaky ReLU.

    Args:
        style: width of the latent. generator: the random numbers of the initial weights.
    """

    def __init__(self, inputs: int, style: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.styles = Linear(style, inputs, bias=1.0, generator=generator)
        self.weight = nn.Parameter(torch.empty(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = 1 / math.sqrt(inputs)
        nn.init.normal_(self.weight, generator=generator)

    def forward(self, images: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Return the colours for latents w (N, style)."""
        styles = self.styles(latents) * self.scale
        flow = modulated_convolution(images, self.weight, styles, demodulate=False)
        return flow + self.bias[:, None, None].to(flow.dtype)
