# SPDX-License-Identifier: Apache-2.0
"""Intervals of means over queries, which are not independent: those of one person or sequence resemble each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

_COVERED = 0.95


def interval(values: npt.NDArray[np.float64], cluster: npt.NDArray[Any]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of values in 0..1, had other clusters been drawn; None of one cluster.

    It is Clopper and Pearson's for as many independent queries as tell as much as these do (Korn and Graubard,
    Confidence intervals for proportions with small expected number of positive counts estimated from survey data,
    Survey Methodology 24, 1998). Where all queries agree, it takes a query a cluster.

    Args:
        values: (V,). cluster: (V,) the person, or the sequence, that each query is of.
    """
    _, which, counts = np.unique(cluster, return_inverse=True, return_counts=True)
    clusters, total = len(counts), len(values)
    if clusters < 2:
        return None
    mean = float(values.mean())
    residual = np.bincount(which, values, clusters) - mean * counts
    variance = clusters / (clusters - 1) * float(residual @ residual) / total**2
    if variance > 0:
        tails = stats.t.ppf((1 + _COVERED) / 2, [total - 1, clusters - 1])
        independent = min(total, mean * (1 - mean) / variance * (tails[0] / tails[1]) ** 2)
    else:
        independent = clusters
    hits, low, high = mean * independent, (1 - _COVERED) / 2, (1 + _COVERED) / 2
    return (
        float(stats.beta.ppf(low, hits, independent - hits + 1)) if mean > 0 else 0.0,
        float(stats.beta.ppf(high, hits + 1, independent - hits)) if mean < 1 else 1.0,
    )
