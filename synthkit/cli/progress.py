# SPDX-License-Identifier: Apache-2.0
"""How long work shows where it is: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from synthkit.training import ranks

_SECONDS_BETWEEN_LINES = 10.0


class Terminal:
    """A ``synthkit.interfaces.Progress`` on standard error; a context manager around the whole work.

    Meanwhile what is logged is told here as well. Of the processes that torchrun started only the first is heard.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, quiet=ranks.rank() > 0)
        self._warnings = _Warnings(self.tell)
        self._bars: Progress | None = None
        self._stages: dict[str, _Stage] = {}

    def __enter__(self) -> Self:
        logging.getLogger("synthkit").addHandler(self._warnings)
        if self._console.is_terminal and not self._console.quiet:
            self._bars = Progress(
                TextColumn("{task.description:<22}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("synthkit").removeHandler(self._warnings)
        if self._bars:
            self._bars.stop()

    def tell(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Show ``done`` of ``total``; see ``synthkit.interfaces.Progress``."""
        if self._console.quiet:
            return
        state = self._stages.get(stage)
        if state is None or done < state.done:  # new, or a stage of the same name that begins again
            state = self._stages[stage] = _Stage(done, state)
            if self._bars and state.task is None:
                state.task = self._bars.add_task(stage, total=total, completed=done, rate="", note="")
            elif self._bars and state.task is not None:
                self._bars.reset(state.task, total=total, completed=done)
        state.done = done
        rate = state.rate(done)
        if self._bars and state.task is not None:
            self._bars.update(state.task, completed=done, total=total, rate=rate, note=note)
        elif state.due(done == total):
            of = "" if total is None else f"/{total}"
            print(f"{stage}: {done}{of} {rate} {note}".rstrip(), file=sys.stderr, flush=True)


class _Warnings(logging.Handler):
    """Tells what is logged, each line once: a run enters the same component for many of its stages."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell, self._told = tell, set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


class _Stage:
    """When a stage began, from where, where it is, and when it last spoke."""

    def __init__(self, start: int, before: _Stage | None) -> None:
        self.start = self.done = start
        self.began = time.monotonic()
        self.spoke: float = before.spoke if before else float("-inf")
        self.task: TaskID | None = before.task if before else None
        self.finished = False

    def rate(self, done: int) -> str:
        seconds = time.monotonic() - self.began
        count = done - self.start
        if count <= 0 or seconds <= 0:
            return ""
        per_second = count / seconds
        return f"{per_second:.1f}/s" if per_second >= 1 else f"{1 / per_second:.1f} s each"

    def due(self, last: bool) -> bool:
        now = time.monotonic()
        if self.finished or (not last and now - self.spoke < _SECONDS_BETWEEN_LINES):
            return False
        self.spoke, self.finished = now, last
        return True
