# SPDX-License-Identifier: Apache-2.0
"""Running a plan's steps: each in a process of its own, as many at once as processors and memory allow."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit.dataset import storage
from synthkit.experiments.estimate import duration
from synthkit.experiments.history import History
from synthkit.experiments.steps import LOG_FILE, ORDER_FILE, Step, done, order_of
from synthkit.experiments.tracking import Trackers
from synthkit.interfaces import Progress, silent

_UNKNOWN_MB = 1500.0
"""Memory that a step is taken to need of which nothing is known; a small training with torch takes about half."""

_POLL_S = 0.5
_STAGE = "steps"


@attrs.frozen
class Budget:
    """What steps may take together: processors, and megabytes of memory."""

    cores: int
    memory_mb: float


@attrs.frozen
class Outcome:
    """What became of the steps: why each that failed did, and which could not be begun because of these."""

    failed: Mapping[str, str]
    kept_back: Sequence[str]


def run(
    steps: Mapping[str, Step],
    out: Path,
    budget: Budget,
    history: History,
    trackers: Trackers,
    *,
    progress: Progress = silent,
    tell: Callable[[str], None] = print,
) -> Outcome:
    """Do all steps that are not done yet, in an experiment's folder.

    A step that fails stops those that need it, and no others. An interrupt ends the running ones, of which trainings
    first finish the step they are at; a second one ends them at once.

    Args:
        steps: by id, each after those it needs.
    """
    return _Run(steps, out, budget, history, trackers, progress, tell).all()


@attrs.define(eq=False)
class _Working:
    """A step's process, and what it said last."""

    step: Step
    process: subprocess.Popen[bytes]
    memory_mb: float
    cores: int
    said: str = ""
    error: str = ""


class _Run:
    def __init__(
        self,
        steps: Mapping[str, Step],
        out: Path,
        budget: Budget,
        history: History,
        trackers: Trackers,
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self._steps, self._out, self._budget, self._history = steps, out, budget, history
        self._trackers, self._progress, self._tell = trackers, progress, tell
        self._done = {key for key, step in steps.items() if done(out, step) is not None}
        self._failed: dict[str, str] = {}
        self._waiting = [step for key, step in steps.items() if key not in self._done]
        self._working: dict[str, _Working] = {}
        self._heard: queue.Queue[tuple[str, dict[str, Any] | None]] = queue.Queue()

    def all(self) -> Outcome:
        try:
            while self._begin() or self._working:
                self._show()
                self._listen()
                self._trackers.listen()
        except BaseException:
            self._stop()
            raise
        self._show()
        return Outcome(self._failed, [step.id for step in self._waiting])

    def _begin(self) -> bool:
        """Begin what can be; return whether anything was begun."""
        begun = False
        for step in list(self._waiting):
            if all(need in self._done for need in step.needs) and self._fits(step):
                self._waiting.remove(step)
                self._start(step)
                begun = True
        return begun

    def _fits(self, step: Step) -> bool:
        """Tell whether processors and memory are left for a step; alone each may run."""
        if not self._working:
            return True
        cores = self._free_cores() >= min(step.cores, self._budget.cores)
        taken = sum(one.memory_mb for one in self._working.values())
        return cores and taken + self._memory(step) <= self._budget.memory_mb

    def _free_cores(self) -> int:
        return self._budget.cores - sum(one.cores for one in self._working.values())

    def _memory(self, step: Step) -> float:
        cost = self._history.cost(step)
        return _UNKNOWN_MB if cost is None else cost.peak_mb

    def _workers(self, step: Step) -> int:
        """Return how many processes a step's own work may be spread over; its result does not depend on it.

        What renders and refines shares the free processors with what could begin beside it.
        """
        if step.kind not in ("render", "refine"):
            return 1
        ready = sum(all(need in self._done for need in one.needs) for one in self._waiting)
        return max(1, self._free_cores() // (1 + ready))

    def _start(self, step: Step) -> None:
        folder = self._out / step.folder
        with storage.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        storage.write_atomically(folder / ORDER_FILE, [order_of(step)])
        workers = self._workers(step)
        listening, speaking = os.pipe()
        command = [sys.executable, "-m", "synthkit.experiments.worker", str(self._out), str(folder), str(workers),
                   str(speaking)]  # fmt: skip
        with (folder / LOG_FILE).open("ab") as log:
            # In a session of its own Ctrl-C does not reach it: this process decides what an interrupt means.
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[speaking],
                                       start_new_session=True)  # fmt: skip
        os.close(speaking)
        self._working[step.id] = _Working(step, process, self._memory(step), max(step.cores, workers))
        self._trackers.step_began(step)
        threading.Thread(target=self._relay, args=(step.id, listening), daemon=True).start()

    def _relay(self, key: str, listening: int) -> None:
        """Queue what a process says, and None at its end."""
        with os.fdopen(listening, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                with contextlib.suppress(ValueError):
                    self._heard.put((key, json.loads(line)))
        self._heard.put((key, None))

    def _listen(self) -> None:
        """Take what processes say, for a moment."""
        with contextlib.suppress(queue.Empty):
            key, said = self._heard.get(timeout=_POLL_S)
            while True:
                self._take(key, said)
                key, said = self._heard.get_nowait()

    def _take(self, key: str, said: dict[str, Any] | None) -> None:
        working = self._working[key]
        if said is None:
            self._end(working)
        elif "error" in said:
            working.error = str(said["error"])
        elif "tell" in said:
            self._tell(f"{working.step.title}: {said['tell']}")
        elif said.get("total"):
            working.said = f" {said['done']}/{said['total']}"

    def _end(self, working: _Working) -> None:
        step, status = working.step, working.process.wait()
        del self._working[step.id]
        assert working.process.stdin is not None
        working.process.stdin.close()
        found = done(self._out, step)
        if found is not None:
            self._done.add(step.id)
            self._history.note(step, found)
            self._trackers.step_ended(step, found, "")
            self._tell(f"done: {step.title} ({duration(found.seconds)})")
            return
        ended = f"signal {-status}" if status < 0 else f"exit code {status}"
        reason = working.error or f"its process ended with {ended}; see {self._out / step.folder / LOG_FILE}"
        self._failed[step.id] = reason
        self._trackers.step_ended(step, None, reason)
        self._tell(f"failed: {step.title}: {reason}")

    def _show(self) -> None:
        now = "; ".join(f"{one.step.title}{one.said}" for one in self._working.values())
        self._progress(_STAGE, len(self._done), len(self._steps), now)

    def _stop(self) -> None:
        """End all processes: gently, and when interrupted again at once."""
        try:
            for one in self._working.values():
                one.process.send_signal(signal.SIGINT)
            if self._working:
                self._tell("stopping: steps end where they can go on from; once more ends them at once")
            for one in self._working.values():
                one.process.wait()
        except BaseException:
            for one in self._working.values():
                one.process.kill()
            raise
