# SPDX-License-Identifier: Apache-2.0
"""Refining through its public face: masks bound it, truth is kept, hostile checkpoints are refused."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import resource
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.errors import DatasetError, WeightsError
from synthkit.training.checkpoints import save_checkpoint
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.refiner import CycleGANRefiner

GENERATOR = {"filters": 2, "blocks": 9, "skip": True}
CARD = {
    "kind": "refiner",
    "name": "cyclegan",
    "architecture": {"generator": GENERATOR, "crop_px": 32, "head_at": [0.5, 0.25]},
}


def checkpoint_of(path: Path, *, card=None, change: float = 0.0) -> Checkpoint:
    network = Generator(2, skip=True, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.layers[-1].bias += change
    return save_checkpoint(path / "g.safetensors", network.state_dict(), card or CARD)


def refine(checkpoint, samples, runtime, config=None):
    with CycleGANRefiner(config or CycleGANConfig(), checkpoint, runtime) as refiner:
        return list(refiner.refine(samples))


def test_only_people_change(sample, tmp_path, runtime):
    before = sample(3)
    (after,) = refine(checkpoint_of(tmp_path, change=0.7), [before], runtime)
    people = before.layers["instances"] > 0
    assert (after.image[~people] == before.image[~people]).all()
    # Bright and dark blobs alike: the constant push makes every person brighter.
    assert after.image[people].astype(int).sum() > before.image[people].astype(int).sum()


def test_keys_truth_and_layers_are_kept(sample, tmp_path, runtime):
    before = sample(3)
    checkpoint = checkpoint_of(tmp_path, change=0.7)
    (after,) = refine(checkpoint, [before], runtime)
    assert after.key == before.key
    assert after.people == before.people
    assert (after.layers["instances"] == before.layers["instances"]).all()
    assert after.meta["refined_by"] == [{"name": "cyclegan", "checkpoint_sha256": checkpoint.sha256, "people": 2}]


def test_an_untrained_skip_generator_is_the_identity(sample, tmp_path, runtime):
    before = sample(5)
    (after,) = refine(checkpoint_of(tmp_path), [before], runtime)
    assert np.abs(after.image.astype(int) - before.image).max() <= 1


def test_neighbours_do_not_matter(sample, tmp_path, runtime):
    checkpoint = checkpoint_of(tmp_path, change=0.3)
    together = refine(checkpoint, [sample(1), sample(2), sample(3)], runtime)
    (alone,) = refine(checkpoint, [sample(2)], runtime)
    assert (together[1].image == alone.image).all()


def test_nobody_there_is_no_problem(sample, tmp_path, runtime):
    empty = attrs.evolve(sample(1), people=(), layers={})
    (after,) = refine(checkpoint_of(tmp_path), [empty], runtime)
    assert (after.image == empty.image).all()


def test_a_sample_without_masks_is_told(sample, tmp_path, runtime):
    bare = attrs.evolve(sample(1), layers={})
    with pytest.raises(DatasetError, match="'instances' layer"):
        refine(checkpoint_of(tmp_path), [bare], runtime)


def test_without_weights_it_says_how_to_get_them(sample, runtime):
    with pytest.raises(WeightsError, match="synthkit fit"):
        refine(None, [sample(1)], runtime)


@pytest.mark.parametrize(
    "card",
    [
        {"kind": "detector", "name": "cyclegan"},
        {"kind": "refiner", "name": "aggan"},
        {"kind": "refiner", "name": "cyclegan"},
        {**CARD, "architecture": {**CARD["architecture"], "crop_px": "32"}},
        {**CARD, "architecture": {**CARD["architecture"], "crop_px": 10**9}},
        {**CARD, "architecture": {**CARD["architecture"], "head_at": [0.5]}},
        {**CARD, "architecture": {**CARD["architecture"], "generator": {"filters": 4, "blocks": 9, "skip": True}}},
        {**CARD, "architecture": {**CARD["architecture"], "generator": {**GENERATOR, "antialias": True}}},
        {**CARD, "architecture": {**CARD["architecture"], "generator": {**GENERATOR, "antialias": 0}}},
        {**CARD, "architecture": {**CARD["architecture"], "generator": [1]}},
        {**CARD, "architecture": "none"},
    ],
)
def test_checkpoints_of_something_else_are_refused(card, tmp_path, runtime):
    checkpoint = checkpoint_of(tmp_path, card=card)
    with pytest.raises(WeightsError, match="checkpoint"), CycleGANRefiner(CycleGANConfig(), checkpoint, runtime):
        pass


def _opened_in_little_memory(checkpoint, runtime, results):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
    try:
        with CycleGANRefiner(CycleGANConfig(), checkpoint, runtime):
            results.put("was opened")
    except BaseException as error:
        results.put(f"{type(error).__name__}: {error}")


def test_a_card_that_claims_more_than_its_file_holds_takes_no_memory(tmp_path, runtime):
    """Such a network has 2.7 GB; it must not be built before it is refused."""
    generator = {"filters": 512, "blocks": 9, "skip": True}
    card = {**CARD, "architecture": {**CARD["architecture"], "generator": generator}}
    checkpoint, context = checkpoint_of(tmp_path, card=card), multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_opened_in_little_memory, args=(checkpoint, runtime, results))
    child.start()
    found = results.get(timeout=60)
    child.join(60)
    assert found.startswith("WeightsError: ")
    assert "does not fit its network" in found


def test_cards_of_before_anti_aliasing_are_understood(tmp_path, runtime):
    """They do not tell of it, and their networks have none."""
    with CycleGANRefiner(CycleGANConfig(antialias=True), checkpoint_of(tmp_path), runtime) as refiner:
        assert not any(isinstance(layer, torch.nn.Upsample) for layer in refiner.network.layers)


def test_hostile_files_are_not_opened_as_checkpoints(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path(tmp_path / "boom").touch, ())

    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        Checkpoint.open(path)
    assert not (tmp_path / "boom").exists()


def test_a_card_that_is_nested_too_deep_is_told(tmp_path):
    header = json.dumps({"__metadata__": {CARD_KEY: "[" * 100_000}}).encode()
    path = tmp_path / "deep.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsError, match="has no synthkit card"):
        Checkpoint.open(path)


def test_a_truncated_checkpoint_is_told(tmp_path, runtime):
    path = checkpoint_of(tmp_path).path
    path.write_bytes(path.read_bytes()[:-100])
    with (
        pytest.raises(WeightsError, match="cannot be read"),
        CycleGANRefiner(CycleGANConfig(), Checkpoint.open(path), runtime),
    ):
        pass
