# SPDX-License-Identifier: Apache-2.0
"""A fitted generator leaves as one ONNX file for images of any size, with pixels as torch gives them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from synthkit import pipeline
from synthkit.checkpoint import sha256_of
from synthkit.errors import WeightsError, WorkError
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component, Exportable
from synthkit.plugins import Origin, discover
from synthkit.session import Session
from synthkit.training.checkpoints import save_checkpoint
from synthkit_cyclegan import export
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.crop_refiner import cut_of
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.refiner import CycleGANRefiner

CARD = {
    "kind": "refiner",
    "name": "cyclegan",
    "architecture": {"generator": {"filters": 2, "blocks": 9, "skip": True}, "crop_px": 32, "head_at": [0.5, 0.25]},
}


@pytest.fixture
def generator():
    network = Generator(2, skip=True, generator=torch.Generator().manual_seed(1))
    torch.nn.init.normal_(network.layers[-1].weight, 0, 0.1, generator=torch.Generator().manual_seed(2))
    return network.eval().requires_grad_(False)


@pytest.fixture
def checkpoint(generator, tmp_path):
    return save_checkpoint(tmp_path / "c.safetensors", generator.state_dict(), CARD)


def test_one_file_translates_images_of_any_size(generator, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    path = tmp_path / "out" / "generator.onnx"
    card = pipeline.export(Session(discover()), checkpoint.path, path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["generator.json", "generator.onnx"]
    assert json.loads(path.with_suffix(".json").read_text()) == card
    assert card["sha256"] == sha256_of(path)
    assert card["checkpoint_sha256"] == checkpoint.sha256
    assert card["max_difference_grey"] <= 1
    assert str(tmp_path.parent).encode() not in path.read_bytes()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((1, 32, 32, 3), (3, 48, 64, 3)):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        (found,) = session.run(None, {"images": images})
        wanted = np.clip(np.rint(as_crops(generator(as_images(images)))), 0, 255)
        assert found.shape == shape
        assert np.abs(found.astype(int) - wanted).max() <= 1
        assert np.abs(found.astype(int) - images).max() > 10  # it does something


def test_what_differs_is_not_written(checkpoint, runtime, tmp_path, monkeypatch):
    class Other:
        def run(self, names, feed):
            return [255 - feed["images"]]

    empty = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    monkeypatch.setattr(export.onnx_files, "converted", lambda *_: empty)  # it takes seconds
    monkeypatch.setattr(export.onnx_files, "session_of", lambda data: Other())
    with CycleGANRefiner(CycleGANConfig(), checkpoint, runtime) as refiner:
        assert isinstance(refiner, Exportable)
        with pytest.raises(WorkError, match="pixels differ from torch's"):
            refiner.export_onnx(tmp_path / "g.onnx")
    assert not (tmp_path / "g.onnx").exists()


@pytest.mark.parametrize(
    ("config", "given"),
    [({"region": "image"}, "images; learned from windows of 32 pixels"), ({"region": "people"}, "crops of people")],
)
def test_the_card_tells_what_was_learned_from(config, given, generator, tmp_path):
    learned = save_checkpoint(tmp_path / "c", generator.state_dict(), {**CARD, "config": config})
    card = export._card(cut_of(learned), learned)
    assert card["input"]["meaning"].startswith(f"sRGB {given}")
    assert card["outputs"]["translated"]["meaning"] == f"the same {given.split()[0].rstrip(';')} translated"


def test_a_checkpoint_that_nothing_applies_is_told(generator, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    strange = save_checkpoint(tmp_path / "s.safetensors", generator.state_dict(), {**CARD, "name": "strange"})
    with pytest.raises(WeightsError, match="no refiner that is installed applies those of 'strange'"):
        pipeline.export(Session(discover()), strange.path, tmp_path / "s.onnx")


def test_a_broken_plugin_does_not_stand_in_the_way(checkpoint, generator, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-cyclegan")
    monkeypatch.setattr(CycleGANRefiner, "export_onnx", lambda _, path: {"file": path.name})

    class Plugin:
        @hookimpl
        def synthkit_components(self):
            return [Component("refiner", "a-broken", "s", CycleGANConfig, "synthkit_nowhere:X", trainable=True)]

    registry = discover()
    registry.add(Plugin(), Origin("test", "1", "test"))
    assert pipeline.export(Session(registry), checkpoint.path, tmp_path / "g.onnx")["file"] == "g.onnx"
    strange = save_checkpoint(tmp_path / "s.safetensors", generator.state_dict(), {**CARD, "name": "strange"})
    with pytest.raises(WeightsError, match="'strange'; refiner 'a-broken' cannot be loaded: ModuleNotFoundError"):
        pipeline.export(Session(registry), strange.path, tmp_path / "s.onnx")
