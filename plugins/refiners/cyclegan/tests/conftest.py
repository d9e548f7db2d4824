# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from sample_sets import Samples

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.interfaces import Runtime
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit.training.perceptual import FeatureNet
from synthkit_cyclegan.config import CycleGANConfig


def one_sample(seed: int, *, masks: bool = True, size: int = 96) -> Sample:
    """Return an image with two people: bright blobs with heads away from the centre."""
    stream = Seeds(seed).stream("sample")
    image = stream.integers(40, 90, (size, size, 3), dtype=np.uint8)
    instances = np.zeros((size, size), np.uint8)
    people = []
    for number, (cx, cy) in enumerate(((24, 30), (66, 64)), start=1):
        box = RotatedBox(cx, cy, 14, 26, float(stream.uniform(-90, 89)))
        rows, columns = np.mgrid[:size, :size] + 0.5
        angle = np.radians(box.degrees)
        u = (columns - cx) * np.cos(angle) + (rows - cy) * np.sin(angle)
        v = -(columns - cx) * np.sin(angle) + (rows - cy) * np.cos(angle)
        inside = (np.abs(u) < box.w / 2) & (np.abs(v) < box.h / 2)
        image[inside] = stream.integers(120, 255, 3)
        instances[inside] = number
        people.append(Person(instance=number if masks else None, rotated_box=box))
    layers = {"instances": instances} if masks else {}
    return Sample(key=f"s{seed:03d}", image=image, people=tuple(people), layers=layers)


@pytest.fixture
def sample() -> Callable[..., Sample]:
    return one_sample


@pytest.fixture
def data() -> dict[str, Samples]:
    source = [one_sample(n) for n in range(4)]
    target = [one_sample(100 + n, masks=False) for n in range(3)]
    return {"source": Samples(source, "sha-source"), "target": Samples(target, "sha-target")}


@pytest.fixture
def samples() -> type[Samples]:
    return Samples


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(seeds=Seeds(7).child("refiner"), cache_dir=tmp_path / "cache")


@pytest.fixture
def stand_in_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random MobileNetV2 weights in the place of the published ones, so that tests need no download."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    network = FeatureNet("mobilenet_v2", ["stride32"])
    known = weights.REGISTRY["mobilenet_v2"]
    torch.save(network.state_dict(), folder / known.file)
    stand_in = attrs.evolve(known, sha256=sha256_of(folder / known.file))
    monkeypatch.setattr(weights, "REGISTRY", {**weights.REGISTRY, "mobilenet_v2": stand_in})
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv(weights.OFFLINE_VARIABLE, "1")
    return folder


@pytest.fixture
def tiny(stand_in_weights: Path) -> CycleGANConfig:
    return CycleGANConfig(
        steps=7, crop_px=32, generator_filters=2, discriminator_filters=2, pool=2, perceptual="mobilenet_v2",
        discriminator_feature_weight=1e-5, identity_feature_weight=5e-6,
        checkpoint_every=3, log_every=2, picture_every=4,
    )  # fmt: skip
