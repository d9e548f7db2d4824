# SPDX-License-Identifier: Apache-2.0
"""SqueezeDet's network while it learns: steps, evaluations, and the learning rate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from synthkit.interfaces import Runtime, SampleSet, Scored
from synthkit.sample import RotatedBox
from synthkit.training import distributed
from synthkit.training.choosing import ChoosingLearner, Evaluation
from synthkit.training.devices import Precision, autocast, generator, use
from synthkit.training.feed import Feed
from synthkit.training.pictures import Pixels, sheet, spread
from synthkit_squeezedet import anchors, rotated
from synthkit_squeezedet.augmentation import Example, augmentation_of
from synthkit_squeezedet.backbone import Backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.decoding import Targets, loss
from synthkit_squeezedet.descent import Descent
from synthkit_squeezedet.examples import ExampleSet, example_of, regions_of, truth_of
from synthkit_squeezedet.inference import detect_one
from synthkit_squeezedet.judging import VALIDATION_IOU, judge
from synthkit_squeezedet.model import Design, WholeDetector
from synthkit_squeezedet.network import SqueezeDet, normalize

_PICTURES = 4
_SHOWN_SCORE = 0.2
_BOX_RGB = (255, 220, 0)


class SqueezeDetLearner(ChoosingLearner):
    """What changes in a training: network, optimizer, and the best weights so far.

    Args:
        config, runtime, device: of the training. design: the network's shape. backbone: what it starts from.
        precision: of convolutions. examples: what it learns from.
        validation: by it the weights with the best F1 at IoU 0.5 are kept, the earliest of equal ones; without
            it (or with an empty one) the last.
        best, last: evaluations of a training that goes on, from its notes: that with the best F1, and the last.
    """

    parallel = True
    _network: SqueezeDet
    _descent: Descent

    def __init__(
        self,
        config: SqueezeDetConfig,
        runtime: Runtime,
        device: torch.device,
        design: Design,
        backbone: Backbone,
        precision: Precision,
        examples: ExampleSet,
        validation: SampleSet | None,
        best: Evaluation | None = None,
        last: Evaluation | None = None,
    ) -> None:
        super().__init__(best, last)
        use(device, precision)
        self.step, self.steps = 0, config.steps
        self.evaluate_every = config.evaluate_every if validation else 0
        self._design = design
        self._backbone = backbone
        self._precision = precision
        self._config = config
        self._runtime = runtime
        self._device = device
        self._examples = examples
        self._validation = validation
        self._feed = Feed(len(examples), runtime.seeds.child("feed"))
        self._anchors = design.anchor_boxes()
        self._augmentation = augmentation_of(config)
        self._network = self._start(design.build())
        self._whole = WholeDetector(design, self._network, score=config.score_threshold, overlap=config.nms_iou).to(
            device
        )
        self._trained = {n: p for n, p in self._network.named_parameters() if p.requires_grad}
        self._descent = Descent(config, self._trained)

    def advance(self) -> dict[str, float]:
        """Do one step; return the parts of its loss."""
        images, targets = self._batch()
        self._whole.train()
        with autocast(self._device, self._precision):
            raw = self._network.predictions(self._dropped(self._network.features(normalize(images))))
        found = self._whole.decoded(raw)
        objects, parts = distributed.total(len(targets.image)), distributed.size()
        losses = loss(found, targets, objects=objects, parts=parts)
        self._descent.clear()
        losses.total.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self._trained.values())
        self._descent.step(self.step)
        self.step += 1
        values = {"loss_box": losses.box, "loss_confidence": losses.confidence, "loss_class": losses.classes}
        if len(self._design.classes) == 1:  # there is nothing to tell apart, and the term is zero
            del values["loss_class"]
        return {name: float(distributed.mean(value)) for name, value in values.items()}

    def evaluate(self) -> dict[str, float]:
        """Return precision, recall, F1 and loss on the validation set; the weights with the best F1 are kept."""
        assert self._validation is not None
        scores = self._scores(self._validation)
        self._evaluated(scores, "f1")
        told = {f"val_{name}": scores[name] for name in ("precision", "recall", "f1")}
        lost = self._validation_loss(self._validation)
        return told if lost is None else {**told, "val_loss": lost}

    def picture(self) -> Pixels:
        """Return a picture: training images with their boxes, and below with what is found in them so far."""
        self._whole.eval()
        rows: tuple[list[Pixels], list[Pixels]] = [], []
        for index in spread(np.arange(len(self._examples)), _PICTURES):
            example = self._examples[int(index)]
            with torch.inference_mode():
                found = self._whole(torch.from_numpy(np.array(example.image))[None].to(self._device))
            boxes, scores = found[0][0].cpu().numpy(), found[1][0].cpu().numpy()
            truth, _ = truth_of(example, self._examples.boxes)
            rows[0].append(_outlined(example.image, _as_predicted(truth)))
            rows[1].append(_outlined(example.image, boxes[scores >= _SHOWN_SCORE]))
        return sheet([np.stack(row) for row in rows])

    def notes(self) -> dict[str, Any]:
        """Return what was chosen and found, so that a training that goes on need not choose again."""
        return {
            **super().notes(),
            "backbone": self._backbone.card(),
            "precision": self._precision,
            "design": self._design.plain(),
        }

    def findings(self) -> dict[str, Any]:
        """Return what the card says besides settings and data."""
        if self._best is None:
            return self._findings("last step, no validation set", None)
        chosen = f"best F1 on the validation set at IoU {VALIDATION_IOU}"
        return {**self._findings(chosen, self._best), "last": super().notes()["last"]}

    def _findings(self, chosen_by: str, evaluation: Evaluation | None) -> dict[str, Any]:
        return {
            "design": self._design.plain(),
            "backbone": self._backbone.card(),
            "precision": self._precision,
            "steps": evaluation.step if evaluation else self.step,
            "chosen_by": chosen_by,
            "validation": dict(evaluation.scores) if evaluation else None,
            "operating_score": evaluation.scores["score"] if evaluation else None,
        }

    def _scores(self, validation: SampleSet) -> dict[str, float]:
        """Return precision, recall and F1 on a set, and the score threshold with the best F1."""
        self._whole.eval()
        return judge(self._config.object_classes, self._config.boxes, self._answers(validation), self._runtime)

    @torch.inference_mode()
    def _validation_loss(self, validation: SampleSet) -> float | None:
        """Return the mean loss of images as they are, in batches as large as those of training; None of no images.

        What is predicted for it cannot be what ``_scores`` judges: that is filtered, and one image at a time, as on
        devices.
        """
        self._whole.eval()
        config, size, losses = self._config, self._examples.input_px, []
        labelled = (sample for sample in validation if sample.people is not None)
        examples = (example_of(one, config.object_classes, config.boxes, size)[0] for one in labelled)
        while batch := list(itertools.islice(examples, config.batch)):
            count, (images, targets) = len(batch), self._encoded(batch)
            del batch  # before the next ones are read
            with autocast(self._device, self._precision):
                raw = self._network.predictions(self._network.features(normalize(images)))
            losses += [float(loss(self._whole.decoded(raw), targets).total)] * count
        return float(np.mean(losses)) if losses else None

    def _answers(self, validation: SampleSet) -> Iterator[Scored]:
        for number, sample in enumerate(validation, start=1):
            yield Scored(sample, detect_one(self._design, self._whole, sample, self._device, self._config))
            self._runtime.progress("evaluating", number, len(validation))

    def _start(self, network: SqueezeDet) -> SqueezeDet:
        network.initialize(generator(self._runtime.seeds, "weights"))
        self._backbone.start(network)
        # Channels last is what CPU and GPU kernels are fastest with.
        network.to(self._device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _dropped(self, features: torch.Tensor) -> torch.Tensor:
        """Drop activations at random: drawn for the whole batch, so that its parts get the same in any process."""
        share = self._config.dropout
        if not share:
            return features
        torch.manual_seed(self._runtime.seeds.integer("dropout", self.step))
        whole = torch.empty(
            (self._config.batch, *features.shape[1:]),
            dtype=features.dtype,
            device=features.device,
            memory_format=torch.channels_last,
        )
        return features * distributed.share(whole.bernoulli_(1 - share).div_(1 - share))

    def _batch(self) -> tuple[torch.Tensor, Targets]:
        """Return this process's part of the current batch."""
        numbered = list(enumerate(self._feed.indices(self.step, self._config.batch)))
        return self._encoded([self._varied(number, index) for number, index in distributed.share(numbered)])

    def _encoded(self, examples: Sequence[Example]) -> tuple[torch.Tensor, Targets]:
        """Return examples' images, (N, H, W, 3), and what is to be predicted for them."""
        images, rows, ignored = [], [], []
        for place, example in enumerate(examples):
            boxes, labels = truth_of(example, self._examples.boxes)
            who, chosen = anchors.assign(boxes, self._anchors, self._config.positives)
            boxes, labels = boxes[who], labels[who]
            encode = anchors.encode if self._design.boxes == "upright" else rotated.encode
            deltas = encode(boxes, self._anchors[chosen])
            rows.append((np.full(len(boxes), place), chosen, labels, deltas, _as_predicted(boxes)))
            inside = anchors.within_regions(regions_of(example), self._anchors)
            ignored.append((np.full(len(inside), place), inside))
            images.append(example.image)
        image, anchor, label, delta, box = (np.concatenate(column) for column in zip(*rows, strict=True))
        places = [np.concatenate(column) for column in zip(*ignored, strict=True)]
        targets = Targets(
            *(torch.from_numpy(part.astype(np.int64)).to(self._device) for part in (image, anchor, label)),
            *(torch.from_numpy(part.astype(np.float32)).to(self._device) for part in (delta, box)),
            *(torch.from_numpy(part.astype(np.int64)).to(self._device) for part in places),
        )
        return torch.from_numpy(np.stack(images)).to(self._device), targets

    def _varied(self, number: int, index: int) -> Example:
        """Return an example of the current batch, varied, perhaps with others."""
        stream = self._runtime.seeds.stream("augment", self.step, number)
        others = stream.integers(0, len(self._examples), self._augmentation.others(stream))
        return self._augmentation.draw([self._examples[int(i)] for i in (index, *others)], stream)


def _as_predicted(boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return true boxes (N, 4), cx, cy, w, h, as edges, as the network's are; rotated ones (N, 5) as they are."""
    if boxes.shape[1] == 5:
        return boxes
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def _outlined(image: Pixels, boxes: npt.NDArray[Any]) -> Pixels:
    """Return an image (H, W, 3) with boxes drawn on it: edges (N, 4), or rotated (N, 5)."""
    drawn = np.array(image)
    for box in boxes:
        corners = RotatedBox(*box).corners_px() if len(box) == 5 else box[[[0, 1], [2, 1], [2, 3], [0, 3]]]
        cv2.polylines(drawn, [corners.round().astype(np.int32)], True, _BOX_RGB)
    return drawn
