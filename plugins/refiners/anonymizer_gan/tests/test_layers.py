# SPDX-License-Identifier: Apache-2.0
"""Layers and modulated convolutions against the plainest form of their equations."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from synthkit_anonymizer_gan import networks, quick
from synthkit_anonymizer_gan.layers import CLAMP, Convolution, Linear, activated, doubled, filtered, halved
from synthkit_anonymizer_gan.modulation import ModulatedConvolution, ToColours, modulated_convolution


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(1)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def _fresh() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def _by_hand(images, weight, styles, demodulate, up):
    """Equations 1 and 3 of StyleGAN2's paper, image by image, a weight of its own for each."""
    results = []
    for image, style in zip(images, styles, strict=True):
        own = weight * style[None, :, None, None]
        if demodulate:
            own = own / torch.sqrt((own**2).sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        if up:
            wide = torch.zeros(image.shape[0], 2 * image.shape[1], 2 * image.shape[2], dtype=image.dtype)
            wide[:, ::2, ::2] = image
            # A transposed convolution is one with the kernel turned round, upon zeros between the pixels.
            spread = functional.conv2d(wide[None], own.flip(2, 3), padding=2)[..., :-1, :-1]
            taps = torch.tensor([1.0, 3, 3, 1], dtype=image.dtype) / 4
            kernel = torch.outer(taps, taps).expand(own.shape[0], 1, 4, 4)
            results.append(functional.conv2d(spread, kernel, padding=1, groups=own.shape[0])[0])
        else:
            results.append(functional.conv2d(image[None], own, padding=weight.shape[-1] // 2)[0])
    return torch.stack(results)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_modulated_convolution_is_that_of_the_paper(drawn, count, demodulate, up):
    images, weight, styles = drawn(count, 4, 6, 5), drawn(7, 4, 3, 3), drawn(count, 4)
    for tensor in (images, weight, styles):
        tensor.requires_grad_()
    found = modulated_convolution(images, weight, styles, demodulate=demodulate, up=up)
    expected = _by_hand(images, weight, styles, demodulate, up)
    assert found.shape == (count, 7, 12, 10) if up else (count, 7, 6, 5)
    assert torch.allclose(found, expected, atol=1e-5)  # roots are float32
    ours, theirs = (torch.autograd.grad((flow**2).sum(), (images, weight, styles)) for flow in (found, expected))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-4)


def test_demodulated_features_have_unit_variance_whatever_the_style():
    generator = torch.Generator().manual_seed(3)
    images, weight = torch.randn(2, 32, 40, 40, generator=generator), torch.randn(16, 32, 3, 3, generator=generator)
    styles = torch.rand(2, 32, generator=generator) * torch.tensor([[1.0], [100.0]])
    flow = modulated_convolution(images, weight, styles)
    assert flow[..., 1:-1, 1:-1].std(dim=(2, 3)).numpy() == pytest.approx(1, abs=0.12)
    plain = modulated_convolution(images, weight, styles, demodulate=False)
    assert float(plain[1].std() / plain[0].std()) > 50


def test_noise_and_bias_come_after_demodulation(drawn):
    layer = ModulatedConvolution(4, 5, 3, (6, 5), generator=_fresh()).double()
    with torch.no_grad():
        layer.bias.copy_(drawn(5))
        layer.noise_strength.fill_(0.7)
    images, latents, noise = drawn(2, 4, 6, 5), drawn(2, 3), drawn(2, 1, 6, 5)
    styles = latents @ layer.styles.weight.T / math.sqrt(3) + layer.styles.bias
    assert layer.styles.bias.tolist() == [1.0] * 4
    flow = _by_hand(images, layer.weight / 6, styles, True, False)
    expected = functional.leaky_relu(flow + 0.7 * noise + layer.bias[:, None, None], 0.2) * math.sqrt(2)
    assert torch.allclose(layer(images, latents, noise), expected, atol=1e-5)
    fixed = layer(images, latents, None)
    assert torch.allclose(fixed, layer(images, latents, layer.fixed_noise.expand(2, 1, 6, 5)))
    assert not torch.allclose(fixed, expected)


def test_colours_are_modulated_but_not_demodulated(drawn):
    layer = ToColours(4, 3, generator=_fresh()).double()
    images, latents = drawn(2, 4, 6, 5), drawn(2, 3)
    styles = (latents @ layer.styles.weight.T / math.sqrt(3) + 1) / 2
    expected = torch.einsum("nihw,oi,ni->nohw", images, layer.weight[..., 0, 0], styles)
    assert torch.allclose(layer(images, latents), expected, atol=1e-6)


def test_layers_equalise_the_learning_rate(drawn):
    linear = Linear(9, 4, bias=0.5, rate=0.01, generator=_fresh()).double()
    values = drawn(3, 9)
    expected = values @ (linear.weight * 0.01 / 3).T + linear.bias * 0.01
    assert torch.allclose(linear(values), expected)
    assert linear(torch.zeros(1, 9, dtype=torch.float64)).detach().numpy() == pytest.approx(0.5)
    assert float((Linear(500, 500, rate=0.01, generator=_fresh()).weight.detach() * 0.01).std()) == pytest.approx(
        1, abs=0.01
    )
    layer = Convolution(4, 5, generator=_fresh()).double()
    images = drawn(2, 4, 6, 8)
    flow = functional.conv2d(images, layer.weight / 6, layer.bias, padding=1)
    assert torch.allclose(layer(images), functional.leaky_relu(flow, 0.2) * math.sqrt(2))


@pytest.mark.parametrize("kernel", [1, 3])
def test_halving_filters_first(drawn, kernel):
    layer = Convolution(4, 5, kernel, down=True, active=False, generator=_fresh()).double()
    images = drawn(2, 4, 8, 6)
    taps = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 8
    blurred = torch.stack([
        functional.conv2d(images[:, n : n + 1], torch.outer(taps, taps)[None, None], padding=1 + kernel // 2)[:, 0]
        for n in range(4)
    ], dim=1)  # fmt: skip
    expected = functional.conv2d(blurred, layer.weight / math.sqrt(4 * kernel**2), layer.bias, stride=2)
    assert layer(images).shape == (2, 5, 4, 3)
    assert torch.allclose(layer(images), expected)


def test_filters_keep_what_is_even():
    flat = torch.full((1, 2, 8, 6), 3.0)
    assert halved(flat)[..., 1:-1, 1:-1].numpy() == pytest.approx(3)
    assert doubled(flat).numpy() == pytest.approx(3)
    assert filtered(flat, 0, gain=4.0).numpy() == pytest.approx(12)
    ramp = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 1, 8, 8)
    assert np.diff(doubled(ramp)[0, 0, 4].numpy())[1:-1] == pytest.approx(0.5)


def test_activations_are_clamped_alike_with_and_without_gradients():
    values = torch.tensor([-1e6, -10.0, 0.0, 5.0, 1e6])
    expected = [-CLAMP, -2.0, 0.0, 5.0, CLAMP]
    assert activated(values.clone()).tolist() == pytest.approx(expected)
    with torch.inference_mode():
        assert activated(values.clone()).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 3])
def test_quick_layers_are_those_they_are_made_of(count):
    made = networks.Generator(
        networks.Shape((16, 24), channels=3, latent=8), torch.randn(7, 16, generator=_fresh()), generator=_fresh()
    ).requires_grad_(False)
    with torch.no_grad():
        for name, value in made.named_parameters():
            if value.dim() < 2:  # biases and strengths begin as zeros and ones
                value.normal_(generator=torch.Generator().manual_seed(len(name)))
    whole = copy.deepcopy(made)
    quick.quicken(whole)
    seen, z = torch.randn(count, 21, 16, 24, generator=_fresh()), torch.randn(count, 8, generator=_fresh())
    noise = [torch.randn(count, 1, *size, generator=_fresh()) for size in made.decoder.noise_sizes]
    with torch.inference_mode():
        assert torch.allclose(whole.mapping(z), made.mapping(z), atol=1e-5)
        for grain in (None, noise):
            found, expected = (network(seen, network.mapping(z), grain) for network in (whole, made))
            assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        people = torch.randn(count, 4, 16, 24, generator=_fresh())
        for found, expected in zip(whole.appearance(people), made.appearance(people), strict=True):
            assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert not list(whole.parameters())
