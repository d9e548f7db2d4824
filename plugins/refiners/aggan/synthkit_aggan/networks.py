# SPDX-License-Identifier: Apache-2.0
"""The attention network (Mejjati et al. 2018, appendix); generators and discriminators are CycleGAN's.

Where the paper's released code and the paper part ways:

- The code gives the kernels of the last three convolutions to the wrong parameters, and gets 1 x 1 instead of 3 x 3,
  3 x 3 and 7 x 7. With those a map comes in blocks of 4 x 4 pixels, as the nearest-neighbour upsampling leaves it.
  Here they are as in the paper, with its reflected borders.
- The code's generator has zero padding and ReLU after its residual blocks, its discriminator pads by 2. Thesis 000
  takes CycleGAN's (section 2.5: "the overall structure is the same"), and so does this: all refiners' are alike.
- The code takes instance normalisation out of the discriminators at the switch, where they begin to see images cut out
  by attention. Neither equations 2.14 to 2.16 nor algorithm 9 do, and this does not: all that the discriminators have
  learned until then they learned with it.
"""

from __future__ import annotations

import torch
from torch import nn

from synthkit.training.tiling import Added
from synthkit_aggan.attention import blend
from synthkit_cyclegan.networks import Generator

_INIT_STD = 0.02


class AttentionNetwork(nn.Module):
    """Tells how much of each pixel is to be translated: (N, 3, H, W) in -1..1 to (N, 1, H, W) in 0..1.

    Two halvings, one residual block, two doublings by nearest neighbours; H and W multiples of 4.

    Args:
        filters: of the first layer (32 in the paper). generator: the random numbers of the initial weights.
    """

    def __init__(self, filters: int = 32, *, generator: torch.Generator) -> None:
        super().__init__()
        self.filters = filters
        self.down = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, filters, 7, stride=2),
            *_norm_relu(filters),
            nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
            *_norm_relu(2 * filters),
        )
        self.residual = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(2 * filters, 2 * filters, 3),
            *_norm_relu(2 * filters),
            nn.ReflectionPad2d(1),
            nn.Conv2d(2 * filters, 2 * filters, 3),
            _norm(2 * filters),
        )
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ReflectionPad2d(1),
            nn.Conv2d(2 * filters, 2 * filters, 3),
            *_norm_relu(2 * filters),
            nn.Upsample(scale_factor=2),
            nn.ReflectionPad2d(1),
            nn.Conv2d(2 * filters, filters, 3),
            *_norm_relu(filters),
            nn.ReflectionPad2d(3),
            nn.Conv2d(filters, 1, 7),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, _INIT_STD, generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the attention maps."""
        flow = self.down(images)
        flow = torch.relu(flow + self.residual(flow))
        return self.finished(images, self.up(flow))

    def parts(self) -> list[nn.Module | Added]:
        """Return the layers before ``finished``, as ``synthkit.training.tiling`` takes them."""
        return [*self.down, Added(list(self.residual)), nn.ReLU(), *self.up]

    def finished(self, _: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        """Return the attention maps, from what the layers made of the images."""
        return torch.sigmoid(flow.float())


class AttentiveGenerator(nn.Module):
    """Translates images (N, 3, H, W) in -1..1 as far as they are attended (equation 2.10): what prediction does.

    Args:
        generator: G. attention: A_X.
    """

    def __init__(self, generator: Generator, attention: AttentionNetwork) -> None:
        super().__init__()
        self.generator = generator
        self.attention = attention

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the translated images."""
        return blend(self.generator(images), images, self.attention(images))


def _norm(channels: int) -> nn.Module:
    """Return instance normalisation, written as in CycleGAN's networks."""
    return nn.GroupNorm(channels, channels, affine=False)


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    return _norm(channels), nn.ReLU(inplace=True)
