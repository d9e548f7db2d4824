# SPDX-License-Identifier: Apache-2.0
"""One worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthkit.execution.channel import Unpacker, pack
from synthkit.execution.jobs import JobSpec

_CHUNK_BYTES = 1 << 16
_TAIL_BYTES = 4000
_SHOWN_LINES = 4
_GRACE_S = 10.0
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment variables that tell native libraries how many threads they may use."""
    return {name: str(threads) for name in _THREAD_VARIABLES}


class WorkerProcess:
    """A running worker: its process, its socket, the task it has, and the last it wrote to stderr.

    Args:
        job: what it runs. threads: how many threads its libraries may use.
    """

    def __init__(self, job: JobSpec, threads: int) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "synthkit._worker", str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                env=_environment(threads),
                start_new_session=True,  # the terminal's interrupt is for the parent alone
            )
        assert self._process.stderr is not None
        self.stderr = self._process.stderr
        os.set_blocking(self.stderr.fileno(), False)
        self._unpacker = Unpacker()
        self._tail = b""
        self.ready = False
        self.task: int | None = None
        self.since = time.monotonic()
        self._send({"target": job.target, "arguments": dict(job.arguments)})

    def give(self, task: int) -> None:
        """Hand the worker its next task."""
        self.task, self.since = task, time.monotonic()
        self._send({"task": task})

    def receive(self) -> list[Any] | None:
        """Return the messages that arrived; None when the worker is gone."""
        try:
            data = self.channel.recv(_CHUNK_BYTES)
        except ConnectionResetError:
            data = b""
        return self._unpacker.feed(data) if data else None

    def drain_stderr(self) -> bool:
        """Keep the end of what the worker wrote to stderr; return whether there may be more."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.stderr.fileno(), _CHUNK_BYTES)
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
        return bool(data)

    def kill(self) -> str:
        """End the worker at once and return how it ended, with its last words."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return self._reap()

    def died(self) -> str:
        """Return how a worker ended that is already gone, with its last words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        return self.kill()

    def close(self, *, patient: bool) -> None:
        """Ask the worker to finish, wait for it when ``patient``, and see that it is gone."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + (_GRACE_S if patient else 0.5)
        while self._process.poll() is None and time.monotonic() < deadline:
            self.drain_stderr()
            time.sleep(0.005)
        self.kill()

    def _reap(self) -> str:
        code = self._process.wait()
        while self.drain_stderr():
            pass
        self.channel.close()
        self.stderr.close()
        lines = self._tail.decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        words = f"; its last words: {' | '.join(lines)}" if lines else ""
        return f"{_how(code)}{words}"

    def _send(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # receive() will tell
            self.channel.sendall(pack(message))


def _how(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (the system may have run out of memory)" if -code == signal.SIGKILL else ""
        return f"was ended by {name}{hint}"
    return f"ended with code {code}"


def _environment(threads: int) -> Mapping[str, str]:
    # The worker imports what its parent can, and nothing from the folder it happens to be started in.
    paths = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if not entry.endswith(".zip"))
    return {**os.environ, **thread_variables(threads), "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
