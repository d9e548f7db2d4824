# SPDX-License-Identifier: Apache-2.0
"""The worker process as seen from here: started, watched, timed out, recycled, replaced."""

from __future__ import annotations

import collections
import os
import re
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import attrs

from synthkit.errors import WorkError
from synthkit_blender import wire
from synthkit_blender.scratch import ScratchFolder
from synthkit_blender.wire import Array

MODULE = "synthkit_blender_worker"
START_TIMEOUT_S = 120.0
ATTEMPTS = 2
PROTOCOL = 4  # of requests and replies: raised when either changes, on both sides
LOG_LINES = 60
INSTALL = "pip install -e plugins/renderers/blender/worker"
LINUX_LIBRARIES = "libgl1 libsm6 libice6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1"


class FrameFailed(Exception):
    """A frame could not be rendered; the message says why."""


class StartFailed(FrameFailed):
    """A worker ended, or said nothing, before it was ready."""


@attrs.frozen(eq=False)
class Reply:
    """What the worker answered: passes with their layers, stage times in seconds, resident memory in MB."""

    passes: Mapping[str, Mapping[str, Array]]
    timings: Mapping[str, float]
    resident_mb: float


class WorkerClient:
    """Renders frames in a process of its own, a fresh one whenever that is needed.

    Args:
        python: interpreter that has the worker distribution; None for the running one.
        timeout_s: per frame. recycle_after: frames per process.

    On Linux a worker ends with the thread that started it, so that thread must live as long as the client.
    """

    def __init__(self, python: Path | None, timeout_s: float, recycle_after: int) -> None:
        self._python = str(python or sys.executable)
        self._timeout_s = timeout_s
        self._recycle_after = recycle_after
        self._process: _Process | None = None
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The worker's process id, while one runs."""
        return self._process.pid if self._process else None

    def render(self, header: Mapping[str, Any], arrays: Sequence[Array]) -> Reply:
        """Render one request.

        Raises:
            FrameFailed: after two tries that ended in a crash, a time-out or an error of Blender's.
            WorkError: when Blender cannot run here at all: it says so, or no try got a worker started.
        """
        pieces = wire.encode(header, arrays)
        failures: list[FrameFailed] = []
        for _ in range(ATTEMPTS):
            try:
                return self._ask(self._running(), pieces)
            except FrameFailed as error:
                failures.append(error)
                self.stop()
        reasons = "; then ".join(dict.fromkeys(map(str, failures)))
        if all(isinstance(failure, StartFailed) for failure in failures):
            raise WorkError(f"blender worker: it did not start: {reasons}")
        raise FrameFailed(reasons)

    def stop(self) -> None:
        """End the worker, if one runs."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _running(self) -> _Process:
        if self._process is not None and self._frames >= self._recycle_after:
            self.stop()
        if self._process is None:
            self._process = _Process(self._python)
            self._frames = 0
            try:
                self._greet(self._process)
            except BaseException:
                self.stop()
                raise
        return self._process

    def _greet(self, process: _Process) -> None:
        """Wait until Blender is loaded; what stands in the way is told with its remedy."""
        try:
            hello, _ = process.receive(time.monotonic() + START_TIMEOUT_S)
        except FrameFailed as error:
            log = process.log_tail()
            if re.search(rf"No module named '?{MODULE}\b", log):
                raise WorkError(f"blender worker: {self._python} has no {MODULE}; {_install_remedy()}") from None
            raise StartFailed(str(error)) from None
        if hello.get("type") != "hello":
            remedy = _library_remedy() if hello.get("kind") == "libraries" else _install_remedy()
            reason = f"Blender cannot be loaded by {self._python}: {hello.get('message')}"
            raise WorkError(f"blender worker: {reason}; {remedy}")
        if hello.get("protocol") != PROTOCOL:
            reason = f"the worker of {self._python} speaks protocol {hello.get('protocol')}, expected {PROTOCOL}"
            raise WorkError(f"blender worker: {reason}; {_install_remedy()}")

    def _ask(self, process: _Process, pieces: list[bytes]) -> Reply:
        deadline = time.monotonic() + self._timeout_s
        process.send(pieces, deadline)
        header, arrays = process.receive(deadline)
        if header.get("type") != "frames":
            raise FrameFailed(f"blender reported: {header.get('message')}{process.log_tail()}")
        self._frames += 1
        try:
            names = [(one["name"], layer) for one in header["passes"] for layer in one["layers"]]
            passes: dict[str, dict[str, Array]] = {name: {} for name, _ in names}
            for (name, layer), array in zip(names, arrays, strict=True):
                passes[name][layer] = array
            timings = {str(name): float(seconds) for name, seconds in header["timings"].items()}
            return Reply(passes, timings, float(header["resident_mb"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FrameFailed(f"the worker's answer makes no sense: {error!r}") from None


class _Process:
    """One worker: bytes in and out with deadlines, and the end of its log.

    Blender makes a folder for the session when it is loaded and deletes it only on a clean exit, which a worker
    never has; so its temporary files get a folder that goes with it.
    """

    def __init__(self, python: str) -> None:
        self._scratch = ScratchFolder()
        try:
            self._popen = subprocess.Popen(
                [python, "-m", MODULE, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(self._scratch.path)},
                pass_fds=(self._scratch.handle,),
            )
        except OSError as error:
            self._scratch.remove()
            raise WorkError(f"blender worker: {python} cannot be started: {error.strerror}") from None
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._drain = threading.Thread(target=_keep_tail, args=(self._popen.stderr, self._log), daemon=True)
        self._drain.start()
        self.pid = self._popen.pid

    def send(self, pieces: list[bytes], deadline: float) -> None:
        """Write a message."""
        for piece in pieces:
            view = memoryview(piece)
            while view:
                self._wait(self._in, selectors.EVENT_WRITE, deadline)
                try:
                    view = view[os.write(self._in, view[: 1 << 20]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise FrameFailed(self._ending()) from None

    def receive(self, deadline: float) -> tuple[dict[str, Any], list[Array]]:
        """Read a message."""
        try:
            header_length, body_length = wire.lengths(self._read(wire.PREFIX.size, deadline))
            return wire.decode(self._read(header_length, deadline), self._read(body_length, deadline))
        except wire.ProtocolError as error:
            raise FrameFailed(f"the worker's answer makes no sense: {error}") from None

    def close(self) -> None:
        """Kill the process and reap it; it keeps nothing that is worth a farewell."""
        self._popen.kill()
        self._popen.wait()
        self._scratch.remove()
        self._drain.join(timeout=5)
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                _close_quietly(pipe)

    def log_tail(self) -> str:
        """Return the end of the log, to stand behind a message."""
        self._drain.join(timeout=0.2)
        tail = " | ".join(line for line in list(self._log)[-6:] if line)
        return f" (its log ends: {tail})" if tail else ""

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
        left = deadline - time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(handle, event)
            if left <= 0 or not selector.select(left):
                raise FrameFailed("the worker took longer than worker.timeout_s allows")

    def _ending(self) -> str:
        try:
            status = self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "the worker closed its pipe"
        return f"the worker ended with status {status}{self.log_tail()}"


def _keep_tail(stream: IO[bytes], log: collections.deque[str]) -> None:
    for line in iter(stream.readline, b""):
        log.append(line.decode(errors="replace").strip()[:300])


def _close_quietly(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was left to flush has nobody to go to


def _install_remedy() -> str:
    return f"install the worker there, in the folder of synthkit's sources: {INSTALL}"


def _library_remedy() -> str:
    if sys.platform.startswith("linux"):
        return f"on Debian or Ubuntu run: apt-get install -y {LINUX_LIBRARIES}"
    return _install_remedy()
