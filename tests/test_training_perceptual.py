# SPDX-License-Identifier: Apache-2.0
"""Feature networks: shapes, published parameter names and counts, and known values."""

from __future__ import annotations

import attrs
import pytest
import torch

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import ConfigError, WeightsError
from synthkit.training.perceptual import FeatureNet, load_features
from synthkit.training.taps import TAPS, tap


@pytest.mark.parametrize("name", list(TAPS))
def test_taps_have_the_shapes_they_promise(name):
    network = FeatureNet(name, list(TAPS[name]))
    with torch.no_grad():
        found = network(torch.rand(1, 3, 64, 64))
    assert {layer: tuple(value.shape) for layer, value in found.items()} == {
        layer: (1, t.channels, 64 // t.stride, 64 // t.stride) for layer, t in TAPS[name].items()
    }


def test_the_published_parameters_fit():
    # The convolutions of configuration D hold 14,714,688 parameters; MobileNetV2's features 2,223,872.
    vgg = FeatureNet("vgg16", ["pool5"])
    mobile = FeatureNet("mobilenet_v2", ["stride32"])
    assert sum(p.numel() for p in vgg.parameters()) == 14_714_688
    assert sum(p.numel() for p in mobile.parameters()) == 2_223_872
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
    with pytest.raises(ConfigError, match="pool1, pool2"):
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
    with pytest.raises(WeightsError, match=r"features\.10\.bias is missing"):
        load_features("vgg16", ["pool3"], path)


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
