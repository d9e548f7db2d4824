# SPDX-License-Identifier: Apache-2.0
"""Hashing beside writing: the two take about as long, and neither needs the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

_BATCH_BYTES = 1 << 20  # less is not worth waking a thread for


class HashAside:
    """A SHA-256 that another thread computes; a context manager, which ends the thread.

    At most two batches (of a megabyte, or of one larger piece) wait, so that memory stays bounded.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._batch: list[bytes] = []
        self._size = 0
        self._running: Future[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hash")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def update(self, data: bytes) -> None:
        """Hash some more bytes, soon."""
        self._batch.append(data)
        self._size += len(data)
        if self._size >= _BATCH_BYTES:
            self._wait()
            self._running = self._thread.submit(self._hash, self._batch)
            self._batch, self._size = [], 0

    def hexdigest(self) -> str:
        """Return the hash of all bytes so far."""
        self._wait()
        self._hash(self._batch)
        self._batch, self._size = [], 0
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()
            self._running = None

    def _hash(self, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            self._digest.update(piece)
