# SPDX-License-Identifier: Apache-2.0
"""A step of training against the same by hand; going on after an interruption."""

from __future__ import annotations

import copy
import json

import attrs
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from synthkit.config import structure
from synthkit.errors import ConfigError, DatasetError
from synthkit.seeds import Seeds
from synthkit.training import checkpoints
from synthkit_anonymizer_gan import augmenting, crop_store, surface
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.refiner import GeneratingRefiner
from synthkit_anonymizer_gan.training import Training

CPU = torch.device("cpu")


@pytest.fixture
def training(data, runtime, tmp_path):
    def make(config, **changes):
        config = attrs.evolve(config, **changes)
        store = crop_store.load(data["target"], config, tmp_path, runtime.progress)
        table = surface.table_of(config.surface, config.embedding_file)
        return Training(config, store, table, Seeds(3), CPU)

    return make


def _step_by_hand(learner, generator, judge):
    """Update copies of the networks as equations 4.1 to 4.6 say; return the losses."""
    config = learner._config
    views, appearances = learner.batch()
    noise = learner._condition_noise(views)
    drawn, kl = learner._normal("z", config.latent), None
    z = drawn
    if generator.appearance is not None:
        mean, log_variance = generator.appearance(appearances.people())
        z = mean + (0.5 * log_variance).exp() * drawn
        kl = (-0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)).mean()
    grains = [learner._normal(f"noise {n}", 1, *size) for n, size in enumerate(generator.decoder.noise_sizes)]
    raw = generator(views.seen(generator.embedding), generator.mapping(z), grains)
    fake = views.images * views.known + raw * views.making
    real = (views.images * (views.known + views.making)).requires_grad_()

    ratio = config.r1_every / (config.r1_every + 1)
    of_judge = torch.optim.Adam(judge.parameters(), config.learning_rate * ratio, (0.0, 0.99**ratio))
    real_scores, fake_scores = judge(views.judged(real, noise))[0], judge(views.judged(fake.detach(), noise))[0]
    judged = -functional.logsigmoid(real_scores).mean() - functional.logsigmoid(-fake_scores).mean()
    (gradient,) = torch.autograd.grad(real_scores.sum(), real, create_graph=True)
    r1 = (gradient**2).sum(dim=(1, 2, 3)).mean() * config.r1_weight / 2 * config.r1_every
    (judged + 1e-3 * (real_scores**2).mean() + r1).backward()
    of_judge.step()

    of_generator = torch.optim.Adam(generator.parameters(), config.learning_rate, (0.0, 0.99))
    scores, maps = judge(views.judged(fake, noise))
    total = adversarial = -functional.logsigmoid(scores).mean()
    if kl is not None:
        real_maps = judge(views.judged(real.detach(), noise))[1]
        matching = 0.0
        for ours, theirs in zip(maps, real_maps, strict=True):
            for n in range(len(ours)):
                both = torch.stack([ours[n], theirs[n]]).detach()
                matching = matching + ((ours[n] - theirs[n].detach()) / both.std(unbiased=False)).abs().mean() / len(
                    ours
                )
        total = adversarial + 5 * matching + 0.01 * kl
    generator.zero_grad()
    total.backward()
    of_generator.step()
    return adversarial.item(), judged.item(), r1.item()


@pytest.mark.parametrize("which", ["tiny", "baseline"])
def test_a_step_is_that_of_the_thesis(which, training, request):
    learner = training(request.getfixturevalue(which))
    expected = copy.deepcopy((learner.generator, learner.discriminator))
    before = copy.deepcopy((learner.generator, learner.discriminator))
    adversarial, judged, r1 = _step_by_hand(learner, *expected)
    values = learner.advance()
    assert values["adversarial"] == pytest.approx(adversarial, rel=1e-4)
    assert values["discriminator"] == pytest.approx(judged, rel=1e-4)
    assert values["gradient_penalty"] == pytest.approx(r1, rel=1e-4)
    assert ("feature_matching" in values) == ("divergence" in values) == (which == "tiny")
    for found, by_hand, start in zip((learner.generator, learner.discriminator), expected, before, strict=True):
        moved = 0
        triples = zip(found.named_parameters(), by_hand.parameters(), start.parameters(), strict=True)
        for (name, ours), theirs, first in triples:
            sound = theirs.grad.abs() > 1e-4  # what is less may be rounding, which Adam's division blows up
            assert ours[sound].detach().numpy() == pytest.approx(theirs[sound].detach().numpy(), abs=2e-5), name
            moved += int(not torch.equal(ours, first))
        assert moved > 10
    assert learner.step == 1
    assert learner.advance()["gradient_penalty"] == 0  # lazily: every second step


def test_weights_of_losses_count_and_without_divergence_z_may_wander(training, tiny):
    learner = training(tiny, kl_weight=0.0)
    views, appearances = learner.batch()
    _, (mean, _) = learner.made(views, appearances)
    assert mean.abs().sum() > 0
    assert learner.advance()["divergence"] > 0  # still told (figure 6.2)
    without = training(tiny, feature_weight=0.0).advance()
    assert "feature_matching" not in without


def test_pairs_take_their_look_from_another_crop_of_the_same_person(training, tiny):
    learner = training(tiny, pairs=1.0, flip=False, batch=6, images=6)
    own, looks = learner.batch()
    chosen = learner._feed.indices(0, 6)
    for place, index in enumerate(chosen):
        others = learner.crops.others_of(index)
        candidates = others if len(others) else [index]
        seen = (looks.images[place] * looks.making[place] + 1) * 127.5 * looks.making[place]
        crops = [learner.crops[n].image.astype(np.float32) for n in candidates]
        mask, shown = looks.making[place, 0, :, :, None].numpy(), seen.permute(1, 2, 0).numpy()
        assert any(np.allclose(shown, crop * mask, atol=1e-3) for crop in crops)
    assert not torch.equal(own.images, looks.images)
    alone, same = training(tiny, flip=False).batch()
    assert alone is same


def test_masks_grow_at_random_where_that_is_wanted(training, tiny):
    plain, _ = training(tiny, flip=False).batch()
    grown, _ = training(tiny, flip=False, mask_growth=0.3).batch()
    assert (grown.making >= plain.making).all()
    assert grown.making.sum() > plain.making.sum()


def test_fit_leaves_a_checkpoint_with_its_card(tiny, data, runtime, tmp_path):
    made = GeneratingRefiner(tiny, None, runtime).fit(data, tmp_path / "w")
    assert made.card["name"] == "anonymizer-gan"
    assert made.card["architecture"] == {
        "size": [32, 16], "surface": 16, "channels": 2, "latent": 6, "mapping": 2, "appearance": True,
        "co_modulation": True, "cut": {"alignment": "box", "surface": "mpfb", "margin": 0.02},
    }  # fmt: skip
    assert made.card["data"]["crops"] == 6
    assert made.card["data"]["people"] == 3
    assert "truncation" not in made.card["config"]
    assert "exponential" in made.card["averaged"]
    names = {name.split(".")[0] for name in checkpoints.load_tensors(made)}
    assert names == {"embedding", "encoder", "mapping", "decoder", "co_modulation", "appearance"}
    assert Image.open(tmp_path / "w" / "samples" / "step-0000004.png").size == (6 * 16, 5 * 32)
    line = json.loads((tmp_path / "w" / "curves.jsonl").read_text().splitlines()[0])
    assert {"real_score", "fake_score", "feature_matching", "divergence", "gradient_penalty"} < set(line)
    shown = attrs.evolve(tiny, truncation=0.5)
    assert GeneratingRefiner(shown, None, runtime).fit(data, tmp_path / "w").sha256 == made.sha256


class Killed(BaseException):
    """Stands for the process's end."""


def test_an_interrupted_training_goes_on_to_the_same_bytes(tiny, data, runtime, tmp_path, monkeypatch):
    whole = GeneratingRefiner(tiny, None, runtime).fit(data, tmp_path / "whole")
    advance = Training.advance

    def dies(self):
        if self.step == 3:
            raise Killed
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", dies)
        with pytest.raises(Killed):
            GeneratingRefiner(tiny, None, runtime).fit(data, tmp_path / "parts")
    resumed = GeneratingRefiner(tiny, None, runtime).fit(data, tmp_path / "parts")
    assert resumed.path.read_bytes() == whole.path.read_bytes()
    curves = [(tmp_path / name / "curves.jsonl").read_bytes() for name in ("whole", "parts")]
    assert curves[0] == curves[1]


def test_settings_that_make_no_sense_are_refused(tiny, data, runtime, tmp_path):
    config = attrs.evolve(tiny, feature_maps=(5, 6))
    with pytest.raises(ConfigError, match="resolutions 0 to 3 only"):
        GeneratingRefiner(config, None, runtime).fit(data, tmp_path)
    for given, told in (
        ({"surface": "none"}, "discriminator_sees"),
        ({"surface": "smpl"}, "embedding_file"),
        ({"crop_px": [42, 72]}, "multiples of 4"),
        ({"crop_px": [100, 180]}, "to 25 x 45, which is more than 32"),
        ({"feature_maps": [1, 1]}, "each resolution once"),
        ({"appearance": False, "kl_weight": 1.0}, "decides nothing unless appearance is true"),
        ({"truncate": "z"}, "decides nothing unless truncation is below 1"),
    ):
        with pytest.raises(ConfigError, match=told):
            structure(GeneratingConfig, given)


def test_a_folder_of_another_training_is_refused(tiny, data, runtime, tmp_path):
    GeneratingRefiner(tiny, None, runtime).fit(data, tmp_path)
    with pytest.raises(DatasetError, match="another"):
        GeneratingRefiner(attrs.evolve(tiny, kl_weight=1.0), None, runtime).fit(data, tmp_path)


def test_looks_are_learned_from_changed_pictures(training, tiny):
    plain, changed = training(tiny), training(tiny, augmented=1.0)
    own, looks = changed.batch()
    same, _ = plain.batch()
    for name in ("images", "making", "known", "places"):
        assert torch.equal(getattr(own, name), getattr(same, name))
    assert not torch.equal(looks.making, own.making)
    inside = looks.making.expand_as(looks.images) > 0
    assert 0.2 < inside.float().mean() / (own.making > 0).float().mean() < 3
    assert (looks.images[inside].mean() - own.images[own.making.expand_as(own.images) > 0].mean()).abs() < 0.4
    assert changed.advance().keys() == plain.advance().keys()


def test_a_change_of_no_strength_changes_nothing(data, tiny, runtime, tmp_path):
    crop = crop_store.load(data["target"], tiny, tmp_path, runtime.progress)[0]
    draws = np.linspace(-1, 1, augmenting.DRAWS)
    for name in ("image", "whose", "places"):
        assert np.array_equal(getattr(augmenting.changed(crop, 0.0, draws), name), getattr(crop, name))
    brighter = augmenting.changed(crop, 1.0, np.array([0, 0, 0, 0, 1.0, -1.0, 0]))
    assert np.array_equal(brighter.whose, crop.whose)
    red, green, blue = (brighter.image[..., n].astype(float) / np.maximum(crop.image[..., n], 1) for n in range(3))
    assert np.median(red) == pytest.approx(np.exp(0.15), abs=0.02)
    assert np.median(green) == pytest.approx(np.exp(-0.15), abs=0.02)
    assert np.median(blue) == pytest.approx(1)
