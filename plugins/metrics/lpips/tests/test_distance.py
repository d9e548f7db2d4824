# SPDX-License-Identifier: Apache-2.0
"""LPIPS against the package ``lpips``: as frozen values, and beside it where it is installed."""

from __future__ import annotations

import importlib
import sys
import types

import cv2
import numpy as np
import pytest
import torch

from synthkit import weights
from synthkit.errors import WeightsError
from synthkit.training.perceptual import FeatureNet
from synthkit_lpips.distance import HEADS, TRUNKS, PerceptualDistance, backbone_sha256, load_distance, read_heads

# Of lpips 0.1.4, LPIPS(net=..., model_path=heads, pnet_rand=True)(first, second, normalize=True), with drawn weights.
FROZEN = {
    "alex": (1.1712994575500488, 1.2621371746063232),
    "vgg": (0.9393148422241211, 0.9020557403564453),
    "squeeze": (1.1264891624450684, 1.163411021232605),
}


def drawn_trunk(network):
    """Return a trunk with weights that keep activations alive: its numbers mean nothing, and are as hard to equal."""
    generator = np.random.default_rng(0)
    trunk = FeatureNet(TRUNKS[network].features, TRUNKS[network].layers)
    for tensor in trunk.state_dict().values():
        fan_in = max(tensor[0].numel(), 1) if tensor.ndim > 1 else 100
        tensor.copy_(torch.from_numpy(generator.normal(0, np.sqrt(2 / fan_in), tensor.shape)))
    return trunk


def drawn_heads(network):
    generator = np.random.default_rng(1)
    trunk = FeatureNet(TRUNKS[network].features, TRUNKS[network].layers)
    return [torch.from_numpy(generator.random(trunk.taps[layer].channels)).float() for layer in TRUNKS[network].layers]


def head_file(network, folder):
    tensors = {f"lin{n}.model.1.weight": head.reshape(1, -1, 1, 1) for n, head in enumerate(drawn_heads(network))}
    torch.save(tensors, folder / "heads.pth")
    return folder / "heads.pth"


def drawn_images(seed, count=2, size=(72, 64)):
    coarse = np.random.default_rng(seed).random((count, 9, 8, 3)).astype(np.float32)
    images = [cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in coarse]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def drawn_distance(network):
    return PerceptualDistance(drawn_trunk(network), drawn_heads(network))


@pytest.mark.parametrize("network", list(TRUNKS))
def test_equals_what_the_package_gave(network):
    found = drawn_distance(network)(drawn_images(2), drawn_images(3))
    assert found.numpy() == pytest.approx(FROZEN[network], rel=1e-6)


@pytest.mark.parametrize("network", list(TRUNKS))
def test_equals_the_package(network, tmp_path, monkeypatch):
    """Live, with any torchvision out of the way: the package takes nothing from it but the networks' layers."""
    if importlib.util.find_spec("lpips") is None:
        pytest.skip("lpips is not installed")

    def networks(name):
        features = drawn_trunk(network).features if name == TRUNKS[network].features else None
        return lambda pretrained: types.SimpleNamespace(features=features)

    models = types.SimpleNamespace(**{name: networks(name) for name in ("alexnet", "vgg16", "squeezenet1_1")})
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    lpips = importlib.import_module("lpips")
    monkeypatch.setattr(lpips.pretrained_networks, "tv", models)
    path = str(head_file(network, tmp_path))
    peer = lpips.LPIPS(net=network, pnet_rand=True, model_path=path, verbose=False)
    first, second = drawn_images(2), drawn_images(3)
    with torch.no_grad():
        wanted = peer(first, second, normalize=True).flatten()
    assert drawn_distance(network)(first, second).numpy() == pytest.approx(wanted.numpy(), rel=1e-6)


@pytest.mark.parametrize("network", ["alex", "squeeze"])
def test_is_a_distance(network):
    distance, first, second = drawn_distance(network), drawn_images(2), drawn_images(3)
    assert (distance(first, first) == 0).all()
    assert torch.allclose(distance(first, second), distance(second, first), rtol=1e-6)


def test_a_mask_says_what_counts():
    """On whole cells the parts' distances add up to the whole's, and each is its own cells' alone."""
    distance, first, second = drawn_distance("vgg"), drawn_images(2, 1, (32, 32)), drawn_images(3, 1, (32, 32))
    left = torch.zeros(1, 1, 32, 32)
    left[..., :16] = 1.0
    parts = [distance(first, second, mask) for mask in (left, 1 - left)]
    whole = distance(first, second)
    assert torch.allclose(sum(parts) / 2, whole, rtol=1e-5)
    assert torch.allclose(distance(first, second, torch.ones_like(left)), whole, rtol=1e-5)
    assert (parts[0] - parts[1]).abs().min() > 1e-3


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    """No weights in any of the usual places, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv(weights.OFFLINE_VARIABLE, "1")
    monkeypatch.setattr(weights, "_in_package", lambda wheel: None)
    return tmp_path


def test_what_is_missing_is_told_with_what_to_do(nothing_here):
    with pytest.raises(WeightsError) as caught:
        load_distance("alex")
    message = str(caught.value)
    assert "lpips_alex" in message
    assert HEADS["alex"].url in message
    assert HEADS["alex"].sha256 in message
    assert f"as {HEADS['alex'].file}" in message
    assert weights.FOLDER_VARIABLE in message
    assert "choose weights" not in message, "no other weights are heads"


def test_a_wrong_file_is_told_as_wrong(nothing_here):
    path = head_file("alex", nothing_here)
    with pytest.raises(WeightsError, match=rf"heads\.pth has sha256 \w+, expected {HEADS['alex'].sha256}"):
        load_distance("alex", heads=path)
    with pytest.raises(WeightsError, match=r"heads\.pth: are not LPIPS's heads for squeeze: expected lin0.* to lin6"):
        read_heads("squeeze", path)


def test_heads_are_found_in_the_installed_package(nothing_here, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(nothing_here / "cache"))
    folder = nothing_here / "lpips" / "weights" / "v0.1"
    folder.mkdir(parents=True)
    (nothing_here / "lpips" / "__init__.py").write_text("raise SystemExit('nobody imports it')")
    (folder / "alex.pth").write_bytes(b"another file")
    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    monkeypatch.syspath_prepend(str(nothing_here))
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(nothing_here / "empty"))
    with pytest.raises(WeightsError, match=r"lpips/weights/v0\.1/alex\.pth has sha256"):
        weights.resolve(HEADS["alex"])


def test_the_weights_of_a_stand_in_are_told_as_its_own(tmp_path):
    with pytest.raises(WeightsError, match=r"stand_in .*absent"):
        backbone_sha256("squeeze", tmp_path / "absent.pth")
    path = head_file("alex", tmp_path)
    assert backbone_sha256("squeeze", path) != backbone_sha256("squeeze", None)
    assert backbone_sha256("squeeze", None) == weights.entry("squeezenet1_1").sha256
