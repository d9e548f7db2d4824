# SPDX-License-Identifier: Apache-2.0
"""From settings and data to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Runtime, SampleSet
from synthkit.training import devices, loop
from synthkit_aggan.config import REFINE_ONLY, AGGANConfig
from synthkit_aggan.training import AttentionTraining
from synthkit_cyclegan import crop_training
from synthkit_cyclegan.resnet_refiner import architecture_of

FAMILY = "aggan"
"""The name in the cards of checkpoints: any preset can apply what any other has learned."""

REVISION = 1
"""Raised when the same settings and data train to other weights."""


def fit(config: AGGANConfig, data: Mapping[str, SampleSet], workdir: Path, runtime: Runtime) -> Checkpoint:
    """Train (or go on training) on crops of ``data["source"]`` and ``data["target"]``.

    The checkpoint holds G and A_X. Pictures show attention between the crops and what becomes of them.

    Raises:
        DatasetError: when a set has nobody to crop, people of the source have no masks and these are to stand for
        attention, or the folder holds another training. WorkError: when the losses diverge.
    """
    device = devices.set_up(runtime)
    learned = config.attention == "learned"
    masked = () if learned else ("source",)
    pair = crop_training.load_pair(config, data, workdir, runtime.progress, masked=masked)
    attention = {"filters": config.attention_filters} if learned else None
    architecture = {**architecture_of(config), "attention": attention}
    card = crop_training.card_of(
        FAMILY, REVISION, config, pair, runtime, architecture=architecture, leave_out=REFINE_ONLY
    )
    training = AttentionTraining(config, pair.source, pair.target, runtime.seeds, device)
    return loop.train(training, workdir, card, config, runtime, stage="train refiner")
