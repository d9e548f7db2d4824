# SPDX-License-Identifier: Apache-2.0
"""From the network's numbers to boxes: decoding, the loss, and the filter, in plain torch."""

from __future__ import annotations

import math

import attrs
import torch
from torch import Tensor

from synthkit_squeezedet import rotated

UPRIGHT_NUMBERS = 4
"""That tell an upright box: dx, dy, dw, dh."""

TOP_COUNT = 64
"""Best predictions that enter the filter (released: TOP_N_DETECTION)."""

_EXP_THRESHOLD = 1.0
_EPSILON = 1e-16


@attrs.frozen(eq=False)
class Predictions:
    """What the network says of each anchor: A anchors of N images, C classes.

    Args:
        classes: (N, A, C) probabilities that sum to 1. confidence: (N, A) in 0..1.
        deltas: (N, A, 4); of rotated boxes (N, A, 6).
        boxes_px: (N, A, 4) edges, inside the input; of rotated boxes (N, A, 5), see ``rotated``.
    """

    classes: Tensor
    confidence: Tensor
    deltas: Tensor
    boxes_px: Tensor


def safe_exp(x: Tensor) -> Tensor:
    """Return exp(x) up to 1 and its tangent there, e * x, beyond, so that no box explodes."""
    slope = math.exp(_EXP_THRESHOLD)
    bounded = torch.clamp(x, max=_EXP_THRESHOLD)
    return torch.where(x > _EXP_THRESHOLD, slope * (x - _EXP_THRESHOLD + 1.0), torch.exp(bounded))


def decode(raw: Tensor, anchors: Tensor, size_px: tuple[int, int], numbers: int = UPRIGHT_NUMBERS) -> Predictions:
    """Return what raw predictions mean.

    Args:
        raw: (N, A, C + 1 + numbers). anchors: (A, 4) cx, cy, w, h. size_px: (width, height) of the input.
        numbers: that tell a box: 4, or ``rotated.NUMBERS``.
    """
    classes = torch.softmax(raw[..., : -numbers - 1], dim=-1)
    confidence = torch.sigmoid(raw[..., -numbers - 1])
    deltas = raw[..., -numbers:]
    sides = anchors[:, 2:] * safe_exp(deltas[..., 2:4])
    limit = torch.tensor(size_px, dtype=raw.dtype, device=raw.device)
    if numbers == rotated.NUMBERS:
        centre = anchors[:, :2] + deltas[..., :2] * anchors[:, 2:].prod(dim=1, keepdim=True).sqrt()
        boxes = rotated.decode(_within(centre, limit), sides, deltas[..., 4:])
    else:
        centre = anchors[:, :2] + deltas[..., :2] * anchors[:, 2:]
        half = sides / 2.0
        boxes = torch.cat([_within(centre - half, limit), _within(centre + half, limit)], dim=-1)
    return Predictions(classes, confidence, deltas, boxes)


def _within(points: Tensor, limit: Tensor) -> Tensor:
    return torch.minimum(torch.clamp(points, min=0.0), limit)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of boxes that broadcast against each other: edges (..., 4), or rotated boxes (..., 5)."""
    return iou(first, second) if first.shape[-1] == 4 else rotated.iou(first, second)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Return the overlap of boxes (left, top, right, bottom) that broadcast against each other."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    shared = torch.clamp(high - low, min=0.0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(dim=-1) for boxes in (first, second)]
    return shared / torch.clamp(areas[0] + areas[1] - shared, min=1e-6)


@attrs.frozen(eq=False)
class Targets:
    """The truth of a batch, one row per true box, B of them; and I anchors that nothing is known of.

    Args:
        image, anchor: (B,) int64, which image and which anchor stands for it.
        label: (B,) int64. deltas, boxes_px: (B, ...) float32, as in ``Predictions``.
        ignored_image, ignored_anchor: (I,) int64, anchors that are not background, such as those in crowds.
    """

    image: Tensor
    anchor: Tensor
    label: Tensor
    deltas: Tensor
    boxes_px: Tensor
    ignored_image: Tensor
    ignored_anchor: Tensor


@attrs.frozen(eq=False)
class Losses:
    """The three parts of the loss, already weighted."""

    box: Tensor
    confidence: Tensor
    classes: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.box + self.confidence + self.classes


def loss(predictions: Predictions, targets: Targets, *, objects: int | None = None, parts: int = 1) -> Losses:
    """Return SqueezeDet's loss, its terms and weights as released.

    box = 5 * sum((delta - delta*)^2) / B; classes = sum(-log p_label - sum over others of log(1 - p)) / B;
    confidence = mean over images of sum((IoU - c)^2 * (75 / B where an object is, else 100 / (A - B / N))).
    B counts the anchors of objects in the whole batch (at least 1, so that a batch without people is legal), A the
    anchors of each of its N images; the release takes B off A whole. The IoU of a predicted box with its truth is a
    target: no gradient flows through it. Ignored anchors, which the release has not, weigh nothing unless an object is
    there. Rotated boxes have two deltas more and their own IoU, and are else treated alike.

    Args:
        objects: where this is one of ``parts`` equal parts of a batch, the objects of all of it; the mean of the
            parts' losses is the batch's.
    """
    count = max(len(targets.image) if objects is None else objects, 1)
    images, anchors = predictions.confidence.shape
    at = (targets.image, targets.anchor)
    box = 5.0 * ((predictions.deltas[at] - targets.deltas) ** 2).sum() / count * parts
    probabilities = predictions.classes[at]
    wanted = torch.nn.functional.one_hot(targets.label, probabilities.shape[-1]).to(probabilities.dtype)
    logs = wanted * torch.log(probabilities + _EPSILON) + (1 - wanted) * torch.log(1 - probabilities + _EPSILON)
    overlap = torch.zeros_like(predictions.confidence)
    weight = torch.full_like(predictions.confidence, 100.0 / max(anchors - count / (images * parts), 1))
    weight[targets.ignored_image, targets.ignored_anchor] = 0.0
    weight[at] = 75.0 / count
    overlap[at] = overlaps(predictions.boxes_px[at].detach(), targets.boxes_px)
    confidence = (weight * (overlap - predictions.confidence) ** 2).sum() / images
    return Losses(box=box, confidence=confidence, classes=-logs.sum() / count * parts)


def filter_boxes(predictions: Predictions, *, score: float, overlap: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return each image's detections: boxes (N, K, 4 or 5), scores (N, K), labels (N, K) and count (N,), int64.

    The score is the best class's probability times the confidence. The K = 64 best predictions are kept;
    then, within a class, every prediction that overlaps a better one by more than ``overlap`` is dropped. As
    in the released code a dropped prediction still drops others, which is what makes the filter one
    comparison of all pairs, without a loop, in any runtime. Rows are sorted by falling score; the first
    ``count`` are detections, the rest are zero. Unlike the released code, which forgets its threshold
    whenever there are more than 64 anchors, ``score`` always holds.
    """
    best, label = predictions.classes.max(dim=-1)
    count = min(TOP_COUNT, predictions.confidence.shape[1])
    scores, index = torch.topk(best * predictions.confidence, count, dim=1)
    columns = predictions.boxes_px.shape[-1]
    boxes = torch.gather(predictions.boxes_px, 1, index.unsqueeze(-1).expand(-1, -1, columns))
    labels = torch.gather(label, 1, index)
    clash = overlaps(boxes.unsqueeze(1), boxes.unsqueeze(2)) > overlap
    clash = clash & (labels.unsqueeze(1) == labels.unsqueeze(2))
    better = torch.tril(torch.ones(count, count, dtype=torch.bool, device=boxes.device), diagonal=-1)
    kept = ~(clash & better).any(dim=2) & (scores >= score)
    # A second sort brings the kept to the front; the first was by score, so their order stays.
    scores, order = torch.topk(torch.where(kept, scores, torch.zeros_like(scores)), count, dim=1)
    kept = torch.gather(kept, 1, order)
    boxes = torch.gather(boxes, 1, order.unsqueeze(-1).expand(-1, -1, columns)) * kept.unsqueeze(-1)
    labels = torch.gather(labels, 1, order) * kept
    return boxes, scores, labels, kept.sum(dim=1)
