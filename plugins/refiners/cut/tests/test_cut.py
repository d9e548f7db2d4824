# SPDX-License-Identifier: Apache-2.0
"""Training by contrast: steps as the release does them, resuming, learning, and refining with what was learned."""

from __future__ import annotations

import subprocess
import sys

import attrs
import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from two_processes import learn_alike

from synthkit import pipeline
from synthkit.crops import extract, plan_crops
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import ComponentSpec, Refiner, Trainable
from synthkit.plugins import discover
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.training.checkpoints import load_tensors, save_checkpoint
from synthkit_cut.config import CUTConfig
from synthkit_cut.refiner import CUTRefiner
from synthkit_cut.training import CUTLearner
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.networks import Generator

CPU = torch.device("cpu")
FASTCUT = {"nce_weight": 10.0, "identity_nce": False, "flip_equivariance": True}


def learner_of(config: CUTConfig, seed: int = 3) -> CUTLearner:
    stream = Seeds(seed).stream("crops")
    source, target = (stream.integers(0, 256, (n, config.crop_px, config.crop_px, 3), dtype=np.uint8) for n in (5, 4))
    return CUTLearner(config, source, target, Seeds(seed), CPU)


def wave(shape, phase: float, scale: float = 1.0) -> torch.Tensor:
    count = int(np.prod(shape))
    return torch.from_numpy((scale * np.sin(0.7 * np.arange(count) + phase)).astype(np.float32)).reshape(shape)


# What the release (see test_contrast.py) finds in three steps on the same weights, images, places and turns, as it is
# and with --no_antialias --no_antialias_up; with gradients made contiguous where normalisations get them: torch 2.13's
# InstanceNorm2d goes wrong on CPUs with those of a batch of one that are not, and the release's heads give it such.
PLAIN = {"antialias": False}
RELEASE = {
    "cut": ({}, [
        {"adversarial": 8.4898376, "nce_x": 2.6823456, "discriminator": 7.9520397, "nce_y": 2.4941859},
        {"adversarial": 4.8019791, "nce_x": 2.6676776, "discriminator": 5.2961674, "nce_y": 2.340982},
        {"adversarial": 1.1463189, "nce_x": 2.4103994, "discriminator": 2.227175, "nce_y": 2.3534892},
    ]),
    "fastcut": (FASTCUT, [
        {"adversarial": 1.4357795, "nce_x": 3.389389, "discriminator": 3.6679916},
        {"adversarial": 9.4965868, "nce_x": 2.6699004, "discriminator": 7.4692926},
        {"adversarial": 1.5596489, "nce_x": 3.230185, "discriminator": 2.543628},
    ]),
    "cut, plain": (PLAIN, [
        {"adversarial": 13.882918, "nce_x": 4.1000061, "discriminator": 10.559412, "nce_y": 5.3593073},
        {"adversarial": 8.6778936, "nce_x": 4.1443954, "discriminator": 6.8486919, "nce_y": 5.8642244},
        {"adversarial": 7.1091871, "nce_x": 4.0011473, "discriminator": 5.210084, "nce_y": 6.0090518},
    ]),
    "fastcut, plain": ({**FASTCUT, **PLAIN}, [
        {"adversarial": 15.21607, "nce_x": 4.5296951, "discriminator": 10.855844},
        {"adversarial": 12.832233, "nce_x": 4.0728783, "discriminator": 8.9988823},
        {"adversarial": 14.001529, "nce_x": 4.4612827, "discriminator": 8.6637421},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("preset", RELEASE)
def test_steps_are_those_of_the_release(preset, tiny, monkeypatch):
    options, expected = RELEASE[preset]
    learner = learner_of(attrs.evolve(tiny, steps=1000, **options))
    with torch.no_grad():
        for phase, network in ((0.1, learner.g), (0.2, learner.d), (0.3, learner.h)):
            for number, parameter in enumerate(network.parameters()):
                parameter.copy_(wave(parameter.shape, phase + number, 0.2))
    images = {"X": wave((1, 3, 32, 32), 0.3, 0.8), "Y": wave((1, 3, 32, 32), 1.9, 0.8)}
    monkeypatch.setattr(learner, "batch", images.__getitem__)
    monkeypatch.setattr(learner, "_is_turned", lambda: "fastcut" in preset and learner.step != 1)

    def places(name, features):
        return [torch.from_numpy((np.arange(16) * 37 + 5) % f[0, 0].numel()) for f in features]

    monkeypatch.setattr(learner, "_places", places)
    assert learner.advance() == pytest.approx(expected[0], rel=1e-5)
    assert learner.advance() == pytest.approx(expected[1], rel=1e-5)
    # Adam's steps go by the signs of gradients, of which some are rounding errors: by and by that shows.
    assert learner.advance() == pytest.approx(expected[2], rel=1e-3)


@pytest.mark.parametrize("options", [{}, {**FASTCUT, "pool": 2, "batch": 2}])
def test_a_training_goes_on_to_the_same_bits(options, tiny):
    config = attrs.evolve(tiny, **options)
    whole, first, rest = (learner_of(config) for _ in range(3))
    losses = [whole.advance() for _ in range(4)]
    begun = [first.advance() for _ in range(2)]
    rest.restore({name: tensor.clone() for name, tensor in first.tensors().items()}, first.step)
    assert begun + [rest.advance() for _ in range(2)] == losses
    expected = whole.tensors()
    assert expected.keys() == rest.tensors().keys()
    assert all(torch.equal(expected[name], tensor) for name, tensor in rest.tensors().items())


def test_places_differ_by_step_tap_and_domain_and_lie_in_the_image(tiny):
    learner = learner_of(tiny)
    features = [torch.zeros(1, 1, 38, 38), torch.zeros(1, 1, 38, 38), torch.zeros(1, 1, 3, 3)]
    first, second = learner._places("x", features), learner._places("y", features)
    learner.step = 1
    third = learner._places("x", features)
    drawn = {tuple(part.tolist()) for part in (*first[:2], *second[:2], *third[:2])}
    assert len(drawn) == 6
    assert sorted(first[2].tolist()) == list(range(9))  # fewer places than patches: all of them
    assert all(len(set(one)) == 16 and 0 <= min(one) <= max(one) < 38 * 38 for one in drawn)


def test_about_half_of_the_steps_are_turned_where_that_is_asked_for(tiny):
    plain, turning = learner_of(tiny), learner_of(attrs.evolve(tiny, **FASTCUT))
    turned = 0
    for step in range(200):
        plain.step = turning.step = step
        turned += turning._is_turned()
        assert not plain._is_turned()
    assert 70 < turned < 130


def test_a_short_training_tells_patches_apart(tiny, data):
    config = attrs.evolve(
        tiny, steps=60, generator_filters=8, discriminator_filters=8, patches=64, head_width=64, flip=False
    )
    source, target = (
        np.stack([extract(s.image, plan) for s in data[role] for plan in plan_crops(s, (32, 32))])
        for role in ("source", "target")
    )
    learner = CUTLearner(config, source, target, Seeds(3), CPU)
    rows = [learner.advance() for _ in range(30)]
    for name in ("nce_x", "nce_y"):
        assert np.mean([row[name] for row in rows[-5:]]) < 0.85 * np.log(64), name  # chance is log 64
    judged = [row["discriminator"] for row in rows]
    assert np.mean(judged[-5:]) < 0.5 * np.mean(judged[:5])


@pytest.fixture
def fitted(tiny, data, runtime, tmp_path):
    with CUTRefiner(tiny, None, runtime) as refiner:
        return refiner.fit(data, tmp_path / "fitted")


def test_fit_leaves_what_refines(fitted, tiny, data, runtime):
    card = fitted.card
    assert (card["kind"], card["name"], card["steps"]) == ("refiner", "cut", 5)
    assert card["architecture"]["generator"] == {
        "filters": 2, "blocks": 9, "skip": False, "colours": False, "antialias": True,
    }  # fmt: skip
    assert Image.open(fitted.path.parent / "samples" / "step-0000005.png").size == (3 * 32, 3 * 32)
    before = data["source"][0]
    with CUTRefiner(tiny, fitted, runtime) as refiner:
        (after,) = refiner.refine([before])
    people = before.layers["instances"] > 0
    assert (after.image[~people] == before.image[~people]).all()
    assert (after.image[people] != before.image[people]).any()
    assert after.people == before.people
    assert after.meta["refined_by"] == [{"name": "cut", "checkpoint_sha256": fitted.sha256, "people": 1}]


def test_a_killed_training_goes_on_to_the_same_file(fitted, tiny, data, runtime, tmp_path, monkeypatch):
    advance = CUTLearner.advance
    with monkeypatch.context() as patch:
        patch.setattr(CUTLearner, "advance", lambda self: 1 / (self.step < 3) and advance(self))
        with pytest.raises(ZeroDivisionError):
            CUTRefiner(tiny, None, runtime).fit(data, tmp_path / "parts")
    resumed = CUTRefiner(tiny, None, runtime).fit(data, tmp_path / "parts")
    assert resumed.path.read_bytes() == fitted.path.read_bytes()


def test_two_processes_learn_what_one_does(tiny, data, runtime, tmp_path):
    config = attrs.evolve(tiny, batch=2, steps=2, **FASTCUT)
    learn_alike(lambda folder: CUTRefiner(config, None, runtime).fit(data, folder), tmp_path, most=1e-3)


def test_whole_images_are_refined_where_that_is_asked_for(fitted, tiny, data, runtime):
    before = attrs.evolve(data["source"][0], layers={})
    with CUTRefiner(attrs.evolve(tiny, region="image"), fitted, runtime) as refiner:
        (after,) = refiner.refine([before])
    assert (after.image != before.image).any(axis=2).mean() > 0.5


def test_a_generator_without_aliases_leaves_as_one_onnx_file(fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan,synthkit-cut")
    card = pipeline.export(Session(discover()), fitted.path, tmp_path / "cut.onnx")
    assert card["checkpoint"]["architecture"]["generator"]["antialias"]
    assert card["max_difference_grey"] <= 1
    images = np.random.default_rng(0).integers(0, 256, (2, 36, 44, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "cut.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images})
    generator = Generator(2, skip=False, antialias=True, generator=torch.Generator())
    generator.load_state_dict(load_tensors(fitted))
    with torch.inference_mode():
        wanted = as_crops(generator(as_images(images)))
    assert np.abs(found - wanted).max() <= 1
    assert wanted.std() > 1


def test_checkpoints_of_before_anti_aliasing_still_refine(tiny, data, runtime, tmp_path):
    plain = CUTRefiner(attrs.evolve(tiny, antialias=False), None, runtime).fit(data, tmp_path / "plain")
    generator = {k: v for k, v in plain.card["architecture"]["generator"].items() if k != "antialias"}
    card = {**plain.card, "architecture": {**plain.card["architecture"], "generator": generator}}
    old = save_checkpoint(tmp_path / "old.safetensors", load_tensors(plain), card)
    refined = []
    for checkpoint in (plain, old):
        with CUTRefiner(tiny, checkpoint, runtime) as refiner:
            refined += [sample.image for sample in refiner.refine(data["source"].items[:1])]
    assert (refined[0] == refined[1]).all()
    claimed = {**card, "architecture": plain.card["architecture"] | {"generator": {**generator, "antialias": True}}}
    wrong = save_checkpoint(tmp_path / "wrong.safetensors", load_tensors(plain), claimed)
    with pytest.raises(WeightsError, match="does not fit its network"), CUTRefiner(tiny, wrong, runtime):
        pass


def test_bfloat16_trains_too(tiny):
    row = learner_of(attrs.evolve(tiny, precision="bfloat16")).advance()
    exact = learner_of(tiny).advance()
    assert row == pytest.approx(exact, rel=0.1)
    assert row != exact


def test_another_familys_checkpoint_is_refused(fitted, tiny, runtime):
    other = attrs.evolve(fitted, card={**fitted.card, "name": "cyclegan"})
    with pytest.raises(WeightsError, match="cyclegan"), CUTRefiner(tiny, other, runtime):
        pass


def test_presets_are_light_and_built_like_any_other(monkeypatch, runtime):
    code = (
        "import sys, synthkit_cut.plugin as p; assert [c.name for c in p.synthkit_components()] == ['cut', 'fastcut'];"
        " assert not {'torch', 'cv2', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cut")
    registry = discover()
    plain, fast = (registry.configure(ComponentSpec("refiner", name)) for name in ("cut", "fastcut"))
    assert (plain.nce_weight, plain.identity_nce, plain.patches, plain.temperature) == (1.0, True, 256, 0.07)
    assert {name: getattr(fast, name) for name in FASTCUT} == FASTCUT
    built = registry.build(ComponentSpec("refiner", "fastcut"), runtime)
    assert isinstance(built, Refiner)
    assert isinstance(built, Trainable)
    with pytest.raises(ConfigError, match="temperature: must lie between"):
        registry.configure(ComponentSpec("refiner", "cut", {"temperature": 0.0}))
