# SPDX-License-Identifier: Apache-2.0
"""Training examples: images at the input's size with the outlines in them, and their augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit.crops import nadir_px
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, SampleSet
from synthkit.sample import Sample
from synthkit_detection.truth import Target, missing_boxes
from synthkit_squeezedet.letterbox import Letterbox
from synthkit_squeezedet.outlines import extent, outlines

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CACHE_BYTES = 2 * 1024**3
_MIN_BOX_PX = 2.0


@attrs.frozen(eq=False)
class Example:
    """One image of the network's input size.

    Args:
        image: (H, W, 3) uint8. outlines: one (P, 2) array of points per object, in pixels of the input.
        labels: (objects,) int64. nadir_px: the place straight below the camera.
    """

    image: Pixels
    outlines: tuple[Floats, ...]
    labels: Ints
    nadir_px: tuple[float, float]


@attrs.frozen
class Augmentation:
    """How examples vary: mirrored half of the time, turned, moved.

    Args:
        flip: mirror half of the examples.
        rotate_degrees: turn by up to this much either way about the nadir; a ceiling camera's image has no up,
            so 180 is natural.
        drift: move by up to this fraction of width and height (the released code moved KITTI's images by up
            to 0.12 and 0.26).
    """

    flip: bool
    rotate_degrees: float
    drift: float

    def draw(self, example: Example, generator: np.random.Generator) -> Example:
        """Return a varied example; what is uncovered is black, as it is around a fisheye's circle."""
        height, width = example.image.shape[:2]
        angle = math.radians(generator.uniform(-1.0, 1.0) * self.rotate_degrees)
        shift = generator.uniform(-1.0, 1.0, 2) * self.drift * np.array([width, height])
        mirror = -1.0 if self.flip and generator.random() < 0.5 else 1.0
        cos, sin = math.cos(angle), math.sin(angle)
        linear = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1.0])
        nadir = np.array(example.nadir_px)
        offset = nadir + shift - linear @ nadir
        # OpenCV counts from the centre of the first pixel, the kit from its corner.
        to_opencv = offset + linear @ [0.5, 0.5] - 0.5
        image = cv2.warpAffine(example.image, np.column_stack([linear, to_opencv]), (width, height))
        moved = tuple(points @ linear.T + offset for points in example.outlines)
        return Example(np.asarray(image, np.uint8), moved, example.labels, tuple(linear @ nadir + offset))


def boxes_cxcywh(example: Example) -> tuple[Floats, Ints]:
    """Return the boxes (N, 4) of an example, clipped to the image, and their labels (N,).

    Objects whose centre lies outside the image, or of which less than 2 pixels are left, are not objects to
    learn.
    """
    height, width = example.image.shape[:2]
    whole = np.array([extent(points) for points in example.outlines]).reshape(-1, 4)
    limit = np.array([width, height])
    centre = (whole[:, :2] + whole[:, 2:]) / 2
    low, high = np.clip(whole[:, :2], 0, limit), np.clip(whole[:, 2:], 0, limit)
    inside = ((centre > 0) & (centre < limit)).all(axis=1) & (high - low >= _MIN_BOX_PX).all(axis=1)
    boxes = np.concatenate([(low + high) / 2, high - low], axis=1)
    return boxes[inside], example.labels[inside]


class ExampleSet:
    """A data set as examples; kept in memory when all of it fits in 2 GiB, else read anew each time.

    Args:
        data: samples with known people. targets: what to learn, in the order of the labels.
        input_px: (width, height) of the network's input.

    Raises:
        DatasetError: when it is empty, no image says who is in it, or no person has a box of a target.
    """

    def __init__(
        self, data: SampleSet, targets: Sequence[Target], input_px: tuple[int, int], progress: Progress
    ) -> None:
        self._data = data
        self._targets = tuple(targets)
        self.input_px = input_px
        self._cached = len(data) * input_px[0] * input_px[1] * 3 <= _CACHE_BYTES
        self._examples: list[Example] = []
        self._indices: list[int] = []
        self.sizes: Floats = np.zeros((0, 2))
        self._scan(progress)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Example:
        if self._cached:
            return self._examples[index]
        return self._example(self._data[self._indices[index]])

    def _scan(self, progress: Progress) -> None:
        seen, usable = dict.fromkeys(self._targets, 0), dict.fromkeys(self._targets, 0)
        sizes, lacking = [self.sizes], None
        for index in range(len(self._data)):
            sample = self._data[index]
            progress("reading examples", index + 1, len(self._data))
            if sample.people is None:
                continue
            lacking = lacking or (sample if sample.people else None)
            example = self._example(sample)
            self._indices.append(index)
            if self._cached:
                self._examples.append(example)
            boxes, labels = boxes_cxcywh(example)
            sizes.append(boxes[:, 2:])
            for label, target in enumerate(self._targets):
                seen[target] += int((example.labels == label).sum())
                usable[target] += int((labels == label).sum())
        self._check(seen, usable, lacking)
        self.sizes = np.concatenate(sizes)

    def _check(self, seen: dict[Target, int], usable: dict[Target, int], sample: Sample | None) -> None:
        if not self._indices:
            raise DatasetError("no training sample says who is in it; a detector needs labelled samples")
        if sample is None:
            raise DatasetError("there is nobody in the training samples; a detector needs people to learn")
        for target in self._targets:
            if not seen[target]:
                raise DatasetError(missing_boxes(sample, target))
            if not usable[target]:
                raise DatasetError(
                    f"every {target} box of the training samples lies outside its image or is narrower than"
                    f" {_MIN_BOX_PX:g} pixels in the network's input; set a larger detector.input_px"
                    f" (now {list(self.input_px)})"
                )

    def _example(self, sample: Sample) -> Example:
        fit = Letterbox(sample.size_px, self.input_px)
        points: list[Floats] = []
        labels: list[int] = []
        for label, target in enumerate(self._targets):
            for outline in outlines(sample, target):
                points.append(fit.to_input(outline))
                labels.append(label)
        place = fit.to_input(nadir_px(sample))
        image = fit.apply(np.asarray(sample.image))
        return Example(image, tuple(points), np.array(labels, np.int64), (float(place[0]), float(place[1])))
