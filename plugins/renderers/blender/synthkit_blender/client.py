# SPDX-License-Identifier: Apache-2.0
"""The worker as seen from here: started, watched, recycled, replaced, its answers read."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit.errors import WorkError
from synthkit_blender import launch, wire
from synthkit_blender.config import WorkerConfig
from synthkit_blender.exr import read_layers
from synthkit_blender.process import FrameFailed, WorkerProcess
from synthkit_blender.wire import Array

START_TIMEOUT_S = 120.0
ATTEMPTS = 2
PROTOCOL = 9  # of requests and replies: raised when either changes, on both sides
OLDEST_BLENDER = (4, 5)


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

    On Linux a worker ends with the thread that started it, so that thread must live as long as the client.
    """

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._process: WorkerProcess | None = None
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

    def render(
        self, header: Mapping[str, Any], arrays: Sequence[Array], meanwhile: Callable[[], object] | None = None
    ) -> Reply:  # fmt: skip
        """Render one request.

        Args:
            meanwhile: work to do while the worker builds the scene, which it does on one core.

        Raises:
            FrameFailed: after two tries that ended in a crash, a time-out, too much memory or an error of Blender's.
            WorkError: when Blender cannot run here at all: it says so, no try got a worker started, or there is no
                such device as was asked for.
        """
        pieces = wire.encode(header, arrays)
        failures: list[FrameFailed] = []
        for _ in range(ATTEMPTS):
            try:
                return self._ask(self._running(), pieces, meanwhile)
            except FrameFailed as error:
                failures.append(error)
                self.stop()
            except BaseException:
                self.stop()  # its answer would be taken for that to the next request
                raise
        reasons = "; then ".join(dict.fromkeys(map(str, failures)))
        if all(isinstance(failure, StartFailed) for failure in failures):
            remedy = launch.start_remedy(self._config)
            raise WorkError(f"blender worker: {launch.program(self._config)} did not start it: {reasons}; {remedy}")
        raise FrameFailed(reasons)

    def stop(self) -> None:
        """End the worker, if one runs."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _running(self) -> WorkerProcess:
        if self._process is not None and self._frames >= self._config.recycle_after:
            self.stop()
        if self._process is None:
            command, environment = launch.command(self._config), launch.environment(self._config)
            try:
                self._process = WorkerProcess(command, environment, self._config.memory_mb)
            except OSError as error:
                reason = f"{command[0]} cannot be started: {error.strerror}; {launch.start_remedy(self._config)}"
                raise WorkError(f"blender worker: {reason}") from None
            self._frames = 0
            try:
                self._greet(self._process)
            except BaseException:
                self.stop()
                raise
        return self._process

    def _greet(self, process: WorkerProcess) -> None:
        """Wait until Blender is loaded; what stands in the way is told with its remedy."""
        program, deadline = launch.program(self._config), time.monotonic() + START_TIMEOUT_S
        try:
            hello = process.receive(deadline)
        except FrameFailed as error:
            log = process.log_tail()
            if re.search(rf"No module named '?{launch.MODULE}\b", log):
                missing = f"{program} has no {launch.MODULE}"
                raise WorkError(f"blender worker: {missing}; {launch.install_remedy()}") from None
            late = time.monotonic() >= deadline
            raise StartFailed(f"it said nothing for {START_TIMEOUT_S:g} s{log}" if late else str(error)) from None
        if hello.get("type") != "hello":
            remedy = launch.library_remedy() if hello.get("kind") == "libraries" else launch.install_remedy()
            reason = f"Blender cannot be loaded by {program}: {hello.get('message')}"
            raise WorkError(f"blender worker: {reason}; {remedy}")
        if hello.get("protocol") != PROTOCOL:
            reason = f"the worker of {program} speaks protocol {hello.get('protocol')}, expected {PROTOCOL}"
            raise WorkError(f"blender worker: {reason}; {launch.install_remedy()}")
        _check_version(program, str(hello.get("blender")))

    def _ask(
        self, process: WorkerProcess, pieces: list[memoryview], meanwhile: Callable[[], object] | None
    ) -> Reply:  # fmt: skip
        deadline = time.monotonic() + self._config.timeout_s
        process.send(pieces, deadline)
        if meanwhile is not None:
            meanwhile()
        header = process.receive(deadline)
        if header.get("type") != "frames":
            if header.get("kind") == "device":
                raise WorkError(f"blender worker: {header.get('message')}; set renderer.device=cpu")
            raise FrameFailed(f"blender reported: {header.get('message')}{process.log_tail()}")
        self._frames += 1
        try:
            return _reply(header, process.folder)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as error:
            raise FrameFailed(f"the worker's answer makes no sense: {error!r}") from None


def _reply(header: Mapping[str, Any], scratch: Path) -> Reply:
    """Read what a worker's answer tells of, and remove its files, which lie in a folder of its scratch folder.

    Raises:
        KeyError, TypeError, ValueError, AttributeError, RuntimeError, OSError: for an answer that is none.
    """
    if not re.fullmatch(r"frame-\w+", header["folder"]):
        raise ValueError(f"files in {header['folder']}")
    folder = scratch / header["folder"]
    started = time.perf_counter()
    passes = {}
    for one in header["passes"]:
        (height, width), (top, bottom, left, right) = one["size"], one["region"]
        path = folder / Path(one["file"]).name
        passes[str(one["name"])] = read_layers(path, (height, width), (top, bottom, left, right))
    shutil.rmtree(folder)
    timings = {str(name): float(seconds) for name, seconds in header["timings"].items()}
    return Reply(passes, {**timings, "read": time.perf_counter() - started}, float(header["resident_mb"]))


def _check_version(program: str, version: str) -> None:
    """Refuse a Blender whose settings are not those the worker makes.

    Raises:
        WorkError: for an older one than ``OLDEST_BLENDER``.
    """
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST_BLENDER:
        oldest = ".".join(map(str, OLDEST_BLENDER))
        raise WorkError(f"blender worker: {program} is Blender {version}; expected {oldest} or newer: install that")
