# SPDX-License-Identifier: Apache-2.0
"""One ONNX file that holds everything from pixels to boxes, checked against torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WorkError
from synthkit.seeds import Seeds
from synthkit.training import onnx_files
from synthkit.training.onnx_files import OPSET
from synthkit_squeezedet.model import Design, WholeDetector

INPUT = "image"
OUTPUTS = ("boxes", "scores", "labels", "count")

_TOLERANCE_PX = 0.05
_TOLERANCE_SCORE = 1e-3
_LEAST_AGREEMENT = 0.98
_CHECKS = 4

_USAGE = """\
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession("detector.onnx")
boxes, scores, labels, count = session.run(None, {"image": image[np.newaxis]})  # image: uint8 (H, W, 3) sRGB
boxes = boxes[0, : count[0]]  # left, top, right, bottom in pixels of the input, best score first
"""

Arrays = tuple[npt.NDArray[Any], ...]


def export_onnx(
    design: Design, whole: WholeDetector, path: Path, checkpoint: Checkpoint, seeds: Seeds
) -> dict[str, Any]:
    """Write a detector as one ONNX file and return its card, which the file's metadata hold too.

    The graph takes uint8 (1, H, W, 3) sRGB and holds normalisation, network, decoding and the filter (which
    needs no NonMaxSuppression operator, see ``decoding.filter_boxes``); all its shapes are fixed. ONNX Runtime
    runs it on drawn and random images, and its boxes are compared with torch's.

    Raises:
        WorkError: when the two disagree.
    """
    data, card = _convert(design, whole.eval(), checkpoint)
    checks = _compare(data, design, whole, seeds)
    if checks["agreement"] < _LEAST_AGREEMENT:
        raise WorkError(f"export to {path}: ONNX Runtime's boxes differ from torch's: {checks}")
    return {**card, **checks, **onnx_files.write(path, data)}


def _convert(design: Design, whole: WholeDetector, checkpoint: Checkpoint) -> tuple[bytes, dict[str, Any]]:
    width, height = design.input_px
    example = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    model = onnx_files.converted(whole, example, [INPUT], OUTPUTS)
    count = int(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)
    card = _card(design, checkpoint, count)
    return onnx_files.with_card(model, card, _USAGE), card


def _card(design: Design, checkpoint: Checkpoint, count: int) -> dict[str, Any]:
    width, height = design.input_px
    return {
        "format": "ONNX",
        "opset": OPSET,
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "shape": [1, height, width, 3],
            "meaning": "sRGB pixels; scale other sizes to fit (averaging pixels when shrinking), centred on black",
        },
        "outputs": {
            "boxes": {
                "dtype": "float32",
                "shape": [1, count, 4 if design.boxes == "upright" else 5],
                "meaning": "left, top, right, bottom, input pixels"
                if design.boxes == "upright"
                else "cx, cy, w, h, input pixels, and degrees clockwise, w at most h",
            },
            "scores": {"dtype": "float32", "shape": [1, count], "meaning": "0..1, falling"},
            "labels": {"dtype": "int64", "shape": [1, count], "meaning": "index into classes"},
            "count": {
                "dtype": "int64",
                "shape": [1],
                "meaning": "rows that are detections; the rest are zero",
            },
        },
        "classes": list(design.classes),
        "operating_score": checkpoint.card.get("operating_score"),
        "checkpoint_sha256": checkpoint.sha256,
        "backbone": checkpoint.card.get("backbone"),
        "validation": checkpoint.card.get("validation"),
        "usage": _USAGE,
    }


def _compare(data: bytes, design: Design, whole: WholeDetector, seeds: Seeds) -> dict[str, Any]:
    """Run both on a few images; return how many detections agree and by how much the rest differ at most."""
    session = onnx_files.session_of(data)
    paired, total, off_px, off_score = 0, 0, 0.0, 0.0
    for number in range(_CHECKS):
        image = _test_image(design.input_px, seeds, number)
        with torch.inference_mode():
            ours = tuple(part.numpy() for part in whole(torch.from_numpy(image)))
        pairs, most, px, score = _pair(ours, tuple(session.run(list(OUTPUTS), {INPUT: image})))
        paired, total = paired + pairs, total + most
        off_px, off_score = max(off_px, px), max(off_score, score)
    return {
        "checked_images": _CHECKS,
        "checked_detections": total,
        "agreement": paired / total if total else 1.0,
        "max_difference_px": off_px,
        "max_difference_score": off_score,
    }


def _pair(ours: Arrays, theirs: Arrays) -> tuple[int, int, float, float]:
    """Return how many detections are equal within tolerance, of how many, and the largest differences."""
    (boxes, scores, labels), (boxes2, scores2, labels2) = (
        tuple(part[0, : int(found[3][0])] for part in found[:3]) for found in (ours, theirs)
    )
    if not len(scores) or not len(scores2):
        return 0, max(len(scores), len(scores2)), 0.0, 0.0
    # Detections of nearly the same score may change places, so each looks for its like.
    px = np.abs(boxes[:, None] - boxes2[None]).max(axis=2)
    score = np.abs(scores[:, None] - scores2[None])
    equal = (px <= _TOLERANCE_PX) & (score <= _TOLERANCE_SCORE) & (labels[:, None] == labels2[None])
    found = equal.any(axis=1)
    like = np.argmin(np.where(equal, px, np.inf), axis=1)
    rows = np.flatnonzero(found)
    largest = [float(table[rows, like[rows]].max(initial=0.0)) for table in (px, score)]
    return int(found.sum()), max(len(scores), len(scores2)), largest[0], largest[1]


def _test_image(size_px: tuple[int, int], seeds: Seeds, number: int) -> npt.NDArray[np.uint8]:
    """Return (1, H, W, 3): noise, smooth or fine, with some bright discs."""
    stream = seeds.stream("export", number)
    width, height = size_px
    image = stream.integers(0, 256, (height, width, 3)).astype(np.float64) / (1 + number)
    y, x = np.mgrid[:height, :width]
    for _ in range(8):
        at, radius = stream.uniform(0, 1, 2) * size_px, stream.uniform(4, 24)
        image[np.hypot(x - at[0], y - at[1]) < radius] = stream.uniform(0, 255, 3)
    return np.asarray(image.astype(np.uint8)[None])
