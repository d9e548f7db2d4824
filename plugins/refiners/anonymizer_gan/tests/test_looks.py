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
from synthkit_anonymizer_gan import crop_store, fitting
from synthkit_anonymizer_gan.conditions import views_of
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
    config = attrs.evolve(tiny, images=1200, learning_rate=1e-8, ema=0.0)  # looks stay where they are
    trained = fitting.fit(config, data, tmp_path / "run", runtime)
    maker = Maker(trained, tiny, CPU)
    store = crop_store.load(data["target"], config, tmp_path / "crops", runtime.progress)
    crops = [store[index] for index in range(len(store))]
    both = [views_of(crops, [maker.margin_px] * len(crops), mirrored=[flip] * len(crops)) for flip in (False, True)]
    with torch.inference_mode():
        told = [maker.generator.appearance(views.people()) for views in both]
    means, variances = torch.cat([mean for mean, _ in told]), torch.cat([one for _, one in told]).exp()
    exact = torch.cov(means.T, correction=0) + torch.diag(variances.mean(dim=0))
    assert torch.allclose(maker.spread.mean, means.mean(dim=0), atol=0.05)
    assert torch.allclose(maker.spread.factor @ maker.spread.factor.T, exact, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_looks_of_few_people_that_leave_nothing_open_are_a_distribution_too(dtype):
    looks, generator = Looks(32), torch.Generator().manual_seed(2)
    people = 5 * torch.randn(8, 32, generator=generator)
    for step in range(1, 3000):
        looks.follow(people[torch.randperm(8, generator=generator)[:4]], torch.full((4, 32), -14.0), step)
    looks.second.copy_(looks.second.to(dtype))
    spread = looks.spread()
    assert torch.isfinite(spread.factor).all()
    found = spread.factor @ spread.factor.T
    centred = looks.second - torch.outer(looks.mean, looks.mean)
    assert torch.allclose(found, centred, atol=2e-2 * float(centred.diag().max()))


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


def test_checkpoints_that_do_not_tell_where_looks_lie_are_refused(tiny, data, runtime, tmp_path):
    trained = fitting.fit(tiny, data, tmp_path / "run", runtime)
    tensors = load_tensors(trained)
    tensors["appearance.looks.second"] = torch.zeros(6, 6)
    wrong = save_checkpoint(tmp_path / "wrong.safetensors", tensors, trained.card)
    with pytest.raises(WeightsError, match=r"wrong.safetensors: the looks that it learned from .* no distribution"):
        Maker(wrong, GeneratingConfig(), CPU)
    del tensors["appearance.looks.second"], tensors["appearance.looks.mean"]
    old = save_checkpoint(tmp_path / "old.safetensors", tensors, {**trained.card, "revision": 2})
    with pytest.raises(WeightsError, match=r"old.safetensors: was trained before .*: train it again"):
        Maker(old, GeneratingConfig(), CPU)
