# SPDX-License-Identifier: Apache-2.0
"""How good the masks and surfaces of the detector ``surface-ceiling`` are, beside the truth of rendered images.

    python benchmarks/surface.py HELDOUT [--checkpoint FILE] [--pictures FOLDER]

HELDOUT is a rendered set with the layer ``surface``. Numbers are means over people of whom at least 40 pixels are seen:
of all when the boxes are the true ones, and of those who are found (masks overlap by 0.4) when they are the detector's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import attrs
import cv2
import numpy as np
import numpy.typing as npt
import torch
from reporting import Result, report

from synthkit import finds
from synthkit.checkpoint import Checkpoint
from synthkit.dataset import Dataset
from synthkit.detectors import chosen
from synthkit.finds import SAME_PERSON_IOU
from synthkit.interfaces import Detector
from synthkit.outlines import extent
from synthkit.plugins import discover
from synthkit.sample import Detections, Sample, Sidecar
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit_surface_finder.drawing import coloured
from synthkit_surface_finder.examples import true_box
from synthkit_surface_finder.finding import with_layers
from synthkit_surface_finder.judging import Judged, judge, means
from synthkit_surface_finder.model import Finder

NAME = "surface-ceiling"
LEAST_PX = 40


@attrs.define
class Found:
    """What was found of people.

    Args:
        judged: who was found. people: how many there are. seen_px, covered_px: of all of them, and in any mask.
    """

    judged: list[Judged] = attrs.field(factory=list)
    people: int = 0
    seen_px: int = 0
    covered_px: int = 0

    def add(self, finder: Finder, sample: Sample, side: Sidecar) -> None:
        """Compare what was found in an image with the truth."""
        truth, instances = sample.layers["instances"], side.layers["instances"]
        self.seen_px += int((truth > 0).sum())
        self.covered_px += int(((truth > 0) & (instances > 0)).sum())
        for person in sample.people or ():
            mask = truth == person.instance
            if person.instance is None or mask.sum() < LEAST_PX:
                continue
            self.people += 1
            numbers, counts = np.unique(instances[mask], return_counts=True)
            best = max(zip(counts, numbers, strict=True), key=lambda pair: (pair[1] > 0, pair[0]))[1]
            own = instances == best
            if best and np.count_nonzero(mask & own) / np.count_nonzero(mask | own) >= SAME_PERSON_IOU:
                vertices, true = (layer.astype(np.int64) - 1 for layer in _surfaces(side, sample))
                self.judged.append(judge(own, vertices, mask, true, finder.surface))

    def results(self, title: str) -> list[Result]:
        """Return the rows of a table."""
        found = len(self.judged) / self.people
        rows = {"found": found, "pixels covered": self.covered_px / self.seen_px, **means(self.judged)}
        units = {"surface_cm": "cm"}
        return [
            Result(f"{title}: {name}", units.get(name, "share"), value, smaller_is_better=name in units)
            for name, value in rows.items()
        ]


def _surfaces(side: Sidecar, sample: Sample) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    return side.layers["surface"], sample.layers["surface"]


def with_true_boxes(finder: Finder, sample: Sample) -> Detections:
    """Return what the network says of true boxes."""
    instances = sample.layers["instances"]
    people = [person for person in sample.people or () if person.instance]
    boxes = [box for person in people if (box := true_box(person, instances)) is not None]
    rotated = np.array([box.as_tuple() for box in boxes], np.float32).reshape(-1, 5)
    around = np.array([extent(box.corners_px()) for box in boxes], np.float32).reshape(-1, 4)
    ones = np.ones(len(boxes), np.float32)
    found = Detections(sample.key, around, ones, np.zeros(len(boxes), np.int32), rotated_boxes=rotated)
    return with_layers(finder, sample, found, 0.0, 0.5)


def drawn(finder: Finder, sample: Sample, sides: list[Sidecar]) -> npt.NDArray[np.uint8]:
    """Return the image, its true parts of the body, and those that were found, side by side."""
    picture = [sample.image]
    for layer in (sample.layers.get("surface"), *(side.layers["surface"] for side in sides)):
        if layer is not None:
            parts = np.append(finder.surface.parts, -1)[layer.astype(np.int64) - 1]
            picture.append(coloured(np.asarray(sample.image), parts, len(finder.surface.names)))
    return np.concatenate(picture, axis=1)


def answers(detector: Detector, finder: Finder, data: Dataset) -> Iterator[tuple[Sample, Sidecar, Sidecar]]:
    """Yield each sample with what is found by true boxes, and by the detector from its score on."""
    least = getattr(detector, "operating_score", None) or 0.5
    for sample in data:
        (found,) = detector.detect([sample])
        true = with_true_boxes(finder, sample)
        yield (
            sample,
            finds.sidecar_of(true, sample, detector.class_names, 0.0),
            finds.sidecar_of(found, sample, detector.class_names, least),
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a rendered set with the layer surface")
    parser.add_argument("--checkpoint", type=Path, help="instead of the one that ships")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of truth and answers")
    given = parser.parse_args()
    registry = discover()
    spec = chosen(registry, None if given.checkpoint else NAME, {}, given.checkpoint)
    assert spec.checkpoint is not None
    finder = Finder.open(Checkpoint.open(spec.checkpoint), torch.device("cpu"))
    by_truth, by_boxes = Found(), Found()
    session = Session(registry, RunSettings(device="cpu", threads=1))
    with session.entered(spec) as detector:
        for sample, true, found in answers(detector, finder, Dataset.open(given.data)):
            by_truth.add(finder, sample, true)
            by_boxes.add(finder, sample, found)
            if given.pictures:
                given.pictures.mkdir(parents=True, exist_ok=True)
                picture = drawn(finder, sample, [true, found])
                cv2.imwrite(str(given.pictures / f"{sample.key}.png"), picture[..., ::-1])
    rows = by_truth.results("true boxes") + by_boxes.results("own boxes")
    report(f"masks and surfaces of {by_truth.people} people", rows)


if __name__ == "__main__":
    main()
