# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked out by hand, or by torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions

from synthkit_anonymizer_gan import losses


def test_adversarial_losses_are_logarithms_of_d():
    real, fake = torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.5])
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    assert float(losses.generator(fake)) == pytest.approx(float(-torch.log(d_fake).mean()))
    expected = -torch.log(d_real).mean() - torch.log(1 - d_fake).mean()
    assert float(losses.discriminator(real, fake)) == pytest.approx(float(expected))
    assert float(losses.discriminator(torch.zeros(3), torch.zeros(3))) == pytest.approx(2 * math.log(2))
    assert float(losses.epsilon_penalty(torch.tensor([3.0, -1.0]))) == pytest.approx(5)


def test_r1_is_the_squared_norm_of_the_gradient():
    images = torch.tensor([[1.0, 2.0], [3.0, -1.0]], requires_grad=True)
    weights = torch.tensor([3.0, 4.0], requires_grad=True)
    scores = (images**2) @ weights  # gradients (6 x, 8 y): (6, 16) and (18, -8)
    penalty = losses.gradient_penalty(scores, images)
    assert float(penalty.detach()) == pytest.approx((36 + 256 + 324 + 64) / 2)
    penalty.backward()  # sum of (2 w x)^2 over 2: 4 w x^2 summed
    assert weights.grad.tolist() == pytest.approx([4 * 3 * (1 + 9), 4 * 4 * (4 + 1)])


def test_divergence_is_that_of_normal_distributions():
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    told = distributions.Normal(mean, torch.exp(log_variance / 2))
    expected = distributions.kl_divergence(told, distributions.Normal(0.0, 1.0)).sum(dim=1).mean()
    assert float(losses.divergence(mean, log_variance)) == pytest.approx(float(expected), rel=1e-5)
    assert float(losses.divergence(torch.zeros(2, 3), torch.zeros(2, 3))) == 0
    assert float(losses.divergence(torch.tensor([[2.0]]), torch.tensor([[0.0]]))) == pytest.approx(2)


def test_feature_matching_is_a_sum_over_chosen_maps():
    real = [torch.zeros(2, 1, 1, 2), torch.full((2, 1, 1, 1), 9.0), torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)]
    fake = [torch.tensor([[1.0, 3.0], [5.0, 7.0]]).reshape(2, 1, 1, 2), real[1] + 100, real[2] - 1]
    assert float(losses.feature_matching(real, fake, (0, 2), normalised=False)) == pytest.approx(4 + 1)
    # Together, image 0 has 0 0 1 3, of deviation sqrt(1.5), image 1 has 0 0 5 7, of sqrt(9.5).
    expected = (2 / math.sqrt(1.5) + 6 / math.sqrt(9.5)) / 2
    assert float(losses.feature_matching(real, fake, (0,))) == pytest.approx(expected)


def test_normalised_features_may_grow_and_shift():
    generator = torch.Generator().manual_seed(1)
    real, fake = torch.randn(3, 4, 5, 6, generator=generator), torch.randn(3, 4, 5, 6, generator=generator)
    plain = float(losses.feature_matching([real], [fake], (0,)))
    grown = float(losses.feature_matching([real * 1000 + 7], [fake * 1000 + 7], (0,)))
    assert grown == pytest.approx(plain, rel=1e-4)
    assert float(losses.feature_matching([real * 1000], [fake * 1000], (0,), normalised=False)) > 100 * plain


def test_feature_matching_teaches_what_was_made_alone():
    real, fake = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4, requires_grad=True)
    losses.feature_matching([real], [fake], (0,)).backward()
    assert real.grad is None
    # The yardstick has no gradient: each value is drawn towards the real one by the same amount.
    sizes = fake.grad.abs().flatten(1)
    assert torch.allclose(sizes, sizes[:, :1].expand_as(sizes))
    assert torch.equal(torch.sign(fake.grad), torch.sign(fake.detach() - real.detach()))
