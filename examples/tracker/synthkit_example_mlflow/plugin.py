# SPDX-License-Identifier: Apache-2.0
"""A tracker that tells MLflow of an experiment: a run for each training, and one for what came of it all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import TrackedExperiment, TrackedStep

_TRAININGS = ("fit", "train")
_LONGEST_VALUE = 500  # of a parameter that MLflow takes


class MlflowTracker:
    """Follows experiments; several steps run at once, so runs are addressed by their ids and none is the active one."""

    def __init__(self) -> None:
        self._client: Any = None
        self._experiment_id = ""
        self._runs: dict[str, str] = {}

    @hookimpl
    def synthkit_experiment_began(self, experiment: TrackedExperiment) -> None:
        """Find the experiment of that title, or make it."""
        import mlflow  # here, as plugins are imported by every command

        self._client = mlflow.MlflowClient()
        known = self._client.get_experiment_by_name(experiment.title)
        self._experiment_id = known.experiment_id if known else self._client.create_experiment(experiment.title)

    @hookimpl
    def synthkit_step_began(self, step: TrackedStep) -> None:
        """Begin a run for a training, with the settings that decide about it."""
        if step.kind in _TRAININGS:
            run_id = self._new_run(f"{step.kind} {step.label}", {"synthkit.step": step.id})
            self._runs[step.id] = run_id
            for name, value in _flat(step.settings):
                self._client.log_param(run_id, name, value[:_LONGEST_VALUE])

    @hookimpl
    def synthkit_curves(self, step: TrackedStep, line: Mapping[str, float]) -> None:
        """Log a line of a training's curves."""
        for name, value in line.items():
            if name != "step" and step.id in self._runs:
                self._client.log_metric(self._runs[step.id], _allowed(name), value, step=int(line["step"]))

    @hookimpl
    def synthkit_step_ended(self, step: TrackedStep, result: Mapping[str, Any], error: str) -> None:
        """End a training's run."""
        run_id = self._runs.pop(step.id, None)
        if run_id is not None:
            for name in ("seconds", "peak_mb", "bytes"):
                if name in result:
                    self._client.log_metric(run_id, name, result[name])
            if error:
                self._client.set_tag(run_id, "synthkit.error", error)
            self._client.set_terminated(run_id, "FAILED" if error else "FINISHED")

    @hookimpl
    def synthkit_experiment_ended(self, results: Mapping[str, Any], report: Path | None) -> None:
        """End all runs, and log the scores and the report as a run of their own."""
        for run_id in self._runs.values():
            self._client.set_terminated(run_id, "KILLED")
        self._runs.clear()
        if report is not None:
            run_id = self._new_run("report", {})
            for row in results["rows"]:
                for name, number in row["numbers"].items():
                    self._client.log_metric(
                        run_id, _allowed(f"{row['label']}/{row['detector']}/{name}"), number["mean"]
                    )
            self._client.log_artifact(run_id, str(report))
            self._client.set_terminated(run_id)

    def _new_run(self, name: str, tags: Mapping[str, str]) -> str:
        return str(self._client.create_run(self._experiment_id, run_name=name, tags=dict(tags)).info.run_id)


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of settings in tables in one another."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield _allowed(f"{path}{key}"), str(value)


def _allowed(name: str) -> str:
    """Return a name of letters that MLflow allows."""
    return re.sub(r"[^\w. /-]+", "_", name)


tracker = MlflowTracker()
