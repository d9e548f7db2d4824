# SPDX-License-Identifier: Apache-2.0
"""What trainings start from: features that ship, are fetched, or come from a file of the user's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import WeightsError
from synthkit.interfaces import silent
from synthkit_squeezedet import backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.network import ARCHITECTURES, SqueezeDet, normalize


def test_a_backbone_that_cannot_be_had(monkeypatch):
    def nowhere(name, progress):
        raise WeightsError("not to be had: put it there")

    monkeypatch.setattr(weights, "find", nowhere)
    chosen = backbone.choose_backbone(SqueezeDetConfig(), silent)
    assert chosen.card()["weights"] == "rendered"
    assert "not to be had" in chosen.card()["because"]
    assert backbone.chosen_before(chosen.card()).card() == chosen.card()
    with pytest.raises(WeightsError, match="put it there"):
        backbone.choose_backbone(SqueezeDetConfig(backbone="squeezenet1_1"), silent)


def test_the_backbone_that_ships_fits():
    network = SqueezeDet(1, 9)
    network.initialize(torch.Generator().manual_seed(0))
    last = network.conv12.weight.clone()
    chosen = backbone.choose_backbone(SqueezeDetConfig(backbone="rendered"), silent)
    chosen.start(network)
    assert torch.equal(network.conv12.weight, last)
    assert torch.equal(network.fires["fire11"].squeeze.weight, chosen.tensors["fires.fire11.squeeze.weight"])


def caffe_weights(seed=0):
    """Return drawn weights under the names of the published Caffe model."""
    generator = np.random.default_rng(seed)
    shapes = {"conv1": (64, 3, 3), "conv10": (1000, 512, 1)}
    channels = 64
    for number, (squeeze, expand) in enumerate(ARCHITECTURES["squeezedet"].fires[:8], start=2):
        shapes[f"fire{number}__squeeze1x1"] = (squeeze, channels, 1)
        shapes[f"fire{number}__expand1x1"] = (expand, squeeze, 1)
        shapes[f"fire{number}__expand3x3"] = (expand, squeeze, 3)
        channels = 2 * expand
    arrays = {}
    for name, (out, into, side) in shapes.items():
        arrays[f"{name}.w"] = generator.normal(0, 0.01, (out, into, side, side)).astype(np.float16)
        arrays[f"{name}.b"] = generator.normal(0, 0.1, out).astype(np.float16)
    return arrays


def test_a_backbone_from_a_file_of_caffes_weights(tmp_path):
    arrays = caffe_weights()
    np.savez(tmp_path / "weights.npz", **arrays)
    config = SqueezeDetConfig(backbone_file=tmp_path / "weights.npz")
    chosen = backbone.choose_backbone(config, silent)
    network = SqueezeDet(1, 1)
    network.initialize(torch.Generator().manual_seed(0))
    chosen.start(network)
    assert chosen.card() == {
        "weights": "squeezenet1_1", "source": "weights.npz", "sha256": sha256_of(tmp_path / "weights.npz"),
    }  # fmt: skip
    assert not network.conv1.weight.requires_grad
    assert network.fires["fire9"].expand3x3.bias.detach().numpy() == pytest.approx(arrays["fire9__expand3x3.b"])
    # The first layer sees normalised RGB as Caffe's saw BGR less its mean.
    image = torch.randint(0, 256, (1, 9, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    ours = network.conv1(normalize(image))
    bgr = image.flip(-1).float().permute(0, 3, 1, 2) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    theirs = torch.nn.functional.conv2d(
        bgr, torch.from_numpy(arrays["conv1.w"]).float(), torch.from_numpy(arrays["conv1.b"]).float(), stride=2
    )
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_a_backbone_from_a_file_that_is_none(tmp_path):
    arrays = caffe_weights()
    del arrays["fire4__expand1x1.b"]
    np.savez(tmp_path / "part.npz", **arrays)
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    (tmp_path / "text.pth").write_text("weights")
    for name, message in (
        ("part.npz", r"is no SqueezeNet 1\.1: has no features\.6\.expand1x1\.bias"),
        ("objects.npz", "cannot be read as plain tensors"),
        ("text.pth", "cannot be read as plain tensors"),
    ):
        with pytest.raises(WeightsError, match=message):
            backbone.choose_backbone(SqueezeDetConfig(backbone_file=tmp_path / name), silent)
