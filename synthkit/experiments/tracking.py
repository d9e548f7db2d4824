# SPDX-License-Identifier: Apache-2.0
"""Telling plugins of an experiment as it goes; none of them can stop it or hold it up, nor change what comes of it."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthkit import config
from synthkit.experiments.planning import Plan
from synthkit.experiments.steps import TRAINING, Done, Step
from synthkit.interfaces import TrackedExperiment, TrackedStep
from synthkit.plugins import Registry

_CURVES = "curves.jsonl"
_MOST_WAITING = 10_000  # things told that a plugin has not taken yet
_LAST_WORDS_S = 30.0  # that the end of an experiment waits for plugins


class Trackers:
    """The chosen plugins that follow an experiment.

    Args:
        tell: takes lines for the user, such as why one is left out.

    Raises:
        PluginError: when a plugin is unknown, or follows nothing.
    """

    def __init__(self, registry: Registry, plan: Plan, out: Path, tell: Callable[[str], None]) -> None:
        names = plan.experiment.trackers
        self._registry, self._tell = registry, tell
        self._followers = [_Follower(name, registry, registry.tracker(name)) for name in names]
        self._experiment = TrackedExperiment(plan.experiment.title, out, config.plain(plan.experiment))
        self._out = out
        self._working: dict[str, tuple[TrackedStep, _Tail]] = {}

    def experiment_began(self) -> None:
        """Tell that it begins."""
        self._call("synthkit_experiment_began")

    def step_began(self, step: Step) -> None:
        """Tell that a step begins."""
        folder = self._out / step.folder
        settings = copy.deepcopy(dict(step.identity))  # which they may change, and what decides about a step must not
        told = TrackedStep(step.id, step.kind, step.label, folder, settings)
        self._working[step.id] = told, _Tail(folder / TRAINING / _CURVES)
        self._call("synthkit_step_began", step=told)

    def listen(self) -> None:
        """Tell what trainings wrote since it was called last."""
        self._leave_out()
        if self._followers:
            for step, tail in self._working.values():
                self._relay(step, tail)

    def step_ended(self, step: Step, done: Done | None, error: str) -> None:
        """Tell that a step ended, and how."""
        told, tail = self._working.pop(step.id)
        self._relay(told, tail)
        result: dict[str, Any] = {}
        if done is not None:
            result = {**done.result, "seconds": done.seconds, "peak_mb": done.peak_mb, "bytes": done.bytes}
        self._call("synthkit_step_ended", step=told, result=result, error=error)

    def experiment_ended(self, results: Mapping[str, Any], report: Path | None) -> None:
        """Tell what came of it, and wait a while until all is heard."""
        self._call("synthkit_experiment_ended", results=copy.deepcopy(dict(results)), report=report)
        self.close()

    def close(self) -> None:
        """Wait a while until all is heard that was told; nothing is told any more."""
        end = time.monotonic() + _LAST_WORDS_S
        for one in self._followers:
            one.close()
        for one in self._followers:
            one.wait(max(0.0, end - time.monotonic()))
        self._leave_out()
        self._followers.clear()

    def _relay(self, step: TrackedStep, tail: _Tail) -> None:
        for line in tail.lines():
            self._call("synthkit_curves", step=step, line=line)

    def _call(self, hook: str, **told: Any) -> None:
        for one in self._followers:
            one.hear(hook, {"experiment": self._experiment, **told})
        self._leave_out()

    def _leave_out(self) -> None:
        """Leave out the plugins that failed."""
        for one in [one for one in self._followers if one.failed]:
            self._followers.remove(one)
            self._tell(f"tracker {one.name!r} is left out from now on: {one.failed}")


class _Follower:
    """A plugin that hears, one after the other, what is told: in a thread of its own, for which nothing waits."""

    def __init__(self, name: str, registry: Registry, plugin: Any) -> None:
        self.name, self.failed = name, ""
        self._registry, self._plugin = registry, plugin
        self._told: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def hear(self, hook: str, told: dict[str, Any]) -> None:
        """Tell it something."""
        try:
            self._told.put_nowait((hook, told))
        except queue.Full:
            self.failed = self.failed or f"{_MOST_WAITING} things wait for it to take them"

    def close(self) -> None:
        """Let it end when it has heard all."""
        with contextlib.suppress(queue.Full):
            self._told.put_nowait(None)

    def wait(self, most_s: float) -> None:
        """Wait until it has ended, at most so long."""
        self._thread.join(most_s)
        if self._thread.is_alive():
            self.failed = self.failed or "it does not come to an end"

    def _work(self) -> None:
        while (item := self._told.get()) is not None and not self.failed:
            hook, told = item
            try:
                self._registry.call(self._plugin, hook, **told)
            except (Exception, SystemExit) as error:  # a stranger's code, which must not cost the experiment anything
                self.failed = f"{type(error).__name__}: {error}"


class _Tail:
    """The lines that are added to a file of curves, each once.

    A training that goes on drops what it wrote after its state, and writes it again.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._told: dict[tuple[str, ...], float] = {}  # the last step, by the names in the line

    def lines(self) -> Sequence[Mapping[str, float]]:
        """Return those since it was called last."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._read - 1))
                if self._read and file.read(1) != b"\n":  # shorter than it was, or written anew
                    self._read = file.seek(0)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [row for line in whole.splitlines() if self._is_new(row := _row(line))]

    def _is_new(self, row: Mapping[str, float]) -> bool:
        if "step" not in row or row["step"] <= self._told.get(tuple(row), -math.inf):
            return False
        self._told[tuple(row)] = row["step"]
        return True


def _row(line: bytes) -> Mapping[str, float]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    numbers = row.items() if isinstance(row, dict) else ()
    return {key: float(value) for key, value in numbers if isinstance(value, int | float)}
