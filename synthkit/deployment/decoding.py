# SPDX-License-Identifier: Apache-2.0
"""From a detector's output arrays to boxes, in NumPy: what its card says, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.deployment.cards import AnchorsOutput, BoxesOutput, DetectorCard, YoloOutput
from synthkit.deployment.overlaps import iou_table

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Arrays = Mapping[str, npt.NDArray[Any]]

_MOST_VALUES = 1 << 26  # of an output; the most anchors on the largest input have less than half of that


@attrs.frozen(eq=False)
class Found:
    """Boxes of one image, best score first: boxes (N, 4) or (N, 5), scores (N,) and labels (N,).

    Boxes are left, top, right, bottom; rotated ones cx, cy, w, h and degrees clockwise, w at most h.
    """

    boxes_px: Floats
    scores: Floats
    labels: Ints


def decode(card: DetectorCard, outputs: Arrays) -> Found:
    """Return what is found in the first image of a batch, in pixels of the input.

    Raises:
        ValueError: naming the output that is not there or not of the shape the card tells, or holds no numbers.
    """
    if card.output.boxes is not None:
        return _best(card, _given(card.output.boxes, outputs, len(card.classes)))
    if card.output.anchors is not None:
        candidates = _best(card, _from_anchors(card.output.anchors, card, outputs))
        return _kept(candidates, card, lambda clash: clash.any(axis=1))
    assert card.output.yolo is not None
    return _kept(_best(card, _from_rows(card.output.yolo, card, outputs)), card, _greedy)


def safe_exp(x: Floats) -> Floats:
    """Return exp(x) up to 1 and its tangent there, e * x, beyond (the released code's)."""
    return np.where(x > 1.0, math.e * x, np.exp(np.minimum(x, 1.0)))


def anchor_boxes(output: AnchorsOutput, rows: int, columns: int, deltas: Floats, size_px: tuple[int, int]) -> Floats:
    """Return the boxes (rows, columns, A, 4 or 5) of deltas (rows, columns, A, 4 or 6), within the input.

    SqueezeDet (arXiv 1612.01051, equation 1) with the released code's exponential: cx = ax + dx aw, w = aw exp(dw).
    Rotated boxes measure dx and dy in the geometric mean of the anchor's sides, and their last two numbers are a vector
    in the direction of twice the angle.
    """
    width, height = size_px
    if output.centres == "published":
        x = np.arange(1, columns + 1) * (width / (columns + 1))
        y = np.arange(1, rows + 1) * (height / (rows + 1))
    else:
        x, y = (np.arange(columns) + 0.5) * output.stride, (np.arange(rows) + 0.5) * output.stride
    shapes = np.array(output.anchors, dtype=np.float64)
    unit = np.sqrt(shapes.prod(axis=1, keepdims=True)) if output.boxes == "rotated" else shapes
    middle = np.stack(np.broadcast_arrays(x[None, :, None], y[:, None, None]), axis=-1)
    centre = middle + deltas[..., :2] * unit
    sides = shapes * safe_exp(deltas[..., 2:4])
    limit = np.array(size_px, dtype=np.float64)
    if output.boxes == "rotated":
        return _turned(np.clip(centre, 0.0, limit), sides, deltas[..., 4:])
    boxes: Floats = np.concatenate(
        [np.clip(centre - sides / 2, 0.0, limit), np.clip(centre + sides / 2, 0.0, limit)], axis=-1
    )
    return boxes


def _turned(centre: Floats, sides: Floats, vector: Floats) -> Floats:
    """Return rotated boxes (..., 5), w at most h: one whose sides change places is turned by 90 degrees."""
    vector = np.where(sides[..., :1] > sides[..., 1:], -vector, vector)
    degrees = np.degrees(np.arctan2(vector[..., 1:], vector[..., :1])) / 2
    degrees = np.where(degrees >= 90.0, degrees - 180.0, degrees)
    boxes: Floats = np.concatenate(
        [centre, sides.min(axis=-1, keepdims=True), sides.max(axis=-1, keepdims=True), degrees], axis=-1
    )
    return boxes


def _given(output: BoxesOutput, outputs: Arrays, classes: int) -> Found:
    boxes = _array(outputs, output.boxes, 3)[0]
    scores = _array(outputs, output.scores, 2)[0]
    labels = np.zeros(len(scores), np.int64) if output.labels is None else _array(outputs, output.labels, 2)[0]
    count = len(scores) if output.count is None else int(_array(outputs, output.count, 1)[0])
    if boxes.shape[1:] not in ((4,), (5,)) or len(boxes) != len(scores) or len(labels) != len(scores):
        raise ValueError(f"outputs {output.boxes}, {output.scores} and labels do not belong together")
    rows = slice(0, max(0, min(count, len(scores))))
    ours = (labels[rows] >= 0) & (labels[rows] < classes)
    return Found(boxes[rows][ours], scores[rows][ours], labels[rows][ours].astype(np.int64))


def _from_anchors(output: AnchorsOutput, card: DetectorCard, outputs: Arrays) -> Found:
    count, classes = len(output.anchors), len(card.classes)
    confidence = _array(outputs, output.confidence, 4)
    rows, columns = confidence.shape[2:]
    size_px = card.input.size_px
    if (columns * output.stride, rows * output.stride) != size_px:
        raise ValueError(
            f"output {output.confidence}: {columns}x{rows} cells of {output.stride} px do not make {size_px}"
        )
    scores = _cells(confidence, output.confidence, count, rows, columns)[..., 0]
    numbers = 6 if output.boxes == "rotated" else 4
    deltas = _cells(_array(outputs, output.deltas, 4), output.deltas, count, rows, columns, values=numbers)
    boxes = anchor_boxes(output, rows, columns, deltas, size_px)
    labels = np.zeros(scores.shape, np.int64)
    if output.classes is not None:
        logits = _cells(_array(outputs, output.classes, 4), output.classes, count, rows, columns, values=classes)
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        labels = odds.argmax(axis=-1)
        scores = scores * (odds.max(axis=-1) / odds.sum(axis=-1))
    return Found(boxes.reshape(-1, boxes.shape[-1]), scores.reshape(-1), labels.reshape(-1))


def _cells(maps: Floats, name: str, anchors: int, rows: int, columns: int, values: int = 1) -> Floats:
    """Return maps (1, anchors * values, rows, columns) as (rows, columns, anchors, values)."""
    if maps.shape[1:] != (anchors * values, rows, columns):
        raise ValueError(f"output {name}: is {maps.shape}, expected {(1, anchors * values, rows, columns)}")
    cells: Floats = maps[0].reshape(anchors, values, rows, columns).transpose(2, 3, 0, 1)
    return cells


def _from_rows(output: YoloOutput, card: DetectorCard, outputs: Arrays) -> Found:
    table = _array(outputs, output.rows, 3)[0]
    table = table.T if output.transposed else table
    first = 5 if output.objectness else 4
    if table.shape[1] < first + len(card.classes):
        raise ValueError(f"output {output.rows}: has {table.shape[1]} columns, expected {first + len(card.classes)}")
    places = _on_grids(table[:, :4], output, card.input.size_px) if output.strides else table[:, :4]
    scores = table[:, first:]
    labels = scores.argmax(axis=1)
    best = scores.max(axis=1) * (table[:, 4] if output.objectness else 1.0)
    ours = labels < len(card.classes)
    boxes = np.concatenate([places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2], axis=1)
    return Found(boxes[ours], best[ours], labels[ours])


def _on_grids(raw: Floats, output: YoloOutput, size_px: tuple[int, int]) -> Floats:
    """Return centres and sizes in pixels (YOLOX, arXiv 2107.08430, section 2.1; released ``demo_postprocess``)."""
    count = sum((size_px[0] // stride) * (size_px[1] // stride) for stride in output.strides)
    if count != len(raw):
        raise ValueError(f"output {output.rows}: has {len(raw)} rows, its grids have {count} cells")
    cells, strides = [], []
    for stride in output.strides:
        columns, rows = size_px[0] // stride, size_px[1] // stride
        y, x = np.divmod(np.arange(rows * columns), max(columns, 1))
        cells.append(np.stack([x, y], axis=1))
        strides.append(np.full((rows * columns, 1), stride))
    corner, stride = np.concatenate(cells), np.concatenate(strides)
    sizes = np.exp(np.minimum(raw[:, 2:], 20.0)) * stride
    return np.concatenate([(raw[:, :2] + corner) * stride, sizes], axis=1)


def _best(card: DetectorCard, found: Found) -> Found:
    """Return the best predictions that reach the threshold, best score first; equal ones in their order."""
    rows = np.flatnonzero(found.scores >= card.score_threshold)
    rows = rows[np.argsort(-found.scores[rows], kind="stable")][: card.most]
    return Found(found.boxes_px[rows], found.scores[rows], found.labels[rows])


def _kept(found: Found, card: DetectorCard, suppressed: Callable[[npt.NDArray[np.bool_]], npt.NDArray[Any]]) -> Found:
    """Return what is left when better predictions of the same class suppress those they overlap."""
    boxes = found.boxes_px
    clash = (iou_table(boxes, boxes) > card.nms_iou) & (found.labels[:, None] == found.labels[None])
    rows = np.flatnonzero(~suppressed(np.tril(clash, k=-1)))
    return Found(boxes[rows], found.scores[rows], found.labels[rows])


def _greedy(clash: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which rows a better one that is itself kept suppresses, as the YOLO family does.

    SqueezeDet's release lets the suppressed suppress others.
    """
    dropped = np.zeros(len(clash), dtype=bool)
    for row in range(len(clash)):
        dropped[row] = (clash[row] & ~dropped).any()
    return dropped


def _array(outputs: Arrays, name: str, dimensions: int) -> Floats:
    if name not in outputs:
        raise ValueError(f"there is no output {name!r}; the file has {', '.join(sorted(outputs))}")
    found = outputs[name]
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise ValueError(f"output {name}: holds no numbers")
    if found.size > _MOST_VALUES:
        raise ValueError(f"output {name}: holds {found.size} values, more than {_MOST_VALUES} are refused")
    array = np.asarray(found, dtype=np.float64)
    if array.ndim != dimensions or not array.shape[0]:
        raise ValueError(f"output {name}: is {array.shape}, expected {dimensions} axes")
    if not np.isfinite(array).all():
        raise ValueError(f"output {name}: holds values that are not finite")
    return array
