# SPDX-License-Identifier: Apache-2.0
"""Telling how fast training goes."""

from __future__ import annotations

import time

from synthkit.interfaces import Progress


class Meter:
    """Reports steps done with the rate of the recent ones.

    Args:
        progress: the runtime's. stage: what is going on. start, total: steps done before, and in all.
        every_s: seconds between reports.
    """

    def __init__(self, progress: Progress, stage: str, start: int, total: int, every_s: float = 0.5) -> None:
        self._progress = progress
        self._stage = stage
        self._total = total
        self._every_s = every_s
        self._time = time.monotonic()
        self._done = start
        progress(stage, start, total)

    def __call__(self, done: int, note: str = "") -> None:
        """Report, unless the last report is too recent and the work not yet at its end."""
        now = time.monotonic()
        elapsed = now - self._time
        if elapsed < self._every_s and done < self._total:
            return
        rate = (done - self._done) / elapsed if elapsed > 0 else 0.0
        speed = f"{rate:.1f} steps/s" if rate >= 1 or rate == 0 else f"{1 / rate:.1f} s/step"
        self._progress(self._stage, done, self._total, f"{speed}{'  ' + note if note else ''}")
        self._time, self._done = now, done
