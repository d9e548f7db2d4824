# SPDX-License-Identifier: Apache-2.0
"""Distances between embeddings, a block of queries at a time.

They are computed in single precision, which is fast, and where that is too coarse to tell which of two pictures is
nearer, again in double: ranks are those of exact distances, on every machine and whatever the block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import attrs
import numpy as np
import numpy.typing as npt

from synthkit_reid.ranking import Block, Floats, Integers, block_rows

Kind = Literal["cosine", "euclidean"]
Embeddings = npt.NDArray[np.float32]

_LAMBDA = 8.0
_GRID = 2.0**-42  # of the largest key: exact ones nearer to each other are a tie, as those of equal pictures shall be
_PAIRS = 1 << 14  # that are computed at once in double precision


def blocks(query: Embeddings, gallery: Embeddings, kind: Kind) -> Iterator[Block]:
    """Yield keys that grow with the distance between queries (Q, d) and gallery (G, d).

    Args:
        kind: ``cosine``, or ``euclidean`` between embeddings as they are.
    """
    left, right = _Side.of(query, kind), _Side.of(gallery, kind)
    largest = right.longest * max(left.longest, right.longest)
    # Errors of a sum of n products exceed 8 sqrt(n) u times the vectors' lengths with a probability of 2 exp(-32)
    # (Higham and Mary, A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41, 2019); so for
    # each of the two keys, and for rounding their vectors.
    tolerance = 2 * (_LAMBDA * math.sqrt(query.shape[1]) + 8) * 2.0**-24 * largest
    grid = _GRID * largest
    vectors, negative, step = left.vectors, -right.vectors, block_rows(len(gallery))
    for at in range(0, len(query), step):

        def exact(rows: Integers, columns: Integers, at: int = at) -> Floats:
            keys = np.empty(len(rows))
            for part in (slice(n, n + _PAIRS) for n in range(0, len(rows), _PAIRS)):
                products = left.products(right, at + rows[part], columns[part])
                keys[part] = np.rint((right.offset[columns[part]] - products) / grid)
            return keys

        rows = slice(at, min(at + step, len(query)))
        keys = vectors[rows] @ negative.T
        if kind == "euclidean":
            keys += right.offset.astype(np.float32)
        yield Block(rows, keys, tolerance, exact)


@attrs.frozen(eq=False)
class _Side:
    """The vectors of queries or gallery; keys are the gallery's offset less products of vectors.

    Args:
        raw: (N, d) as they came. scale: (N,) what takes them to the vectors: to length 1, or not at all.
        offset: (N,) 0, or half the squared length.
    """

    raw: Embeddings
    scale: Floats
    offset: Floats

    @classmethod
    def of(cls, raw: Embeddings, kind: Kind) -> _Side:
        """Prepare embeddings; one that is 0 stays so, as far from everything as what is at right angles."""
        squares = np.einsum("nd,nd->n", raw, raw, dtype=np.float64)
        if kind == "euclidean":
            return cls(raw, np.ones(len(raw)), squares / 2)
        scale = np.divide(1.0, np.sqrt(squares), out=np.zeros(len(raw)), where=squares > 0)
        return cls(raw, scale, np.zeros(len(raw)))

    @property
    def vectors(self) -> Embeddings:
        """(N, d), rounded."""
        return self.raw * self.scale.astype(np.float32)[:, None]

    @property
    def longest(self) -> float:
        """The greatest length of a vector."""
        return float(np.sqrt(2 * self.offset.max(initial=0))) if self.offset.any() else 1.0

    def products(self, other: _Side, rows: Integers, columns: Integers) -> Floats:
        """Return products of pairs of vectors, (P,)."""
        left, right = self.raw[rows].astype(np.float64), other.raw[columns].astype(np.float64)
        return np.asarray(np.einsum("nd,nd->n", left, right) * self.scale[rows] * other.scale[columns])
