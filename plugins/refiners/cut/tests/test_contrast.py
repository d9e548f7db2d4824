# SPDX-License-Identifier: Apache-2.0
"""Contrast: the taps, the heads and the loss, against values frozen from the release and worked out by hand.

The release is taesungp/contrastive-unpaired-translation at b3ac297, without anti-aliasing and with the taps
``--nce_layers 0,4,7,10,14``, which are the paper's layers there. Weights and inputs are waves; see ``wave``.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synthkit_cut import contrast
from synthkit_cut.contrast import Heads, channels, patch_nce, tapped
from synthkit_cyclegan.networks import Generator


def wave(shape: tuple[int, ...], phase: float, scale: float = 1.0) -> torch.Tensor:
    """Return a tensor of sines: the same anywhere, without random numbers."""
    values = scale * np.sin(0.7 * np.arange(math.prod(shape)) + phase)
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(network: torch.nn.Module, phase: float) -> None:
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            parameter.copy_(wave(parameter.shape, phase + number, 0.2))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_loss_is_that_of_the_release():
    queries, keys = wave((2, 5, 4), 0.5), wave((2, 5, 4), 1.1)
    queries, keys = (part / part.norm(dim=2, keepdim=True) for part in (queries, keys))
    assert float(patch_nce(queries, keys, 0.07)) == pytest.approx(1.5369308, abs=1e-5)


def test_the_loss_by_hand():
    queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    same = patch_nce(queries, queries, 0.5)
    swapped = patch_nce(queries, queries.flip(1), 0.5)
    assert float(same) == pytest.approx(math.log(1 + math.exp(-2)))
    assert float(swapped) == pytest.approx(math.log(1 + math.exp(2)))
    alike = torch.ones(3, 256, 4) / 2
    assert float(patch_nce(alike, alike, 0.07)) == pytest.approx(math.log(256), rel=1e-5)


def test_gradients_flow_through_queries_alone():
    queries, keys = wave((1, 4, 3), 0.1).requires_grad_(), wave((1, 4, 3), 0.2).requires_grad_()
    patch_nce(queries, keys, 0.07).backward()
    assert queries.grad.abs().sum() > 0
    assert keys.grad is None


def test_heads_project_as_in_the_release():
    heads = Heads(2, 3, generator=seeded())
    fill(heads, 0.4)
    features = [wave((2, count, 6, 6), count) for count in channels(2)]
    found = heads(features, [torch.tensor([0, 7, 20, 35])] * 5)
    expected = [
        (-0.405922, -0.877753, -0.25451), (0.811239, 0.545652, 0.21013), (-0.885074, -0.3388, 0.319153),
        (0.398809, -0.465367, -0.79018), (0.433107, 0.680776, 0.590729),
    ]  # fmt: skip
    for got, values in zip(found, expected, strict=True):
        assert got.shape == (2, 4, 3)
        assert got[1, 2].tolist() == pytest.approx(values, abs=1e-5)


def test_heads_start_the_same_for_the_same_seed():
    first, again, other = (Heads(4, 16, generator=seeded(n)).state_dict() for n in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["heads.2.0.weight"], other["heads.2.0.weight"])
    wide = Heads(64, 256, generator=seeded()).heads[4][0].weight
    assert float(wide.detach().std()) == pytest.approx(0.02 * math.sqrt(2 / (256 + 256)), rel=0.03)


@pytest.mark.parametrize("antialias", [False, True])
def test_taps_are_the_papers_layers(antialias):
    generator = Generator(4, antialias=antialias, generator=seeded())
    places = contrast.taps(generator)
    kinds = [type(generator.layers[place]).__name__ for place in places]
    assert kinds == ["ReflectionPad2d", "Conv2d", "Conv2d", "Residual", "Residual"]
    assert places[4] - places[3] == 4
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    features = tapped(generator, images)
    # As in the release, where what follows halves them.
    halves = [(8, 32, 32), (16, 16, 16)] if antialias else [(8, 16, 16), (16, 8, 8)]
    assert [tuple(f.shape[1:]) for f in features] == [(3, 38, 38), *halves, (16, 8, 8), (16, 8, 8)]
    assert tuple(f.shape[1] for f in features) == channels(4)
    assert torch.equal(features[0][:, :, 3:-3, 3:-3], images)
