# SPDX-License-Identifier: Apache-2.0
"""An experiment as TensorBoard reads it: curves while trainings run, scores at the end."""

from __future__ import annotations

import json
import struct

import pytest

from synthkit.interfaces import TrackedExperiment, TrackedStep
from synthkit_tensorboard.plugin import TensorBoardTracker


def scalars(folder):
    """Return (step, name, value) of each scalar in the event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event, data = Event.FromString(data[12 : 12 + length]), data[16 + length :]
            found += [(event.step, value.tag, round(value.simple_value, 6)) for value in event.summary.value]
    return found


@pytest.fixture
def told(tmp_path):
    experiment = TrackedExperiment("Which?", tmp_path, {})
    return experiment, TrackedStep("id1", "train", "on real", tmp_path / "steps" / "train-on-real-1", {})


def test_trainings_and_scores_are_written(told, tmp_path):
    experiment, step = told
    tracker = TensorBoardTracker()
    tracker.synthkit_experiment_began()
    for line in ({"step": 5.0, "loss": 0.5}, {"step": 10.0, "loss": 0.25, "val_f1": 0.75}):
        tracker.synthkit_curves(experiment, step, line)
    curves = scalars(tmp_path / "tensorboard" / "train-on-real-1")  # it is there while the training runs
    assert curves == [(5, "loss", 0.5), (10, "loss", 0.25), (10, "val_f1", 0.75)]
    tracker.synthkit_step_ended(step)
    number = {"by_seed": {"0": 0.5, "3": 0.75}}
    rows = [{"label": "real + 1 x a/b", "detector": "d", "numbers": {"f1[person]": number}}]
    tracker.synthkit_experiment_ended(experiment, json.loads(json.dumps({"rows": rows})))
    assert scalars(tmp_path / "tensorboard" / "row-01-real-+-1-x-a-b-d") == [
        (0, "test/f1_person_", 0.5), (3, "test/f1_person_", 0.75)
    ]  # fmt: skip


def test_what_is_stopped_is_closed_and_goes_on(told, tmp_path):
    experiment, step = told
    for lines in (1, 2):
        tracker = TensorBoardTracker()
        for number in range(lines):
            tracker.synthkit_curves(experiment, step, {"step": float(number), "loss": float(number)})
        tracker.synthkit_experiment_ended(experiment, {})
    assert len(list((tmp_path / "tensorboard" / "train-on-real-1").iterdir())) == 2
