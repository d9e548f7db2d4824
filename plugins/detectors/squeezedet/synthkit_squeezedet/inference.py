# SPDX-License-Identifier: Apache-2.0
"""One image through a detector, and the boxes back in the image's own pixels."""

from __future__ import annotations

import numpy as np
import torch

from synthkit.deployment.overlaps import around
from synthkit.letterbox import Letterbox
from synthkit.sample import Detections, Sample
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
        rotated[:, :4] = (rotated[:, :4] - [*fit.offset_px, 0, 0]) / fit.scale_xy[0]
        upright = around(rotated, sample.size_px)
    else:
        upright = fit.boxes_to_image(boxes[found].astype(np.float64))
    return Detections(
        key=sample.key,
        boxes_xyxy_px=upright.astype(np.float32),
        scores=scores[found].astype(np.float32),
        labels=labels[found].astype(np.int32),
        rotated_boxes=None if rotated is None else rotated.astype(np.float32),
    )
