# SPDX-License-Identifier: Apache-2.0
"""The attention network against the same computed by hand in NumPy, and what maps do to images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit_aggan.attention import attended, blend
from synthkit_aggan.networks import AttentionNetwork


def _conv(x, weight, bias, stride=1):
    """Convolve (C, H, W), no padding."""
    out, _, size, _ = weight.shape
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwij,ocij->ohw", windows, weight) + bias.reshape(out, 1, 1)


def _pad(x, n, mode="reflect"):
    return np.pad(x, ((0, 0), (n, n), (n, n)), mode)


def _norm(x):
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5)


def _relu(x):
    return np.maximum(x, 0)


def _double(x):
    return x.repeat(2, axis=1).repeat(2, axis=2)


def _attention_by_hand(x, weights):
    """c7s2-32, c3s2-64, r64, up, c3s1-64, up, c3s1-32, c7s1-1 (Mejjati et al. 2018)."""
    c1, c2, r1, r2, c3, c4, c5 = weights
    flow = _relu(_norm(_conv(_pad(x, 3), *c1, stride=2)))
    flow = _relu(_norm(_conv(_pad(flow, 1, "constant"), *c2, stride=2)))
    inner = _relu(_norm(_conv(_pad(flow, 1), *r1)))
    flow = _relu(flow + _norm(_conv(_pad(inner, 1), *r2)))
    flow = _relu(_norm(_conv(_pad(_double(flow), 1), *c3)))
    flow = _relu(_norm(_conv(_pad(_double(flow), 1), *c4)))
    return 1 / (1 + np.exp(-_conv(_pad(flow, 3), *c5)))


def test_the_attention_network_computes_what_the_paper_says():
    network = AttentionNetwork(4, generator=torch.Generator().manual_seed(1))
    noise = torch.Generator().manual_seed(2)
    convs = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    with torch.no_grad():
        for conv in convs:
            conv.weight.normal_(0, 0.3, generator=noise)
            conv.bias.normal_(0, 0.3, generator=noise)
    images = torch.rand(2, 3, 24, 32, generator=noise) * 2 - 1
    found = network(images).detach().numpy()
    weights = [(c.weight.detach().double().numpy(), c.bias.detach().double().numpy()) for c in convs]
    expected = np.stack([_attention_by_hand(image.double().numpy(), weights) for image in images])
    assert found.shape == (2, 1, 24, 32)
    assert found.std() > 0.1
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_fresh_network_attends_everything_by_half():
    network = AttentionNetwork(32, generator=torch.Generator().manual_seed(1))
    assert sum(p.numel() for p in network.parameters()) == 4_736 + 18_496 + 2 * 36_928 + 36_928 + 18_464 + 1_569
    with torch.no_grad():
        maps = network(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1)
    assert abs(float(maps.mean()) - 0.5) < 0.1
    assert 0.05 < float(maps.min()) < float(maps.max()) < 0.95


def test_attention_mixes_and_cuts():
    images = torch.tensor([0.4, -0.8]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    translated = torch.tensor([-1.0, 1.0]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    attention = torch.tensor([0.1, 0.75]).reshape(1, 1, 1, 2)
    mixed = blend(translated, images, attention)
    assert mixed[0, 0, 0].tolist() == pytest.approx([0.1 * -1 + 0.9 * 0.4, 0.75 - 0.25 * 0.8])
    assert attended(mixed, attention, 0.1)[0, 2, 0].tolist() == pytest.approx([0, 0.55])
