# SPDX-License-Identifier: Apache-2.0
"""Masks of people by a second network, which looks at a crop around each find, upright as people are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import crops
from synthkit.config import between, setting
from synthkit.deployment.pictures import PictureCard, card_of
from synthkit.deployment.sessions import as_input, check_input
from synthkit.errors import WeightsError
from synthkit.own_networks import OnnxNetwork
from synthkit.sample import Detections, RotatedBox, Sample

Floats = npt.NDArray[np.float64]

_ABOUT = "docs/detecting.md shows what it tells) or name one with detector.masks_card"
_MOST_LOGIT = 60.0
_ROUNDING = 1e-3


@attrs.frozen
class MaskCard(PictureCard):
    """How a crop becomes a network's input, and how its answer becomes a mask.

    The answer is (1, 1, h, w), (1, h, w, 1) or (1, h, w), of any height and width, over the whole crop.
    """

    logits: bool = setting(False, help="whether the answer is logits; else it is probabilities, 0 to 1")
    threshold: float = setting(
        0.3, help="probability from which on a pixel is the person's", validator=between(0.01, 0.99)
    )
    margin: float = setting(0.15, help="how far the crop reaches beyond the box, of its sides", validator=between(0, 2))
    least: float = setting(
        0.25,
        help="a mask that fills less than this part of the box is not believed, and left out",
        validator=between(0, 1),
    )


@attrs.frozen(eq=False)
class MaskNetwork:
    """What tells people's pixels.

    Args:
        card: what goes in and comes out. network: that runs. output: the one that counts.
    """

    card: MaskCard
    network: OnnxNetwork
    output: str

    @classmethod
    def open(cls, path: Path, card_path: Path | None, threads: int) -> Self:
        """Open a file, which may be a stranger's.

        Raises:
            ConfigError, WeightsError: when it or its card cannot be used.
        """
        card = card_of(MaskCard, path, card_path, _ABOUT)
        network = OnnxNetwork.open(path, "mask network", threads)
        check_input(card.input(network.input), network.session, network.origin)
        return cls(card, network, card.output_of(network, "masks"))

    def with_masks(self, sample: Sample, found: Detections) -> Detections:
        """Return finds with the layer ``instances``, in which the surer ones are in front.

        Who has no mask that is believed has no pixels there, so that their box counts.

        Raises:
            WeightsError: when the network fails, or gives no masks.
        """
        layer = np.zeros(sample.size_px[::-1], np.uint16)
        for row in reversed(range(len(found.scores))):
            box = _upright_box(sample, found, row)
            top, left, mask = self._mask(np.asarray(sample.image), box)
            if _in_box(mask, top, left, box) >= max(1.0, self.card.least * box.w * box.h):
                layer[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = row + 1
        return attrs.evolve(found, layers={**found.layers, "instances": layer})

    def _mask(self, image: npt.NDArray[np.uint8], box: RotatedBox) -> tuple[int, int, npt.NDArray[np.bool_]]:
        """Return whose pixels are somebody's, in a window (h, w) of the image, and the window's top and left."""
        size = np.array(self.card.size_px, np.float64)
        crop_from_image = _crop_from_image(box, size, self.card.margin)
        crop = cv2.warpAffine(image, _centres(crop_from_image), self.card.size_px, flags=cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        values = self._probabilities(np.asarray(crop, np.uint8))
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * size
        corners = crops.CropPlan(0, None, self.card.size_px, crop_from_image).to_image(corners)
        limits = np.array([image.shape[1], image.shape[0]])
        low = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)), low, limits).astype(int)
        if not (high > low).all():
            return int(low[1]), int(low[0]), np.zeros((0, 0), bool)
        scale = np.array(values.shape[::-1]) / size
        answer_from_window = crop_from_image * scale[:, None]
        answer_from_window[:, 2] += answer_from_window[:, :2] @ low
        width, height = (int(side) for side in high - low)
        shown = cv2.warpAffine(values, _centres(cv2.invertAffineTransform(answer_from_window)), (width, height),
                               flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0.0,))  # fmt: skip
        return int(low[1]), int(low[0]), np.asarray(shown >= self.card.threshold)

    def _probabilities(self, crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the network's answer for a crop, (h, w)."""
        found = self.network.run(as_input(self.card.input(self.network.input), crop), self.output)
        one = found.ndim == 3 or (found.ndim == 4 and 1 in (found.shape[1], found.shape[3]))
        if not one or found.shape[0] != 1 or not found.size or not np.isfinite(found).all():
            raise WeightsError(
                f"{self.network.origin}: gives {found.shape} for a crop, expected finite (1, 1, h, w), (1, h, w, 1) or"
                " (1, h, w)"
            )
        rows = 2 if found.ndim == 4 and found.shape[1] == 1 else 1
        values = found.reshape(found.shape[rows : rows + 2])
        if self.card.logits:
            values = 1 / (1 + np.exp(-np.clip(values, -_MOST_LOGIT, _MOST_LOGIT)))
        elif values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
            raise WeightsError(
                f"{self.network.origin}: gives {values.min():g} to {values.max():g}, expected probabilities; of logits"
                " its card tells logits = true"
            )
        return np.ascontiguousarray(values, np.float32)


def _upright_box(sample: Sample, found: Detections, row: int) -> RotatedBox:
    """Return a find's box, turned so that its upper end is the one away from the nadir where it is a rotated one."""
    if found.rotated_boxes is None:
        left, top, right, bottom = (float(value) for value in found.boxes_xyxy_px[row])
        return RotatedBox((left + right) / 2, (top + bottom) / 2, right - left, bottom - top, 0.0)
    cx, cy, w, h, degrees = (float(value) for value in found.rotated_boxes[row])
    away = np.array([cx, cy]) - crops.nadir_px(sample)
    up = np.array([np.sin(np.radians(degrees)), -np.cos(np.radians(degrees))])
    return RotatedBox(cx, cy, w, h, degrees if away @ up >= 0 else degrees + 180)


def _in_box(mask: npt.NDArray[np.bool_], top: int, left: int, box: RotatedBox) -> int:
    """Return how many pixels of a mask in a window lie in a box: those around it may be somebody else's."""
    rows, columns = np.nonzero(mask)
    right, down = columns + left + 0.5 - box.cx, rows + top + 0.5 - box.cy
    cosine, sine = np.cos(np.radians(box.degrees)), np.sin(np.radians(box.degrees))
    across, along = cosine * right + sine * down, cosine * down - sine * right
    return int(np.count_nonzero((np.abs(across) <= box.w / 2) & (np.abs(along) <= box.h / 2)))


def _crop_from_image(box: RotatedBox, size: Floats, margin: float) -> Floats:
    """Return the (2, 3) matrix that takes image pixels to those of a crop which a box with a margin fills."""
    angle = np.radians(box.degrees)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = turned * (size / ((1 + 2 * margin) * np.maximum([box.w, box.h], 1.0)))[:, None]
    return np.column_stack([linear, size / 2 - linear @ (box.cx, box.cy)])


def _centres(matrix: npt.NDArray[Any]) -> Floats:
    """Return a matrix between pixels counted from corners as OpenCV has it, which counts from their centres."""
    made = np.array(matrix, np.float64)
    made[:, 2] += made[:, :2] @ (0.5, 0.5) - 0.5
    return made
