# SPDX-License-Identifier: Apache-2.0
"""Whole images: G where A_X attends, in tiles as without them, with attention as a layer of all of the image."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from synthkit.config import structure
from synthkit.errors import ConfigError, WeightsError
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.training.checkpoints import save_checkpoint
from synthkit_aggan.config import AGGANConfig
from synthkit_aggan.networks import AttentionNetwork, AttentiveGenerator
from synthkit_aggan.refiner import AGGANRefiner
from synthkit_cyclegan import whole_images
from synthkit_cyclegan.networks import Generator


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def networks() -> torch.nn.ModuleDict:
    """A generator that changes much, and attention that differs from place to place."""
    made = torch.nn.ModuleDict(
        {"G": Generator(4, generator=seeded(1)), "A X": AttentionNetwork(4, generator=seeded(2))}
    )
    with torch.no_grad():
        made["G"].layers[-1].weight.normal_(0, 0.15, generator=seeded(3))
        made["A X"].up[-1].weight.mul_(10)
    return made


@pytest.fixture
def checkpoint(networks, tmp_path):
    architecture = {
        "generator": {"filters": 4, "blocks": 9, "skip": True, "antialias": False}, "attention": {"filters": 4},
        "crop_px": 32, "head_at": [0.5, 0.25],
    }  # fmt: skip
    card = {"kind": "refiner", "name": "aggan", "architecture": architecture}
    return save_checkpoint(tmp_path / "c.safetensors", networks.state_dict(), card)


@pytest.fixture
def photo() -> Sample:
    """An image, of no multiple of four, that is dark and smooth on one side, bright and rough on the other."""
    rough = Seeds(1).stream("pixels").normal(0, 40, (90, 133, 3)) * np.linspace(0, 1, 133)[:, None]
    light = np.linspace(30, 190, 133)[:, None]
    return Sample("photo", np.clip(light + rough, 0, 255).astype(np.uint8), ())


def refined(checkpoint, runtime, photo: Sample, **settings) -> Sample:
    config = structure(AGGANConfig, {"region": "image", "attention_layer": True, **settings})
    with AGGANRefiner(config, checkpoint, runtime) as refiner:
        (after,) = refiner.refine([photo])
    return after


def test_tiles_change_neither_image_nor_attention(checkpoint, networks, runtime, photo):
    whole = refined(checkpoint, runtime, photo)
    with torch.inference_mode():
        network = AttentiveGenerator(networks["G"], networks["A X"]).eval()
        expected = whole_images.as_pixels(network(whole_images.as_seen(photo.image)), photo.image.shape[:2])
    assert np.abs(whole.image.astype(int) - expected).max() <= 1
    assert np.abs(whole.image.astype(int) - photo.image).mean() > 5, "there is something to differ in"
    assert whole.layers["attention"].std() > 10
    assert whole.layers["attention"].shape == photo.image.shape[:2]
    for tile_px in (40, 128):
        tiled = refined(checkpoint, runtime, photo, tile_px=tile_px)
        assert np.abs(tiled.image.astype(int) - whole.image).max() <= 1
        assert np.abs(tiled.layers["attention"].astype(int) - whole.layers["attention"]).max() <= 1
    assert whole.meta["refined_by"][-1]["region"] == "image"
    assert "attention" not in refined(checkpoint, runtime, photo, attention_layer=False).layers


def test_windows_are_learned_from_and_applied_without_masks(tiny, data, runtime, tmp_path):
    config = attrs.evolve(tiny, region="image", steps=3)
    fitted = AGGANRefiner(config, None, runtime).fit(data, tmp_path)
    assert fitted.card["config"]["region"] == "image"
    bare = attrs.evolve(data["source"].items[0], layers={})
    after = refined(fitted, runtime, bare)
    assert (after.image != bare.image).any()
    assert after.people == bare.people


def test_masks_cannot_stand_for_attention_in_whole_images(checkpoint, networks, tmp_path, runtime):
    with pytest.raises(ConfigError, match="attention: 'instances' are people's masks"):
        structure(AGGANConfig, {"region": "image", "attention": "instances"})
    architecture = {**checkpoint.card["architecture"], "attention": None}
    generator = {f"G.{name}": tensor for name, tensor in networks["G"].state_dict().items()}
    masked = save_checkpoint(tmp_path / "m", generator, {**checkpoint.card, "architecture": architecture})
    with (
        pytest.raises(WeightsError, match="it refines people only: leave region=image out"),
        AGGANRefiner(AGGANConfig(region="image"), masked, runtime),
    ):
        pass
