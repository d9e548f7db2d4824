# SPDX-License-Identifier: Apache-2.0
"""The kernel distance between two sets (Binkowski et al., Demystifying MMD GANs, ICLR 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_ROWS = 1024  # of kernel values that are in memory at once


def subset_distances(first: npt.NDArray[Any], second: npt.NDArray[Any], ours: Indices, theirs: Indices) -> Floats:
    """Return (S,) unbiased estimates of the squared maximum mean discrepancy under (x y / d + 1)^3, in float64.

    Args:
        first, second: (N, d) and (M, d) vectors. ours, theirs: (S, m) indices of the subsets, m >= 2.
    """
    subsets, size = ours.shape
    if len(first) ** 2 + len(second) ** 2 + len(first) * len(second) > 3 * subsets * size**2:
        parts = zip(ours, theirs, strict=True)
        whole = np.arange(size)[None]
        return np.array([_distances(first[a], second[b], whole, whole)[0] for a, b in parts])
    return _distances(first, second, ours, theirs)


def _distances(first: npt.NDArray[Any], second: npt.NDArray[Any], ours: Indices, theirs: Indices) -> Floats:
    """Return the estimates from one kernel of all vectors, which subsets that overlap share."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    in_first, in_second = _membership(len(first), ours), _membership(len(second), theirs)
    size = ours.shape[1]
    within = _sums(first, first, in_first, in_first) - in_first.T @ _own(first)
    within += _sums(second, second, in_second, in_second) - in_second.T @ _own(second)
    return np.asarray(within / (size * (size - 1)) - 2 * _sums(first, second, in_first, in_second) / size**2)


def _membership(count: int, subsets: Indices) -> Floats:
    """Return (count, S): 1 where a vector belongs to a subset."""
    found = np.zeros((count, len(subsets)))
    found[subsets.T, np.arange(len(subsets))] = 1.0
    return found


def _sums(first: Floats, second: Floats, ours: Floats, theirs: Floats) -> Floats:
    """Return (S,) sums of the kernel over all pairs of a subset's vectors."""
    total = np.zeros(ours.shape[1])
    for start in range(0, len(first), _ROWS):
        rows = slice(start, start + _ROWS)
        total += (ours[rows] * (_cubed(first[rows] @ second.T, first.shape[1]) @ theirs)).sum(axis=0)
    return total


def _own(vectors: Floats) -> Floats:
    """Return (N,) the kernel of each vector with itself."""
    return _cubed((vectors**2).sum(axis=1), vectors.shape[1])


def _cubed(products: Floats, dimensions: int) -> Floats:
    products /= dimensions
    products += 1
    return np.asarray(products * products * products)
