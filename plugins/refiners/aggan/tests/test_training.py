# SPDX-License-Identifier: Apache-2.0
"""A step of training against the same by hand; what changes at the switch; going on after an interruption."""

from __future__ import annotations

import copy
import json

import attrs
import numpy as np
import pytest
import torch
from PIL import Image

from synthkit.config import identity, structure
from synthkit.errors import ConfigError, DatasetError
from synthkit.seeds import Seeds
from synthkit.training import checkpoints
from synthkit_aggan.config import AGGANConfig
from synthkit_aggan.refiner import AGGANRefiner
from synthkit_aggan.training import AttentionTraining
from synthkit_cyclegan.crop_training import load_pair

CPU = torch.device("cpu")


@pytest.fixture
def training(tiny, data, runtime, tmp_path):
    def make(masked=(), **changes):
        config = attrs.evolve(tiny, **changes)
        pair = load_pair(config, data, tmp_path, runtime.progress, masked=masked)
        return AttentionTraining(config, pair.source, pair.target, Seeds(3), CPU)

    return make


def _step_by_hand(networks, x, y, config, *, switched, mask=None):
    """Update copies of the networks as algorithm 9 says, with the plainest of means; return its adversarial loss."""
    g, f, d_x, d_y, a_y = (networks[name] for name in ("G", "F", "D X", "D Y", "A Y"))
    given = [networks["A X"], a_y] if mask is None else [a_y]
    generators = [p for n in (g, f, *([] if switched else given)) for p in n.parameters()]
    judges = [p for n in (d_x, d_y) for p in n.parameters()]
    of_generators, of_judges = (torch.optim.Adam(part, 2e-4, (0.5, 0.999)) for part in (generators, judges))
    cut = (lambda image, a: torch.where(a > config.threshold, image, 0.0)) if switched else (lambda image, a: image)

    at_x, at_y = networks["A X"](x) if mask is None else mask, a_y(y)
    fake_y, fake_x = g(x) * at_x + x * (1 - at_x), f(y) * at_y + y * (1 - at_y)
    at_fake_y, at_fake_x = a_y(fake_y), networks["A X"](fake_x) if mask is None else at_y
    cycled_x, cycled_y = (
        f(fake_y) * at_fake_y + fake_y * (1 - at_fake_y),
        g(fake_x) * at_fake_x + fake_x * (1 - at_fake_x),
    )
    adversarial = ((d_y(cut(fake_y, at_x)) - 1) ** 2).mean() + ((d_x(cut(fake_x, at_y)) - 1) ** 2).mean()
    cyclic = (cycled_x - x).abs().mean() + (cycled_y - y).abs().mean()
    of_generators.zero_grad()
    (adversarial + config.cyclic_pixel_weight * cyclic).backward()
    of_generators.step()

    of_judges.zero_grad()
    for judge, real, at_real, fake, at_fake in ((d_x, x, at_x, fake_x, at_y), (d_y, y, at_y, fake_y, at_x)):
        right = ((judge(cut(real, at_real.detach())) - 1) ** 2).mean()
        wrong = (judge(cut(fake.detach(), at_fake.detach())) ** 2).mean()
        (0.5 * (right + wrong)).backward()
    of_judges.step()
    return adversarial.item(), cyclic.item()


@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize("masked", [(), ("source",)])
def test_a_step_is_that_of_algorithm_9(training, switched, masked):
    learner = training(
        masked, skip=False, switch=0.0 if switched else 1.0, attention="instances" if masked else "learned"
    )
    with torch.no_grad():  # away from 0.5, so that the threshold cuts
        for name in ("A X", "A Y"):
            if name in learner.networks:
                learner.networks[name].up[-1].weight.mul_(30)
    start, expected = copy.deepcopy(learner.networks), copy.deepcopy(learner.networks)
    x, y = learner.batch("X"), learner.batch("Y")
    x, mask = (x[:, :3], (x[:, 3:] + 1) / 2) if masked else (x, None)
    if not masked:
        assert 0.02 < float((start["A X"](x) > learner._config.threshold).float().mean()) < 0.98
    adversarial, cyclic = _step_by_hand(expected, x, y, learner._config, switched=switched, mask=mask)
    values = learner.advance()
    assert values["adversarial"] == pytest.approx(adversarial, rel=1e-5)
    assert values["cyclic_pixels"] == pytest.approx(cyclic, rel=1e-5)
    assert ("A X" in learner.networks) == (not masked)
    for name, network in learner.networks.items():
        learned = not (switched and name.startswith("A"))
        assert (
            any(not torch.equal(a, b) for a, b in zip(network.parameters(), start[name].parameters(), strict=True))
            == learned
        )
        if learned:
            for found, by_hand in zip(network.parameters(), expected[name].parameters(), strict=True):
                assert found.grad.numpy() == pytest.approx(by_hand.grad.numpy(), abs=1e-5)
                sound = by_hand.grad.abs() > 1e-5  # what is less may be rounding, which Adam's division blows up
                assert found[sound].detach().numpy() == pytest.approx(by_hand[sound].detach().numpy(), abs=1e-5)


def test_the_switch_comes_at_its_part_of_the_training(training):
    assert training(switch=0.6).switch == 3
    assert training(steps=160, switch=30 / 160).switch == 30
    learner = training(switch=0.6)
    for _ in range(3):
        learner.advance()
    fixed = copy.deepcopy(learner.networks["A X"].state_dict())
    learner.advance()
    assert all(torch.equal(value, fixed[key]) for key, value in learner.networks["A X"].state_dict().items())


def test_without_a_switch_the_threshold_decides_nothing():
    with pytest.raises(ConfigError, match="threshold: decides nothing unless switch is below 1"):
        structure(AGGANConfig, {"switch": 1.0, "threshold": 0.5})
    assert "threshold" not in identity(structure(AGGANConfig, {"switch": 1.0}))
    assert identity(structure(AGGANConfig, {"threshold": 0.5}))["threshold"] == 0.5


@pytest.mark.parametrize("masked", [(), ("source",)])
def test_generators_begin_with_the_colours_that_they_lead_to(training, masked):
    attention = "instances" if masked else "learned"
    begun = training(masked, attention=attention, match_colours=True)
    there, back = begun.networks["G"].colour_map, begun.networks["F"].colour_map
    assert not torch.allclose(there, torch.eye(3, 4), atol=0.05)
    assert torch.allclose(back[:, :3] @ there[:, :3], torch.eye(3), atol=1e-4)
    assert torch.allclose(back[:, :3] @ there[:, 3] + back[:, 3], torch.zeros(3), atol=1e-4)


def test_pooled_images_keep_their_attention(training):
    learner = training(pool=1, switch=0.0)
    learner.advance()
    (kept,) = learner.pools["Y"].images
    x = learner.crops["X"]
    assert kept.shape == (4, *x.shape[1:3])
    assert 0 <= float(kept[3].min()) <= float(kept[3].max()) <= 1


def test_fit_leaves_a_checkpoint_with_its_card(tiny, data, runtime, tmp_path):
    whole = AGGANRefiner(tiny, None, runtime).fit(data, tmp_path / "w")
    assert whole.card["name"] == "aggan"
    assert whole.card["architecture"]["generator"] == {
        "filters": 2, "blocks": 9, "skip": True, "colours": False, "antialias": False,
    }  # fmt: skip
    assert whole.card["architecture"]["attention"] == {"filters": 2}
    assert "perceptual network" not in whole.card["licence"]  # it has none
    assert {name.split(".")[0] for name in checkpoints.load_tensors(whole)} == {"G", "A X"}
    assert Image.open(tmp_path / "w" / "samples" / "step-0000004.png").size == (6 * 32, 4 * 32)
    first = json.loads((tmp_path / "w" / "curves.jsonl").read_text().splitlines()[0])
    assert 0 < first["attention_x"] < 1
    shown = attrs.evolve(tiny, attention_layer=True)
    assert AGGANRefiner(shown, None, runtime).fit(data, tmp_path / "w").sha256 == whole.sha256  # it trains nothing anew


class Killed(BaseException):
    """Stands for the process's end."""


@pytest.mark.parametrize("attention", ["learned", "instances"])
def test_an_interrupted_training_goes_on_to_the_same_bytes(attention, tiny, data, runtime, tmp_path, monkeypatch):
    config = attrs.evolve(tiny, attention=attention)
    whole = AGGANRefiner(config, None, runtime).fit(data, tmp_path / "whole")
    advance = AttentionTraining.advance

    def dies(self):
        if self.step == 4:
            raise Killed
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(AttentionTraining, "advance", dies)
        with pytest.raises(Killed):
            AGGANRefiner(config, None, runtime).fit(data, tmp_path / "parts")
    resumed = AGGANRefiner(config, None, runtime).fit(data, tmp_path / "parts")
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_masks_for_attention_must_be_there(tiny, data, runtime, tmp_path):
    config = attrs.evolve(tiny, attention="instances")
    with pytest.raises(DatasetError, match="sample 00000000_000: person 0 has no mask"):
        AGGANRefiner(config, None, runtime).fit({"source": data["target"], "target": data["target"]}, tmp_path)


def test_masks_are_cut_with_their_crops(training, data):
    masked = training(("source",), attention="instances", flip=False)
    plain = training(flip=False)
    assert np.array_equal(masked.crops["X"][..., :3], plain.crops["X"])
    red = plain.crops["X"][..., 0].astype(int) - plain.crops["X"][..., 1] > 90  # circles are (230, 57, 57)
    masks = masked.crops["X"][..., 3]
    assert set(np.unique(masks)) == {0, 255}
    assert (masks[~red] > 0).mean() < 0.05
