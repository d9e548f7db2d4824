# SPDX-License-Identifier: Apache-2.0
"""Training examples: a data set's images at the size of the network's input, with what is to be found in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from synthkit.crops import nadir_px
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, SampleSet
from synthkit.letterbox import Letterbox
from synthkit.sample import Sample
from synthkit_detection.truth import missing_boxes
from synthkit_squeezedet.augmentation import Example
from synthkit_squeezedet.config import ObjectClass
from synthkit_squeezedet.objects import LEAST_PX, Boxes, objects_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CACHE_BYTES = 2 * 1024**3
_VALUES_SHOWN = 8


def truth_of(example: Example, boxes: Boxes) -> tuple[Floats, Ints]:
    """Return the boxes of what is to be found in an example, (N, 4) cx, cy, w, h or (N, 5), and their labels (N,)."""
    columns = 4 if boxes == "upright" else 5
    found = [item for item in example.objects if item.label is not None]
    rows = [item.box_cxcywh if item.turned is None else item.turned for item in found]
    return np.array(rows).reshape(-1, columns), np.array([item.label for item in found], np.int64)


def regions_of(example: Example) -> Floats:
    """Return the boxes of what may be found in an example and need not be: (N, 4) cx, cy, w, h."""
    return np.array([item.box_cxcywh for item in example.objects if item.label is None]).reshape(-1, 4)


def example_of(
    sample: Sample, classes: Sequence[ObjectClass], boxes: Boxes, input_px: tuple[int, int]
) -> tuple[Example, Ints]:
    """Return a sample as an example, and the labels of all that is known in it, be it too small or not."""
    fit = Letterbox(sample.size_px, input_px)
    scale, offset = np.diag(fit.scale_xy), np.array(fit.offset_px, dtype=np.float64)
    known = objects_of(sample, classes, boxes)
    moved = (item.moved(scale, offset).inside(input_px) for item in known)
    x, y = fit.to_input(nadir_px(sample))
    image = fit.apply(np.asarray(sample.image))
    example = Example(image, tuple(item for item in moved if item is not None), (float(x), float(y)))
    return example, np.array([item.label for item in known if item.label is not None], np.int64)


class ExampleSet:
    """A data set as examples; kept in memory when all of it fits in 2 GiB, else read anew each time.

    Args:
        data: samples with known people. classes: what to learn, in the order of the labels.
        boxes: which boxes of people. input_px: (width, height) of the network's input.

    Raises:
        DatasetError: when it is empty, no image says who is in it, or a class has nobody, or nobody with such a box.
    """

    def __init__(
        self,
        data: SampleSet,
        classes: Sequence[ObjectClass],
        boxes: Boxes,
        input_px: tuple[int, int],
        progress: Progress,
    ) -> None:
        self._data = data
        self._classes = tuple(classes)
        self.boxes = boxes
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
        return example_of(self._data[self._indices[index]], self._classes, self.boxes, self.input_px)[0]

    def _scan(self, progress: Progress) -> None:
        survey = _Survey(self._classes, self.boxes)
        sizes = [self.sizes]
        for index in range(len(self._data)):
            sample = self._data[index]
            progress("reading examples", index + 1, len(self._data))
            if sample.people is None:
                continue
            example, whole = example_of(sample, self._classes, self.boxes, self.input_px)
            self._indices.append(index)
            if self._cached:
                self._examples.append(example)
            boxes, labels = truth_of(example, self.boxes)
            sizes.append(boxes[:, 2:4])
            survey.add(sample, whole, labels)
        survey.check(self.input_px)
        self.sizes = np.concatenate(sizes)


class _Survey:
    """What of each class a set holds, and what is wrong with it."""

    def __init__(self, classes: Sequence[ObjectClass], boxes: Boxes) -> None:
        self._classes, self._boxes = classes, boxes
        self._images = 0
        self._known = np.zeros(len(classes), dtype=np.int64)
        self._usable = np.zeros(len(classes), dtype=np.int64)
        self._somebody: Sample | None = None
        self._values: dict[str, set[str]] = {item.attribute: set() for item in classes if item.attribute}

    def add(self, sample: Sample, known: Ints, usable: Ints) -> None:
        """Count a sample: the labels of what is known in it, and of what can be learned."""
        self._images += 1
        self._somebody = self._somebody or (sample if sample.people else None)
        self._known += np.bincount(known, minlength=len(self._classes))
        self._usable += np.bincount(usable, minlength=len(self._classes))
        for name, values in self._values.items():
            values.update(str(person.attributes[name]) for person in sample.people or () if name in person.attributes)

    def check(self, input_px: tuple[int, int]) -> None:
        """Raise DatasetError when a class cannot be learned."""
        if not self._images:
            raise DatasetError("no training sample says who is in it; a detector needs labelled samples")
        if self._somebody is None:
            raise DatasetError("there is nobody in the training samples; a detector needs people to learn")
        for item, known, usable in zip(self._classes, self._known, self._usable, strict=True):
            if not known:
                raise DatasetError(self._missing(item, self._somebody))
            if not usable:
                raise DatasetError(
                    f"every {item.name} box of the training samples lies outside its image or is narrower than"
                    f" {LEAST_PX:g} pixels in the network's input; set a larger detector.input_px"
                    f" (now {list(input_px)})"
                )

    def _missing(self, item: ObjectClass, sample: Sample) -> str:
        if item.attribute is not None and item.value not in self._values[item.attribute]:
            values = sorted(self._values[item.attribute])
            shown = ", ".join(values[:_VALUES_SHOWN]) + (", ..." if len(values) > _VALUES_SHOWN else "")
            known = f"known of {item.attribute}: {shown}" if values else f"nobody's {item.attribute} is known"
            return f"classes: nobody in the training samples is {item.name}; {known}"
        if self._boxes == "upright" or item.target == "head":
            return missing_boxes(sample, item.target)
        kind = "rotated box or mask" if self._boxes == "rotated" else "box along the radius (radial_box)"
        return f"boxes: {self._boxes}: no {item.name} in the training samples has a {kind}; upright boxes need none"
