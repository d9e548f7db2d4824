# SPDX-License-Identifier: Apache-2.0
"""Where looks lie among the latents, and people who are drawn from there."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from synthkit.errors import WeightsError
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import load_tensors, save_checkpoint
from synthkit_anonymizer_gan import fitting
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.looks import Looks, Spread
from synthkit_anonymizer_gan.making import Maker

CPU = torch.device("cpu")
MEAN = torch.tensor([2.0, -1.0, 0.0])
MIXED = torch.tensor([[3.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.2, 0.8]])
VARIANCE = torch.tensor([0.1, 0.3, 0.9])


def test_moments_become_those_of_all_looks_together():
    looks, generator = Looks(3), torch.Generator().manual_seed(1)
    for step in range(1, 4001):
        means = MEAN + torch.randn(16, 3, generator=generator) @ MIXED.T
        looks.follow(means, VARIANCE.log().expand(16, 3), step)
    spread = looks.spread()
    covariance = MIXED @ MIXED.T + torch.diag(VARIANCE)
    assert torch.allclose(spread.mean, MEAN, atol=0.15)
    assert torch.allclose(spread.factor @ spread.factor.T, covariance, atol=0.06 * float(covariance.max()))
    draws = spread.of(torch.randn(20_000, 3, generator=generator))
    assert torch.allclose(draws.mean(dim=0), spread.mean, atol=0.1)
    assert torch.allclose(torch.cov(draws.T), spread.factor @ spread.factor.T, atol=0.2)


def test_the_first_looks_are_those_of_the_standard_normal_distribution():
    spread, normal = Looks(3).spread(), torch.randn(4, 3)
    assert torch.equal(spread.of(normal), normal)
    assert torch.equal(Spread.standard(3).of(normal), normal)


def test_a_training_tells_where_looks_lie(tiny, data, runtime, tmp_path):
    trained = fitting.fit(attrs.evolve(tiny, images=80), data, tmp_path / "run", runtime)
    spread = Maker(trained, tiny, CPU).spread
    assert not torch.equal(spread.factor, torch.eye(6))
    # Mean and variance of the looks themselves, of which the moving averages are a little behind.
    tensors = load_tensors(trained)
    second = tensors["appearance.looks.second"]
    assert torch.allclose(second, second.T)
    assert bool((torch.linalg.eigvalsh(second.double() - torch.outer(*[spread.mean.double()] * 2)) > 0).all())


def test_people_are_drawn_from_there_unless_normal_ones_are_wanted(tiny, data, runtime, tmp_path):
    trained = fitting.fit(tiny, data, tmp_path / "run", runtime)
    tensors = load_tensors(trained)
    tensors["appearance.looks.mean"] = torch.full((6,), 2.0)
    tensors["appearance.looks.second"] = 9 * torch.eye(6) + 4
    told = save_checkpoint(tmp_path / "told.safetensors", tensors, trained.card)
    looks = Maker(told, GeneratingConfig(), CPU)
    normal = Maker(told, GeneratingConfig(draws="normal"), CPU)
    z = normal.drawn(Seeds(3), "anna")
    assert z.dtype == np.float32
    assert looks.drawn(Seeds(3), "anna") == pytest.approx(2 + 3 * z, abs=1e-5)
    assert np.array_equal(looks.drawn(Seeds(3), "anna"), looks.drawn(Seeds(3), "anna"))


def test_moments_of_no_distribution_are_refused(tiny, data, runtime, tmp_path):
    trained = fitting.fit(tiny, data, tmp_path / "run", runtime)
    tensors = load_tensors(trained)
    tensors["appearance.looks.second"] = torch.zeros(6, 6)
    wrong = save_checkpoint(tmp_path / "wrong.safetensors", tensors, trained.card)
    with pytest.raises(WeightsError, match=r"wrong.safetensors: the looks that it learned from .* no distribution"):
        Maker(wrong, GeneratingConfig(), CPU)
