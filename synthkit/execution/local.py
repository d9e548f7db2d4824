# SPDX-License-Identifier: Apache-2.0
"""Running a job on this machine: in this process, or in worker processes that may die and are replaced."""

from __future__ import annotations

import collections
import itertools
import selectors
import time
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import ClassVar, Self

import attrs

from synthkit.errors import SynthkitError, WorkError
from synthkit.execution.jobs import (
    Done,
    Failed,
    Heard,
    JobSpec,
    outcome_of,
    reason_of,
    start_error,
    unheard,
    with_steps,
)
from synthkit.execution.process import WorkerProcess

ATTEMPTS = 2
_START_TIMEOUT_S = 900.0
_POLL_S = 0.5


@attrs.frozen
class Local:
    """This machine; an ``Executor``.

    Args:
        workers: how many processes; 0 works in this one, with its own threads and without time limit.
        threads: how many threads the libraries of each worker may use.
        timeout_s: how long a task may take in a worker, or a step of it where it tells them; None means for ever.
        least: how many tasks are worth processes of their own; fewer are done in this one.
    """

    whole_shards: ClassVar[bool] = False

    workers: int = 1
    threads: int = 1
    timeout_s: float | None = None
    least: int = 1

    def run(self, job: JobSpec, tasks: Iterable[int], heard: Heard = unheard) -> Generator[Done | Failed, None, None]:
        """Run a job as ``execution.run`` does.

        A task fails when the job raised an unexpected error, or a worker died of the task or overran its
        time twice.

        Raises:
            WorkError: when workers cannot start.
        """
        waiting = iter(tasks)
        first = list(itertools.islice(waiting, self.least))
        tasks = itertools.chain(first, waiting)
        if not first:
            return
        if self.workers == 0 or len(first) < self.least:
            yield from _run_here(job, tasks, heard)
        else:
            yield from _Pool(job, tasks, self.workers, self.threads, self.timeout_s, heard).results()

    def limited(self, timeout_s: float) -> Self:
        """Return the same with a time limit, which work in this process does not heed."""
        return attrs.evolve(self, timeout_s=timeout_s)


def _run_here(job: JobSpec, tasks: Iterable[int], heard: Heard) -> Generator[Done | Failed, None, None]:
    with job.build() as entered:
        for task in tasks:
            try:
                outcome: Done | Failed = Done(task, with_steps(entered, task, partial(heard, task)))
            except SynthkitError:
                raise
            except Exception as error:  # as in a worker: one task's mistake does not end the others
                outcome = Failed(task, reason_of(error))
            yield outcome


class _Pool:
    def __init__(
        self, job: JobSpec, tasks: Iterable[int], workers: int, threads: int, timeout_s: float | None, heard: Heard
    ) -> None:
        self._job, self._count, self._threads, self._timeout_s = job, workers, threads, timeout_s
        self._steps_heard = heard
        self._tasks = iter(tasks)
        self._again: collections.deque[int] = collections.deque()
        self._deaths: collections.Counter[int] = collections.Counter()
        self._failed_starts = 0
        self._workers: set[WorkerProcess] = set()
        self._selector = selectors.DefaultSelector()

    def results(self) -> Generator[Done | Failed, None, None]:
        finished = False
        try:
            while True:
                self._employ()
                if not self._workers:
                    break
                yield from self._round()
            finished = True
        finally:
            for worker in self._workers:
                worker.close(patient=finished)
            self._selector.close()

    def _employ(self) -> None:
        """Give every free worker a task, start workers while tasks are left, dismiss the rest."""
        for worker in [w for w in self._workers if w.ready and w.task is None]:
            task = self._next()
            if task is None:
                self._dismiss(worker)
            else:
                worker.give(task)
        starting = sum(not worker.ready for worker in self._workers)
        while len(self._workers) < self._count and self._waiting(starting + 1):
            self._start()
            starting += 1

    def _waiting(self, count: int) -> bool:
        """Return whether at least that many tasks wait."""
        while len(self._again) < count:
            task = next(self._tasks, None)
            if task is None:
                return False
            self._again.append(task)
        return True

    def _next(self) -> int | None:
        return self._again.popleft() if self._waiting(1) else None

    def _start(self) -> None:
        try:
            worker = WorkerProcess(self._job, self._threads)
        except OSError as error:
            raise WorkError(f"a worker process cannot be started: {error.strerror}") from None
        self._workers.add(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, (worker, True))
        self._selector.register(worker.stderr, selectors.EVENT_READ, (worker, False))

    def _forget(self, worker: WorkerProcess) -> None:
        self._workers.discard(worker)
        self._selector.unregister(worker.channel)
        if worker.stderr in self._selector.get_map():
            self._selector.unregister(worker.stderr)

    def _dismiss(self, worker: WorkerProcess) -> None:
        self._forget(worker)
        worker.close(patient=True)

    def _round(self) -> Iterator[Done | Failed]:
        """Wait until something happens, and yield what came of it."""
        for key, _ in self._selector.select(_POLL_S):
            worker, is_channel = key.data
            if worker not in self._workers:
                continue
            if is_channel:
                yield from self._heard(worker)
            elif not worker.drain_stderr():
                self._selector.unregister(worker.stderr)
        now = time.monotonic()
        for worker in list(self._workers):
            idle = worker.ready and worker.task is None
            limit = self._timeout_s if worker.ready else _START_TIMEOUT_S
            if limit is not None and not idle and now - worker.since > limit:
                self._forget(worker)
                worker.kill()
                yield from self._lost(worker, f"took longer than {limit:g} s")

    def _heard(self, worker: WorkerProcess) -> Iterator[Done | Failed]:
        try:
            messages = worker.receive()
        except ValueError:
            messages = None
        if messages is None:
            self._forget(worker)
            yield from self._lost(worker, worker.died())
            return
        for message in messages:
            if "unusable" in message:
                raise start_error(message["unusable"])
            if "ready" in message:
                worker.ready, self._failed_starts = True, 0
            elif message.get("task") != worker.task:
                continue
            elif "step" in message:
                worker.since = time.monotonic()
                self._steps_heard(message["task"], message["step"])
            else:
                worker.task = None
                yield outcome_of(message["task"], message)

    def _lost(self, worker: WorkerProcess, how: str) -> Iterator[Failed]:
        task = worker.task
        if task is None:
            self._failed_starts += not worker.ready
            if self._failed_starts >= ATTEMPTS:
                raise WorkError(f"a worker process for {self._job.target} cannot start: it {how}")
            return
        self._deaths[task] += 1
        if self._deaths[task] >= ATTEMPTS:
            yield Failed(task, f"the worker {how} ({ATTEMPTS} attempts)")
        else:
            self._again.appendleft(task)
