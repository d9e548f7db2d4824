# SPDX-License-Identifier: Apache-2.0
"""Feature networks: shapes, published parameter names and counts, and known values."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import ConfigError, WeightsError
from synthkit.training import caffe
from synthkit.training.perceptual import FeatureNet, load_features, stand_in_features
from synthkit.training.taps import TAPS, tap

LOST_CELLS = {"squeezenet1_1": 1, "alexnet": 1}


@pytest.mark.parametrize("name", list(TAPS))
def test_taps_have_the_shapes_they_promise(name):
    network = FeatureNet(name, list(TAPS[name]))
    with torch.no_grad():
        found = network(torch.rand(1, 3, 64, 64))
    lost = LOST_CELLS.get(name, 0)  # what is not padded loses cells at the border
    assert {layer: tuple(value.shape) for layer, value in found.items()} == {
        layer: (1, t.channels, 64 // t.stride - lost, 64 // t.stride - lost) for layer, t in TAPS[name].items()
    }


def test_the_published_parameters_fit():
    # The convolutions of configuration D hold 14,714,688 parameters; MobileNetV2's features 2,223,872, AlexNet's
    # 2,469,696, SqueezeNet's all of its 1,235,496 but for the classifier's 513,000.
    vgg = FeatureNet("vgg16", ["pool5"])
    mobile = FeatureNet("mobilenet_v2", ["stride32"])
    alex = FeatureNet("alexnet", ["relu5"])
    squeeze = FeatureNet("squeezenet1_1", ["fire9"])
    assert sum(p.numel() for p in vgg.parameters()) == 14_714_688
    assert sum(p.numel() for p in mobile.parameters()) == 2_223_872
    assert sum(p.numel() for p in alex.parameters()) == 2_469_696
    assert sum(p.numel() for p in squeeze.parameters()) == 1_235_496 - 513_000
    assert "features.10.bias" in alex.state_dict()
    assert {"features.0.weight", "features.12.expand3x3.bias"} <= set(squeeze.state_dict())
    assert {"features.0.weight", "features.28.bias"} <= set(vgg.state_dict())
    assert "features.17.conv.3.running_var" in mobile.state_dict()


def test_only_what_the_taps_need_is_built():
    names = FeatureNet("vgg16", ["pool2"]).state_dict()
    assert sorted({int(name.split(".")[1]) for name in names}) == [0, 2, 5, 7]


def test_pools_follow_relus_and_input_is_normalised():
    network = FeatureNet("vgg16", ["pool1"])
    assert (network(torch.rand(1, 3, 8, 8))["pool1"] >= 0).all()
    mean = network.mean.expand(1, 3, 8, 8)
    with torch.no_grad():
        for index in (0, 2):
            network.features[index].bias.zero_()
    assert (network(mean)["pool1"] == 0).all()


def test_networks_stay_as_they_are():
    network = FeatureNet("mobilenet_v2", ["stride4"])
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(images)["stride4"].sum().backward()
    assert images.grad.abs().sum() > 0


def test_unknown_networks_and_layers_are_told():
    with pytest.raises(ConfigError, match="did you mean 'vgg16'"):
        tap("vgg19", "pool2")
    with pytest.raises(ConfigError, match="pool1, relu2_2, pool2"):
        FeatureNet("vgg16", ["relu2"])


def test_weights_are_loaded_and_checked(tmp_path, monkeypatch):
    source = FeatureNet("vgg16", ["pool2"])
    known = weights.REGISTRY["vgg16"]
    path = tmp_path / known.file
    tensors = {**source.state_dict(), "classifier.0.weight": torch.ones(1)}
    torch.save(tensors, path)
    monkeypatch.setattr(weights, "REGISTRY", {"vgg16": attrs.evolve(known, sha256=sha256_of(path))})
    network, found = load_features("vgg16", ["pool2"], path)
    assert found.path == path
    assert torch.equal(network.features[0].weight, source.features[0].weight)
    with pytest.raises(WeightsError, match=r"features\.10\.weight is missing"):
        load_features("vgg16", ["pool3"], path)


def test_a_stand_in_is_taken_from_a_file_that_fits(tmp_path):
    source = FeatureNet("squeezenet1_1", ["fire9"])
    torch.save(source.state_dict(), tmp_path / "mine.pth")
    network = stand_in_features("squeezenet1_1", ["fire3"], tmp_path / "mine.pth")
    assert torch.equal(network.features[0].weight, source.features[0].weight)
    with pytest.raises(WeightsError, match=r"are not of alexnet: features\.0\.weight is \(64, 3, 3, 3\), expected"):
        stand_in_features("alexnet", ["relu1"], tmp_path / "mine.pth")
    with pytest.raises(WeightsError, match=r"are not of vgg16: features\.2\.weight is missing"):
        stand_in_features("vgg16", ["pool1"], tmp_path / "mine.pth")
    np.savez(tmp_path / "part.npz", **{"conv1.w": np.zeros((64, 3, 3, 3), np.float16)})
    with pytest.raises(WeightsError, match=r"part\.npz: are not of squeezenet1_1: conv1\.b is missing"):
        stand_in_features("squeezenet1_1", ["fire3"], tmp_path / "part.npz")


def test_caffes_weights_see_bgr_as_caffe_did(tmp_path):
    generator = np.random.default_rng(0)
    source = FeatureNet("squeezenet1_1", ["fire9"]).state_dict()
    back = {number: fire for fire, number in caffe.TORCHVISION_FIRES.items()}
    arrays = {}
    for name, tensor in source.items():
        _, number, *kind, part = name.split(".")
        layer = f"{back[int(number)]}__{kind[0].replace('squeeze', 'squeeze1x1')}" if kind else "conv1"
        arrays[f"{layer}.{part[0]}"] = generator.normal(0, 0.05, tensor.shape).astype(np.float16)
    np.savez(tmp_path / "caffe.npz", **arrays)
    network = stand_in_features("squeezenet1_1", ["relu1", "fire9"], tmp_path / "caffe.npz")
    rgb = torch.from_numpy(generator.integers(0, 256, (1, 3, 40, 40)).astype(np.float32))
    bgr = rgb.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
    kernel, bias = (torch.from_numpy(arrays[f"conv1.{part}"]).float() for part in "wb")
    by_hand = torch.relu(torch.nn.functional.conv2d(bgr, kernel, bias, stride=2))
    assert torch.allclose(network(rgb / 255.0)["relu1"], by_hand, atol=1e-3)
    expected = torch.from_numpy(arrays["fire9__expand3x3.w"]).float()
    assert torch.equal(network.features[12].expand3x3.weight, expected)


def test_the_published_mobilenet_sees_what_it_should(monkeypatch):
    """With the real weights, when an installed package carries them: features as first measured."""
    monkeypatch.setenv(weights.OFFLINE_VARIABLE, "1")
    if "mobilenet_v2" not in weights.available():
        pytest.skip("the MobileNetV2 weights are not on this machine")
    network, _ = load_features("mobilenet_v2", ["stride32"])
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    with torch.no_grad():
        features = network(ramp)["stride32"]
    assert float(features.mean()) == pytest.approx(0.059374, rel=1e-3)
    assert float(features.max()) == pytest.approx(2.15185, rel=1e-3)
