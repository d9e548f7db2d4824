# SPDX-License-Identifier: Apache-2.0
"""One image through a detector, and the boxes back in the image's own pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from synthkit.sample import Detections, Sample
from synthkit_squeezedet.letterbox import Letterbox
from synthkit_squeezedet.model import Design, WholeDetector


def detect_one(design: Design, whole: WholeDetector, sample: Sample, device: torch.device) -> Detections:
    """Return what a detector finds in one image, in the image's pixels."""
    fit = Letterbox(sample.size_px, design.input_px)
    image = torch.from_numpy(np.array(fit.apply(np.asarray(sample.image)))).unsqueeze(0).to(device)
    with torch.inference_mode():
        boxes, scores, labels, count = (part[0].cpu().numpy() for part in whole(image))
    found = slice(0, int(count))
    rotated = None
    if design.boxes == "rotated":
        rotated = boxes[found].astype(np.float64)
        rotated[:, :4] = (rotated[:, :4] - [*fit.offset_px, 0, 0]) / fit.scale
        upright = _around(rotated, sample.size_px)
    else:
        upright = fit.boxes_to_image(boxes[found].astype(np.float64))
    return Detections(
        key=sample.key,
        boxes_xyxy_px=upright.astype(np.float32),
        scores=scores[found].astype(np.float32),
        labels=labels[found].astype(np.int32),
        rotated_boxes=None if rotated is None else rotated.astype(np.float32),
    )


def _around(rotated: npt.NDArray[np.float64], size_px: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the upright boxes (N, 4) around rotated ones (N, 5), clipped to the image."""
    angle = np.radians(rotated[:, 4])
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    w, h = rotated[:, 2], rotated[:, 3]
    half = np.stack([w * cos + h * sin, w * sin + h * cos], axis=1) / 2
    edges = np.concatenate([rotated[:, :2] - half, rotated[:, :2] + half], axis=1)
    return np.asarray(np.clip(edges, 0.0, size_px * 2))
