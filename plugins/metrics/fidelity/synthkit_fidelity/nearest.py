# SPDX-License-Identifier: Apache-2.0
"""How near some vectors are to real ones, and how near real people are to one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]

SKEW = 1.5
"""How much longer the lower tail of distances to the nearest is: at 1.5 strangers drawn at random were as often below
the limit for 1 % as that says (1.2 % of 480), at 1 five times as often."""

_BLOCK = 1024  # vectors at once


def nearest(vectors: Vectors, references: Vectors) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return for each of (N, d) vectors the index of the nearest of (M, d) references, and the distance to it."""
    parts = [_distances(vectors[at : at + _BLOCK], references) for at in range(0, len(vectors), _BLOCK)]
    index = np.concatenate([part.argmin(axis=1) for part in parts])
    return index, np.concatenate([part.min(axis=1) for part in parts])


def nearest_other(references: Vectors, who: Names) -> Floats:
    """Return the distance of each of (M, d) references to the nearest that shows somebody else, (M,)."""
    found = []
    for at in range(0, len(references), _BLOCK):
        apart = _distances(references[at : at + _BLOCK], references)
        apart[who[at : at + _BLOCK, None] == who] = np.inf
        found.append(apart.min(axis=1))
    return np.concatenate(found)


def limit(between_people: Floats, chance: float) -> float:
    """Return the distance below which a vector is nearer to somebody real than real people are to one another.

    It stands for the ``chance`` quantile of the distances between nearest people, but is found from the upper tail,
    mirrored at the median and longer by ``SKEW``: the lower one is what pictures of one person under two names, or
    of two people in one box, make of it.

    Args:
        between_people: (M,) from ``nearest_other``. chance: the share that may be nearer by chance.
    """
    median = float(np.median(between_people))
    return median - SKEW * (float(np.quantile(between_people, 1 - chance)) - median)


def _distances(first: Vectors, second: Vectors) -> Floats:
    """Return the Euclidean distances (N, M) between (N, d) and (M, d) vectors."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
