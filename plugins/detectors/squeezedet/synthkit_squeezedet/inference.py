# SPDX-License-Identifier: Apache-2.0
"""One image through a detector, and the boxes back in the image's own pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from synthkit.deployment.overlaps import around
from synthkit.letterbox import Letterbox
from synthkit.sample import Detections, Sample
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_squeezedet.looks import Found, agreed, turned_back
from synthkit_squeezedet.model import Design, WholeDetector


def detect_one(
    design: Design, whole: WholeDetector, sample: Sample, device: torch.device, config: SqueezeDetConfig
) -> Detections:
    """Return what a detector finds in one image, in the image's pixels, looking once or four times."""
    image = np.asarray(sample.image)
    quarters = range(4 if config.four_looks else 1)
    looks = [
        turned_back(_look(design, whole, np.ascontiguousarray(np.rot90(image, q)), device), q, sample.size_px)
        for q in quarters
    ]
    found = agreed(looks, overlap=config.nms_iou) if config.four_looks else looks[0]
    rotated = design.boxes == "rotated"
    upright = around(found.boxes, sample.size_px) if rotated else found.boxes
    return Detections(
        key=sample.key,
        boxes_xyxy_px=upright.astype(np.float32),
        scores=found.scores.astype(np.float32),
        labels=found.labels.astype(np.int32),
        rotated_boxes=found.boxes.astype(np.float32) if rotated else None,
    )


def _look(design: Design, whole: WholeDetector, image: npt.NDArray[np.uint8], device: torch.device) -> Found:
    """Return what one look at an image (H, W, 3) finds, in its pixels."""
    height_px, width_px = image.shape[:2]
    fit = Letterbox((width_px, height_px), design.input_px)
    pixels = torch.from_numpy(np.array(fit.apply(image))).unsqueeze(0).to(device)
    with torch.inference_mode():
        boxes, scores, labels, count = (part[0].cpu().numpy() for part in whole(pixels))
    found = slice(0, int(count))
    boxes = boxes[found].astype(np.float64)
    if design.boxes == "rotated":
        boxes[:, :4] = (boxes[:, :4] - [*fit.offset_px, 0, 0]) / fit.scale_xy[0]
    else:
        boxes = fit.boxes_to_image(boxes)
    return Found(boxes, scores[found].astype(np.float64), labels[found].astype(np.int64))
