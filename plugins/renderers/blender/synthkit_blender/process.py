# SPDX-License-Identifier: Apache-2.0
"""One worker process: messages in and out with deadlines, its memory watched, the end of its log kept."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from synthkit_blender import wire
from synthkit_blender.scratch import ScratchFolder

LOG_LINES = 60
PIPE_BYTES = 1 << 20  # of requests of some 8 MB: fewer turns between sender and worker
LOOK_EVERY_S = 0.2  # at the memory of a worker that computes


class FrameFailed(Exception):
    """A frame could not be rendered; the message says why."""


class WorkerProcess:
    """A running worker.

    Blender makes a folder for the session when it is loaded and deletes it only on a clean exit, which a worker
    never has; so its temporary files get a folder that goes with it.

    Args:
        command: what starts it; its process id of a parent and its pipes' descriptors are added.
        environment: its variables. memory_mb: resident memory that it may not exceed.

    Raises:
        OSError: when there is no such program.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], memory_mb: float) -> None:
        self._memory_mb = memory_mb
        self._scratch = ScratchFolder()
        its_in, self._in = os.pipe()
        self._out, its_out = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [*command, str(os.getpid()), str(its_in), str(its_out)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**environment, "PYTHONUNBUFFERED": "1", "TMPDIR": str(self._scratch.path)},
                pass_fds=(self._scratch.handle, its_in, its_out),
            )
        except OSError:
            self._close_pipes()
            self._scratch.remove()
            raise
        finally:
            os.close(its_in)
            os.close(its_out)
        assert self._popen.stdout is not None
        os.set_blocking(self._in, False)
        with contextlib.suppress(AttributeError, OSError):  # Linux has larger pipes for whom it allows them
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._out, False)
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._drain = threading.Thread(target=_keep_tail, args=(self._popen.stdout, self._log), daemon=True)
        self._drain.start()
        self.pid = self._popen.pid

    @property
    def folder(self) -> Path:
        """Where its temporary files are."""
        return self._scratch.path

    def send(self, pieces: Sequence[memoryview], deadline: float) -> None:
        """Write a message.

        Raises:
            FrameFailed: when it is not taken before ``deadline`` (``time.monotonic``), or the worker ends.
        """
        for view in pieces:
            while view:
                self._wait(self._in, selectors.EVENT_WRITE, deadline)
                try:
                    view = view[os.write(self._in, view[: 1 << 20]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise FrameFailed(self._ending()) from None

    def receive(self, deadline: float) -> dict[str, Any]:
        """Read a message.

        Raises:
            FrameFailed: when it has not come before ``deadline``, makes no sense, or the worker ends or takes more
                memory than it may.
        """
        try:
            return wire.decode(self._read(wire.header_length(self._read(wire.PREFIX.size, deadline)), deadline))
        except wire.ProtocolError as error:
            raise FrameFailed(f"the worker's answer makes no sense: {error}") from None

    def close(self) -> None:
        """Kill the process and reap it; it keeps nothing that is worth a farewell."""
        self._popen.kill()
        self._popen.wait()
        self._close_pipes()
        self._scratch.remove()
        self._drain.join(timeout=5)
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def log_tail(self) -> str:
        """Return the end of the log, to stand behind a message."""
        self._drain.join(timeout=0.2)
        tail = " | ".join(line for line in list(self._log)[-6:] if line)
        return f" (its log ends: {tail})" if tail else ""

    def _close_pipes(self) -> None:
        os.close(self._in)
        os.close(self._out)

    def _read(self, count: int, deadline: float) -> bytes:
        chunks = bytearray()
        while len(chunks) < count:
            self._wait(self._out, selectors.EVENT_READ, deadline)
            try:
                chunk = os.read(self._out, min(count - len(chunks), 1 << 20))
            except BlockingIOError:
                continue
            if not chunk:
                raise FrameFailed(self._ending())
            chunks += chunk
        return bytes(chunks)

    def _wait(self, handle: int, event: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, event)
            while (left := deadline - time.monotonic()) > 0:
                if selector.select(min(left, LOOK_EVERY_S)):
                    return
                if resident_mb(self.pid) > self._memory_mb:
                    # The amount itself differs from run to run, and reasons stand in records.
                    raise FrameFailed(f"the worker took more than worker.memory_mb={self._memory_mb:g} allows")
        raise FrameFailed("the worker took longer than worker.timeout_s allows")

    def _ending(self) -> str:
        try:
            status = self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the worker closed its pipe"
        return f"the worker ended with status {status}{self.log_tail()}"


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB, 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _keep_tail(stream: IO[bytes], log: collections.deque[str]) -> None:
    for line in iter(stream.readline, b""):
        log.append(line.decode(errors="replace").strip()[:300])
