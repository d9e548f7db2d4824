# SPDX-License-Identifier: Apache-2.0
"""Training SqueezeDet: a function of configuration, data and seed that can be interrupted at any moment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
import torch

from synthkit import config as configs
from synthkit.checkpoint import Checkpoint
from synthkit.errors import DatasetError, WorkError
from synthkit.interfaces import Runtime, SampleSet, Scored
from synthkit.training.checkpoints import load_into, load_state, save_checkpoint, save_state
from synthkit.training.curves import Curves
from synthkit.training.devices import Precision, autocast, generator
from synthkit.training.feed import Feed
from synthkit.training.interrupts import Interrupts
from synthkit.training.meter import Meter
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_squeezedet.anchors import assign, encode, fit_fewest, fit_shapes
from synthkit_squeezedet.backbone import Backbone, choose_backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.decoding import Losses, Targets, decode, loss
from synthkit_squeezedet.examples import Augmentation, ExampleSet, boxes_cxcywh
from synthkit_squeezedet.inference import detect_one
from synthkit_squeezedet.letterbox import default_input_px
from synthkit_squeezedet.model import Design, WholeDetector
from synthkit_squeezedet.network import STRIDE, SqueezeDet, normalize

NAME = "squeezedet"
VALIDATION_IOU = 0.5

_WARM_UP = 0.05  # of all steps, at most _WARM_UP_STEPS
_WARM_UP_STEPS = 200
_HALVE_EVERY = 10_000


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
        self._identity = configs.fingerprint(
            {
                "config": {**configs.plain(config), "save_every": None},
                "data": {role: part.fingerprint for role, part in data.items()},
                "seed": runtime.seeds.integer("identity"),
            }
        )

    def run(self) -> Checkpoint:
        """Train from the start, or from the last state in the folder, to the end."""
        examples = self._examples()
        tensors, state = self._load()
        design = self._design(examples, state)
        backbone = choose_backbone(self._config.backbone, state["backbone"] if state else None, self._runtime.progress)
        precision = state["precision"] if state else choose_precision(self._config.precision, self._device)
        session = Session(self._config, self._runtime, self._device, design, backbone, precision, examples)
        best = session.restore(tensors, state) if state else None
        curves = Curves(self._workdir / "curves.jsonl", self._config.log_every, state and state["curves"])
        try:
            best = self._loop(session, curves, state["step"] if state else 0, best)
            curves.finish(self._config.steps)
        finally:
            curves.close()
        return self._finish(session, best)

    def _loop(self, session: Session, curves: Curves, start: int, best: Best | None) -> Best | None:
        steps = self._config.steps
        meter = Meter(self._runtime.progress, "training squeezedet", start, steps)
        with Interrupts() as interrupts:
            for done in range(start + 1, steps + 1):
                losses = session.step(done - 1)
                curves.add(done, losses)
                meter(done, f"loss {sum(losses.values()):.2f}")
                if self._evaluates(done):
                    best = self._evaluate(session, curves, done, best)
                if done % self._config.save_every == 0 or done == steps or interrupts.requested:
                    self._save(session, curves, done, best)
                if interrupts.requested and done < steps:
                    raise KeyboardInterrupt
        return best

    def _examples(self) -> ExampleSet:
        train = self._data["train"]
        input_px = self._config.input_px or default_input_px(train[0].size_px, STRIDE)
        return ExampleSet(train, self._config.targets, input_px, self._runtime.progress)

    def _design(self, examples: ExampleSet, state: Mapping[str, Any] | None) -> Design:
        if state:
            return Design.from_card(state)
        shapes = self._config.anchors
        if shapes is None:
            stream = self._runtime.seeds.stream("anchors")
            count = self._config.anchor_count
            fitted = fit_shapes(examples.sizes, count, stream) if count else fit_fewest(examples.sizes, stream)
            shapes = tuple((round(float(w), 2), round(float(h), 2)) for w, h in fitted)
        return Design(self._config.targets, examples.input_px, shapes, self._config.anchor_centres)

    def _load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
        """Return the state to go on from, if there is one."""
        path = self._workdir / "state.safetensors"
        found = load_state(path)
        if found is None:
            return {}, None
        tensors, state = found
        if state.get("identity") != self._identity:
            raise DatasetError(
                f"{path} belongs to a training with other settings, data or seed; remove the folder or name another"
            )
        return tensors, state

    def _save(self, session: Session, curves: Curves, step: int, best: Best | None) -> None:
        state = {
            "identity": self._identity,
            "step": step,
            "curves": curves.state(),
            "best": attrs.asdict(best) if best else None,
            "backbone": session.backbone.card(),
            "precision": session.precision,
            "design": session.design.plain(),
        }
        save_state(self._workdir / "state.safetensors", session.tensors(), state)

    def _evaluates(self, done: int) -> bool:
        due = done % self._config.evaluate_every == 0 or done == self._config.steps
        return due and bool(len(self._data.get("validation", ())))

    def _evaluate(self, session: Session, curves: Curves, step: int, best: Best | None) -> Best:
        scores = session.evaluate(self._data["validation"])
        curves.note(step, {f"val_{name}": scores[name] for name in ("precision", "recall", "f1")})
        if best is not None and scores["f1"] <= best.scores["f1"]:
            return best
        session.keep()
        return Best(step, scores)

    def _finish(self, session: Session, best: Best | None) -> Checkpoint:
        config = configs.plain(self._config)
        chosen = f"best F1 on the validation set at IoU {VALIDATION_IOU}" if best else "last step, no validation set"
        card = {
            "kind": "detector",
            "name": NAME,
            "design": session.design.plain(),
            "config": config,
            "seed": self._runtime.seeds.root,
            "data": {
                role: {"fingerprint": part.fingerprint, "samples": len(part)} for role, part in self._data.items()
            },
            "backbone": session.backbone.card(),
            "precision": session.precision,
            "steps": best.step if best else self._config.steps,
            "chosen_by": chosen,
            "validation": dict(best.scores) if best else None,
            "operating_score": best.scores["score"] if best else None,
        }
        weights = session.kept if best else session.weights()
        return save_checkpoint(self._workdir / "checkpoint.safetensors", weights, card)


class Session:
    """The parts of a training that change: network, momentum, and the best weights so far."""

    def __init__(
        self,
        config: SqueezeDetConfig,
        runtime: Runtime,
        device: torch.device,
        design: Design,
        backbone: Backbone,
        precision: Precision,
        examples: ExampleSet,
    ) -> None:
        self.design = design
        self.backbone = backbone
        self.precision = precision
        self.kept: dict[str, torch.Tensor] = {}
        self._config = config
        self._runtime = runtime
        self._device = device
        self._examples = examples
        self._feed = Feed(len(examples), runtime.seeds.child("feed"))
        self._anchors = design.anchor_boxes()
        self._augmentation = Augmentation(config.flip, config.rotate_degrees, config.drift)
        self._network = self._start(design.network())
        self._whole = WholeDetector(design, self._network, score=config.score_threshold, overlap=config.nms_iou).to(
            device
        )
        self._trained = {n: p for n, p in self._network.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.SGD(self._trained.values(), lr=0.0, momentum=config.momentum)

    def step(self, step: int) -> dict[str, float]:
        """Do one step; return the parts of its loss."""
        images, targets = self._batch(step)
        self._whole.train()
        torch.manual_seed(self._runtime.seeds.integer("dropout", step))
        with autocast(self._device, self.precision):
            raw = self._network(normalize(images))
        losses = loss(decode(raw.float(), self._whole.anchors, self.design.input_px), targets)
        self._check(losses, step)
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        self._condition_gradients()
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * rate_factor(self._config, step)
        self._optimizer.step()
        values = {"loss_box": losses.box, "loss_confidence": losses.confidence, "loss_class": losses.classes}
        if len(self.design.classes) == 1:  # there is nothing to tell apart, and the term is zero
            del values["loss_class"]
        return {name: float(value.detach()) for name, value in values.items()}

    def evaluate(self, validation: SampleSet) -> dict[str, float]:
        """Return precision, recall and F1 on a set, and the score threshold with the best F1.

        With two classes each number is their mean, and the threshold that of the first.
        """
        self._whole.eval()
        progress, scored = self._runtime.progress, []
        for number, sample in enumerate(validation, start=1):
            found = detect_one(self.design, self._whole, sample, self._device)
            scored.append(Scored(attrs.evolve(sample, layers={}), found))
            progress("evaluating", number, len(validation))
        rows = []
        for label, target in enumerate(self._config.targets):
            settings = DetectionConfig(target=target, label=label, iou=VALIDATION_IOU, bootstrap=0)
            metric = DetectionMetric(settings, None, self._runtime)
            results = metric.compute({"scored": metric.observe("scored", scored)})
            rows.append([*(r.value for r in results[:3]), results[0].definition["score_threshold"]])
        precision, recall, f1, _ = np.mean(rows, axis=0).tolist()
        return {"precision": precision, "recall": recall, "f1": f1, "score": rows[0][3]}

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the network's weights as they are."""
        return dict(self._network.state_dict())

    def keep(self) -> None:
        """Remember the weights as they are."""
        self.kept = {name: tensor.detach().cpu().clone() for name, tensor in self.weights().items()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that changes, for a state of training."""
        result = {f"network.{name}": tensor for name, tensor in self.weights().items()}
        result.update({f"best.{name}": tensor for name, tensor in self.kept.items()})
        for name, parameter in self._trained.items():
            result[f"momentum.{name}"] = self._optimizer.state[parameter]["momentum_buffer"]
        return result

    def restore(self, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> Best | None:
        """Take back what ``tensors`` gave; return the best evaluation so far."""
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "best": {}, "momentum": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        load_into(self._network, parts["network"], Path("state.safetensors"))
        for name, parameter in self._trained.items():
            self._optimizer.state[parameter]["momentum_buffer"] = parts["momentum"][name].to(self._device)
        self.kept = parts["best"]
        return Best(**state["best"]) if state["best"] else None

    def _start(self, network: SqueezeDet) -> SqueezeDet:
        network.initialize(generator(self._runtime.seeds, "weights"))
        self.backbone.start(network)
        # Channels last is what CPU and GPU kernels are fastest with.
        network.to(self._device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _batch(self, step: int) -> tuple[torch.Tensor, Targets]:
        images, rows = [], []
        for place, index in enumerate(self._feed.indices(step, self._config.batch)):
            stream = self._runtime.seeds.stream("augment", step, place)
            example = self._augmentation.draw(self._examples[index], stream)
            boxes, labels = boxes_cxcywh(example)
            anchors = assign(boxes, self._anchors)
            deltas = encode(boxes, self._anchors[anchors])
            corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
            rows.append((np.full(len(boxes), place), anchors, labels, deltas, corners))
            images.append(example.image)
        image, anchor, label, delta, corner = (np.concatenate(column) for column in zip(*rows, strict=True))
        targets = Targets(
            *(torch.from_numpy(part.astype(np.int64)).to(self._device) for part in (image, anchor, label)),
            *(torch.from_numpy(part.astype(np.float32)).to(self._device) for part in (delta, corner)),
        )
        return torch.from_numpy(np.stack(images)).to(self._device), targets

    def _condition_gradients(self) -> None:
        """Add the kernels' decay, then shorten each tensor's gradient to the largest norm, as released."""
        for parameter in self._trained.values():
            if parameter.grad is None:
                continue
            if parameter.ndim > 1:
                parameter.grad.add_(parameter.detach(), alpha=self._config.weight_decay)
            norm = parameter.grad.norm()
            parameter.grad.mul_(torch.clamp(self._config.clip / (norm + 1e-12), max=1.0))

    def _check(self, losses: Losses, step: int) -> None:
        if not math.isfinite(float(losses.total.detach())):
            raise WorkError(
                f"squeezedet: the loss is no longer finite at step {step}; lower detector.learning_rate"
                f" (now {self._config.learning_rate}) or detector.clip"
            )


def choose_precision(wanted: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    """Return the precision of convolutions: bfloat16 only where it is fast."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch has no public name for it yet
    return "bfloat16" if device.type == "cpu" and has_tiles is not None and has_tiles() else "float32"


def rate_factor(config: SqueezeDetConfig, step: int) -> float:
    """Return the factor on the learning rate at a step."""
    if config.schedule == "published":
        return float(0.5 ** (step // _HALVE_EVERY))
    rise = max(1, min(_WARM_UP_STEPS, round(_WARM_UP * config.steps)))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(config.steps - rise, 1)))
