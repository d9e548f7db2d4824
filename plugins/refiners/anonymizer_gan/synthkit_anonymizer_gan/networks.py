# SPDX-License-Identifier: Apache-2.0
"""The generators of thesis 002: encoder, decoder, appearance mapper, co-modulation (figures 4.4, 4.6, 4.7).

The decoder is StyleGAN2's (Karras et al. 2020, figure 7: output skips), begun not by a learned constant but by what the
encoder makes of the surroundings. The encoder is that turned round, without modulation: the residual blocks of
StyleGAN2's discriminator. All are of any size that halves; images are (N, C, H, W), height first, in -1..1.

The mapping network does not normalise z first, as StyleGAN2's does: of 512 numbers from the standard normal
distribution the length hardly varies, and where z comes from the appearance mapper, or is truncated, its length says
something.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import attrs
import torch
from torch import nn

from synthkit_anonymizer_gan.config import LEAST_COARSE_PX
from synthkit_anonymizer_gan.layers import GAIN, Convolution, Linear, activated, doubled
from synthkit_anonymizer_gan.looks import Looks
from synthkit_anonymizer_gan.modulation import ModulatedConvolution, ToColours

Noise = Sequence[torch.Tensor]
"""Noise of each modulated convolution, (N, 1, h, w), in the order of ``Decoder.noise_sizes``."""

_MAPPING_RATE = 0.01  # StyleGAN2's learning rate multiplier of the mapping network
_MOST_TIMES = 8  # that widths grow, from the finest resolution to the coarser ones


@attrs.frozen
class Shape:
    """What the networks look like.

    Args:
        size: (height, width) of the images. surface: channels of the surface embedding, 0 for none.
        channels: of the generator at the finest resolution. latent: width of z and w.
        mapping: layers of the mapping network. appearance: whether there is an appearance mapper (section 4.7).
        co_modulation: whether the input co-modulates (section 4.9).
    """

    size: tuple[int, int]
    surface: int = 16
    channels: int = 32
    latent: int = 512
    mapping: int = 2
    appearance: bool = True
    co_modulation: bool = True

    @property
    def seen(self) -> int:
        """Channels that the encoder sees: the background, the mask, and the embedding with its own mask."""
        return 3 + 1 + (self.surface + 1 if self.surface else 0)


def sizes_of(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the resolutions (height, width) of a network for images of a size, the finest first."""
    sizes = [size]
    while not any(side % 2 or side // 2 < LEAST_COARSE_PX for side in sizes[-1]):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    return sizes


def widths_of(channels: int, resolutions: int) -> list[int]:
    """Return how many channels each of so many resolutions has, the finest first."""
    return [channels * min(2**n, _MOST_TIMES) for n in range(resolutions)]


class Residual(nn.Module):
    """Two convolutions with a shortcut, to half of the height and width: StyleGAN2's (2020, figure 7c)."""

    def __init__(self, inputs: int, outputs: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.first = Convolution(inputs, inputs, generator=generator)
        self.second = Convolution(inputs, outputs, down=True, generator=generator)
        self.shortcut = Convolution(inputs, outputs, 1, down=True, active=False, biased=False, generator=generator)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return features at half of the resolution."""
        result: torch.Tensor = (self.second(self.first(images)) + self.shortcut(images)) * math.sqrt(0.5)
        return result


class Encoder(nn.Module):
    """Turns images (N, inputs, H, W) into features at all resolutions, the finest first."""

    def __init__(self, inputs: int, channels: int, size: tuple[int, int], *, generator: torch.Generator) -> None:
        super().__init__()
        widths = widths_of(channels, len(sizes_of(size)))
        self.first = Convolution(inputs, widths[0], 1, generator=generator)
        self.blocks = nn.ModuleList(
            Residual(finer, coarser, generator=generator) for finer, coarser in itertools.pairwise(widths)
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the features."""
        features = [self.first(images.contiguous(memory_format=torch.channels_last))]
        for block in self.blocks:
            features.append(block(features[-1]))
        return features


class Mapping(nn.Module):
    """The mapping network f: latents z (N, latent) to w (N, latent)."""

    def __init__(self, latent: int, layers: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Linear(latent, latent, rate=_MAPPING_RATE, generator=generator) for _ in range(layers)
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return w."""
        for layer in self.layers:
            z = activated(layer(z) * GAIN)
        return z


class CoModulation(nn.Module):
    """Merges w with what the coarsest features tell, by one linear layer (figure 4.7; Zhao et al., ICLR 2021)."""

    def __init__(self, width: int, size: tuple[int, int], latent: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.convolution = Convolution(width, width, generator=generator)
        self.told = Linear(width * size[0] * size[1], latent, generator=generator)
        self.merged = Linear(2 * latent, latent, generator=generator)

    def forward(self, features: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Return the latents that modulate, (N, latent)."""
        told = activated(self.told(self.convolution(features).flatten(1)) * GAIN)
        result: torch.Tensor = self.merged(torch.cat([latents, told], dim=1))
        return result


class Decoder(nn.Module):
    """StyleGAN2's synthesis network upon features of an encoder, which are added at each resolution (figure 4.4)."""

    def __init__(self, channels: int, size: tuple[int, int], latent: int, *, generator: torch.Generator) -> None:
        super().__init__()
        sizes = sizes_of(size)
        widths = widths_of(channels, len(sizes))
        self.noise_sizes = [sizes[-1], *(finer for finer in reversed(sizes[:-1]) for _ in range(2))]
        """(height, width) of the noise of each modulated convolution."""
        self.first = ModulatedConvolution(widths[-1], widths[-1], latent, sizes[-1], generator=generator)
        self.ups, self.convolutions, self.colours = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.colours.append(ToColours(widths[-1], latent, generator=generator))
        for coarser, finer, place in zip(widths[:0:-1], widths[-2::-1], sizes[-2::-1], strict=True):
            self.ups.append(ModulatedConvolution(coarser, finer, latent, place, up=True, generator=generator))
            self.convolutions.append(ModulatedConvolution(finer, finer, latent, place, generator=generator))
            self.colours.append(ToColours(finer, latent, generator=generator))

    def forward(
        self, features: Sequence[torch.Tensor], latents: torch.Tensor, noise: Noise | None = None
    ) -> torch.Tensor:
        """Return colours (N, 3, H, W) for features, the finest first, and the latents w that modulate."""
        grains = iter(noise if noise is not None else [None] * len(self.noise_sizes))
        flow = self.first(features[-1], latents, next(grains))
        result: torch.Tensor = self.colours[0](flow, latents).float()
        levels = zip(self.ups, self.convolutions, self.colours[1:], reversed(features[:-1]), strict=True)
        for up, convolution, colours, skip in levels:
            flow = (up(flow, latents, next(grains)) + skip) * math.sqrt(0.5)
            flow = convolution(flow, latents, next(grains))
            result = doubled(result) + colours(flow, latents).float()
        return result


class AppearanceMapper(nn.Module):
    """Tells from a person's pixels what distribution their z has (figure 4.6): a variational encoder.

    It sees the pixels of the person, and which they are; (N, 4, H, W).
    """

    def __init__(self, channels: int, size: tuple[int, int], latent: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.encoder = Encoder(3 + 1, channels, size, generator=generator)
        sizes = sizes_of(size)
        width = widths_of(channels, len(sizes))[-1] * sizes[-1][0] * sizes[-1][1]
        self.distribution = Linear(width, 2 * latent, generator=generator)
        self.looks = Looks(latent)

    def forward(self, people: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and logarithm of the variance of z, (N, latent) each, float32."""
        told = self.distribution(self.encoder(people)[-1].flatten(1)).float()
        mean, log_variance = told.chunk(2, dim=1)
        return mean, log_variance


class Generator(nn.Module):
    """All that makes people: what a checkpoint holds.

    Args:
        shape: of the networks. embedding: (V + 1, shape.surface), the embedding of each place of the body's surface
            with zeros for nowhere first; None takes zeros, for weights of a checkpoint.
        places: V, where ``embedding`` is None. generator: the random numbers of the initial weights.
    """

    embedding: torch.Tensor

    def __init__(
        self, shape: Shape, embedding: torch.Tensor | None = None, *, places: int = 0, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.shape = shape
        sizes = sizes_of(shape.size)
        self.encoder = Encoder(shape.seen, shape.channels, shape.size, generator=generator)
        self.mapping = Mapping(shape.latent, shape.mapping, generator=generator)
        self.decoder = Decoder(shape.channels, shape.size, shape.latent, generator=generator)
        width = widths_of(shape.channels, len(sizes))[-1]
        self.co_modulation = (
            CoModulation(width, sizes[-1], shape.latent, generator=generator) if shape.co_modulation else None
        )
        self.appearance = (
            AppearanceMapper(shape.channels, shape.size, shape.latent, generator=generator)
            if shape.appearance
            else None
        )
        self.register_buffer("embedding", torch.zeros(places + 1, shape.surface) if embedding is None else embedding)

    def forward(self, seen: torch.Tensor, latents: torch.Tensor, noise: Noise | None = None) -> torch.Tensor:
        """Return images (N, 3, H, W), of which what is not to be made is to be ignored.

        Args:
            seen: (N, shape.seen, H, W), see ``conditions``. latents: w, (N, latent). noise: None for what is fixed.
        """
        features = self.encoder(seen)
        if self.co_modulation is not None:
            latents = self.co_modulation(features[-1], latents)
        result: torch.Tensor = self.decoder(features, latents, noise)
        return result
