# SPDX-License-Identifier: Apache-2.0
"""Training SqueezeDet: a function of configuration, data and seed that can be interrupted at any moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import torch

from synthkit import __version__
from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError
from synthkit.interfaces import Runtime, SampleSet
from synthkit.training.checkpoints import load_state, save_checkpoint, save_state
from synthkit.training.curves import Curves
from synthkit.training.devices import Precision
from synthkit.training.interrupts import Interrupts
from synthkit.training.meter import Meter
from synthkit_detection.truth import truth_boxes
from synthkit_squeezedet.anchors import fit_fewest, fit_shapes
from synthkit_squeezedet.backbone import choose_backbone, chosen_before
from synthkit_squeezedet.config import STRIDE, SqueezeDetConfig
from synthkit_squeezedet.examples import ExampleSet
from synthkit_squeezedet.learner import VALIDATION_IOU, Learner
from synthkit_squeezedet.letterbox import default_input_px
from synthkit_squeezedet.model import Design

NAME = "squeezedet"


@attrs.frozen
class Best:
    """The evaluation whose weights are kept: after how many steps, and what it found."""

    step: int
    scores: Mapping[str, float]


class Training:
    """One training of SqueezeDet in a folder of its own.

    ``workdir`` gets ``state.safetensors`` (to go on from), ``curves.jsonl`` (losses every few steps;
    ``val_precision``, ``val_recall``, ``val_f1`` at evaluations) and, at the end, ``checkpoint.safetensors``.

    Args:
        data: ``train`` and perhaps ``validation``; with it the weights with the best F1 at IoU 0.5 are kept,
            the earliest of equal ones, without it the last.
    """

    def __init__(
        self,
        config: SqueezeDetConfig,
        runtime: Runtime,
        device: torch.device,
        data: Mapping[str, SampleSet],
        workdir: Path,
    ) -> None:
        if "train" not in data or not len(data["train"]):
            raise DatasetError("squeezedet: the training set is missing or empty; give one with samples in it")
        self._config = config
        self._runtime = runtime
        self._device = device
        self._data = data
        self._workdir = workdir
        self._state_path = workdir / "state.safetensors"
        self._identity = configs.fingerprint(
            {
                "config": configs.identity(config),
                "data": {role: part.fingerprint for role, part in data.items()},
                "seed": runtime.seeds.integer("identity"),
            }
        )

    def run(self) -> Checkpoint:
        """Train from the start, or from the last state in the folder, to the end."""
        tensors, state = self._load()
        examples = self._examples()
        design = self._design(examples, state)
        if state:
            backbone, precision = chosen_before(state["backbone"]), state["precision"]
        else:
            self._check_validation()
            backbone = choose_backbone(self._config.backbone, self._runtime.progress)
            precision = choose_precision(self._config.precision, self._device)
        learner = Learner(self._config, self._runtime, self._device, design, backbone, precision, examples)
        if state:
            learner.restore(tensors, self._state_path)
        best = Best(**state["best"]) if state and state["best"] else None
        curves = Curves(self._workdir / "curves.jsonl", self._config.log_every, state and state["curves"])
        try:
            best = self._loop(learner, curves, state["step"] if state else 0, best)
            curves.finish(self._config.steps)
        finally:
            curves.close()
        return self._finish(learner, best)

    def _loop(self, learner: Learner, curves: Curves, start: int, best: Best | None) -> Best | None:
        steps = self._config.steps
        meter = Meter(self._runtime.progress, "training squeezedet", start, steps)
        with Interrupts() as interrupts:
            for done in range(start + 1, steps + 1):
                losses = learner.step(done - 1)
                curves.add(done, losses)
                meter(done, f"loss {sum(losses.values()):.2f}")
                if self._evaluates(done):
                    best = self._evaluate(learner, curves, done, best)
                if done % self._config.save_every == 0 or done == steps or interrupts.requested:
                    self._save(learner, curves, done, best)
                if interrupts.requested:
                    raise KeyboardInterrupt
        return best

    def _examples(self) -> ExampleSet:
        train = self._data["train"]
        input_px = self._config.input_px or default_input_px(train[0].size_px, STRIDE)
        return ExampleSet(train, self._config.targets, input_px, self._runtime.progress)

    def _check_validation(self) -> None:
        """Tell now rather than at the first evaluation when the validation set cannot judge."""
        validation, labelled = self._data.get("validation", ()), False
        for number, sample in enumerate(validation, start=1):
            self._runtime.progress("checking validation", number, len(validation))
            if sample.people is None:
                continue
            labelled = True
            for target in self._config.targets:
                try:
                    truth_boxes(sample, target)
                except DatasetError as error:
                    raise DatasetError(f"the validation set cannot judge the detector: {error}") from None
        if len(validation) and not labelled:
            raise DatasetError("no validation sample says who is in it; leave the set away or give a labelled one")

    def _design(self, examples: ExampleSet, state: Mapping[str, Any] | None) -> Design:
        if state:
            return Design.from_card(state, self._state_path)
        shapes = self._config.anchors
        if shapes is None:
            stream = self._runtime.seeds.stream("anchors")
            count = self._config.anchor_count
            fitted = fit_shapes(examples.sizes, count, stream) if count else fit_fewest(examples.sizes, stream)
            shapes = tuple((round(float(w), 2), round(float(h), 2)) for w, h in fitted)
        return Design(self._config.targets, examples.input_px, shapes, self._config.anchor_centres)

    def _load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
        """Return the state to go on from, if there is one."""
        found = load_state(self._state_path)
        if found is None:
            return {}, None
        tensors, state = found
        if state.get("identity") != self._identity:
            raise DatasetError(
                f"{self._state_path} belongs to a training with other settings, data or seed;"
                " remove the folder or name another"
            )
        return tensors, state

    def _save(self, learner: Learner, curves: Curves, step: int, best: Best | None) -> None:
        state = {
            "identity": self._identity,
            "step": step,
            "curves": curves.state(),
            "best": attrs.asdict(best) if best else None,
            "backbone": learner.backbone.card(),
            "precision": learner.precision,
            "design": learner.design.plain(),
        }
        save_state(self._state_path, learner.tensors(), state)

    def _evaluates(self, done: int) -> bool:
        due = done % self._config.evaluate_every == 0 or done == self._config.steps
        return due and bool(len(self._data.get("validation", ())))

    def _evaluate(self, learner: Learner, curves: Curves, step: int, best: Best | None) -> Best:
        scores = learner.evaluate(self._data["validation"])
        curves.note(step, {f"val_{name}": scores[name] for name in ("precision", "recall", "f1")})
        if best is not None and scores["f1"] <= best.scores["f1"]:
            return best
        learner.keep()
        return Best(step, scores)

    def _finish(self, learner: Learner, best: Best | None) -> Checkpoint:
        chosen = f"best F1 on the validation set at IoU {VALIDATION_IOU}" if best else "last step, no validation set"
        card = {
            "kind": "detector",
            "name": NAME,
            "synthkit": __version__,
            "design": learner.design.plain(),
            "config": configs.identity(self._config),
            "seed": self._runtime.seeds.root,
            "data": {
                role: {"fingerprint": part.fingerprint, "samples": len(part)} for role, part in self._data.items()
            },
            "backbone": learner.backbone.card(),
            "precision": learner.precision,
            "steps": best.step if best else self._config.steps,
            "chosen_by": chosen,
            "validation": dict(best.scores) if best else None,
            "operating_score": best.scores["score"] if best else None,
            "licence": "the weights were learned from the data sets and the backbone named here; their licences apply",
        }
        weights = learner.kept if best else learner.weights()
        return save_checkpoint(self._workdir / "checkpoint.safetensors", weights, card)


def choose_precision(wanted: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    """Return the precision of convolutions: bfloat16 only where it is fast."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch has no public name for it yet
    return "bfloat16" if device.type == "cpu" and has_tiles is not None and has_tiles() else "float32"
