# SPDX-License-Identifier: Apache-2.0
"""What is learned from: people in images, and what each pixel of a crop about one of them shows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from synthkit import outlines
from synthkit.crops import CropPlan, extract, nadir_px
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, SampleSet
from synthkit.sample import Person, RotatedBox, Sample
from synthkit_surface_finder.network import OUTPUT_STRIDE
from synthkit_surface_finder.surface import SPACE, Surface
from synthkit_surface_finder.windows import box_mask, coarser, cut_nearest

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_CACHE_BYTES = 2 * 1024**3
UNKNOWN = -1
"""The part of the body of a pixel of which nothing tells."""


@attrs.frozen(eq=False)
class Subject:
    """Somebody to learn from.

    Args:
        place: of the sample in its set. instance: their number in its layers. box: the tightest around what is seen.
        nadir_px: (x, y) of the image. image_px: its (width, height). on_surface: whether it is known which place of the
            body each pixel shows.
    """

    place: int
    instance: int
    box: RotatedBox
    nadir_px: npt.NDArray[np.float64]
    image_px: tuple[int, int]
    on_surface: bool


@attrs.frozen(eq=False)
class Crop:
    """A crop about a box, and the truth of it at the resolution of answers, h x w.

    Args:
        image: (H, W, 3) uint8. box: (H, W), where the box is. mask: (h, w), whose pixels are the person's.
        parts: (h, w) int64, of the body, or ``UNKNOWN``. places: (h, w, 3) float32, see ``Surface.places``.
    """

    image: Pixels
    box: Mask
    mask: Mask
    parts: npt.NDArray[np.int64]
    places: npt.NDArray[np.float32]

    def mirrored(self, surface: Surface) -> Crop:
        """Return it as a mirror shows it: the body is alike on both sides, and left becomes right."""
        swap = np.append(surface.mirrored, UNKNOWN)
        image, box, mask = (np.ascontiguousarray(part[:, ::-1]) for part in (self.image, self.box, self.mask))
        parts = np.ascontiguousarray(swap[self.parts[:, ::-1]])
        return Crop(image, box, mask, parts, self.places[:, ::-1] * np.array([-1, 1, 1], np.float32))


class Subjects:
    """Everybody in a set of whom enough is seen; images stay in memory when all fit in 2 GiB, else are read anew.

    Args:
        data: with people, the layer ``instances``, and ``surface``; samples without the latter teach masks alone.
        min_px: people with fewer pixels are left out. surface: that the layer is of.

    Raises:
        DatasetError: when masks are missing, no sample has surfaces or one has others, or nobody is left.
    """

    def __init__(self, data: SampleSet, min_px: int, surface: Surface, progress: Progress) -> None:
        self._data, self._surface = data, surface
        self._kept: dict[int, Sample] = {}
        self._subjects: list[Subject] = []
        taken = 0
        for place in range(len(data)):
            sample = data[place]
            progress("reading people", place + 1, len(data))
            if sample.people is None:
                continue
            self._subjects += _subjects(sample, place, min_px, len(surface.vertices_m))
            taken += sum(array.nbytes for array in (sample.image, *sample.layers.values()))
            if taken <= _CACHE_BYTES:
                self._kept[place] = sample
        if not self._subjects:
            raise DatasetError(
                f"nobody in the samples is seen with {min_px} pixels or more, with a mask: there is nothing to learn"
            )
        if not any(subject.on_surface for subject in self._subjects):
            raise DatasetError(
                "no sample has the layer surface: surfaces are learned from rendered people, with"
                " --set 'renderer.layers=[\"surface\"]'"
            )

    def __len__(self) -> int:
        return len(self._subjects)

    def __getitem__(self, index: int) -> Subject:
        return self._subjects[index]

    def crop(self, subject: Subject, plan: CropPlan, box: RotatedBox | None) -> Crop:
        """Return a crop with the truth of it.

        Args:
            box: that the crop is about, which may be another one than the subject's own. None: everybody is meant, and
                the box is the whole crop.
        """
        sample = self._kept.get(subject.place) or self._data[subject.place]
        coarse = coarser(plan, OUTPUT_STRIDE)
        instances = cut_nearest(sample.layers["instances"], coarse)
        mask = instances > 0 if box is None else instances == subject.instance
        shown = np.ones(plan.size_px[::-1], bool) if box is None else box_mask(box, plan)
        vertices = np.full(mask.shape, -1, np.int64)
        if SPACE.layer in sample.layers:
            vertices = cut_nearest(sample.layers[SPACE.layer], coarse).astype(np.int64) - 1
        known = mask & (vertices >= 0)
        parts = np.full(mask.shape, UNKNOWN, np.int64)
        places = np.zeros((*mask.shape, 3), np.float32)
        parts[known] = self._surface.parts[vertices[known]]
        places[known] = self._surface.places(vertices[known])
        return Crop(extract(sample.image, plan), shown, mask, parts, places)


def true_box(person: Person, instances: npt.NDArray[Any]) -> RotatedBox | None:
    """Return the tightest rotated box around somebody's visible pixels, None where there are none."""
    if person.rotated_box is not None:
        return person.rotated_box
    hull = outlines.mask_hull(instances == person.instance)
    if hull is None:
        return None
    (cx, cy), (w, h), degrees = cv2.minAreaRect(hull.astype(np.float32))
    return RotatedBox.normalized(cx, cy, w, h, degrees)


def _subjects(sample: Sample, place: int, min_px: int, vertices: int) -> Iterator[Subject]:
    if "instances" not in sample.layers:
        raise DatasetError(f"sample {sample.key} has no layer instances: masks are learned from it")
    if SPACE.layer in sample.layers and sample.layers[SPACE.layer].max(initial=0) > vertices:
        raise DatasetError(f"sample {sample.key}: its layer surface has vertices that the body's skin has not")
    instances, nadir = sample.layers["instances"], nadir_px(sample)
    seen = np.bincount(instances.ravel())
    for person in sample.people or ():
        number = person.instance
        if number is None or number >= len(seen) or seen[number] < min_px:
            continue
        box = true_box(person, instances)
        if box is not None:
            yield Subject(place, number, box, nadir, sample.size_px, SPACE.layer in sample.layers)
