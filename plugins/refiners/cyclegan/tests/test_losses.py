# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked out by hand and against the equations they name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit.interfaces import silent
from synthkit.seeds import Seeds
from synthkit.training.perceptual import FeatureNet
from synthkit_cyclegan import calibration, fitting, losses, perception
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.networks import Discriminator
from synthkit_cyclegan.training import Training


def direction(**parts) -> losses.Direction:
    blank = torch.zeros(1, 3, 4, 4)
    images = dict.fromkeys(("real", "fake", "cycled", "fake_answers"), blank)
    return losses.Direction(**{**images, "real_features": [], "features": None, **parts})


def test_least_squares():
    answers = torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    assert losses.adversarial(direction(fake_answers=answers)) == pytest.approx((0 + 1 + 0.25 + 1) / 4)
    assert losses.discriminator(answers, torch.tensor([0.5, 0.0])) == pytest.approx(
        0.5 * ((0 + 1 + 0.25 + 1) / 4 + 0.25 / 2)
    )


def test_the_discriminator_cycle_is_the_sum_of_squares_at_the_reference_size():
    network = Discriminator(64, generator=torch.Generator().manual_seed(0))
    real, cycled = torch.rand(2, 1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        d_real, d_cycled = network.features(real), network.features(cycled)
        by_hand = sum(((a - b) ** 2).sum() for a, b in zip(d_real, d_cycled, strict=True))
        loss = losses.discriminator_cycle(
            direction(real=real, cycled=cycled, real_features=d_real, features=network.features)
        )
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-4)


def test_sums_do_not_grow_with_batch():
    a, b = torch.rand(2, 1, 4, 6, 6)
    one = losses.squared_distance(a, b, 100)
    three = losses.squared_distance(a.repeat(3, 1, 1, 1), b.repeat(3, 1, 1, 1), 100)
    assert float(one) == pytest.approx(float(three))


def test_the_identity_loss_compares_before_and_after_in_feature_space():
    network = FeatureNet("vgg16", ["pool2"])
    real, fake = torch.rand(2, 1, 3, 128, 128) * 2 - 1
    loss = losses.identity_features(network, "pool2", 1.0)(direction(real=real, fake=fake))
    v_real, v_fake = network((real + 1) / 2)["pool2"], network((fake + 1) / 2)["pool2"]
    assert v_real.numel() == 131072
    assert float(loss) == pytest.approx(float(((v_real - v_fake) ** 2).sum()), rel=1e-4)
    doubled = losses.identity_features(network, "pool2", 2.0)(direction(real=real, fake=fake))
    assert float(doubled) == pytest.approx(2 * float(loss))
    assert losses.identity_features(network, "pool2", 1.0)(direction(real=real, fake=real)) == 0


def test_gradients_reach_the_generated_image_only():
    network = FeatureNet("mobilenet_v2", ["stride4"])
    real, fake = (torch.rand(1, 3, 32, 32, requires_grad=True) for _ in range(2))
    losses.identity_features(network, "stride4", 1.0)(direction(real=real, fake=fake)).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def test_calibration_puts_every_network_at_the_same_distance():
    torch.manual_seed(0)
    network = FeatureNet("mobilenet_v2", ["stride4", "stride8"])
    for layer in network.taps:
        scale = calibration.scale_of(network, layer)
        assert scale * calibration.distance(network, layer) == pytest.approx(131072, rel=0.006)
    assert calibration.scale_of(FeatureNet("vgg16", ["pool2"]), "pool2") == 1.0


def test_calibration_pairs_are_images_about_a_tenth_apart():
    before, after = calibration.pairs()
    again, _ = calibration.pairs()
    assert before.shape == (8, 3, 128, 128)
    assert torch.equal(before, again)
    for images in (before, after):
        assert images.min() >= 0
        assert images.max() <= 1
    assert 0.05 < float((before - after).square().mean().sqrt()) < 0.15


@pytest.fixture
def training(tiny, runtime, tmp_path) -> Training:
    crops = Seeds(0).stream("crops").integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    terms = fitting.objective(tiny, perception.load_perceptual(tiny, tmp_path, silent))
    return Training(tiny, crops, crops[:4], terms, runtime.seeds, torch.device("cpu"))


def test_the_objective_is_row_d(tiny, tmp_path):
    terms = fitting.objective(tiny, perception.load_perceptual(tiny, tmp_path, silent))
    assert [(term.name, term.weight) for term in terms] == [
        ("adversarial", 1.0), ("discriminator_cycle", 1e-5), ("identity_features", 5e-6)
    ]  # fmt: skip


def test_a_step_does_what_algorithm_8_says(training, tiny, tmp_path):
    """One step, written out: reported losses are those of the networks before it, of x, y and their cycles."""
    x, y = training.batch("X"), training.batch("Y")
    g, f, d_x, d_y = (training.networks[name] for name in ("G", "F", "D X", "D Y"))
    seen = perception.load_perceptual(tiny, tmp_path, silent)
    with torch.no_grad():
        x1, y1 = g(x), f(y)
        x2, y2 = f(x1), g(y1)
        adversarial = (d_y(x1) - 1).square().mean() + (d_x(y1) - 1).square().mean()
        judged_x = 0.5 * ((d_x(x) - 1).square().mean() + d_x(y1).square().mean())
        cycle = torch.zeros(())
        for domain, once, cycled in ((d_x, x, x2), (d_y, y, y2)):
            pairs = zip(domain.features(once), domain.features(cycled), losses.DISCRIMINATOR_ELEMENTS, strict=True)
            cycle += sum(n * (a - b).square().mean() for a, b, n in pairs)
        views = [seen.network((images + 1) / 2)[seen.layer] for images in (x, x1, y, y1)]
        identity = (views[0] - views[1]).square().mean() + (views[2] - views[3]).square().mean()
    before = {name: [p.clone() for p in net.parameters()] for name, net in training.networks.items()}
    values = training.advance()
    assert values["adversarial"] == pytest.approx(float(adversarial), rel=1e-4)
    assert values["discriminator_x"] == pytest.approx(float(judged_x), rel=1e-4)
    assert values["discriminator_cycle"] == pytest.approx(float(cycle), rel=1e-3, abs=1e-3)
    expected = seen.scale * 24 * 32 * 32 * float(identity)
    assert values["identity_features"] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    for name, net in training.networks.items():
        moved = [float((p - q).detach().abs().max()) for p, q in zip(net.parameters(), before[name], strict=True)]
        # Adam's first step moves what has a gradient by the learning rate.
        assert max(moved) == pytest.approx(2e-4, rel=0.05), name


def test_the_rate_falls_in_the_second_half(training):
    rates = []
    for _ in range(training.steps):
        training.advance()
        rates.append(training.optimizers["adam generators"].param_groups[0]["lr"])
    assert rates[:4] == [2e-4] * 4
    assert rates[-1] == pytest.approx(2e-4 / 3.5)


def test_mirrored_crops_are_about_half(training, tiny):
    crops = training.crops["X"]
    mirrored = 0
    for step in range(200):
        training.step = step
        batch = as_crops(training.batch("X"))[0].round().astype(np.uint8)
        if not any((batch == crop).all() for crop in crops):
            assert any((batch[:, ::-1] == crop).all() for crop in crops)
            mirrored += 1
    assert 70 < mirrored < 130


def test_crops_and_images_go_both_ways():
    crops = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    images = as_images(crops)
    assert (float(images.min()), float(images.max())) == (-1.0, 1.0)
    assert (as_crops(images).round() == crops).all()
