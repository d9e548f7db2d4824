# SPDX-License-Identifier: Apache-2.0
"""Normal distributions of feature vectors, and the Frechet distance between two of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch

Floats = npt.NDArray[np.float64]


@attrs.frozen(eq=False)
class Moments:
    """What many vectors leave of themselves: their number, mean (d,), and scatter (d, d) about it, in float64."""

    count: int
    mean: Floats
    scatter: Floats

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both (Chan, Golub and LeVeque 1979): stable however far the mean is from 0."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        shift = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, self.mean + shift * (other.count / count), scatter)


NOTHING = Moments(0, np.zeros(0), np.zeros((0, 0)))


def moments(vectors: npt.NDArray[Any]) -> Moments:
    """Return the moments of (N, d) vectors."""
    if not len(vectors):
        return NOTHING
    mean, centred = _centred(vectors)
    return Moments(len(vectors), mean, centred.T @ centred)


@attrs.frozen(eq=False, slots=False)
class Gaussian:
    """A normal distribution with the unbiased covariance of ``count`` vectors.

    Args:
        mean: (d,). matrix: where the vectors are fewer than dimensions, (count, d) centred vectors / sqrt(count - 1),
            whose product rows^T rows is the covariance; else that itself, (d, d). thin: which of them.
    """

    count: int
    mean: Floats
    matrix: Floats
    thin: bool

    @property
    def trace(self) -> float:
        """The trace of the covariance."""
        return float((self.matrix**2).sum() if self.thin else np.trace(self.matrix))

    @cached_property
    def cholesky(self) -> Floats | None:
        """The lower L, (d, d), with L L^T the covariance; None where that has not full rank."""
        if self.thin or self.count <= len(self.mean):
            return None
        try:
            return np.asarray(np.linalg.cholesky(self.matrix))
        except np.linalg.LinAlgError:  # a direction without spread, such as a feature that is always 0
            return None

    @cached_property
    def factor(self) -> Floats:
        """A, (d, rank), with A A^T the covariance."""
        if self.thin:
            return self.matrix.T
        if self.cholesky is not None:
            return self.cholesky
        values, vectors = np.linalg.eigh(self.matrix)
        kept = slice(len(values) - min(self.count - 1, len(values)), None)
        return np.asarray(vectors[:, kept] * np.sqrt(np.clip(values[kept], 0.0, None)))


def of_vectors(vectors: npt.NDArray[Any]) -> Gaussian:
    """Return the distribution of (N, d) vectors, N >= 2."""
    count, dimensions = vectors.shape
    if count > dimensions:
        return of_moments(moments(vectors))
    mean, centred = _centred(vectors)
    return Gaussian(count, mean, centred / np.sqrt(count - 1), thin=True)


def of_moments(known: Moments) -> Gaussian:
    """Return the distribution of at least two vectors' moments."""
    return Gaussian(known.count, known.mean, known.scatter / (known.count - 1), thin=False)


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Return |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Dowson and Landau 1982; thesis 000, equation 2.26)."""
    shift = first.mean - second.mean
    spread = first.trace + second.trace - 2.0 * _root_trace(first, second)
    return max(0.0, float(shift @ shift) + spread)


def _root_trace(first: Gaussian, second: Gaussian) -> float:
    """Return tr((S1 S2)^(1/2)) without the root of a matrix that is not symmetric, nor anything added to diagonals.

    With S = A A^T it is the sum of the singular values of A1^T A2, whose sides are as short as the vectors are few:
    exact where these are fewer than dimensions. Of two covariances of full rank, S1 = L L^T, it is that of the roots
    of the eigenvalues of L^T S2 L, which are found in half the time.
    """
    if first.cholesky is not None and not second.thin and second.count > len(second.mean):
        # By torch's library, which takes half the time of SciPy's.
        lower, covariance = torch.from_numpy(first.cholesky), torch.from_numpy(second.matrix)
        values = torch.linalg.eigvalsh(lower.T @ covariance @ lower)
        return float(values.clamp(min=0.0).sqrt().sum())
    return float(scipy.linalg.svdvals(first.factor.T @ second.factor, check_finite=False).sum())


def _centred(vectors: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    vectors = vectors.astype(np.float64)
    mean = vectors.mean(axis=0)
    return mean, vectors - mean
