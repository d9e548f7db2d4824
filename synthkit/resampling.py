# SPDX-License-Identifier: Apache-2.0
"""Bootstrap intervals: what of a set is resampled together, how often, and what follows (Efron 1979)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt

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

        There are none, (0, N), where there is one unit only, of which nothing can be learned about others.
        """
        draws = np.zeros((resamples if self.count > 1 else 0, len(self.index)), dtype=np.int32)
        for row in draws:
            row[:] = np.bincount(generator.integers(0, self.count, self.count), minlength=self.count)[self.index]
        return draws

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
