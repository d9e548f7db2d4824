# SPDX-License-Identifier: Apache-2.0
"""Training curves: one JSON object a line, means over a window of steps, exact after a resume."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synthkit.dataset import storage
from synthkit.errors import WorkError

Also = Callable[[int, Mapping[str, float]], None]

_DECIMALS = 8


class Curves:
    """Writes ``curves.jsonl``.

    A line holds ``step`` (steps done) and, by name, the mean of each value since the line before.

    Args:
        path: the file. every: steps per line.
        state: what ``state`` gave when the training that goes on here was kept; None begins anew.
        also: takes the step and the values of each line besides.

    Raises:
        WorkError: when the file is shorter than it was when its state was kept, or the disk is full.
        DatasetError: when it cannot be written.
    """

    def __init__(
        self, path: Path, every: int, state: Mapping[str, Any] | None = None, also: Also | None = None
    ) -> None:
        self._every = every
        self._also = also
        self._sums: dict[str, float] = dict(state["sums"]) if state else {}
        self._count: int = state["count"] if state else 0
        self._path = path
        length: int = state["length"] if state else 0
        with storage.disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            if self._file.seek(0, os.SEEK_END) < length:
                self._file.close()
                raise WorkError(f"{path}: is shorter than when training stopped; remove its folder to begin anew")
            self._file.truncate(length)
            self._file.seek(length)  # truncating moves no position, and ``state`` tells it

    def add(self, steps_done: int, values: Mapping[str, float]) -> None:
        """Take the values of the step that was just done; every ``every`` steps a line is written."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if steps_done % self._every == 0:
            self._write(steps_done)

    def note(self, steps_done: int, values: Mapping[str, float]) -> None:
        """Write a line of its own for values that are no means, such as scores of an evaluation."""
        self._line(steps_done, values)

    def state(self) -> dict[str, Any]:
        """Sync the file and return what is needed to go on from here."""
        with storage.disk_errors(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
        return {"sums": dict(self._sums), "count": self._count, "length": self._file.tell()}

    def finish(self, steps_done: int) -> None:
        """Write a last line for a window that is not full."""
        if self._count:
            self._write(steps_done)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, steps_done: int) -> None:
        self._line(steps_done, {name: total / self._count for name, total in self._sums.items()})
        self._sums, self._count = {}, 0

    def _line(self, steps_done: int, values: Mapping[str, float]) -> None:
        # Sorted, because the order in which values came does not survive in the state.
        rounded = {name: round(value, _DECIMALS) for name, value in sorted(values.items())}
        with storage.disk_errors(self._path):
            self._file.write(json.dumps({"step": steps_done, **rounded}).encode() + b"\n")
            self._file.flush()
        if self._also:
            self._also(steps_done, rounded)
