# SPDX-License-Identifier: Apache-2.0
"""Refining through its public face: attention bounds it, and is told as a layer on request."""

from __future__ import annotations

import attrs
import numpy as np
import onnxruntime
import pytest
import torch

from synthkit import crops, pipeline
from synthkit.dataset import codec
from synthkit.errors import WeightsError
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.training.checkpoints import save_checkpoint
from synthkit_aggan.config import AGGANConfig
from synthkit_aggan.networks import AttentionNetwork
from synthkit_aggan.refiner import AGGANRefiner, put_back
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.networks import Generator

ARCHITECTURE = {
    "generator": {"filters": 2, "blocks": 9, "skip": True},
    "attention": {"filters": 2},
    "crop_px": 32,
    "head_at": [0.5, 0.25],
}


@pytest.fixture
def checkpoint(tmp_path):
    """A generator that brightens everything, and attention of one value everywhere, or none."""

    def make(attention: float | None, architecture=ARCHITECTURE):
        networks = torch.nn.ModuleDict({"G": Generator(2, skip=True, generator=torch.Generator().manual_seed(1))})
        with torch.no_grad():
            networks["G"].layers[-1].bias += 0.5
            if attention is not None:
                networks["A X"] = AttentionNetwork(2, generator=torch.Generator().manual_seed(2))
                networks["A X"].up[-1].weight.zero_()
                networks["A X"].up[-1].bias.fill_(float(np.log(attention / (1 - attention))))
        card = {"kind": "refiner", "name": "aggan", "architecture": architecture}
        return save_checkpoint(tmp_path / "c.safetensors", networks.state_dict(), card)

    return make


def _refine(config, checkpoint, runtime, samples):
    with AGGANRefiner(config, checkpoint, runtime) as refiner:
        return list(refiner.refine(samples))


def test_people_change_as_far_as_they_are_attended(checkpoint, data, runtime):
    before = data["source"][0]
    inside = before.layers["alpha"] == 255
    changes = {}
    for attention in (1e-6, 0.5, 1 - 1e-6):
        (after,) = _refine(AGGANConfig(), checkpoint(attention), runtime, [before])
        assert after.people == before.people
        assert "attention" not in after.layers
        assert (after.image[before.layers["alpha"] == 0] == before.image[before.layers["alpha"] == 0]).all()
        changes[attention] = (after.image[inside].astype(int) - before.image[inside]).mean()
    none, half, full = changes.values()
    assert abs(none) < 0.5  # equation 2.10 keeps what is not attended; algorithm 9's would be black
    assert full > 10
    assert half == pytest.approx(full / 2, abs=0.6)


def test_attention_is_a_layer_on_request_and_survives_storing(checkpoint, data, runtime):
    before = data["source"][0]
    (after,) = _refine(AGGANConfig(attention_layer=True), checkpoint(0.75), runtime, [before])
    layer = after.layers["attention"]
    assert layer.dtype == np.uint8
    looked_at = np.zeros_like(layer, dtype=bool)
    y, x = np.mgrid[: layer.shape[0], : layer.shape[1]] + 0.5
    for plan in crops.plan_crops(before, (32, 32)):
        places = plan.to_crop(np.stack([x, y], axis=-1))
        looked_at |= ((places > 1) & (places < 31)).all(axis=-1)
    assert looked_at.any()
    assert (layer[looked_at] == 191).all()  # 0.75 of 255
    stored = codec.encode(after, codec.CodecConfig())
    again = codec.decode(after.key, dict(stored.members), where="here")
    assert np.array_equal(again.layers["attention"], layer)


@pytest.mark.parametrize("attention", [0.75, None])
def test_where_nobody_is_the_layer_says_that_nothing_was_attended(attention, checkpoint, data, runtime):
    made = checkpoint(0.75) if attention else checkpoint(None, {**ARCHITECTURE, "attention": None})
    before = attrs.evolve(data["source"][0], people=(), layers={})
    (after,) = _refine(AGGANConfig(attention_layer=True), made, runtime, [before])
    assert np.array_equal(after.image, before.image)
    assert np.array_equal(after.layers["attention"], np.zeros(before.image.shape[:2], np.uint8))
    assert after.layers["attention"].dtype == np.uint8


def test_attention_goes_back_to_where_it_was_looked_at():
    layer = np.zeros((20, 30), np.uint8)
    turned = np.array([[0.0, 1.0, -2.0], [-1.0, 0.0, 12.0]])  # crop (x, y) is image (12 - y, x + 2)
    attention = np.arange(64, dtype=np.uint8).reshape(8, 8)
    put_back(attention, crops.CropPlan(0, 1, (8, 8), turned), layer)
    expected = np.zeros_like(layer)
    for row in range(8):
        for column in range(8):
            expected[column + 2, 11 - row] = attention[row, column]
    assert np.array_equal(layer, expected)
    put_back(np.full((8, 8), 30, np.uint8), crops.CropPlan(0, 1, (8, 8), turned), layer)
    assert np.array_equal(layer[2:10, 4:12], np.maximum(expected[2:10, 4:12], 30))
    put_back(attention, crops.CropPlan(0, 1, (8, 8), turned + np.array([[0, 0, 900], [0, 0, 0]])), layer)  # outside


def test_masks_that_stood_for_attention_bound_it_alone(checkpoint, data, runtime):
    before = data["source"][0]
    made = checkpoint(None, {**ARCHITECTURE, "attention": None})
    (after,) = _refine(AGGANConfig(attention_layer=True), made, runtime, [before])
    people = before.layers["instances"] > 0
    assert np.array_equal(after.layers["attention"], np.where(people, 255, 0))
    assert after.image[people].astype(int).sum() > before.image[people].astype(int).sum()


@pytest.mark.parametrize("learned", [True, False])
def test_generator_and_attention_leave_as_one_onnx_file(learned, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan,synthkit-aggan")
    made = checkpoint(0.5) if learned else checkpoint(None, {**ARCHITECTURE, "attention": None})
    path = tmp_path / "out" / "aggan.onnx"
    card = pipeline.export(Session(discover()), made.path, path)
    assert card["checkpoint"]["name"] == "aggan"
    assert card["max_difference_grey"] <= 1
    images = np.random.default_rng(0).integers(60, 200, (3, 48, 64, 3), dtype=np.uint8)
    (found,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": images})
    generator = Generator(2, skip=True, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        generator.layers[-1].bias += 0.5
        change = as_crops(generator(as_images(images))) - images
    assert change.mean() > 20
    assert np.abs(found - (images + (0.5 if learned else 1) * change)).max() < 1


@pytest.mark.parametrize(
    "architecture",
    [
        "none",
        {key: value for key, value in ARCHITECTURE.items() if key != "attention"},
        {**ARCHITECTURE, "attention": {"filters": 10**9}},
        {**ARCHITECTURE, "attention": {"filters": True}},
        {**ARCHITECTURE, "attention": {"filters": 3}},
        {**ARCHITECTURE, "attention": None},
        {**ARCHITECTURE, "generator": {"filters": 2, "blocks": 6, "skip": True}},
    ],
)
def test_checkpoints_of_something_else_are_refused(architecture, checkpoint, runtime):
    made = checkpoint(0.5, architecture)
    with pytest.raises(WeightsError, match="checkpoint"), AGGANRefiner(AGGANConfig(), made, runtime):
        pass


def test_presets_are_rows_of_the_table():
    registry = discover()
    configs = {
        name: attrs.evolve(AGGANConfig(), **registry.get("refiner", name).component.defaults)
        for name in ("aggan", "aggan-noskip", "aggan-cyclic10", "aggan-cyclic10-noskip")
    }
    assert {name: (c.cyclic_pixel_weight, c.skip) for name, c in configs.items()} == {
        "aggan": (1e-5, True),
        "aggan-noskip": (1e-5, False),
        "aggan-cyclic10": (10, True),
        "aggan-cyclic10-noskip": (10, False),
    }
    for config in configs.values():
        assert (config.generator_filters, config.discriminator_filters, config.attention_filters) == (32, 64, 32)
        assert (config.switch * 160, config.threshold, config.batch, config.crop_px) == (30, 0.1, 1, 128)
