# SPDX-License-Identifier: Apache-2.0
"""What a process of a Ray cluster runs: a task of a job that stays entered for the tasks that follow."""

from __future__ import annotations

import atexit
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from synthkit.execution.jobs import JobSpec, error_to_plain, steps


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
    """The one job that is entered in this process."""

    def __init__(self) -> None:
        self._run: str | None = None
        self._stack = ExitStack()
        self._job: Any = None
        atexit.register(self._stack.close)

    def job(self, target: str, arguments: Mapping[str, Any], run: str) -> Any:
        """Return the job of a run, entered; another one that was is left first."""
        if run != self._run:
            self._run, self._job = None, None
            self._stack.close()
            self._job = self._stack.enter_context(JobSpec(target, arguments).build())
            self._run = run
        return self._job


_warm = _Warm()


def do(job: tuple[str, Mapping[str, Any], str], task: int, heard: Any) -> dict[str, Any]:
    """Do one task; return its ``result`` or ``error``, and whether the job could be ``begun``.

    Args:
        job: its target, its arguments, and a name of the run that no other run has.
        heard: handle of the ``Heard`` actor.
    """
    begun = False
    token = steps.set(lambda done: heard.note.remote(task, done))
    try:
        entered = _warm.job(*job)
        begun = True
        return {"result": entered(task), "begun": begun}
    except Exception as error:  # whatever it is, the driver must hear of it
        plain = error_to_plain(error)
        if plain["class"] is not None:
            plain["message"] += f" (on {socket.gethostname()})"
        return {"error": plain, "begun": begun}
    finally:
        steps.reset(token)
