# SPDX-License-Identifier: Apache-2.0
"""Several data sets as one to train on, in stated amounts."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthkit import config
from synthkit.dataset.reader import Dataset
from synthkit.errors import DatasetError
from synthkit.interfaces import SampleSet
from synthkit.sample import Sample
from synthkit.seeds import Seeds

_AMOUNT = re.compile(r"(.+):(\d+(?:\.\d+)?)", re.DOTALL)


class Mixture:
    """A first set and others in amounts of it, such as ``R_train + 3 x refined`` (thesis 000, table 4.6).

    Args:
        parts: (name, set, amount). An amount N takes N times as many samples as the first set has, drawn without
            repetition; more of the same set are those and others. None takes all.
        seeds: which are drawn.

    Raises:
        DatasetError: when a set holds fewer samples than it is to give, or an amount is none of it.
    """

    def __init__(self, parts: Sequence[tuple[str, SampleSet, float | None]], seeds: Seeds) -> None:
        first = len(parts[0][1])
        self._sets = [data for _, data, _ in parts]
        self._chosen = [
            _drawn(name, data, amount, first, seeds.stream("mixture", number))
            for number, (name, data, amount) in enumerate(parts)
        ]
        self._ends = list(itertools.accumulate(len(chosen) for chosen in self._chosen))
        self.parts: list[dict[str, Any]] = [
            {"fingerprint": data.fingerprint, "of": len(data), "samples": len(chosen), "times_the_first": amount}
            for (_, data, amount), chosen in zip(parts, self._chosen, strict=True)
        ]
        self.fingerprint = config.fingerprint({"mixture": self.parts, "seeds": repr(seeds)})

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int, /) -> Sample:
        """Return the sample at a position: those of the first set, then those of the next."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect.bisect_right(self._ends, index)
        start = self._ends[number] - len(self._chosen[number])
        return self._sets[number][int(self._chosen[number][index - start])]

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_mixture(sources: Sequence[str], seeds: Seeds, *, layers: Collection[str] | None = None) -> SampleSet:
    """Open one data set, or several as a mixture.

    Args:
        sources: folders or URLs; ``refined:3`` takes 3 times as many samples as the first set has. layers: decode only
            these.

    Raises:
        DatasetError: when one cannot be opened, or is to give more than it holds.
    """
    parts = [_parted(source) for source in sources]
    opened = [(source, Dataset.open(source, layers=layers), amount) for source, amount in parts]
    if len(opened) == 1 and opened[0][2] is None:
        return opened[0][1]
    return Mixture(opened, seeds)


def _parted(source: str) -> tuple[str, float | None]:
    found = _AMOUNT.fullmatch(source)
    if found is None or Path(source).exists():
        return source, None
    return found[1], float(found[2])


def _drawn(
    name: str, data: SampleSet, amount: float | None, first: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    if amount is None:
        return np.arange(len(data))
    count = round(amount * first)
    if not 1 <= count <= len(data):
        raise DatasetError(
            f"{name}:{amount:g}: that is {count} samples, {amount:g} times the {first} of the first set, and it holds"
            f" {len(data)}"
        )
    return np.sort(generator.permutation(len(data))[:count])
