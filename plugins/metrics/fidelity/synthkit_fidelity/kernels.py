# SPDX-License-Identifier: Apache-2.0
"""The kernel distance between two sets (Binkowski et al., Demystifying MMD GANs, ICLR 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def subset_distances(
    first: npt.NDArray[Any], second: npt.NDArray[Any], subsets: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
) -> Floats:
    """Return the distance of each pair of subsets, given as indices into (N, d) and (M, d) vectors."""
    return np.array([squared_mmd(first[ours], second[theirs]) for ours, theirs in subsets])


def squared_mmd(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Return the unbiased estimate of the squared maximum mean discrepancy under (x y / d + 1)^3, in float64."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    return _within(first) + _within(second) - 2 * float(_kernel(first, second).mean())


def _within(vectors: Floats) -> float:
    values, count = _kernel(vectors, vectors), len(vectors)
    return float((values.sum() - np.trace(values)) / (count * (count - 1)))


def _kernel(first: Floats, second: Floats) -> Floats:
    values = first @ second.T
    values /= first.shape[1]
    values += 1
    return np.asarray(values * values * values)
