# SPDX-License-Identifier: Apache-2.0
"""How long the stages of a frame take, that of building people apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from synthkit_blender.crowd import PeopleSource


class Clock:
    """Stage times in seconds; people are built while a scene is drawn, and counted apart."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {"people": 0.0}
        self._last = time.perf_counter()
        self._apart = 0.0

    def add_people(self, seconds: float) -> None:
        """Count time spent on people, not to be counted as the stage's own."""
        self.seconds["people"] += seconds
        self._apart += seconds

    def stamp(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self.seconds[stage] = now - self._last - self._apart
        self._last, self._apart = now, 0.0


class Timed:
    """A source of people whose time is told to a clock."""

    def __init__(self, source: PeopleSource, clock: Clock) -> None:
        self._source, self.clock = source, clock

    def identity(self, *arguments: Any) -> str:
        """Pass on to the source."""
        return self._source.identity(*arguments)

    def person(self, *arguments: Any, **options: Any) -> Any:
        """Pass on to the source, and time it."""
        return self._timed(self._source.person, *arguments, **options)

    def moved(self, *arguments: Any) -> Any:
        """Pass on to the source, and time it."""
        return self._timed(self._source.moved, *arguments)

    def _timed(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        person = call(*arguments, **options)
        self.clock.add_people(time.perf_counter() - started)
        return person
