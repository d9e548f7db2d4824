# SPDX-License-Identifier: Apache-2.0
"""Networks applied in tiles give what they give without, whatever the tiles, and the device holds tiles only."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from synthkit.training import tiling
from synthkit.training.tiling import Added

CPU = torch.device("cpu")


class Residual(nn.Module):
    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        return flow + self.layers(flow)


def applied(network: nn.Sequential, image: torch.Tensor, tile_px: int) -> torch.Tensor:
    layers = [Added(list(one.layers)) if isinstance(one, Residual) else one for one in network]
    return tiling.apply(layers, image, tile_px, CPU)


def image_of(height: int = 37, width: int = 52) -> torch.Tensor:
    """Return an image whose parts differ, so that their own statistics would."""
    slope = torch.linspace(-1, 1, width) * torch.linspace(0.2, 1, height)[:, None]
    return slope + 0.1 * torch.randn(3, height, width, generator=torch.Generator().manual_seed(1))


NETWORKS = {
    "all kinds": lambda: nn.Sequential(
        nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7), nn.InstanceNorm2d(4), nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.GroupNorm(6, 6, affine=False), nn.LeakyReLU(0.2, inplace=True),
        Residual([nn.ReflectionPad2d(1), nn.Conv2d(6, 6, 3), nn.InstanceNorm2d(6), nn.ReLU(),
                  nn.ReflectionPad2d(1), nn.Conv2d(6, 6, 3), nn.InstanceNorm2d(6)]),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), nn.InstanceNorm2d(4), nn.ReLU(),
        nn.ReflectionPad2d(3), nn.Conv2d(4, 3, 7), nn.Tanh(),
    ),
    "activations and normalisation alone": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.InstanceNorm2d(3)),
    "a normalised padding": lambda: nn.Sequential(nn.ReflectionPad2d(2), nn.InstanceNorm2d(3), nn.Conv2d(3, 2, 3)),
    "padded farther than it reaches": lambda: nn.Sequential(nn.ConvTranspose2d(3, 2, 2, stride=3, output_padding=2)),
    "wide strides": lambda: nn.Sequential(nn.Conv2d(3, 2, 5, stride=3, padding=4), nn.ConvTranspose2d(2, 2, 5, 3, 2)),
    "blurred halving and doubling": lambda: nn.Sequential(
        nn.ReflectionPad2d(1), nn.AvgPool2d(2, stride=1), nn.AvgPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.InstanceNorm2d(4), nn.ReLU(),
        nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(4, 2, 3),
    ),
    "oblong pooling": lambda: nn.Sequential(nn.AvgPool2d((3, 2), stride=(2, 1)), nn.Upsample(scale_factor=2)),
    "residual first": lambda: nn.Sequential(Residual([nn.Conv2d(3, 3, 3, padding=1), nn.InstanceNorm2d(3)])),
}  # fmt: skip


@pytest.mark.parametrize("tile_px", [6, 64])
@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_change_nothing_but_roundings(name, tile_px):
    torch.manual_seed(0)
    network, image = NETWORKS[name]().eval(), image_of()
    kept = image.clone()
    with torch.no_grad():
        whole = network(image.clone()[None])[0]
    assert torch.allclose(applied(network, image, tile_px), whole, atol=1e-5)
    assert torch.equal(image, kept), "what was given stays"


def test_tiles_with_statistics_of_their_own_would_be_seen():
    torch.manual_seed(0)
    network, image = NETWORKS["all kinds"]().eval(), image_of()
    with torch.no_grad():
        whole = network(image[None])[0]
        halves = torch.cat([network(part[None])[0] for part in image.split(26, dim=2)], dim=2)
    assert (halves - whole).abs().mean() > 0.02


def test_the_device_never_gets_more_than_a_tile_and_what_is_around_it(monkeypatch):
    largest = 0

    def spied(original):
        def convolve(part, *args):
            nonlocal largest
            made = original(part, *args)
            largest = max(largest, *part.shape[2:], *made.shape[2:])
            return made

        return convolve

    for name in ("conv2d", "conv_transpose2d"):
        monkeypatch.setattr(functional, name, spied(getattr(functional, name)))
    monkeypatch.setattr(nn.Conv2d, "forward", lambda layer, part: functional.conv2d(part, layer.weight, layer.bias))
    torch.manual_seed(0)
    applied(NETWORKS["all kinds"]().eval(), image_of(120, 160), 16)
    assert 16 < largest <= 2 * 16 + 6


@pytest.mark.parametrize(
    "layer",
    [nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 3, 3, dilation=2), nn.Conv2d(3, 3, 3, padding="same"),
     nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), nn.InstanceNorm2d(3, affine=True), nn.GroupNorm(1, 3),
     nn.ReflectionPad2d((1, 0, 0, 0)), nn.AvgPool2d(2, padding=1), nn.AvgPool2d(2, ceil_mode=True), nn.MaxPool2d(2),
     nn.Upsample(scale_factor=3), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)],
)  # fmt: skip
def test_other_layers_are_refused(layer):
    with pytest.raises(TypeError, match="cannot be applied in tiles"):
        tiling.apply([layer], image_of(), 16, CPU)
