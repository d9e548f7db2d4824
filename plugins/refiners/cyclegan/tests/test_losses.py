# SPDX-License-Identifier: Apache-2.0
"""Losses against values worked out by hand and against the equations they name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit.training.perceptual import FeatureNet
from synthkit_cyclegan import calibration, losses
from synthkit_cyclegan.crop_learner import as_images
from synthkit_cyclegan.losses import FeatureSpace
from synthkit_cyclegan.networks import Discriminator
from synthkit_cyclegan.objective import mean_of


def unused(*_):
    pytest.fail("computed, though no loss asked for it")


def direction(real=None, *, fake=None, cycled=None, space=None, mean=None, own=None, real_features=()):
    """Return a direction whose networks give the images named, and must not be used for others."""
    return losses.Direction(
        real=real,
        to=unused if fake is None else lambda _: fake,
        fro=unused if cycled is None else lambda _: cycled,
        own=own,
        other=unused,
        real_features=real_features,
        space=space,
        mean=mean,
    )


def stand_in(*layers: str, distance: losses.Distance = "squared") -> FeatureSpace:
    torch.manual_seed(0)
    return FeatureSpace(FeatureNet("mobilenet_v2", layers), dict.fromkeys(layers, 1.0), distance)


def test_adversarial_losses():
    answers = torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    assert losses.least_squares(answers, True) == pytest.approx((0 + 1 + 0.25 + 1) / 4)
    assert losses.least_squares(answers, False) == pytest.approx((1 + 0 + 0.25 + 4) / 4)
    sure = torch.sigmoid(answers).double()
    assert float(losses.cross_entropy(answers, True)) == pytest.approx(float(-sure.log().mean()))
    assert float(losses.cross_entropy(answers, False)) == pytest.approx(float(-(1 - sure).log().mean()))
    assert losses.wasserstein(answers, True) == -0.875


def test_all_but_wasserstein_discriminators_are_halved():
    real, fake = torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.0])
    assert losses.discriminator(real, fake) == pytest.approx(0.5 * (0.5 + 0.125))
    assert losses.discriminator(real, fake, losses.wasserstein) == pytest.approx(0.25 - 1.5)


def test_the_gradient_penalty_of_a_plane():
    slope = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)  # as steep as 5 everywhere
    share = torch.rand(3, 1, 1, 1)
    penalty = losses.gradient_penalty(lambda images: (images * slope).sum((1, 2, 3)), *torch.rand(2, 3, 2, 1, 1), share)
    assert float(penalty) == pytest.approx(16)


def test_pixel_losses():
    real = torch.zeros(1, 3, 2, 2)
    fake, cycled = torch.full_like(real, -0.5), torch.full_like(real, 0.25)
    assert losses.cyclic_pixels(direction(real, fake=fake, cycled=cycled)) == 0.25
    assert losses.identity_pixels(direction(real, fake=fake)) == 0.5


@pytest.mark.parametrize(("kind", "power"), [("squared", 1), ("norm", 0.5)])
def test_the_discriminators_features_are_summed_at_the_reference_size(kind, power):
    network = Discriminator(64, generator=torch.Generator().manual_seed(0))
    real, cycled = torch.rand(2, 1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        d_real, d_cycled = network.features(real), network.features(cycled)
        by_hand = sum(((a - b) ** 2).sum() ** power for a, b in zip(d_real, d_cycled, strict=True))
        whole = direction(real, fake=real, cycled=cycled, own=network, real_features=d_real)
        loss = losses.discriminator_features(kind)(whole)
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-4)


@pytest.mark.parametrize("kind", ["squared", "norm"])
def test_distances_do_not_grow_with_the_batch(kind):
    a, b = torch.rand(2, 1, 4, 6, 6)
    one = losses.distance(a, b, 100, kind)
    three = losses.distance(a.repeat(3, 1, 1, 1), b.repeat(3, 1, 1, 1), 100, kind)
    assert float(one) == pytest.approx(float(three))


def test_a_norm_of_nothing_has_a_gradient():
    a = torch.zeros(1, 4, 2, 2, requires_grad=True)
    losses.distance(a, torch.zeros_like(a), 16, "norm").backward()
    assert (a.grad == 0).all()


def test_feature_losses_compare_in_feature_space():
    network = FeatureNet("vgg16", ["pool2"])
    space = FeatureSpace(network, {"pool2": 2.0})
    real, fake, cycled = torch.rand(3, 1, 3, 128, 128) * 2 - 1
    v_real, v_fake, v_cycled = (network((images + 1) / 2)["pool2"] for images in (real, fake, cycled))
    assert v_real.numel() == 131072
    whole = direction(real, fake=fake, cycled=cycled, space=space)
    for loss, v in ((losses.identity_features, v_fake), (losses.cyclic_features, v_cycled)):
        assert float(loss(whole)) == pytest.approx(2 * float(((v_real - v) ** 2).sum()), rel=1e-4)
    assert losses.identity_features(direction(real, fake=real, space=space)) == 0


def test_the_distances_of_several_layers_are_added_up():
    real, fake = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    apart = [
        float(losses.identity_features(direction(real, fake=fake, space=stand_in(*layers))))
        for layers in (["stride4"], ["stride32"], ["stride4", "stride32"])
    ]
    assert min(apart) > 0
    assert apart[2] == pytest.approx(apart[0] + apart[1])


@pytest.mark.parametrize("flip", [False, True])
def test_the_mean_loss_is_the_distance_to_the_mean_of_the_features(flip):
    space = stand_in("stride4")
    crops = np.random.default_rng(0).integers(0, 256, (11, 32, 32, 3), dtype=np.uint8)
    fake = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        views = [space(as_images(crop[None]))["stride4"] for crop in crops]
        if flip:
            views += [space(as_images(crop[None, :, ::-1]))["stride4"] for crop in crops]
        mean = torch.cat(views).double().mean(0).float()[None]
        expected = losses.distance(space(fake)["stride4"], mean, 24 * 32 * 32)
    found = mean_of(space, crops, flip=flip, device=torch.device("cpu"))
    loss = losses.mean_features(direction(fake, fake=fake, space=space, mean=found))
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def test_gradients_reach_the_generated_image_only():
    real, fake = (torch.rand(1, 3, 32, 32, requires_grad=True) for _ in range(2))
    losses.identity_features(direction(real, fake=fake, space=stand_in("stride4"))).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def test_calibration_puts_every_network_at_the_same_distance():
    torch.manual_seed(0)
    network = FeatureNet("mobilenet_v2", ["stride4", "stride8"])
    for layer in network.taps:
        scale = calibration.scale_of(network, layer)
        vgg16 = {"stride4": 128 * 32 * 32, "stride8": 256 * 16 * 16}[layer]
        assert scale * calibration.distance(network, layer) == pytest.approx(vgg16, rel=0.006)
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
