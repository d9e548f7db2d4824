# SPDX-License-Identifier: Apache-2.0
"""Which sets can teach a detector and judge it, and what is told of the others."""

from __future__ import annotations

import weakref

import attrs
import numpy as np
import pytest
from made_discs import BRIEF, bodied, make, small

from synthkit.errors import DatasetError
from synthkit.sample import Person


class Watched:
    """A set whose images are made anew each time, and that knows how many of them were alive at once."""

    def __init__(self, data):
        self.fingerprint, self._data, self._alive, self.most = data.fingerprint, data, 0, 0

    def __len__(self):
        return len(self._data)

    def __getitem__(self, index):
        fresh = attrs.evolve(self._data[index], image=np.array(self._data[index].image))
        self._alive += 1
        self.most = max(self.most, self._alive)
        weakref.finalize(fresh.image, self._gone)
        return fresh

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    def _gone(self):
        self._alive -= 1


def test_a_validation_set_need_not_fit_in_memory(discs, tmp_path):
    validation = Watched(discs(12, 2, (64, 48)))
    with make(tmp_path, **{**BRIEF, "steps": 1}) as detector:
        detector.fit({"train": discs(2, 1, (64, 48)), "validation": validation}, tmp_path / "a")
    assert validation.most <= 3


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (None, "no validation sample says who is in it"),
        ((Person(box_xyxy_px=(5, 5, 20, 20)),), "validation set cannot judge.*none of its people has a head box"),
    ],
)
def test_a_validation_set_that_cannot_judge_is_told_before_training(people, message, discs, tmp_path):
    told = []
    data = small(discs)
    data["validation"]._samples = [attrs.evolve(sample, people=people) for sample in data["validation"]]
    make_ = make(tmp_path, progress=lambda stage, *_: told.append(stage), **BRIEF)
    with make_ as detector, pytest.raises(DatasetError, match=message):
        detector.fit(data, tmp_path / "a")
    assert "training squeezedet" not in told


def test_a_validation_set_without_rotated_boxes_is_told(discs, tmp_path):
    data = small(discs)
    data["train"]._samples = [attrs.evolve(s, people=[bodied(p) for p in s.people]) for s in data["train"]]
    upright = (Person(box_xyxy_px=(5, 5, 20, 20)),)
    data["validation"]._samples = [attrs.evolve(s, people=upright) for s in data["validation"]]
    message = "cannot judge the detector: sample .*none of its people has a person rotated box; .*boxes=upright"
    with (
        make(tmp_path, **BRIEF, target="person", boxes="rotated") as detector,
        pytest.raises(DatasetError, match=message),
    ):
        detector.fit(data, tmp_path / "a")


def test_boxes_that_are_not_there_are_named(discs, tmp_path):
    with make(tmp_path, **BRIEF, target="both") as detector, pytest.raises(DatasetError, match="person box"):
        detector.fit({"train": discs(2, 1, (64, 48))}, tmp_path / "a")


def test_boxes_too_small_for_the_input_are_named(discs, tmp_path):
    with (
        make(tmp_path, **BRIEF, input_px=(16, 16)) as detector,
        pytest.raises(DatasetError, match=r"set a larger detector\.input_px \(now \[16, 16\]\)"),
    ):
        detector.fit({"train": discs(2, 1, (256, 192), (8, 9))}, tmp_path / "a")


def test_an_empty_training_set_is_an_error(tmp_path, discs):
    with make(tmp_path) as detector, pytest.raises(DatasetError, match="empty"):
        detector.fit({"train": discs(0, 1)}, tmp_path / "a")
