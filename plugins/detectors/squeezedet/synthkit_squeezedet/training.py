# SPDX-License-Identifier: Apache-2.0
"""From settings and data to a detector's checkpoint: what is fitted to the data and chosen before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, Runtime, SampleSet
from synthkit.training import distributed, loop
from synthkit.training.choosing import card_of, evaluations_of
from synthkit.training.devices import Precision
from synthkit_detection.truth import truth_of
from synthkit_squeezedet.anchors import fit_fewest, fit_shapes
from synthkit_squeezedet.backbone import choose_backbone, chosen_before
from synthkit_squeezedet.config import STRIDE, SqueezeDetConfig
from synthkit_squeezedet.examples import ExampleSet
from synthkit_squeezedet.input_size import default_input_px
from synthkit_squeezedet.learner import SqueezeDetLearner
from synthkit_squeezedet.model import Design
from synthkit_squeezedet.objects import judged_boxes, of_class

NAME = "squeezedet"


def fit(
    config: SqueezeDetConfig, runtime: Runtime, device: torch.device, data: Mapping[str, SampleSet], workdir: Path
) -> Checkpoint:
    """Train on ``data["train"]``, or go on training in ``workdir``; see ``loop.train`` for what it gets.

    With ``data["validation"]`` the weights with the best F1 are kept, and the curves get ``val_precision``,
    ``val_recall``, ``val_f1`` and ``val_loss`` at evaluations.

    Raises:
        ConfigError: when the batch cannot be shared. DatasetError: when a set is empty or cannot teach or judge,
        or the folder holds another training. WeightsError: when the backbone cannot be had. WorkError: when the
        losses diverge or the disk is full.
    """
    if "train" not in data or not len(data["train"]):
        raise DatasetError("squeezedet: the training set is missing or empty; give one with samples in it")
    distributed.check_batch(config.batch)
    card = card_of(NAME, config, runtime, data, begun_with="the backbone")
    done = loop.finished(workdir, card)
    if done is not None:
        return done
    notes, validation = loop.notes_of(workdir, card), data.get("validation")
    if notes is None and validation is not None:
        _check_validation(validation, config, runtime.progress)
    examples = _examples(config, data["train"], runtime.progress)
    if notes is None:
        design = _design(config, examples, runtime)
        with distributed.in_turn():
            backbone = choose_backbone(config, runtime.progress)
        precision = choose_precision(config.precision, device)
    else:
        design = Design.from_card(notes, workdir / loop.STATE)
        backbone, precision = chosen_before(notes["backbone"]), notes["precision"]
    learner = SqueezeDetLearner(
        config, runtime, device, design, backbone, precision, examples, validation, *evaluations_of(notes)
    )  # fmt: skip
    return loop.train(learner, workdir, card, config, runtime, stage="training squeezedet")


def choose_precision(wanted: Literal["auto", "float32", "tfloat32", "bfloat16"], device: torch.device) -> Precision:
    """Return the precision of convolutions: bfloat16 only where it is fast."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch has no public name for it yet
    return "bfloat16" if device.type == "cpu" and has_tiles is not None and has_tiles() else "float32"


def _examples(config: SqueezeDetConfig, train: SampleSet, progress: Progress) -> ExampleSet:
    input_px = config.input_px or default_input_px(train[0].size_px, STRIDE)
    return ExampleSet(train, config.object_classes, config.boxes, input_px, progress)


def _check_validation(validation: SampleSet, config: SqueezeDetConfig, progress: Progress) -> None:
    """Tell now rather than at the first evaluation when the validation set cannot judge."""
    labelled = False
    for number, sample in enumerate(validation, start=1):
        progress("checking validation", number, len(validation))
        if sample.people is None:
            continue
        labelled = True
        for item in config.object_classes:
            try:
                truth_of(of_class(sample, item), item.target, judged_boxes(item, config.boxes))
            except DatasetError as error:
                raise DatasetError(f"the validation set cannot judge the detector: {error}") from None
    if len(validation) and not labelled:
        raise DatasetError("no validation sample says who is in it; leave the set away or give a labelled one")


def _design(config: SqueezeDetConfig, examples: ExampleSet, runtime: Runtime) -> Design:
    shapes = config.anchors
    if shapes is None:
        stream = runtime.seeds.stream("anchors")
        count = config.anchor_count
        fitted = fit_shapes(examples.sizes, count, stream) if count else fit_fewest(examples.sizes, stream)
        shapes = tuple((round(float(w), 2), round(float(h), 2)) for w, h in fitted)
    return Design(
        classes=tuple(item.name for item in config.object_classes),
        input_px=examples.input_px,
        anchors=shapes,
        centres=config.anchor_centres,
        boxes="upright" if config.boxes == "upright" else "rotated",
        network=config.network,
    )
