# SPDX-License-Identifier: Apache-2.0
"""Jobs that go wrong in every way a job can."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.execution.jobs import steps


class Job:
    """Doubles its task, unless it is told to go wrong at one of them.

    ``mode`` says how; ``folder`` is for notes that outlive the process.
    """

    def __init__(self, mode="well", at=3, folder=None):
        self.mode, self.at, self.folder = mode, at, Path(folder) if folder else None
        if mode == "wrong settings":
            raise ConfigError(["a: wrong", "b: wrong too"])

    def __enter__(self):
        if self.mode == "cannot enter":
            raise RuntimeError("no entry")
        if self.mode == "dies entering":
            print("last words", file=sys.stderr, flush=True)
            os._exit(7)
        self._note("enter")
        return self

    def __exit__(self, *_):
        self._note("exit")

    def __call__(self, task):
        print("this must not disturb the messages")
        os.write(1, b"\x00\x01 nor this\n")
        if task == self.at:
            self._note(f"task{task}-")
            self._misbehave()
        return {"double": task * 2, "threads": os.environ.get("OMP_NUM_THREADS")}

    def _misbehave(self):
        match self.mode:
            case "killed" | "killed once":
                if self.mode == "killed" or len(list(self.folder.glob("task*"))) == 1:
                    print("out of memory, or so", file=sys.stderr, flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
            case "mistake":
                raise ValueError("a mistake")
            case "users":
                raise DatasetError("the user can mend this")
            case "weights":
                raise WeightsError("other weights")
            case "slow":
                time.sleep(60)
            case "chatty":
                os.write(2, b"x" * 1_000_000)
            case "exit":
                sys.exit(5)
            case "odd":
                return object()
        return None

    def _note(self, what):
        if self.folder:
            (self.folder / f"{what}{os.getpid()}.{time.monotonic_ns()}").touch()


class LongJob(Job):
    """Has steps, before each of which it pauses; returns how many."""

    def __init__(self, pauses, **arguments):
        super().__init__(**arguments)
        self.pauses = pauses

    def __call__(self, task):
        for done, pause_s in enumerate(self.pauses, 1):
            time.sleep(pause_s)
            steps.get()(done)
        return len(self.pauses)


class OddJob(Job):
    """Returns what cannot travel."""

    def __call__(self, task):
        return object() if task == self.at else task


class BigJob(Job):
    """Returns much."""

    def __call__(self, task):
        return "x" * 3_000_000 + str(task)
