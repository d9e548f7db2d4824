# SPDX-License-Identifier: Apache-2.0
"""Trainings that begin with the target's colours."""

from __future__ import annotations

import attrs
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit import config as configs
from synthkit import pipeline
from synthkit.checkpoint import Checkpoint
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import Runtime
from synthkit.plugins import discover
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.training.checkpoints import save_checkpoint
from synthkit_cyclegan import colours, whole_images
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.crop_learner import as_crops, as_images
from synthkit_cyclegan.networks import Generator
from synthkit_cyclegan.refiner import CycleGANRefiner
from synthkit_cyclegan.resnet_refiner import shape_of
from synthkit_cyclegan.training import Training

CPU = torch.device("cpu")


def _crops(seed: int, mean, mixed, count: int = 40) -> np.ndarray:
    """Return crops (N, 20, 20, 3) of colours with a mean and a covariance, around it something else."""
    stream = Seeds(seed).stream("crops")
    people = mean + stream.normal(size=(count, 20, 20, 3)) @ np.asarray(mixed).T
    around = stream.integers(0, 256, people.shape)
    inside = np.zeros((20, 20, 1), bool)
    inside[4:12, 8:12] = True
    return np.where(inside, np.clip(np.rint(people), 0, 255), around).astype(np.uint8)


VIVID = _crops(1, (70, 60, 60), [[40, 0, 0], [20, 15, 0], [20, 0, 12]])
PALE = _crops(2, (110, 100, 95), [[25, 0, 0], [20, 6, 0], [19, 0, 5]])


def _of_people(crops: np.ndarray) -> np.ndarray:
    return crops[:, 4:12, 8:12].reshape(-1, 3) / 127.5 - 1


def test_people_get_mean_and_covariance_of_the_others_colours():
    found = colours.between(VIVID, PALE, whole=False)
    moved = _of_people(VIVID) @ found.matrix.T + found.offset
    wanted = _of_people(PALE)
    assert moved.mean(axis=0) == pytest.approx(wanted.mean(axis=0), abs=1e-9)
    assert np.cov(moved.T) == pytest.approx(np.cov(wanted.T), abs=5e-5)
    assert found.matrix == pytest.approx(found.matrix.T)  # no turn: the linear map that moves colours least
    assert (np.linalg.eigvalsh(found.matrix) > 0).all()
    there_and_back = found.inverse.matrix @ (found.matrix @ [0.1, -0.4, 0.3] + found.offset) + found.inverse.offset
    assert there_and_back == pytest.approx([0.1, -0.4, 0.3])


def test_the_map_is_that_of_the_paper_for_colours_without_covariance():
    """By hand: where channels are independent, deviations are divided and means moved."""
    first = _crops(3, (60, 90, 120), np.diag([10, 20, 30]), 400)
    last = _crops(4, (120, 90, 60), np.diag([20, 20, 10]), 400)
    found = colours.between(first, last, whole=False)
    assert found.matrix == pytest.approx(np.diag([2, 1, 1 / 3]), abs=0.05)


def test_windows_of_images_count_whole():
    first, last = (np.full((3, 8, 8, 3), grey, np.uint8) for grey in (100, 150))
    last[:, 0] = 50  # nobody's place, in crops of people
    whole, middle = (colours.between(first, last, whole=one) for one in (True, False))
    grey = 100 / 127.5 - 1
    assert (middle.matrix @ ([grey] * 3) + middle.offset) == pytest.approx([150 / 127.5 - 1] * 3)
    assert (whole.matrix @ ([grey] * 3) + whole.offset) == pytest.approx([(150 * 7 + 50) / 8 / 127.5 - 1] * 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255))
def test_sets_of_one_colour_have_a_map(first, last):
    found = colours.between(*(np.full((2, 8, 8, 3), grey, np.uint8) for grey in (first, last)), whole=True)
    assert found.matrix == pytest.approx(np.eye(3))
    assert found.matrix @ np.full(3, first / 127.5 - 1) + found.offset == pytest.approx(np.full(3, last / 127.5 - 1))


def test_large_sets_cost_no_more_memory_than_small_ones():
    large = np.lib.stride_tricks.as_strided(VIVID[0], (4000, 400, 400, 3), (0, 0, 0, 1))
    assert len(colours._colours(large, True)) <= colours._MOST_PIXELS * 1.1


def test_generators_begin_with_the_colours_and_learn_the_rest():
    network = Generator(2, colours=True, generator=torch.Generator().manual_seed(1))
    crops = Seeds(5).stream("crops").integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert np.abs(as_crops(network(as_images(crops))) - crops).max() < 0.6
    found = colours.between(VIVID, PALE, whole=False)
    network.recolour(found.matrix, found.offset)
    wanted = np.clip((crops / 127.5 - 1) @ found.matrix.T + found.offset, -1, 1) * 127.5 + 127.5
    assert np.abs(as_crops(network(as_images(crops))) - wanted).max() < 0.6
    assert "colour_map" not in dict(network.named_parameters())
    assert "colour_map" not in Generator(2, generator=torch.Generator()).state_dict()


def test_both_generators_of_a_training_begin_so():
    config = CycleGANConfig(crop_px=32, steps=4, generator_filters=2, discriminator_filters=2, match_colours=True)
    crops = [np.repeat(np.repeat(one, 2, axis=1), 2, axis=2)[:, :32, :32] for one in (VIVID, PALE)]
    training = Training(config, *crops, None, Seeds(1), CPU)
    images = as_images(crops[0][:2]) * 0.3
    assert torch.allclose(training.f(training.g(images)), images, atol=0.02)
    assert not torch.allclose(training.g(images), images, atol=0.1)


def _refined(checkpoint: Checkpoint, sample: Sample, runtime: Runtime) -> np.ndarray:
    with CycleGANRefiner(CycleGANConfig(feather_px=0.0), checkpoint, runtime) as refiner:
        (made,) = refiner.refine([sample])
    return made.image.astype(int)


def test_what_was_fitted_is_applied_with_its_colours(data, runtime, tmp_path):
    config = CycleGANConfig(crop_px=32, steps=2, generator_filters=2, discriminator_filters=2, match_colours=True)
    made = CycleGANRefiner(config, None, runtime).fit(data, tmp_path / "run")
    assert shape_of(made).colours
    assert made.card["architecture"]["generator"]["colours"] is True
    plain = CycleGANRefiner(attrs.evolve(config, match_colours=False), None, runtime).fit(data, tmp_path / "plain")
    before = data["source"][0]
    after, same = (_refined(one, before, runtime) for one in (made, plain))
    masks = before.layers["instances"] > 0
    assert np.abs(same - before.image)[masks].mean() < 1
    assert np.abs(after - before.image)[masks].mean() > 5


def test_exported_generators_have_the_colours(tmp_path):
    network = Generator(2, colours=True, generator=torch.Generator().manual_seed(1))
    found = colours.between(VIVID, PALE, whole=False)
    network.recolour(found.matrix, found.offset)
    shape = {"filters": 2, "blocks": 9, "skip": True, "colours": True, "antialias": False}
    card = {"kind": "refiner", "name": "cyclegan",
            "architecture": {"generator": shape, "crop_px": 32, "head_at": [0.5, 0.25]}}  # fmt: skip
    made = save_checkpoint(tmp_path / "checkpoint.safetensors", network.state_dict(), card)
    pipeline.export(Session(discover()), made.path, tmp_path / "generator.onnx")
    crops = Seeds(5).stream("crops").integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx", providers=["CPUExecutionProvider"])
    (after,) = session.run(None, {"images": crops})
    wanted = np.clip((crops / 127.5 - 1) @ found.matrix.T + found.offset, -1, 1) * 127.5 + 127.5
    assert np.abs(after - wanted).max() < 1.1
    wrong = save_checkpoint(tmp_path / "wrong.safetensors", network.state_dict(),
                            {**card, "architecture": {"generator": {**shape, "colours": 1}}})  # fmt: skip
    with pytest.raises(WeightsError, match="describes no network that could be built"):
        shape_of(wrong)


@pytest.mark.parametrize("tile_px", [1024, 24])
def test_whole_images_get_the_colours_in_tiles_too(tile_px):
    network = Generator(2, colours=True, generator=torch.Generator().manual_seed(1))
    found = colours.between(VIVID, PALE, whole=True)
    network.recolour(found.matrix, found.offset)
    image = Seeds(6).stream("image").integers(0, 256, (50, 62, 3), dtype=np.uint8)
    made = whole_images.translate(network, image, tile_px, CPU)
    wanted = np.clip((image / 127.5 - 1) @ found.matrix.T + found.offset, -1, 1) * 127.5 + 127.5
    assert np.abs(made - wanted).max() < 1.1


def test_without_a_connection_there_is_nothing_to_begin_with():
    with pytest.raises(ConfigError, match=r"refiner.match_colours"):
        configs.structure(CycleGANConfig, {"skip": False, "match_colours": True}, path="refiner")
