# SPDX-License-Identifier: Apache-2.0
"""Circles (thesis 000, figures 5.7 and 5.8) as domains for ``refinement.py``, and how far refined ones are from right.

Whole images stand for persons, so that refiners of crops see all of them, as in the thesis. Source and target of a test
scene are the same but for the circle's colour, so the right answer is known for every pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthkit.dataset import Dataset, DatasetWriter
from synthkit.sample import Person, Sample, evolve

IMAGE_PX = 59  # so that a crop of 64 pixels holds the image at its own size, within the margin that crops have
HEAD_PX = (IMAGE_PX / 2, IMAGE_PX * 0.21 / 0.92)  # from there an image reaches as far as a crop does from its head
SEEN = 40  # grey levels from the background at which a circle is seen
SAME_PLACE_PX = 1.0


def as_people(scenes: Dataset, out: Path) -> Dataset:
    """Write a set whose samples tell their whole image as one person, unless it is there; return it."""
    with DatasetWriter(out, identity={"as people": scenes.fingerprint}, scenes=len(scenes)) as writer:
        for number in writer.pending_scenes():
            writer.spool.put(number, [_as_person(scenes[number])])
            writer.finished(number)
        writer.finalise()
    return Dataset.open(out)


def _as_person(scene: Sample) -> Sample:
    whole = np.ones(scene.image.shape[:2], np.uint8)
    return evolve(scene, people=(Person(instance=1, head_px=HEAD_PX),), layers={"instances": whole})


def measure(scenes: Iterable[Sample], answers: Iterable[Sample], refined: Iterable[Sample]) -> dict[str, float]:
    """Return the means over the test scenes of what pixels tell."""
    values: dict[str, list[float]] = {}
    for scene, answer, result in zip(scenes, answers, refined, strict=True):
        circle, around = scene.layers["alpha"] == 255, scene.layers["alpha"] == 0
        off = _levels_apart(result.image, answer.image)
        seen = _levels_apart(result.image, scene.layers["background"]) > SEEN
        truth = scene.layers["instances"] > 0
        found = {
            "circle": off[circle].mean(),
            "background": off[around].mean(),
            "in place": float(np.hypot(*(_middle_px(seen) - _middle_px(truth))) <= SAME_PLACE_PX),
        }
        if "attention" in result.layers:
            attention = result.layers["attention"] / 255
            found |= {"attention on circles": attention[circle].mean(), "around them": attention[around].mean()}
        for name, value in found.items():
            values.setdefault(name, []).append(float(value))
    return {name: float(np.mean(each)) for name, each in values.items()}


def _middle_px(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the mean place (row, column) of a mask's pixels; not a number when there are none."""
    return np.argwhere(mask).mean(axis=0) if mask.any() else np.full(2, np.nan)


def _levels_apart(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return how far two images (H, W, 3) are apart, in the channel that differs most: (H, W)."""
    return np.asarray(np.abs(a.astype(np.int64) - b).max(axis=-1))
