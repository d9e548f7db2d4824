# SPDX-License-Identifier: Apache-2.0
"""Upright windows of images from ceilings, for detectors that only know people who stand upright.

Under a ceiling fisheye heads point away from the nadir, so that in a window turned around it people are upright. As in
Li, Tezcan, Ishwar, Konrad: Supervised people counting using an overhead fisheye camera (AVSS 2019), section 3: an
ordinary detector looks at overlapping windows, and what it finds is turned back and brought together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.deployment.overlaps import around, iou_table
from synthkit.sample import Detections, Sample, normalized_rotated

Floats = npt.NDArray[np.float64]
Look = Callable[[npt.NDArray[np.uint8]], Detections]

# From where to where windows reach from the nadir outwards, in half widths of the image: people farther out, who are
# small, and those near it, who are seen from above.
_RINGS = ((0.05, 1.0), (-0.25, 0.5))
_LEAST_SIDE_PX = 16
_MOST = 512  # finds of an image that are brought together
_SAME = 0.35  # overlap from which on finds of different windows are of the same person
_INSIDE, _CUT_INSIDE = 0.7, 0.3  # share of a find within a better one from which on it is a part of them; if cut off
_AT_EDGE_PX = 2.0
_CUT_TRUST = 0.25


@attrs.frozen(eq=False)
class Window:
    """A square (side_px, side_px) at the image's own scale, whose up is away from the nadir.

    Args:
        degrees: by which it is turned, clockwise. across, up: unit vectors (2,) in the image.
        corner: (2,) its top left. outermost: whether nobody goes on beyond its upper edge.
    """

    side_px: int
    degrees: float
    across: Floats
    up: Floats
    corner: Floats
    outermost: bool

    def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what an image (H, W, 3) shows in the window; black beyond it."""
        linear = np.stack([self.across, -self.up], axis=1)
        offset = self.corner + linear @ (0.5, 0.5) - 0.5  # OpenCV counts from pixels' centres
        matrix = np.concatenate([linear, offset[:, None]], axis=1)
        size, how = (self.side_px, self.side_px), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(np.ascontiguousarray(image), matrix, size, flags=how), np.uint8)

    def rotated(self, boxes_xyxy_px: npt.NDArray[np.float32]) -> Floats:
        """Return upright boxes (N, 4) of the window as rotated boxes (N, 5) of the image."""
        boxes = boxes_xyxy_px.astype(np.float64)
        centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        places = self.corner + centres[:, :1] * self.across - centres[:, 1:] * self.up
        return np.concatenate([places, sizes, np.full((len(boxes), 1), self.degrees)], axis=1)

    def cuts(self, boxes_xyxy_px: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return of which boxes (N, 4) an edge of the window cuts something off, which other windows show."""
        left, top, right, bottom = boxes_xyxy_px.T
        last = self.side_px - _AT_EDGE_PX
        at_top = (top <= _AT_EDGE_PX) & (not self.outermost)
        return np.asarray((left <= _AT_EDGE_PX) | at_top | (right >= last) | (bottom >= last))


def windows(sample: Sample, turns: int) -> Iterator[Window]:
    """Yield the windows of an image, at each of so many turns one for each ring."""
    nadir, reach = crops.nadir_px(sample), max(sample.size_px) / 2
    for turn in range(turns):
        angle = 2 * math.pi * turn / turns
        up, across = np.array([math.sin(angle), -math.cos(angle)]), np.array([math.cos(angle), math.sin(angle)])
        for near, far in _RINGS:
            side = max(_LEAST_SIDE_PX, round((far - near) * reach))
            corner = nadir + far * reach * up - side / 2 * across
            yield Window(side, math.degrees(angle), across, up, corner, far >= 1)


def look(sample: Sample, turns: int, detect: Look) -> Detections:
    """Return what a detector of upright boxes finds in all windows of an image, everybody once, as rotated boxes.

    Args:
        detect: finds people in a window.
    """
    image, nadir = np.asarray(sample.image), crops.nadir_px(sample)
    parts = [_of_window(window, detect(window.cut(image)), nadir) for window in windows(sample, turns)]
    boxes, scores, labels, trust, cut = (np.concatenate(column) for column in zip(*parts, strict=True))
    inside = ((boxes[:, :2] >= 0) & (boxes[:, :2] <= np.array(sample.size_px)) & (boxes[:, 2:4] > 0)).all(axis=1)
    order = np.flatnonzero(inside)[np.argsort(-trust[inside], kind="stable")][:_MOST]
    kept, surest = _best(boxes[order], labels[order], cut[order], scores[order])
    by_score = np.argsort(-surest[kept], kind="stable")
    order, scores = order[kept][by_score], surest[kept][by_score]
    rotated = normalized_rotated(boxes[order]) if len(order) else boxes[order]
    return Detections(
        key=sample.key,
        boxes_xyxy_px=around(rotated, sample.size_px).astype(np.float32),
        scores=scores,
        labels=labels[order],
        rotated_boxes=rotated.astype(np.float32),
    )


def _of_window(
    window: Window, found: Detections, nadir: Floats
) -> tuple[Floats, npt.NDArray[np.float32], npt.NDArray[np.int32], Floats, npt.NDArray[np.bool_]]:
    """Return a window's finds: rotated boxes, scores, labels, how well the window shows them, whether it cuts them."""
    boxes = window.rotated(found.boxes_xyxy_px)
    away = boxes[:, :2] - nadir
    upright = away @ window.up / np.maximum(np.hypot(*away.T), 1.0)
    cut = window.cuts(found.boxes_xyxy_px)
    trust = found.scores * (1 + upright) / 2 * np.where(cut, _CUT_TRUST, 1.0)
    return boxes, found.scores, found.labels, trust, cut


def _best(
    boxes: Floats, labels: npt.NDArray[np.int32], cut: npt.NDArray[np.bool_], scores: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return the places of those who are not the same as, or a part of, somebody before them, and all scores.

    Of whom somebody before is a part stays: it may show more of them, who must not lose their cover by it. Whoever
    stays is as sure as the surest find that is left out for them: by a low score they could be lost with it.
    """
    overlaps = iou_table(boxes, boxes)
    areas = boxes[:, 2:4].prod(axis=1)
    shared = overlaps * (areas[:, None] + areas) / (1 + overlaps)
    part = shared / areas[:, None] > np.where(cut, _CUT_INSIDE, _INSIDE)[:, None]
    same = (labels[:, None] == labels) & ((overlaps > _SAME) | part)
    surest = scores.copy()
    kept: list[int] = []
    for place in range(len(boxes)):
        others = [other for other in kept if same[place, other]]
        if others:
            nearest = max(others, key=lambda other: overlaps[place, other])
            surest[nearest] = max(surest[nearest], scores[place])
        else:
            kept.append(place)
    return np.array(kept, np.intp), surest
