# SPDX-License-Identifier: Apache-2.0
"""One pass over items for several consumers, each of which sees them as if it were alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 8  # items that wait for a consumer
_PATIENCE_S = 0.1
_END = object()


def shared(items: Iterable[T], consumers: Sequence[Callable[[Iterator[T]], R]]) -> list[R]:
    """Return what consumers return of the same items, in the consumers' order; items are read once.

    Only one consumer works at a time, so that they do not compete for processors; a consumer may stop early.

    Raises:
        Exception: what the items or a consumer raise; the others then end at their next item.
    """
    if len(consumers) == 1:
        return [consumers[0](iter(items))]
    turn = threading.Lock()
    workers = [_Worker(consumer, turn) for consumer in consumers]
    try:
        for worker in workers:
            worker.start()
        for item in items:
            for worker in workers:
                worker.put(item)
            if all(worker.finished.is_set() for worker in workers):
                break
        for worker in workers:
            worker.put(_END)
        return [worker.outcome() for worker in workers]
    finally:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()


class _Stopped(BaseException):
    """Ends a consumer whose result nobody waits for."""


class _Worker(threading.Thread, Generic[T, R]):
    """A consumer in a thread that gets its items by a short queue."""

    def __init__(self, consumer: Callable[[Iterator[T]], R], turn: threading.Lock) -> None:
        super().__init__(daemon=True)
        self._consumer, self._turn = consumer, turn
        self._waiting: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._result: list[R] = []
        self._error: BaseException | None = None
        self.finished = threading.Event()

    def run(self) -> None:
        with self._turn:
            try:
                self._result.append(self._consumer(self._items()))
            except BaseException as error:  # whatever it is, it is raised where the result is asked for
                self._error = error
            finally:
                self.finished.set()

    def put(self, item: Any) -> None:
        """Hand over an item once there is room; one that has finished takes none.

        Raises:
            Exception: what the consumer raised.
        """
        while not self.finished.is_set():
            try:
                return self._waiting.put(item, timeout=_PATIENCE_S)
            except queue.Full:
                continue
        if self._error is not None:
            raise self._error

    def outcome(self) -> R:
        """Return what the consumer returns, when it does."""
        self.finished.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def stop(self) -> None:
        """Let the consumer end at its next item."""
        self._stopped.set()

    def _items(self) -> Iterator[T]:
        while True:
            item = self._next()
            if item is _END:
                return
            yield item

    def _next(self) -> Any:
        self._turn.release()
        try:
            while True:
                if self._stopped.is_set():
                    raise _Stopped
                try:
                    return self._waiting.get(timeout=_PATIENCE_S)
                except queue.Empty:
                    continue
        finally:
            self._turn.acquire()
