# SPDX-License-Identifier: Apache-2.0
"""Settings as points of a unit cube, and back as values that a person may write."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from synthkit import config
from synthkit.interfaces import Tunable

Vector = npt.NDArray[np.float64]

_DIGITS = 4  # of a setting's value; finer ones make no difference that an image shows
_WIDEST = 0.25  # half of the widest range, as a share of where it is looked for


@attrs.frozen
class Dial:
    """A setting that is searched, and its value at the start: a number, or a (low, high) pair."""

    tunable: Tunable
    start: Any

    @property
    def size(self) -> int:
        """How many coordinates of the cube it has."""
        return 2 if self.tunable.fits == "range" else 1

    @property
    def setting(self) -> str:
        """Its path."""
        return self.tunable.setting

    def encode(self) -> list[float]:
        """Return the coordinates of its start, which is moved to where it is looked for."""
        centre, half = self._start()
        place = [(centre - self._low) / (self._high - self._low)]
        return place if self.size == 1 else [*place, half / self._widest]

    def decode(self, place: Sequence[float]) -> float | list[float]:
        """Return the value at a place."""
        centre = self._low + place[0] * (self._high - self._low)
        if self.tunable.fits == "value":
            return self._written(centre)
        half = place[1] * self._widest if self.size == 2 else self._start()[1]
        return [self._written(centre - half), self._written(centre + half)]

    @property
    def _low(self) -> float:
        return self._scaled(self.tunable.low)

    @property
    def _high(self) -> float:
        return self._scaled(self.tunable.high)

    @property
    def _widest(self) -> float:
        return max(_WIDEST * (self._high - self._low), self._start()[1])

    def _start(self) -> tuple[float, float]:
        """Return centre and half width."""
        pair = self.start if isinstance(self.start, Sequence) else (self.start, self.start)
        low, high = (self._scaled(min(max(end, self.tunable.low), self.tunable.high)) for end in pair)
        return (low + high) / 2, (high - low) / 2

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.tunable.log else float(value)

    def _written(self, scaled: float) -> float:
        value = math.exp(scaled) if self.tunable.log else scaled
        rounded = float(f"{value:.{_DIGITS}g}") if abs(value) > 1e-6 else 0.0
        return min(max(rounded, self.tunable.low), self.tunable.high)


@attrs.frozen
class Space:
    """Some dials together."""

    dials: tuple[Dial, ...]

    @property
    def size(self) -> int:
        """How many coordinates all of them have."""
        return sum(dial.size for dial in self.dials)

    @property
    def start(self) -> Vector:
        """Where the search begins, (size,) in 0..1."""
        return np.array([place for dial in self.dials for place in dial.encode()], np.float64)

    def values(self, vector: Vector) -> dict[str, Any]:
        """Return the settings' values by path at a point."""
        values, at = {}, 0
        for dial in self.dials:
            values[dial.setting] = dial.decode([float(x) for x in vector[at : at + dial.size]])
            at += dial.size
        return values


def with_values(options: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with settings given by path laid over them."""
    result = copied(options)
    for path, value in values.items():
        config.merge_into(result, config.nested(path.split("."), value))
    return result


def copied(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables that may be changed without changing these."""
    return {key: copied(item) if isinstance(item, Mapping) else item for key, item in table.items()}


def value_at(settings: Any, path: str) -> Any:
    """Return the value of a setting in a config by its path, pairs as lists."""
    for name in path.split("."):
        settings = getattr(settings, name)
    return list(settings) if isinstance(settings, tuple) else settings


def is_given(options: Mapping[str, Any], path: str) -> bool:
    """Return whether options hold a setting."""
    table: Any = options
    for name in path.split("."):
        if not isinstance(table, Mapping) or name not in table:
            return False
        table = table[name]
    return table is not None


def chosen(
    tunables: Sequence[Tunable], options: Mapping[str, Any], settings: Any, wanted: Callable[[Tunable], bool]
) -> Space:
    """Return the dials of the wanted tunables that nobody has set and that have an effect.

    Args:
        options: as given. settings: the whole config with them.
    """
    free = [t for t in tunables if wanted(t) and not is_given(options, t.setting)]
    active = [t for t in free if not (t.unless and is_given(options, t.unless))]
    return Space(tuple(Dial(t, value_at(settings, t.setting)) for t in active))
