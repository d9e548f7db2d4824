# SPDX-License-Identifier: Apache-2.0
"""Training steps: what they compute, what they leave alone, and their rate; test_parity.py has the reference's."""

from __future__ import annotations

import copy
from collections import Counter

import attrs
import numpy as np
import pytest
import torch

from synthkit.config import identity, structure
from synthkit.errors import ConfigError
from synthkit.interfaces import ComponentSpec, silent
from synthkit.plugins import discover
from synthkit.seeds import Seeds
from synthkit_cyclegan import losses, perception
from synthkit_cyclegan.calibration import scale_of
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.plugin import ROWS
from synthkit_cyclegan.training import Training

CPU = torch.device("cpu")
CROPS = Seeds(0).stream("crops").integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def begun(runtime, tmp_path):
    """Return a function that begins a training of a configuration on crops of noise."""

    def begin(config) -> Training:
        seen = perception.load_perceptual(config, tmp_path, silent) if config.perceives else None
        space = seen.space(config.feature_distance, CPU) if seen else None
        return Training(config, CROPS, CROPS[:4], space, runtime.seeds, CPU)

    return begin


@pytest.fixture
def training(tiny, begun) -> Training:
    return begun(tiny)


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
        views = [seen.network((images + 1) / 2)["stride4"] for images in (x, x1, y, y1)]
        identity = (views[0] - views[1]).square().mean() + (views[2] - views[3]).square().mean()
    before = {name: [p.clone() for p in net.parameters()] for name, net in training.networks.items()}
    values = training.advance()
    assert values["adversarial"] == pytest.approx(float(adversarial), rel=1e-4)
    assert values["discriminator_x"] == pytest.approx(float(judged_x), rel=1e-4)
    assert values["discriminator_features"] == pytest.approx(float(cycle), rel=1e-3, abs=1e-3)
    expected = seen.scales["stride4"] * 24 * 32 * 32 * float(identity)
    assert values["identity_features"] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    for name, net in training.networks.items():
        moved = [float((p - q).detach().abs().max()) for p, q in zip(net.parameters(), before[name], strict=True)]
        # Adam's first step moves what has a gradient by the learning rate.
        assert max(moved) == pytest.approx(2e-4, rel=0.05), name


@pytest.mark.parametrize(("preset", "passes"), [("cyclegan-cp", 4), ("cyclegan-mean", 2), ("cyclegan-dfm-noskip", 4)])
def test_what_has_no_weight_is_not_computed(preset, passes, tiny, begun, monkeypatch):
    """Without a cyclic loss nothing is translated back; without a feature loss nothing is looked at."""
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    small = {
        "steps": 7,
        "crop_px": 32,
        "generator_filters": 2,
        "discriminator_filters": 2,
        "perceptual": tiny.perceptual,
    }
    config = discover().configure(ComponentSpec("refiner", preset, options=small))
    training = begun(config)
    calls: Counter[str] = Counter()
    for name, network in training.networks.items():
        network.register_forward_hook(lambda *_, name=name: calls.update([name]))
    values = training.advance()
    assert calls["G"] + calls["F"] == passes
    expected = {"adversarial", "discriminator_x", "discriminator_y"}
    weights = ROWS[preset.removesuffix("-noskip")].losses
    expected |= {key.removesuffix("_weight") + "s" for key in weights if key.endswith("_weight")}
    assert set(values) == expected
    assert config.perceives is (preset != "cyclegan-cp")


def test_poolings_are_layers_of_the_network_that_is_there(tiny, tmp_path):
    seen = perception.load_perceptual(attrs.evolve(tiny, perceptual_pools=(5, 2)), tmp_path, silent)
    assert list(seen.scales) == ["stride4", "stride32"]
    assert seen.card["scales"] == seen.scales == {layer: scale_of(seen.network, layer) for layer in seen.scales}
    given = attrs.evolve(tiny, perceptual_pools=(5, 2), perceptual_scale=3.0)
    assert perception.load_perceptual(given, tmp_path, silent).scales == {"stride4": 3.0, "stride32": 3.0}


@pytest.mark.parametrize("kind", ["cross_entropy", "wasserstein"])
def test_other_adversarial_losses_train(kind, tiny, begun):
    training = begun(attrs.evolve(tiny, adversarial=kind, batch=2))
    first = [training.advance() for _ in range(3)]
    assert all(np.isfinite(list(values.values())).all() for values in first)
    assert ("penalty_x" in first[0]) is (kind == "wasserstein")
    again, resumed = (begun(attrs.evolve(tiny, adversarial=kind, batch=2)) for _ in range(2))
    assert again.advance() == first[0]
    resumed.restore({name: tensor.clone() for name, tensor in again.tensors().items()}, again.step)
    assert [resumed.advance() for _ in range(2)] == first[1:]


def test_wasserstein_discriminators_do_more_steps_than_generators(tiny, begun):
    """Two of theirs to one, written out; each sees images of its own."""
    weights = {"discriminator_feature_weight": 0.0, "identity_feature_weight": 0.0, "cyclic_pixel_weight": 10.0}
    training = begun(attrs.evolve(tiny, adversarial="wasserstein", critic_steps=2, **weights))
    expected = copy.deepcopy(training.networks)
    g, f, d_x, d_y = (expected[name] for name in ("G", "F", "D X", "D Y"))
    of_generators, of_judges = (
        torch.optim.Adam([*one.parameters(), *other.parameters()], 2e-4, (0.5, 0.999))
        for one, other in ((g, f), (d_x, d_y))
    )

    def judge(draw, x, y, fake_x, fake_y):
        loss = torch.zeros(())
        for domain, d, real, fake in (("X", d_x, x, fake_x.detach()), ("Y", d_y, y, fake_y.detach())):
            draws = training.seeds.child("penalty", domain).stream("step", draw).random((1, 1, 1, 1))
            penalty = losses.gradient_penalty(d, real, fake, torch.from_numpy(draws).to(real))
            loss = loss + d(fake).mean() - d(real).mean() + 10 * penalty
        of_judges.zero_grad()
        loss.backward()
        of_judges.step()

    batches = [(training.batch("X", draw), training.batch("Y", draw)) for draw in range(2)]
    assert not torch.equal(batches[0][0], batches[1][0])
    (x, y), (x1, y1) = batches
    judge(0, x, y, f(y), g(x))
    fake_x, fake_y = f(y1), g(x1)
    cyclic = (f(fake_y) - x1).abs().mean() + (g(fake_x) - y1).abs().mean()
    of_generators.zero_grad()
    (10 * cyclic - d_x(fake_x).mean() - d_y(fake_y).mean()).backward()
    of_generators.step()
    judge(1, x1, y1, fake_x, fake_y)
    training.advance()
    assert training.step == 1
    for name, network in training.networks.items():
        pairs = zip(network.parameters(), expected[name].parameters(), strict=True)
        apart = torch.cat([(ours - by_hand).detach().abs().reshape(-1) for ours, by_hand in pairs])
        # Adam's first steps are as long as the rate, 2e-4, whichever way a gradient that is nearly zero points.
        assert apart.max() < 1e-3
        assert apart.quantile(0.95) < 2e-6, name


def test_what_is_of_wasserstein_may_not_be_set_elsewhere():
    given = {"critic_steps": 2, "gradient_penalty_weight": 1.0, "feature_distance": "norm"}
    with pytest.raises(ConfigError) as caught:
        structure(CycleGANConfig, given, path="refiner")
    assert caught.value.problems == (
        "refiner.gradient_penalty_weight: decides nothing unless adversarial is wasserstein",
        "refiner.critic_steps: decides nothing unless adversarial is wasserstein",
        "refiner.feature_distance: decides nothing unless a feature loss has a weight",
    )
    assert not {"critic_steps", "gradient_penalty_weight"} & set(identity(CycleGANConfig()))
    assert structure(CycleGANConfig, {"adversarial": "wasserstein"}).judgements == 5
    assert CycleGANConfig().judgements == 1


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
