# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals: what of a set is resampled together, how often, and what follows (Efron 1979)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.errors import DatasetError
from synthkit.sample import Sample

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Draws = npt.NDArray[np.int32]
Unit = Literal["image", "sequence"]

LEAST_UNITS = 20
"""Units below which percentile intervals are notably too narrow."""


def unit_of(sample: Sample, unit: Unit) -> str:
    """Return the name of what a sample is resampled with: its image with all turns of it, or its sequence.

    A sample that is in no sequence is resampled alone.
    """
    if unit == "sequence" and sample.sequence is not None:
        return f"sequence {sample.sequence}"
    from synthkit.turning import original_key  # it loads OpenCV, which those who only name a unit need not

    return original_key(sample)


def sequences_of(units: npt.NDArray[np.str_], images: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Return the names of units where sequences are resampled.

    Args:
        units: (N,) names by sequence. images: (N,) names by image, which are those of samples without a sequence.

    Raises:
        DatasetError: when no sample is in a sequence.
    """
    if (units == images).all():
        raise DatasetError("resample: no sample tells which sequence it is of: resample images")
    return units


@attrs.frozen(eq=False)
class Units:
    """What is resampled.

    Args:
        count: how many units there are. index: (N,) the unit of each item.
    """

    count: int
    index: Ints

    @classmethod
    def of(cls, names: Sequence[str] | npt.NDArray[np.str_]) -> Units:
        """Return the units of items by the names of these; the items' order is of no matter to what is drawn."""
        known, index = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
        return cls(len(known), index.astype(np.int64).reshape(-1))

    def draws(self, generator: np.random.Generator, resamples: int) -> Draws:
        """Return how often each item counts in each resample, (resamples, N): items of a unit alike.

        There are none, (0, N), where there is one unit only, which tells nothing about others.
        """
        found = [drawn[self.index] for drawn in self._drawn(generator, resamples)]
        return np.array(found, dtype=np.int32).reshape(len(found), len(self.index))

    def means(self, values: Floats, generator: np.random.Generator, resamples: int) -> Floats:
        """Return the mean of values (N,) in each resample, (resamples,), none where there is one unit only."""
        counts = np.bincount(self.index, minlength=self.count)
        sums = np.bincount(self.index, values, minlength=self.count)
        return np.array([drawn @ sums / (drawn @ counts) for drawn in self._drawn(generator, resamples)])

    def _drawn(self, generator: np.random.Generator, resamples: int) -> Iterator[Ints]:
        """Yield how often each unit is drawn in each resample, (count,)."""
        for _ in range(resamples if self.count > 1 else 0):
            yield np.bincount(generator.integers(0, self.count, self.count), minlength=self.count)

    def caution(self, unit: Unit) -> tuple[str, ...]:
        """Return what is to be said of intervals that rest on few units."""
        if self.count >= LEAST_UNITS:
            return ()
        if self.count == 1:
            return (f"no intervals can be told from one {unit} alone",)
        return (f"the intervals rest on {self.count} {unit}s, too few for them: they may be too narrow",)


def interval(values: Floats) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of resampled values (R,), nan being none; None where there are none."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
