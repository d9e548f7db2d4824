# SPDX-License-Identifier: Apache-2.0
"""A generator leaves as one ONNX file, whose people are those of the refiner."""

from __future__ import annotations

import json

import attrs
import numpy as np
import onnxruntime
import pytest
import torch

from synthkit import pipeline
from synthkit.errors import WorkError
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.surfaces import MPFB
from synthkit.training.checkpoints import save_checkpoint
from synthkit_anonymizer_gan import export, people
from synthkit_anonymizer_gan.conditions import making_of, views_of
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.making import Maker
from synthkit_anonymizer_gan.networks import Generator, Shape
from synthkit_anonymizer_gan.refiner import GeneratingRefiner


def _checkpoint(tmp_path, surface="mpfb"):
    told = {"channels": 2, "latent": 6, "surface": 16 if surface == "mpfb" else 0}
    made = Generator(
        Shape((32, 16), **told), places=MPFB.vertices if surface == "mpfb" else 0,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    made.embedding.normal_(generator=torch.Generator().manual_seed(2))
    made.appearance.looks.mean.fill_(0.5)
    made.appearance.looks.second.mul_(3)
    card = {
        **attrs.asdict(made.shape),
        "size": [32, 16],
        "cut": {"alignment": "box", "surface": surface, "margin": 0.05},
    }
    card = {"kind": "refiner", "name": "anonymizer-gan", "architecture": card}
    return save_checkpoint(tmp_path / "c.safetensors", made.state_dict(), card)


def test_the_file_makes_whom_the_refiner_makes(sample, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_PLUGINS", "synthkit-anonymizer-gan")
    checkpoint = _checkpoint(tmp_path)
    card = pipeline.export(Session(discover()), checkpoint.path, tmp_path / "out" / "generator.onnx")
    assert json.loads((tmp_path / "out" / "generator.json").read_text()) == card
    assert card["checkpoint_sha256"] == checkpoint.sha256
    assert list(card["inputs"]) == ["image", "known", "making", "places", "z"]
    assert "standard_normal((1, 6)" in card["usage"]
    maker = Maker(checkpoint, GeneratingConfig(), torch.device("cpu"))
    numbered, _ = people.numbered(sample(1))
    plans = people.plans_of(numbered, maker.size_px, maker.alignment)
    crops = [people.cut(people.emptied(numbered), plan, "mpfb") for plan in plans]
    z = np.random.default_rng(0).standard_normal((len(crops), 6), np.float32)
    known = views_of(crops, [maker.margin_px] * len(crops)).known
    feed = {
        "image": np.stack([crop.image for crop in crops]),
        "known": known[:, 0].numpy().astype(np.uint8),
        "making": np.stack([making_of(crop.whose, maker.margin_px) for crop in crops]).astype(np.uint8),
        "places": np.stack([crop.places for crop in crops]).astype(np.int32),
        "z": z,
    }
    session = onnxruntime.InferenceSession(tmp_path / "out" / "generator.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, feed)
    for number, crop in enumerate(crops):
        wanted = np.clip(np.rint(maker.make(crop, maker.spread.of(torch.from_numpy(z[number])).numpy())), 0, 255)
        making = feed["making"][number] > 0
        assert np.abs(found[number].astype(int) - wanted)[making].max() <= 1
        assert np.array_equal(found[number][~making], crop.image[~making])


def test_what_differs_is_not_written(tmp_path, runtime, monkeypatch):
    class Other:
        def run(self, names, feed):
            return [255 - feed["image"]]

    for name, made in (("converted", None), ("with_card", b""), ("session_of", Other())):
        monkeypatch.setattr(export.onnx_files, name, lambda *_, made=made: made)
    refiner = GeneratingRefiner(GeneratingConfig(), _checkpoint(tmp_path, "none"), runtime)
    with refiner, pytest.raises(WorkError, match="pixels differ from torch's"):
        refiner.export_onnx(tmp_path / "g.onnx")
    assert not (tmp_path / "g.onnx").exists()
