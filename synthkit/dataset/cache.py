# SPDX-License-Identifier: Apache-2.0
"""Keeping what was loaded, up to so many bytes."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """Things by number, the least recently used forgotten when all together take too many bytes.

    Threads may share it, and so may a process that is forked while they do: nobody ever waits.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._things: OrderedDict[int, tuple[T, int]] = OrderedDict()
        self._guard = threading.Lock()

    def get(self, number: int) -> T | None:
        """Return a thing, None when it is not kept."""
        found = self._things.get(number)
        if found is None:
            return None
        with contextlib.suppress(KeyError):  # forgotten by another thread just now
            self._things.move_to_end(number)
        return found[0]

    def put(self, number: int, thing: T, size_bytes: int) -> None:
        """Keep a thing, unless another thread keeps one at this moment; then it is loaded again some day."""
        if not self._guard.acquire(blocking=False):
            return
        try:
            if number in self._things:
                return
            self._things[number] = thing, size_bytes
            self._bytes += size_bytes
            while self._bytes > self._most_bytes and len(self._things) > 1:
                self._bytes -= self._things.popitem(last=False)[1][1]
        finally:
            self._guard.release()
