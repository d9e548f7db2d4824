# SPDX-License-Identifier: Apache-2.0
"""Which latents people get."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit.seeds import Seeds
from synthkit_anonymizer_gan import latents
from synthkit_anonymizer_gan.looks import Spread
from synthkit_anonymizer_gan.networks import Mapping


@pytest.fixture
def mapping() -> Mapping:
    made = Mapping(6, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for layer in made.layers:  # biases are 0 at first, and then f(0) = 0
            layer.bias.normal_(0, 100, generator=torch.Generator().manual_seed(2))
    return made.requires_grad_(False)


def test_an_identity_has_one_latent_for_a_seed():
    first = latents.of_identity(Seeds(7), "anna", 512)
    assert np.array_equal(first, latents.of_identity(Seeds(7), "anna", 512))
    assert abs(np.corrcoef(first, latents.of_identity(Seeds(7), "ben", 512))[0, 1]) < 0.2
    assert abs(np.corrcoef(first, latents.of_identity(Seeds(8), "anna", 512))[0, 1]) < 0.2
    assert first.mean() == pytest.approx(0, abs=0.15)
    assert first.std() == pytest.approx(1, abs=0.1)


def test_truncation_draws_towards_its_middle(mapping):
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    normal = Spread.standard(6)
    mean = torch.from_numpy(latents.samples_of_w(mapping, normal).mean(axis=0)).float()

    def w(t: float, how: latents.Truncate, spread: Spread = normal) -> torch.Tensor:
        return latents.truncation(mapping, spread, t, how, 3).of(mapping, z)

    for how in latents.Truncate.__args__:
        assert torch.equal(w(1.0, how), mapping(z))
    assert torch.allclose(w(0.0, "z"), mapping(torch.zeros(4, 6)))
    assert torch.allclose(w(0.5, "z"), mapping(z / 2))
    assert torch.allclose(w(0.0, "w"), mean.expand(4, 6), atol=1e-5)
    half = w(0.5, "w")
    assert torch.allclose(half, (mapping(z) + mean) / 2, atol=1e-5)
    assert not torch.allclose(mean, mapping(torch.zeros(1, 6))[0], atol=1e-2)  # the two truncations are two
    elsewhere = Spread(torch.full((6,), 3.0), 2 * torch.eye(6))
    assert torch.allclose(w(0.0, "z", elsewhere), mapping(elsewhere.mean[None]).expand(4, 6))
    assert not torch.allclose(w(0.0, "w", elsewhere), mean.expand(4, 6), atol=1e-2)


def test_modes_are_the_middles_of_clusters():
    stream = Seeds(1).stream("points")
    centres = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0]])
    points = np.concatenate([centre + stream.normal(0, 0.5, (50, 3)) for centre in centres])
    found = latents.middles_of(points, 3)
    assert sorted(found.round().astype(int).tolist()) == sorted(centres.astype(int).tolist())
    assert np.array_equal(found, latents.middles_of(points, 3))
    middles = torch.from_numpy(found).float()
    near = torch.tensor([[9.0, 1.0, 0.0]])
    drawn = latents.Truncation(0.25, middles, of_z=False).of(torch.nn.Identity(), near)
    mode = middles[(middles[:, 0] > 5).nonzero()[0, 0]]
    assert torch.allclose(drawn, 0.25 * near + 0.75 * mode)


def test_latents_between_two_stay_as_long():
    first, last = np.array([3.0, 0, 0], np.float32), np.array([0, 3.0, 0], np.float32)
    found = latents.between(first, last, 5)
    assert found.shape == (5, 3)
    assert np.array_equal(found[0], first)
    assert found[-1] == pytest.approx(last, abs=1e-6)
    assert np.linalg.norm(found, axis=1) == pytest.approx(3)
    assert found[2] == pytest.approx([3 / 2**0.5, 3 / 2**0.5, 0], abs=1e-5)
    assert latents.between(first, first, 3) == pytest.approx(np.stack([first] * 3))
