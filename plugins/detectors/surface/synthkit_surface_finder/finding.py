# SPDX-License-Identifier: Apache-2.0
"""One image: crops about boxes through the network, and what it says of them put back into layers of the image."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from synthkit.crops import CropPlan, extract, nadir_px
from synthkit.detection import DEFAULT_SCORE
from synthkit.outlines import mask_hull
from synthkit.sample import Detections, RotatedBox, Sample
from synthkit_surface_finder.model import Finder
from synthkit_surface_finder.network import Answers
from synthkit_surface_finder.surface import SPACE
from synthkit_surface_finder.windows import box_mask, centres, covered, plan_whole, plan_window

Floats = npt.NDArray[np.float64]
Owners = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Window = tuple[slice, slice]

NOBODY = -1

_AT_ONCE = 16  # crops that go through the network together
_RIM = 0.01  # of an image's longer side: what is nearer to somebody's mask than this belongs to it, and is nobody else
_LEAST = 0.02  # of it: somebody without a box covers at least the square of this


@attrs.frozen(eq=False)
class Looked:
    """A find with what the network says of it.

    Args:
        plan: the crop. answer: of that crop alone. window: rows and columns of the image that hold all of the person.
    """

    plan: CropPlan
    answer: Answers
    window: Window


def with_layers(
    finder: Finder, sample: Sample, found: Detections, least_score: float, threshold: float,
    believed: float = DEFAULT_SCORE, *, unboxed: bool = False,
) -> Detections:  # fmt: skip
    """Return what a detector found with masks and surfaces of those with at least ``least_score``, without the others.

    Where masks meet, a pixel is that person's whose probability there times the score is greatest: of two people the
    one whom the network sees there, of two boxes about one person the surer one. But finds that are in doubt take no
    pixel from those that are believed, and those below half of that score, which are commonly left out, none from
    either: with them what they took would be gone. The layers are ``instances`` and ``surface``, which has a vertex in
    exactly these pixels.

    Args:
        threshold: probability from which on a pixel is somebody's.
        believed: the score from which on finds are believed.
        unboxed: whether people are also looked for about whom there is no box, in the whole image at once. Their scores
            lie between half of ``believed`` and all of it, by the mean probability of their pixels, so that they are
            always in doubt, and never left out of those.
    """
    kept = _rows(found, np.flatnonzero(found.scores >= least_score))
    looked = _about_boxes(finder, sample, boxes_of(kept))
    owners = _owners(looked, kept.scores, threshold, believed, sample.size_px)
    if unboxed:
        kept, more, owners = _with_unboxed(finder, sample, kept, owners, threshold, believed)
        looked += more
    surface, pixels = np.zeros(owners.shape, np.uint16), centres(sample.size_px)
    for number, one in enumerate(looked):
        own = owners[one.window] == number
        if own.any():
            surface[one.window][own] = 1 + _vertices(finder, one, pixels[one.window][own])
    return _sorted(attrs.evolve(kept, layers={"instances": (owners + 1).astype(np.uint16), SPACE.layer: surface}))


def boxes_of(found: Detections) -> list[RotatedBox]:
    """Return the boxes of finds, upright ones as rotated ones that are not turned."""
    if found.rotated_boxes is not None:
        return [RotatedBox.normalized(*map(float, box)) for box in found.rotated_boxes]
    return [
        RotatedBox.normalized((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0)
        for left, top, right, bottom in found.boxes_xyxy_px.astype(float).tolist()
    ]


def sampled(maps: torch.Tensor, plan: CropPlan, points_px: Floats) -> npt.NDArray[np.float32]:
    """Return maps of a crop at points of its image, interpolated between the centres of the crop's pixels.

    Args:
        maps: (C, h, w), of any resolution. points_px: (P, 2).

    Returns:
        (P, C); beyond the crop what is at its rim.
    """
    places = 2.0 * plan.to_crop(points_px) / plan.size_px - 1.0
    grid = torch.from_numpy(places.astype(np.float32))[None, None]
    values = functional.grid_sample(maps[None], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return np.asarray(values[0, :, 0].T.numpy())


def _rows(found: Detections, which: npt.NDArray[np.intp]) -> Detections:
    """Return some of the finds."""
    names = ("boxes_xyxy_px", "scores", "labels", "rotated_boxes", "points_px")
    arrays = {name: getattr(found, name) for name in names}
    return attrs.evolve(found, **{name: array[which] for name, array in arrays.items() if array is not None})


def _sorted(found: Detections) -> Detections:
    """Return finds with the best score first."""
    order = np.argsort(-found.scores, kind="stable")
    numbers = np.zeros(len(order) + 1, np.uint16)
    numbers[order + 1] = np.arange(1, len(order) + 1)
    layers = {**found.layers, "instances": numbers[found.layers["instances"]]}
    return attrs.evolve(_rows(found, order), layers=layers)


def _about_boxes(finder: Finder, sample: Sample, boxes: Sequence[RotatedBox]) -> list[Looked]:
    """Return what the network says of the crop about each box."""
    nadir, design = nadir_px(sample), finder.design
    plans = [plan_window(box, nadir, design.side_px, design.margin) for box in boxes]
    looked: list[Looked] = []
    for start in range(0, len(plans), _AT_ONCE):
        some = plans[start : start + _AT_ONCE]
        shown = [box_mask(box, plan) for box, plan in zip(boxes[start:], some, strict=False)]
        answers = _answered(finder, [extract(sample.image, plan) for plan in some], shown)
        looked += [Looked(*both, covered(both[0], sample.size_px)) for both in zip(some, answers, strict=True)]
    return looked


def _answered(finder: Finder, images: Sequence[npt.NDArray[np.uint8]], boxes: Sequence[Mask]) -> list[Answers]:
    """Return what the network says of crops of one size, one at a time."""
    with torch.inference_mode():
        together = finder.network(
            torch.from_numpy(np.stack(images)).to(finder.device), torch.from_numpy(np.stack(boxes)).to(finder.device)
        )
    parts = (together.mask.cpu(), together.parts.cpu(), together.places.cpu())
    return [Answers(*(part[n : n + 1] for part in parts)) for n in range(len(images))]


def _owners(
    looked: Sequence[Looked],
    scores: npt.NDArray[np.float32],
    threshold: float,
    believed: float,
    size_px: tuple[int, int],
) -> Owners:
    """Return whose each pixel of the image is, (H, W): the place among the finds, or ``NOBODY``."""
    owners = np.full(size_px[::-1], NOBODY, np.int64)
    best = np.zeros(size_px[::-1], np.float32)
    pixels = centres(size_px)
    ranks = (scores >= believed).astype(np.float32) + (scores >= believed / 2)
    for number, one in enumerate(looked):
        window = one.window
        probability = _probability(one, pixels[window])
        strength = (probability * scores[number] + ranks[number]).astype(np.float32)
        taken = (probability >= threshold) & (strength > best[window])
        owners[window][taken] = number
        best[window][taken] = strength[taken]
    return owners


def _probability(one: Looked, points_px: Floats) -> npt.NDArray[np.float32]:
    """Return how probably points (h, w, 2) of the image are the person's, (h, w); 0 beyond the crop."""
    points = points_px.reshape(-1, 2)
    if not len(points):
        return np.zeros(points_px.shape[:2], np.float32)
    places = one.plan.to_crop(points)
    inside = ((places >= 0) & (places <= one.plan.size_px)).all(axis=1)
    probability = np.where(inside, sampled(torch.sigmoid(one.answer.mask), one.plan, points)[:, 0], 0.0)
    return probability.reshape(points_px.shape[:2]).astype(np.float32)


def _with_unboxed(
    finder: Finder, sample: Sample, found: Detections, owners: Owners, threshold: float, believed: float
) -> tuple[Detections, list[Looked], Owners]:
    """Return the finds, with people about whom there is no box after them; these alone as looked at; and all owners.

    A box below half of ``believed`` is commonly left out, and hides nobody from being found without one.
    """
    plan = plan_whole(sample.size_px, finder.design.whole_px)
    (answer,) = _answered(finder, [extract(sample.image, plan)], [np.ones(plan.size_px[::-1], bool)])
    whole = slice(0, owners.shape[0]), slice(0, owners.shape[1])
    probability = _probability(Looked(plan, answer, whole), centres(sample.size_px))
    sure = np.append(found.scores >= believed / 2, False)  # the last is nobody
    numbers, boxes = _left_over(probability >= threshold, np.where(sure[owners], owners, NOBODY))
    pixels = np.bincount(numbers.ravel(), minlength=len(boxes) + 1)
    sums = np.bincount(numbers.ravel(), probability.ravel(), minlength=len(boxes) + 1)
    windows = [(slice(top, bottom), slice(left, right)) for left, top, right, bottom in boxes.tolist()]
    rotated = [_box_around(numbers[window] == n, window) for n, window in enumerate(windows, 1)]
    more = {
        "boxes_xyxy_px": boxes.astype(np.float32),
        "scores": (believed * (1 + sums[1:] / pixels[1:]) / 2).astype(np.float32),
        "labels": np.zeros(len(boxes), np.int32),
        "rotated_boxes": np.array([box.as_tuple() for box in rotated], np.float32).reshape(-1, 5),
    }
    known = {name: getattr(found, name) for name in more}
    together = {name: np.concatenate([known[name], rows]) for name, rows in more.items() if known[name] is not None}
    owners = np.where(numbers > 0, len(found.scores) + numbers - 1, owners)
    return attrs.evolve(found, **together), [Looked(plan, answer, window) for window in windows], owners


def _left_over(people: Mask, owners: Owners) -> tuple[Owners, npt.NDArray[np.int64]]:
    """Return the connected parts of people's pixels that are not somebody's already, nor at their rim.

    Returns:
        (H, W), the number of each pixel's part from 1, 0 of none; and of each part the box, (N, 4).
    """
    side = max(people.shape)
    rim = 2 * max(1, round(_RIM * side)) + 1
    known = cv2.dilate((owners != NOBODY).astype(np.uint8), np.ones((rim, rim), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats((people & (known == 0)).astype(np.uint8))
    large = 1 + np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= (_LEAST * side) ** 2)
    numbers = np.zeros(len(stats), np.int64)
    numbers[large] = np.arange(1, len(large) + 1)
    left, top, width, height = stats[large, :4].astype(np.int64).T
    return numbers[parts], np.stack([left, top, left + width, top + height], axis=1)


def _box_around(mask: Mask, window: Window) -> RotatedBox:
    """Return the tightest rotated box around what is set in a mask of a window of the image."""
    hull = mask_hull(mask)
    assert hull is not None
    corner = np.array([window[1].start, window[0].start])
    (cx, cy), (w, h), degrees = cv2.minAreaRect((hull + corner).astype(np.float32))
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def _vertices(finder: Finder, one: Looked, points_px: Floats) -> npt.NDArray[np.int64]:
    """Return the vertex that each point of an image shows of the person whom a crop is about, (P,)."""
    parts = sampled(one.answer.parts[0], one.plan, points_px).argmax(axis=1)
    places = np.zeros((len(points_px), 3), np.float32)
    for part in np.unique(parts).tolist():
        rows = parts == part
        places[rows] = sampled(one.answer.places[0, part], one.plan, points_px[rows])
    return finder.surface.nearest(parts, places)
