# SPDX-License-Identifier: Apache-2.0
"""CycleGAN's networks (Zhu et al. 2017; thesis 000, tables 2.2 and 2.3).

Instance normalisation (Ulyanov et al. 2016) is written as group normalisation with a group per channel: the
same function, computed about twice as fast on CPUs.

``antialias`` blurs before it halves, and doubles by interpolation, as Zhang (Making convolutional networks
shift-invariant again, 2019) says and the release of contrastive unpaired translation does. Convolutions with a stride
see details finer than they can keep; transposed ones must learn not to leave a grid, the fractional stride artifact of
thesis 000, figure 5.5. The filters are the release's: [1 2 1] / 4 with reflected borders before halving, which is two
means of two pixels, one after the other; and to double [1 3 3 1] / 4 between zeros with repeated borders, which is
bilinear interpolation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from synthkit.training.tiling import Added

RESIDUAL_BLOCKS = 9
DISCRIMINATOR_FEATURES = 4
"""Convolutions of the discriminator whose activations are a feature space; the fifth is its answer."""

_INIT_STD = 0.02
_SLOPE = 0.2
_INSIDE = 1 - 1 / 255  # keeps black and white off the ends of tanh, half a grey level away


class Generator(nn.Module):
    """Translates images: two halvings, nine residual blocks, two doublings (table 2.2).

    The table prints instance normalisation and ReLU after its last convolution; CycleGAN's own code, which
    the thesis used, has tanh there, and so does this. Input and output are (N, 3, H, W) in -1..1, H and W
    multiples of 4.

    With ``skip``, the input is added to the last convolution's output before tanh. It is added as
    atanh(x), and the last convolution starts at zero, so that training starts from the identity (within
    half a grey level) and tanh still keeps the output in range. The implementations the thesis builds on
    take tanh(x + r), which from the start flattens contrast by a quarter and must first learn not to. Without
    ``skip`` it is the published network, to the last layer (tested against its outputs).

    Args:
        filters: of the first layer; the residual blocks have four times as many.
        skip: whether input and output are connected. colours: whether what is added is the input in other colours, as
            ``recolour`` says; at first they are the same. antialias: whether halving and doubling are guarded against
            aliasing.
        generator: the random numbers of the initial weights.
    """

    colour_map: torch.Tensor | None

    def __init__(
        self, filters: int = 64, *, skip: bool = True, colours: bool = False, antialias: bool = False,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.filters = filters
        self.skip = skip
        self.register_buffer("colour_map", torch.eye(3, 4) if colours else None)  # matrix, and offset at the right
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, filters, 7),
            *_norm_relu(filters),
            *_halving(filters, 2 * filters, antialias),
            *_halving(2 * filters, 4 * filters, antialias),
            *(Residual(4 * filters) for _ in range(RESIDUAL_BLOCKS)),
            *_doubling(4 * filters, 2 * filters, antialias),
            *_doubling(2 * filters, filters, antialias),
            nn.ReflectionPad2d(3),
            _ConvByRows(filters, 3, 7),
        )
        _initialise(self, generator)
        if skip:
            nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the translated images."""
        return self.finished(images, full(self.layers(images)))

    def finished(self, images: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """Return the translated images, from what ``layers`` made of them."""
        return torch.tanh(torch.atanh(self._recoloured(images) * _INSIDE) + change if self.skip else change)

    @torch.no_grad()
    def recolour(self, matrix: npt.NDArray[np.float64], offset: npt.NDArray[np.float64]) -> None:
        """Let colours x in -1..1 begin as ``matrix`` x + ``offset``, (3, 3) and (3,)."""
        assert self.colour_map is not None
        self.colour_map.copy_(torch.from_numpy(np.column_stack([matrix, offset])))

    def _recoloured(self, images: torch.Tensor) -> torch.Tensor:
        if self.colour_map is None:
            return images
        *columns, offset = self.colour_map.to(images.device)[:, :, None, None].unbind(dim=1)
        # Term by term: as a product it would lose precision where products are autocast.
        terms = [images[:, n : n + 1] * column for n, column in enumerate(columns)]
        return (terms[0] + terms[1] + terms[2] + offset).clamp(-1, 1)

    def parts(self) -> list[nn.Module | Added]:
        """Return what ``layers`` consists of, as ``synthkit.training.tiling`` takes it."""
        return [Added(list(one.layers)) if isinstance(one, Residual) else one for one in self.layers]


class Discriminator(nn.Module):
    """Tells real from generated by patches of 70 x 70 pixels (table 2.3, with stride 1 in its 512 layer).

    Args:
        filters: of the first layer. antialias: whether halving is guarded against aliasing.
        generator: the random numbers of the initial weights.
    """

    def __init__(self, filters: int = 64, *, antialias: bool = False, generator: torch.Generator) -> None:
        super().__init__()
        self.filters = filters
        self.blocks = nn.ModuleList()
        channels, stride = 3, 1 if antialias else 2
        for n in range(DISCRIMINATOR_FEATURES):
            width, halves = filters * 2**n, n < DISCRIMINATOR_FEATURES - 1
            block = [
                nn.Conv2d(channels, width, 4, stride if halves else 1, 1),
                *([_norm(width)] if n else []),
                nn.LeakyReLU(_SLOPE, inplace=True),
                *(_blurred() if halves and antialias else []),
            ]
            self.blocks.append(nn.Sequential(*block))
            channels = width
        self.answer = nn.Conv2d(8 * filters, 1, 4, 1, 1)
        _initialise(self, generator)

    def features(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the activations d_1 to d_4 of (N, 3, H, W) images in -1..1."""
        found = []
        flow = images
        for block in self.blocks:
            flow = block(flow)
            found.append(flow)
        return found

    def judge(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Return the answers (N, 1, h, w), 1 for real, from what ``features`` returned."""
        return full(self.answer(features[-1]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the answers (N, 1, h, w) for images."""
        return self.judge(self.features(images))


class Residual(nn.Module):
    """A residual block (He et al. 2016): two convolutions whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *_norm_relu(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            _norm(channels),
        )

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """Return the flow (N, C, H, W) and what was added to it."""
        return flow + self.layers(flow)  # type: ignore[no-any-return]


class _ConvByRows(nn.Conv2d):
    """A convolution of many channels to few, with a stride of 1 and no padding.

    The rows of each filter are filters of their own, whose answers are added up, each shifted by its row: with
    three output channels a third of the time that libraries take, which round channels up to sixteen.
    """

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        outputs, inputs, rows, columns = self.weight.shape
        filters = self.weight.transpose(1, 2).reshape(outputs * rows, inputs, 1, columns)
        answers = torch.unflatten(nn.functional.conv2d(flow, filters), 1, (outputs, rows))
        height = flow.shape[2] - rows + 1
        total: torch.Tensor = answers[:, :, 0, :height]
        for row in range(1, rows):
            total = total + answers[:, :, row, row : row + height]
        return total if self.bias is None else total + self.bias.view(-1, 1, 1)


def _halving(inputs: int, outputs: int, antialias: bool) -> list[nn.Module]:
    if antialias:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), *_norm_relu(outputs), *_blurred()]
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), *_norm_relu(outputs)]


def _doubling(inputs: int, outputs: int, antialias: bool) -> list[nn.Module]:
    if antialias:
        smooth = nn.Upsample(scale_factor=2, mode="bilinear")
        return [smooth, nn.Conv2d(inputs, outputs, 3, padding=1), *_norm_relu(outputs)]
    transposed = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [transposed, *_norm_relu(outputs)]


def _blurred() -> list[nn.Module]:
    """Return what blurs maps and takes every other row and column of them."""
    return [nn.ReflectionPad2d(1), nn.AvgPool2d(2, stride=1), nn.AvgPool2d(2)]


def full(values: torch.Tensor) -> torch.Tensor:
    """Return values in single precision where they have less."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _norm(channels: int) -> nn.Module:
    return nn.GroupNorm(channels, channels, affine=False)


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return _norm(channels), nn.ReLU(inplace=True)


def _initialise(network: nn.Module, generator: torch.Generator) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, _INIT_STD, generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
