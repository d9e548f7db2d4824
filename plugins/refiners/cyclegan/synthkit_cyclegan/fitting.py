# SPDX-License-Identifier: Apache-2.0
"""From settings and data to a checkpoint: crops, the objective, and the card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime, SampleSet
from synthkit.training import devices, distributed, loop
from synthkit_cyclegan import crop_training, perception
from synthkit_cyclegan.config import CycleGANConfig
from synthkit_cyclegan.resnet_refiner import architecture_of
from synthkit_cyclegan.training import Training

FAMILY = "cyclegan"
"""The name in the cards of checkpoints: any preset can apply what any other has learned."""

REVISION = 2
"""Raised when the same settings and data train to other weights."""

_LICENCE = "the weights were learned from the data sets and the perceptual network named here; their licences apply"


def fit(config: CycleGANConfig, data: Mapping[str, SampleSet], workdir: Path, runtime: Runtime) -> Checkpoint:
    """Train (or go on training) on crops of ``data["source"]`` and ``data["target"]``.

    Leaves ``checkpoint.safetensors`` (the generator G alone), ``curves.jsonl`` and ``samples/`` in the
    working folder.

    Raises:
        DatasetError: when a set has nobody to crop, or the folder holds another training. WeightsError: when
        the perceptual weights cannot be had. WorkError: when the losses diverge.
    """
    device = devices.set_up(runtime)
    with distributed.in_turn():
        seen = perception.load_perceptual(config, workdir, runtime.progress) if config.perceives else None
    pair = crop_training.load_pair(config, data, workdir, runtime.progress)
    card = crop_training.card_of(
        FAMILY, REVISION, config, pair, runtime,
        architecture=architecture_of(config),
        more={"perceptual": dict(seen.card), "licence": _LICENCE} if seen else {"perceptual": None},
        leave_out=perception.SETTINGS,
    )  # fmt: skip
    space = seen.space(config.feature_distance, device) if seen else None
    training = Training(config, pair.source, pair.target, space, runtime.seeds, device)
    return loop.train(training, workdir, card, config, runtime, stage="train refiner")
