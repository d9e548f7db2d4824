# SPDX-License-Identifier: Apache-2.0
"""How far apart two sets of vectors are, without bias at any number of them, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float64]

_Z95 = 1.96


@attrs.frozen
class Estimate:
    """A number and its standard error."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of a normal distribution."""
        return self.value - _Z95 * self.error, self.value + _Z95 * self.error


def energy_distance(first: Vectors, second: Vectors) -> float:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo 2013), each mean over different vectors.

    It is the squared maximum mean discrepancy whose kernel is the negative distance (Sejdinovic et al. 2013), as
    a U-statistic: its expectation is that of the distributions at any number of vectors, so that it may be a little
    below 0 where they are equal.

    Args:
        first, second: (n, d) and (m, d), both at least two.
    """
    return 2 * float(_lengths(first, second).mean()) - _within(first) - _within(second)


def compared(
    reference: Vectors, candidates: Sequence[Vectors], scenes: Sequence[npt.NDArray[np.int64]]
) -> tuple[list[Estimate], Estimate]:
    """Return each candidate's energy distance to a reference, and the first's less the last's.

    The errors are the jackknife's (Efron and Stein 1981) over scenes and over the reference's vectors; the same scene
    is left out of both in a difference, as candidates share their scenes.

    Args:
        reference: (m, d). candidates: (n, d) each. scenes: (n,) each, which scene a vector is of.
    """
    values = [energy_distance(candidate, reference) for candidate in candidates]
    whole = np.array([*values, values[0] - values[-1]])
    variance = np.zeros_like(whole)
    for kind in ("scene", "reference"):
        parts = sorted({int(s) for one in scenes for s in one}) if kind == "scene" else range(len(reference))
        without = []
        for part in parts:
            kept = np.delete(reference, part, axis=0) if kind == "reference" else reference
            rest = [c if kind == "reference" else c[s != part] for c, s in zip(candidates, scenes, strict=True)]
            if len(kept) < 2 or any(len(one) < 2 for one in rest):
                continue
            found = [energy_distance(one, kept) for one in rest]
            without.append([*found, found[0] - found[-1]])
        if len(without) > 1:
            spread = np.array(without) - np.mean(without, axis=0)
            variance += (len(without) - 1) / len(without) * (spread**2).sum(axis=0)
    estimates = [Estimate(float(v), math.sqrt(float(e))) for v, e in zip(whole, variance, strict=True)]
    return estimates[:-1], estimates[-1]


def _lengths(first: Vectors, second: Vectors) -> Vectors:
    """Return the distances (n, m) of all pairs."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _within(vectors: Vectors) -> float:
    count = len(vectors)
    lengths = _lengths(vectors, vectors)
    np.fill_diagonal(lengths, 0.0)
    return float(lengths.sum()) / (count * (count - 1))
