# SPDX-License-Identifier: Apache-2.0
"""Normal distributions of feature vectors, and the Frechet distance between two of them.

Matrices are multiplied and decomposed by torch, in double precision: on as many threads as it is told to take.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float64]

_ROWS = 1024  # vectors that are in memory at double precision
_BLOCK = 256  # columns of a product of which half is known beforehand, as it is symmetric or a factor triangular


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
    mean = vectors.mean(axis=0, dtype=np.float64)
    scatter = torch.zeros((len(mean), len(mean)), dtype=torch.float64)
    buffer = np.empty((min(_ROWS, len(vectors)), len(mean)))  # fresh memory costs as much as filling it
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS]
        centred = torch.from_numpy(np.subtract(rows, mean, out=buffer[: len(rows)]))
        for block in _blocks(len(mean)):
            scatter[block, : block.stop].addmm_(centred[:, block].T, centred[:, : block.stop])
    _mirror(scatter)
    return Moments(len(vectors), mean, scatter.numpy())


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
    def cholesky(self) -> torch.Tensor | None:
        """The lower L, (d, d), with L L^T the covariance; None where that has not full rank."""
        if self.thin or self.count <= len(self.mean):
            return None
        lower, failed = torch.linalg.cholesky_ex(torch.from_numpy(self.matrix))
        return None if failed else lower  # a direction without spread, such as a feature that is always 0

    @cached_property
    def factor(self) -> torch.Tensor:
        """A, (d, rank), with A A^T the covariance."""
        if self.thin:
            return torch.from_numpy(self.matrix).T
        if self.cholesky is not None:
            return self.cholesky
        values, vectors = torch.linalg.eigh(torch.from_numpy(self.matrix))
        kept = slice(len(values) - min(self.count - 1, len(values)), None)
        factor: torch.Tensor = vectors[:, kept] * values[kept].clamp(min=0.0).sqrt()
        return factor


def of_vectors(vectors: npt.NDArray[Any]) -> Gaussian:
    """Return the distribution of (N, d) vectors, N >= 2."""
    count, dimensions = vectors.shape
    if count > dimensions:
        return of_moments(moments(vectors))
    mean = vectors.mean(axis=0, dtype=np.float64)
    return Gaussian(count, mean, (vectors - mean) / np.sqrt(count - 1), thin=True)


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
        product = _congruent(first.cholesky, torch.from_numpy(second.matrix))
        return float(torch.linalg.eigvalsh(product, UPLO="U").clamp(min=0.0).sqrt().sum())
    return _nuclear_norm(first.factor.T @ second.factor, min(first.count, second.count) - 1)


def _nuclear_norm(matrix: torch.Tensor, rank: int) -> float:
    """Return the sum of the singular values of a matrix of at most that rank.

    The roots of the eigenvalues of M M^T are found in half the time. What that costs of precision is bounded: an error
    e in an eigenvalue v is one of e / (2 v^(1/2)) in its root. Where it could be more than 1e-10 of the sum, singular
    values are decomposed for.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    squares = torch.linalg.eigvalsh(wide @ wide.T)[-rank:].clamp(min=0.0)
    roots = squares.sqrt()
    error = torch.finfo(squares.dtype).eps * len(wide) * squares[-1]
    if float((error / (2.0 * roots)).sum()) <= 1e-10 * float(roots.sum()):
        return float(roots.sum())
    return float(torch.linalg.svdvals(matrix).sum())


def _congruent(lower: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Return L^T S L on and above its diagonal, zeros below, (d, d): half as much work as by two whole products."""
    left, found = torch.empty_like(covariance), torch.zeros_like(covariance)
    for block in _blocks(len(lower)):
        rows = slice(block.start, None)  # above these L is 0
        torch.mm(lower[rows, block].T, covariance[rows], out=left[block])
    for block in _blocks(len(lower)):
        rows = slice(block.start, None)
        torch.mm(left[: block.stop, rows], lower[rows, block], out=found[: block.stop, block])
    return found


def _mirror(matrix: torch.Tensor) -> None:
    """Write what is below the diagonal above it."""
    for block in _blocks(len(matrix)):
        matrix[: block.start, block] = matrix[block, : block.start].T
        square = matrix[block, block]
        square.copy_(square.tril() + square.tril(-1).T)


def _blocks(count: int) -> Iterator[slice]:
    """Yield slices that part so many columns."""
    return (slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))
