# SPDX-License-Identifier: Apache-2.0
"""From settings and data to a finder's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import Runtime, SampleSet
from synthkit.training import loop
from synthkit.training.choosing import card_of, evaluations_of
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.examples import Subjects
from synthkit_surface_finder.learner import SurfaceLearner
from synthkit_surface_finder.model import NAME, Design
from synthkit_surface_finder.start import Start, choose_start
from synthkit_surface_finder.surface import Surface


def fit(
    config: SurfaceFinderConfig,
    runtime: Runtime,
    device: torch.device,
    surface: Surface,
    data: Mapping[str, SampleSet],
    workdir: Path,
) -> Checkpoint:
    """Train on ``data["train"]``, or go on training in ``workdir``; see ``loop.train`` for what it gets.

    With ``data["validation"]`` the weights with the best ``part_iou`` are kept, and the curves get ``val_mask_iou`` and
    the other means of ``judging.Judged`` at evaluations.

    Raises:
        DatasetError: when a set is empty or cannot teach, or the folder holds another training. WeightsError: when the
        weights to start from cannot be had. WorkError: when the losses diverge or the disk is full.
    """
    if "train" not in data or not len(data["train"]):
        raise DatasetError("surface: the training set is missing or empty; give one with samples in it")
    card = card_of(NAME, config, runtime, data, begun_with="the weights")
    done = loop.finished(workdir, card)
    if done is not None:
        return done
    notes = loop.notes_of(workdir, card)
    subjects = Subjects(data["train"], config.min_px, surface, runtime.progress)
    validation = data.get("validation")
    judged = Subjects(validation, config.min_px, surface, runtime.progress) if validation else None
    if notes is None:
        start = choose_start(config, Design.of(config, surface), runtime.progress)
    else:
        start = Start(notes["start"])
    learner = SurfaceLearner(config, runtime, device, surface, subjects, judged, start, *evaluations_of(notes))
    return loop.train(learner, workdir, card, config, runtime, stage="training surface")
