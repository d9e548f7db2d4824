# SPDX-License-Identifier: Apache-2.0
"""Ranks in a gallery of one picture of each person, drawn at random, without drawing (CUHK03's protocol).

Evaluators draw ten galleries and take the mean (torchreid's ``eval_cuhk03``). Here the mean over all galleries is
computed: given the right picture, how many others are nearer is a sum of independent events, one a person, and has
Poisson's binomial distribution.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import roots_legendre

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MOST_NODES = 64


def people(identity: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return numbers from 0 of the people in some pictures (N,); of strangers, below 0, each is one."""
    apart = np.where(identity >= 0, identity, identity.max(initial=0) + 1 + np.arange(len(identity)))
    return np.asarray(np.unique(apart, return_inverse=True)[1], dtype=np.int64)


def found_single_shot(less: Flags, equal: Flags, person: npt.NDArray[np.int64], most_rank: int) -> Floats:
    """Return the probability that one query's right picture has at most each rank, (most_rank,).

    Args:
        less, equal: (P, W) which wrong pictures are nearer than each right one, and which as near.
        person: (W,) whose they are; see ``people``.
    """
    if not len(person):
        return np.ones(most_rank)  # there is nobody else
    size = np.bincount(person)
    nearer, as_near = (np.stack([np.bincount(person, row, len(size)) for row in flags]) / size
                       for flags in (less, equal))  # fmt: skip
    # Equals come in an order that is drawn. Were it drawn by giving each a number from 0 to 1, and u to the right one,
    # those of lower numbers would be nearer: a polynomial of u, which Gauss's nodes integrate exactly.
    ties = int((as_near > 0).any(axis=0).sum())
    nodes, weights = roots_legendre(min(ties // 2 + 1, _MOST_NODES))
    shares = nearer[:, None] + as_near[:, None] * ((nodes + 1) / 2)[None, :, None]  # (P, U, people)
    counts = _counts_below(shares.reshape(-1, shares.shape[2]), most_rank).reshape(*shares.shape[:2], most_rank)
    return np.asarray(np.cumsum(np.einsum("pur,u->r", counts, weights / 2) / len(less)).clip(0.0, 1.0))


def _counts_below(shares: Floats, most: int) -> Floats:
    """Return the probability (N, most) of 0, 1, ... independent events, whose probabilities are (N, events)."""
    counts = np.zeros((len(shares), most))
    counts[:, 0] = 1.0
    for share in shares.T[shares.any(axis=0)]:
        happens = counts * share[:, None]
        counts -= happens
        counts[:, 1:] += happens[:, :-1]
    return counts
