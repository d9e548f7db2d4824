# SPDX-License-Identifier: Apache-2.0
"""Two processes with one image each learn what one process with two learns."""

from __future__ import annotations

from two_processes import in_two, learn_alike

from synthkit.errors import ConfigError
from synthkit.interfaces import Runtime
from synthkit.seeds import Seeds
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.detector import SqueezeDetector


def fit(discs, tmp_path, folder, batch=2, **settings):
    data = {"train": discs(5, 1, (64, 48))}
    if settings.get("optimizer") == "published":  # AdamW's weights differ by more than scores on few people hide
        data["validation"] = discs(1, 2, (64, 48))
    config = SqueezeDetConfig(backbone="none", steps=4, batch=batch, evaluate_every=2, precision="float32", **settings)
    with SqueezeDetector(config, None, Runtime(Seeds(1), tmp_path)) as detector:
        return detector.fit(data, folder)


def test_two_processes_learn_what_one_does(discs, tmp_path):
    released = {"optimizer": "published", "dropout": 0.5}
    learn_alike(lambda folder: fit(discs, tmp_path, folder, **released), tmp_path, most=1e-5)


def test_two_processes_learn_by_adamw_what_one_does(discs, tmp_path):
    learn_alike(lambda folder: fit(discs, tmp_path, folder), tmp_path, most=2e-3)


def test_a_batch_that_cannot_be_shared_is_told(discs, tmp_path):
    found = in_two(lambda _: fit(discs, tmp_path, tmp_path / "odd", batch=3))
    assert all(isinstance(error, ConfigError) and "batch: 3" in str(error) for error in found)
