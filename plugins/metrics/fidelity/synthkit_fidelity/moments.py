# SPDX-License-Identifier: Apache-2.0
"""Means and covariances that can be kept and merged, and the Frechet distance between two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt
import scipy.linalg

from synthkit.interfaces import State

Floats = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class Gaussian:
    """A normal distribution estimated from ``count`` vectors.

    Args:
        mean: (d,). covariance: (d, d), the unbiased estimate.
    """

    count: int
    mean: Floats
    covariance: Floats

    @property
    def rank_bound(self) -> int:
        """The largest rank the covariance can have: one less than the vectors it comes from."""
        return min(self.count - 1, len(self.mean))


def empty_state(dimensions: int) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
    """Return the state of nothing: ``count`` (1,) int64, ``sum`` (d,) and ``outer`` (d, d) float64."""
    return {
        "count": np.zeros(1, np.int64),
        "sum": np.zeros(dimensions),
        "outer": np.zeros((dimensions, dimensions)),
    }


def add_features(state: State, features: npt.NDArray[np.float32]) -> State:
    """Return the state with (N, d) vectors added: their number, sum, and sum of outer products, in float64."""
    vectors = features.astype(np.float64)
    return {
        "count": state["count"] + len(vectors),
        "sum": state["sum"] + vectors.sum(axis=0),
        "outer": state["outer"] + vectors.T @ vectors,
    }


def merge_states(states: Sequence[State]) -> State:
    """Return the state of all vectors.

    States are added in the order of their content's digest, so the result has the same bytes in whatever order
    they come. Cutting the data otherwise changes it by rounding alone, about 1e-13 of the largest entry.
    """
    ordered = sorted(states, key=_digest)
    total = {name: array.copy() for name, array in ordered[0].items()}
    for state in ordered[1:]:
        for name in total:
            total[name] += state[name]
    return total


def gaussian(state: State) -> Gaussian:
    """Return the distribution that a state of at least two vectors describes."""
    count = int(state["count"][0])
    mean = state["sum"] / count
    covariance = (state["outer"] - count * np.outer(mean, mean)) / (count - 1)
    return Gaussian(count, mean, (covariance + covariance.T) / 2)


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Dowson and Landau 1982; thesis 000, equation 2.26).

    With S = A A^T the trace of the root is the sum of the singular values of A1^T A2. That needs neither the
    root of a matrix that is not symmetric nor anything added to the diagonals, and is exact for covariances of
    fewer vectors than dimensions, whose factors are as thin as their rank.
    """
    shift = first.mean - second.mean
    root = scipy.linalg.svdvals(_factor(first).T @ _factor(second)).sum()
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2.0 * root
    return max(0.0, float(shift @ shift + spread))


def _factor(distribution: Gaussian) -> Floats:
    """Return A, (d, rank), with A A^T the covariance."""
    covariance = distribution.covariance
    if distribution.rank_bound == len(covariance):
        try:
            return np.asarray(np.linalg.cholesky(covariance))
        except np.linalg.LinAlgError:
            pass  # some direction has no spread at all, such as that of a feature which is always zero
    values, vectors = np.linalg.eigh(covariance)
    kept = slice(len(values) - distribution.rank_bound, None)
    return np.asarray(vectors[:, kept] * np.sqrt(np.clip(values[kept], 0.0, None)))


def _digest(state: State) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        hasher.update(np.ascontiguousarray(state[name]).tobytes())
    return hasher.digest()
