# SPDX-License-Identifier: Apache-2.0
"""SqueezeDet's network while it learns: steps, evaluations, and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from synthkit.errors import WorkError
from synthkit.interfaces import Runtime, SampleSet, Scored, State
from synthkit.training.checkpoints import load_into
from synthkit.training.devices import Precision, autocast, generator
from synthkit.training.feed import Feed
from synthkit_detection.config import DetectionConfig
from synthkit_detection.metric import DetectionMetric
from synthkit_squeezedet.anchors import assign, encode
from synthkit_squeezedet.backbone import Backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.decoding import Losses, Targets, decode, loss
from synthkit_squeezedet.examples import Augmentation, ExampleSet, boxes_cxcywh
from synthkit_squeezedet.inference import detect_one
from synthkit_squeezedet.model import Design, WholeDetector
from synthkit_squeezedet.network import SqueezeDet, normalize

VALIDATION_IOU = 0.5
"""Overlap at which a find counts when the best weights are chosen."""

_WARM_UP = 0.05  # of all steps, at most _WARM_UP_STEPS
_WARM_UP_STEPS = 200
_HALVE_EVERY = 10_000


class Learner:
    """What changes in a training: network, momentum, and the best weights so far.

    Args:
        config, runtime, device: of the training. design: the network's shape. backbone: what it starts from.
        precision: of convolutions. examples: what it learns from.
    """

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
        metrics = [
            DetectionMetric(
                DetectionConfig(target=target, label=label, iou=VALIDATION_IOU, bootstrap=0), None, self._runtime
            )
            for label, target in enumerate(self._config.targets)
        ]
        states: list[list[State]] = [[] for _ in metrics]
        for number, sample in enumerate(validation, start=1):
            # Judged one by one: the images of a whole set may not fit in memory.
            scored = Scored(sample, detect_one(self.design, self._whole, sample, self._device))
            for metric, kept in zip(metrics, states, strict=True):
                kept.append(metric.observe("scored", [scored]))
            self._runtime.progress("evaluating", number, len(validation))
        rows = []
        for metric, kept in zip(metrics, states, strict=True):
            results = metric.compute({"scored": metric.merge(kept)})
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

    def restore(self, tensors: Mapping[str, torch.Tensor], origin: Path) -> None:
        """Take back what ``tensors`` gave, read from ``origin``."""
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "best": {}, "momentum": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        load_into(self._network, parts["network"], origin)
        for name, parameter in self._trained.items():
            self._optimizer.state[parameter]["momentum_buffer"] = parts["momentum"][name].to(self._device)
        self.kept = parts["best"]

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


def rate_factor(config: SqueezeDetConfig, step: int) -> float:
    """Return the factor on the learning rate at a step."""
    if config.schedule == "published":
        return float(0.5 ** (step // _HALVE_EVERY))
    rise = max(1, min(_WARM_UP_STEPS, round(_WARM_UP * config.steps)))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(config.steps - rise, 1)))
