# SPDX-License-Identifier: Apache-2.0
"""The example tracker, with a stand-in for MLflow that notes what it is asked to do."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from synthkit.interfaces import TrackedExperiment, TrackedStep
from synthkit_example_mlflow.plugin import MlflowTracker


class Client:
    def __init__(self):
        self.asked = []

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        self.asked.append(("create_experiment", name))
        return "7"

    def create_run(self, experiment_id, run_name, tags):
        self.asked.append(("create_run", experiment_id, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=f"run of {run_name}"))

    def __getattr__(self, name):
        return lambda *given, **more: self.asked.append((name, *given, *more.values()))


@pytest.fixture
def client(monkeypatch):
    made = Client()
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=lambda: made))
    return made


def test_an_experiment_becomes_runs(client, tmp_path):
    experiment = TrackedExperiment("Which?", tmp_path, {})
    tracker = MlflowTracker()
    tracker.synthkit_experiment_began(experiment)
    settings = {"component": {"config": {"steps": 3, "long": "x" * 900}}}
    steps = [TrackedStep(kind, kind, "on a", tmp_path, settings) for kind in ("render", "train", "fit")]
    for step in steps:
        tracker.synthkit_step_began(step)
        tracker.synthkit_curves(step, {"step": 2.0, "loss": 0.5})
    tracker.synthkit_step_ended(steps[0], {"seconds": 2.0}, "")
    tracker.synthkit_step_ended(steps[1], {"seconds": 2.0}, "")
    row = {"label": "a", "detector": "d", "numbers": {"f1[person, iou=0.50]": {"mean": 0.25}}}
    tracker.synthkit_experiment_ended({"rows": [row]}, tmp_path / "report.html")
    assert [asked for asked in client.asked if asked[0] == "create_run"] == [
        ("create_run", "7", "train on a"), ("create_run", "7", "fit on a"), ("create_run", "7", "report")
    ]  # fmt: skip
    for expected in (
        ("log_param", "run of train on a", "component.config.steps", "3"),
        ("log_param", "run of train on a", "component.config.long", "x" * 500),
        ("log_metric", "run of train on a", "loss", 0.5, 2),
        ("set_terminated", "run of train on a", "FINISHED"),
        ("set_terminated", "run of fit on a", "KILLED"),
        ("log_metric", "run of report", "a/d/f1_person_ iou_0.50_", 0.25),
        ("log_artifact", "run of report", str(tmp_path / "report.html")),
    ):
        assert expected in client.asked, (expected, client.asked)


def test_a_failure_is_told(client, tmp_path):
    tracker = MlflowTracker()
    tracker.synthkit_experiment_began(TrackedExperiment("Which?", tmp_path, {}))
    step = TrackedStep("1", "train", "on a", tmp_path, {})
    tracker.synthkit_step_began(step)
    tracker.synthkit_step_ended(step, {}, "no memory")
    assert ("set_tag", "run of train on a", "synthkit.error", "no memory") in client.asked
    assert client.asked[-1] == ("set_terminated", "run of train on a", "FAILED")
