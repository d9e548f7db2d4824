# SPDX-License-Identifier: Apache-2.0
"""One image: crops about boxes through the network, and what it says of them put back into layers of the image."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from synthkit.crops import CropPlan, extract, nadir_px
from synthkit.sample import Detections, RotatedBox, Sample
from synthkit_surface_finder.model import Finder
from synthkit_surface_finder.network import Answers
from synthkit_surface_finder.surface import SPACE
from synthkit_surface_finder.windows import box_mask, centres, covered, plan_window

Floats = npt.NDArray[np.float64]
Owners = npt.NDArray[np.int64]

_AT_ONCE = 16  # crops that go through the network together
NOBODY = -1


def with_layers(finder: Finder, sample: Sample, found: Detections, least_score: float, threshold: float) -> Detections:
    """Return what a detector found with masks and surfaces of those with at least ``least_score``, without the others.

    Where masks meet, a pixel is that person's whose probability there times the score is greatest: of two people the
    one whom the network sees there, of two boxes about one person the surer one. The layers are ``instances`` and
    ``surface``, which has a vertex in exactly these pixels.

    Args:
        threshold: probability from which on a pixel is somebody's.
    """
    kept = _rows(found, found.scores >= least_score)
    plans, answers = _looked_at(finder, sample, boxes_of(kept))
    owners = _owners(plans, answers, kept.scores, threshold, sample.size_px)
    surface = np.zeros(owners.shape, np.uint16)
    for number, (plan, answer) in enumerate(zip(plans, answers, strict=True)):
        rows, columns = np.nonzero(owners == number)
        if len(rows):
            points = np.stack([columns, rows], axis=1) + 0.5
            surface[rows, columns] = 1 + _vertices(finder, answer, plan, points)
    layers = {"instances": (owners + 1).astype(np.uint16), SPACE.layer: surface}
    return attrs.evolve(kept, layers=layers)


def boxes_of(found: Detections) -> list[RotatedBox]:
    """Return the boxes of finds, upright ones as rotated ones that are not turned."""
    if found.rotated_boxes is not None:
        return [RotatedBox.normalized(*map(float, box)) for box in found.rotated_boxes]
    return [
        RotatedBox.normalized((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0)
        for left, top, right, bottom in found.boxes_xyxy_px.astype(float).tolist()
    ]


def _rows(found: Detections, which: npt.NDArray[np.bool_]) -> Detections:
    """Return some of the finds."""
    names = ("boxes_xyxy_px", "scores", "labels", "rotated_boxes", "points_px")
    arrays = {name: getattr(found, name) for name in names}
    return attrs.evolve(found, **{name: array[which] for name, array in arrays.items() if array is not None})


def _looked_at(finder: Finder, sample: Sample, boxes: Sequence[RotatedBox]) -> tuple[list[CropPlan], list[Answers]]:
    """Return the crop about each box, and what the network says of it, one crop each."""
    nadir, design = nadir_px(sample), finder.design
    plans = [plan_window(box, nadir, design.side_px, design.margin) for box in boxes]
    answers: list[Answers] = []
    for start in range(0, len(plans), _AT_ONCE):
        some = list(zip(boxes, plans, strict=True))[start : start + _AT_ONCE]
        images = torch.from_numpy(np.stack([extract(sample.image, plan) for _, plan in some]))
        masks = torch.from_numpy(np.stack([box_mask(box, plan) for box, plan in some]))
        with torch.inference_mode():
            together = finder.network(images.to(finder.device), masks.to(finder.device))
        parts = (together.mask.cpu(), together.parts.cpu(), together.places.cpu())
        answers += [Answers(*(part[n : n + 1] for part in parts)) for n in range(len(some))]
    return plans, answers


def sampled(maps: torch.Tensor, plan: CropPlan, points_px: Floats) -> npt.NDArray[np.float32]:
    """Return maps of a crop at points of its image, interpolated between the centres of the crop's pixels.

    Args:
        maps: (C, h, w). points_px: (P, 2).

    Returns:
        (P, C); beyond the crop what is at its rim.
    """
    places = 2.0 * plan.to_crop(points_px) / plan.size_px - 1.0
    grid = torch.from_numpy(places.astype(np.float32))[None, None]
    values = functional.grid_sample(maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return np.asarray(values[0, :, 0].T.numpy())


def _owners(
    plans: Sequence[CropPlan],
    answers: Sequence[Answers],
    scores: npt.NDArray[np.float32],
    threshold: float,
    size_px: tuple[int, int],
) -> Owners:
    """Return whose each pixel of the image is, (H, W): the place among the finds, or ``NOBODY``."""
    owners = np.full(size_px[::-1], NOBODY, np.int64)
    best = np.zeros(size_px[::-1], np.float32)
    pixels = centres(size_px)
    for number, (plan, answer) in enumerate(zip(plans, answers, strict=True)):
        window = covered(plan, size_px)
        points = pixels[window].reshape(-1, 2)
        if not len(points):
            continue
        inside = ((plan.to_crop(points) >= 0) & (plan.to_crop(points) <= plan.size_px)).all(axis=1)
        probability = np.where(inside, sampled(torch.sigmoid(answer.mask), plan, points)[:, 0], 0.0)
        strength = (probability * scores[number]).reshape(best[window].shape).astype(np.float32)
        taken = (probability.reshape(strength.shape) >= threshold) & (strength > best[window])
        owners[window][taken] = number
        best[window][taken] = strength[taken]
    return owners


def _vertices(finder: Finder, answer: Answers, plan: CropPlan, points_px: Floats) -> npt.NDArray[np.int64]:
    """Return the vertex that each point of an image shows of the person whom a crop is about, (P,)."""
    parts = sampled(answer.parts[0], plan, points_px).argmax(axis=1)
    places = np.zeros((len(points_px), 3), np.float32)
    for part in np.unique(parts).tolist():
        rows = parts == part
        places[rows] = sampled(answer.places[0, part], plan, points_px[rows])
    return finder.surface.nearest(parts, places)
