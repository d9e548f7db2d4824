# SPDX-License-Identifier: Apache-2.0
"""CycleGAN's networks: sizes as published, patches of 70 pixels, and the skip connection's identity."""

from __future__ import annotations

import pytest
import torch

from synthkit_cyclegan.networks import Discriminator, Generator


def seeded(n: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(n)


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("skip", [True, False])
def test_sizes_are_those_of_the_published_networks(skip):
    # The published code prints 11.378 M and 2.765 M.
    assert count(Generator(skip=skip, generator=seeded())) == 11_378_179
    assert count(Discriminator(generator=seeded())) == 2_764_737


def test_layers_follow_table_2_2():
    convolutions = [
        (isinstance(m, torch.nn.ConvTranspose2d), m.out_channels, m.kernel_size[0], m.stride[0])
        for m in Generator(generator=seeded()).modules()
        if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)
    ]
    assert convolutions == [
        (False, 64, 7, 1), (False, 128, 3, 2), (False, 256, 3, 2),
        *[(False, 256, 3, 1)] * 18,
        (True, 128, 3, 2), (True, 64, 3, 2), (False, 3, 7, 1),
    ]  # fmt: skip


def test_the_discriminator_follows_table_2_3_with_stride_one_in_its_512_layer():
    features = Discriminator(generator=seeded()).features(torch.zeros(1, 3, 128, 128))
    assert [tuple(f.shape[1:]) for f in features] == [
        (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 15, 15)
    ]  # fmt: skip


def test_each_answer_sees_a_patch_of_70_pixels():
    network = Discriminator(2, generator=seeded())
    # Instance normalisation sees the whole image; without it the reach of the convolutions is left.
    for block in network.blocks:
        for n, layer in enumerate(block):
            if isinstance(layer, torch.nn.GroupNorm):
                block[n] = torch.nn.Identity()
    images = torch.rand(1, 3, 128, 128, requires_grad=True)
    network(images)[0, 0, 7, 7].backward()
    rows = torch.nonzero(images.grad.abs().sum((0, 1, 3)))
    assert int(rows.max() - rows.min()) + 1 == 70


@pytest.mark.parametrize("size", [(32, 32), (64, 48)])
def test_images_keep_size_and_range(size):
    network = Generator(2, skip=False, generator=seeded())
    result = network(torch.rand(2, 3, *size) * 2 - 1)
    assert result.shape == (2, 3, *size)
    assert result.abs().max() <= 1


def test_with_skip_training_starts_at_the_identity():
    images = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    result = Generator(2, generator=seeded())(images)
    assert ((result - images).abs() * 127.5).max() <= 0.5
    assert torch.isfinite(result).all()


def test_with_skip_the_network_still_learns_from_black_and_white():
    network = Generator(2, generator=seeded())
    for value in (-1.0, 1.0):
        network(torch.full((1, 3, 32, 32), value)).sum().backward()
    gradient = network.layers[-1].weight.grad
    assert torch.isfinite(gradient).all()
    assert network.layers[-1].bias.grad.abs().sum() > 0


def test_initial_weights_are_normal_and_repeat():
    first, again, other = (Generator(32, skip=False, generator=seeded(n)) for n in (1, 1, 2))
    weight = first.layers[4].weight.detach()
    assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    assert torch.equal(weight, again.layers[4].weight)
    assert not torch.equal(weight, other.layers[4].weight)
    assert all((p == 0).all() for name, p in first.named_parameters() if name.endswith("bias"))
