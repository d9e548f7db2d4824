# SPDX-License-Identifier: Apache-2.0
"""Networks, losses and optimisation steps against the reference implementation.

``reference.json`` holds what junyanz/pytorch-CycleGAN-and-pix2pix at commit 003efc4 computed in double precision with
torch 2.13 on a CPU: its ``ResnetGenerator`` (9 blocks) and ``NLayerDiscriminator`` with instance normalisation, its
``GANLoss`` and ``cal_gradient_penalty``, and two calls of ``CycleGANModel.optimize_parameters`` with lambda 10, no
identity loss and a pool that is not yet full. Weights are normal numbers, deviation 0.1, and images uniform ones in
-1..1, from ``RandomState`` with the seeds below, parameters in the networks' order. Updates are kept as their products
with normal numbers from seed 50, in units of the learning rate. Below ``antialias`` is what the same networks give in
taesungp/contrastive-unpaired-translation at commit b3ac297, which blurs where it halves and doubles.

Ours differs on purpose where these tests say ``skip=False``: to the skip connection and its zero start the reference
has nothing to compare with.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from synthkit_cyclegan import losses
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.networks import Discriminator, Generator
from synthkit_cyclegan.training import Training

REFERENCE = json.loads(Path(__file__).with_name("reference.json").read_text())
LEARNING_RATE = 2e-4


def filled(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    random = np.random.RandomState(seed)
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(random.normal(0, 0.1, tuple(parameter.shape))))
    return network


def images(seed: int, count: int = 1, size: int = 32) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).uniform(-1, 1, (count, 3, size, size)))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("antialias", "expected"), [(False, REFERENCE), (True, REFERENCE["antialias"])])
def test_the_generator(antialias, expected):
    network = filled(Generator(4, skip=False, antialias=antialias, generator=seeded()), 1)
    result = network(images(10))[:, :, ::5, ::7].flatten().tolist()
    assert result == pytest.approx(expected["generator"], abs=1e-7 if antialias else 1e-9)


@pytest.mark.parametrize(("antialias", "expected"), [(False, REFERENCE), (True, REFERENCE["antialias"])])
def test_the_discriminator(antialias, expected):
    network = filled(Discriminator(4, antialias=antialias, generator=seeded()), 2)
    result = network(images(11, size=48)).flatten().tolist()
    assert result == pytest.approx(expected["discriminator"], abs=1e-9)


@pytest.mark.parametrize("name", sorted(losses.ADVERSARIAL))
def test_adversarial_losses(name):
    answers = torch.from_numpy(np.random.RandomState(3).normal(0, 2, (2, 1, 4, 4)))
    result = [float(losses.ADVERSARIAL[name](answers, real)) for real in (True, False)]
    assert result == pytest.approx(REFERENCE["adversarial"][name], abs=1e-9)


def test_the_gradient_penalty():
    judge = filled(Discriminator(4, generator=seeded()), 2)
    share = torch.tensor(REFERENCE["penalty"]["share"], dtype=torch.float64).view(2, 1, 1, 1)
    result = losses.gradient_penalty(judge, images(12, 2), images(13, 2), share)
    assert result.item() == pytest.approx(REFERENCE["penalty"]["value"], rel=1e-6)


@pytest.mark.parametrize("kind", ["least_squares", "cross_entropy"])
def test_two_optimisation_steps(kind, runtime, monkeypatch):
    """One objective for G and F, an update, one for both discriminators, an update: as the reference does it."""
    config = CycleGANConfig(
        steps=100, crop_px=32, generator_filters=2, discriminator_filters=2, learning_rate=LEARNING_RATE, skip=False,
        adversarial=kind, cyclic_pixel_weight=10.0,
    )  # fmt: skip
    blank = np.zeros((4, 32, 32, 3), np.uint8)
    training = Training(config, blank, blank, None, runtime.seeds, torch.device("cpu"))
    for n, name in enumerate(("G", "F", "D X", "D Y")):
        filled(training.networks[name], 20 + n)
    before = {name: [p.detach().clone() for p in net.parameters()] for name, net in training.networks.items()}
    monkeypatch.setattr(training, "batch", lambda domain, _: images({"X": 30, "Y": 40}[domain] + training.step))
    expected = REFERENCE["steps"][kind]
    for values in expected["losses"]:
        assert training.advance() == pytest.approx(values, rel=1e-6)
    for name, network in training.networks.items():
        random = np.random.RandomState(50)
        moved = [
            float((random.normal(size=tuple(p.shape)) * ((p.detach() - q) / LEARNING_RATE).numpy()).sum())
            for p, q in zip(network.parameters(), before[name], strict=True)
        ]
        assert moved == pytest.approx(expected["moved"][name], rel=1e-5, abs=1e-5), name
