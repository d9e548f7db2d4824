# SPDX-License-Identifier: Apache-2.0
"""What a process of a Ray cluster runs: a task of a job that stays entered for the tasks that follow."""

from __future__ import annotations

import atexit
import socket
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from synthkit.execution.jobs import Done, Failed, JobSpec, error_to_plain
from synthkit.execution.local import Local


class Heard:
    """An actor that keeps how many steps of each task are done."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def note(self, task: int, done: int) -> None:
        """Keep where a task is."""
        self._done[task] = done

    def fresh(self) -> dict[int, int]:
        """Return what was noted since the last call."""
        noted, self._done = self._done, {}
        return noted


class _Warm:
    """The one run whose job is entered: in this process, or in another one where there is a time limit."""

    def __init__(self) -> None:
        self._run: str | None = None
        self._outcomes: Generator[Done | Failed, None, None] | None = None
        self._task = 0
        self._listener: Any = None
        atexit.register(self.leave)

    def outcome(self, run: str, job: JobSpec, timeout_s: float | None, task: int, listener: Any) -> Done | Failed:
        """Do a task; the job of another run is left first.

        Raises:
            Exception: what the job raised while it was begun, or, of a task, what the user can mend.
        """
        self._task, self._listener = task, listener
        if run != self._run or self._outcomes is None:
            self.leave()
            executor = Local(workers=0 if timeout_s is None else 1, timeout_s=timeout_s)
            self._run, self._outcomes = run, executor.run(job, self._asked(), self._heard)
        try:
            return next(self._outcomes)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Leave the job."""
        outcomes, self._run, self._outcomes = self._outcomes, None, None
        if outcomes is not None:
            outcomes.close()

    def _asked(self) -> Iterator[int]:
        while True:
            yield self._task

    def _heard(self, task: int, done: int) -> None:
        self._listener.note.remote(task, done)


_warm = _Warm()


def do(job: tuple[str, Mapping[str, Any], str, float | None], task: int, listener: Any) -> dict[str, Any]:
    """Do one task; return its ``result``, why it ``failed``, or the ``error`` that ends the run.

    Args:
        job: its target, its arguments, a name of the run that no other run has, and the time limit of its steps.
        listener: handle of the ``Heard`` actor.
    """
    target, arguments, run, timeout_s = job
    try:
        outcome = _warm.outcome(run, JobSpec(target, arguments), timeout_s, task, listener)
    except Exception as error:  # whatever it is, the driver must hear of it
        plain = error_to_plain(error)
        if plain["class"] is not None:
            plain["message"] += f" (on {socket.gethostname()})"
        return {"error": plain}
    return {"failed": outcome.reason} if isinstance(outcome, Failed) else {"result": outcome.result}
