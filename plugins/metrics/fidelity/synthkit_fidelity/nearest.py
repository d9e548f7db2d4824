# SPDX-License-Identifier: Apache-2.0
"""How near some vectors are to real ones, and how near real people are to one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]

SKEW = 1.5
"""How much longer the lower tail of distances to the nearest is: at 1.5 strangers drawn at random were as often below
the limit for 1 % as that says (1.2 % of 480), at 1 five times as often."""

DRAWS = 500
"""Distances between real people are taken where so many of the refined ones are."""

_NOTHING = 1e-12


def distances(maps: Maps, weight: Maps, references: Maps) -> Floats:
    """Return the distances of one map (P, c) to references (M, P, c), where ``weight`` (P,) says; 0 to 2.

    Both are compared as unit vectors without their own mean, so that neither brightness nor contrast counts.
    """
    share = (weight / weight.sum()).astype(np.float64)
    weighted = share[:, None] * maps
    mean, means = weighted.sum(axis=0), np.einsum("p,mpc->mc", share, references)
    energy = (weighted * maps).sum() - (mean**2).sum()
    energies = np.einsum("p,mpc,mpc->m", share, references, references, optimize=True) - (means**2).sum(axis=1)
    common = np.einsum("pc,mpc->m", weighted, references) - means @ mean
    cosine = common / np.sqrt(np.maximum(energy * energies, _NOTHING))
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosine, 0)))


def nearest(maps: Maps, weights: Maps, references: Maps) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return for each of (N, P, c) maps the index of the nearest of (M, P, c) references, and the distance to it.

    Args:
        weights: (N, P) where each of the maps is compared.
    """
    rows = [distances(one, weight, references) for one, weight in zip(maps, weights, strict=True)]
    return np.array([row.argmin() for row in rows], dtype=np.intp), np.array([row.min() for row in rows])


def nearest_other(references: Maps, who: Names, weights: Maps) -> Floats:
    """Return distances of references (M, P, c) to the nearest that shows somebody else.

    Each is compared where some of the ``weights`` (N, P) say, evenly chosen: at least every one of the references and,
    among up to ``DRAWS``, every one of the weights is used.
    """
    draws = max(len(references), min(DRAWS, len(weights)))
    found = np.empty(draws)
    for n in range(draws):
        one = n % len(references)
        apart = distances(references[one], weights[n * len(weights) // draws], references)
        found[n] = apart[who != who[one]].min(initial=np.inf)
    return found


def limit(between_people: Floats, chance: float) -> float:
    """Return the distance below which a vector is nearer to somebody real than real people are to one another.

    It stands for the ``chance`` quantile of the distances between nearest people, but is found from the upper tail,
    mirrored at the median and longer by ``SKEW``: the lower one is what pictures of one person under two names, or
    of two people in one box, make of it.

    Args:
        between_people: from ``nearest_other``. chance: the share that may be nearer by chance.
    """
    median = float(np.median(between_people))
    return median - SKEW * (float(np.quantile(between_people, 1 - chance)) - median)
