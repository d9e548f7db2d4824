# SPDX-License-Identifier: Apache-2.0
"""Ranking a gallery for queries, and how good ranks are (Zheng et al., Scalable person re-identification, ICCV 2015).

Market-1501's protocol: for each query, pictures of the same person in the same view (there: by the same camera) are
taken out of the gallery; what is left of that person is right, everything else wrong. Queries of whom nothing is left
are passed over. Which pictures share a view is the caller's to say, so that sets of one camera have ranks as well.

Distances that are equal are a tie. Of ties the expectation over all orders is taken, each as likely as another, so the
order of the gallery never matters (McSherry and Najork, Computing information retrieval performance measures
efficiently in the presence of tied scores, ECIR 2008). The evaluator of torchreid takes the order that a sort leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs
import numpy as np
import numpy.typing as npt

from synthkit_reid import ties
from synthkit_reid.single_shot import found_single_shot, people

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

STRANGER = -1
"""The identity of pictures of nobody who is asked for: Market-1501's distractors."""

Removal = Literal["own", "all"]
"""What of a query's view is taken out of the gallery: pictures of the same person, or all."""

Shots = Literal["all", "single"]
"""How much of the gallery is ranked: all of it, or one picture of each person, drawn at random."""

Exact = Callable[[Integers, Integers], Floats]
"""Exact keys of pairs: row in a block, column."""

_BLOCK_CELLS = 1 << 22  # distances that are held at once


def _integers(values: npt.ArrayLike) -> Integers:
    return np.asarray(values, dtype=np.int64)


@attrs.frozen(eq=False)
class Labels:
    """Who is in some pictures, and in which view.

    Args:
        identity: (N,) numbers from 0, or ``STRANGER``. view: (N,) any numbers.
    """

    identity: Integers = attrs.field(converter=_integers)
    view: Integers = attrs.field(converter=_integers)

    def __len__(self) -> int:
        return len(self.identity)


@attrs.frozen(eq=False)
class Protocol:
    """What is ranked, and how far.

    Args:
        removal, shots: see there. most_rank: the last rank of which is told how often it was enough.
    """

    removal: Removal = "own"
    shots: Shots = "all"
    most_rank: int = 50


@attrs.frozen(eq=False)
class Scores:
    """How well the right pictures rank, for each query that has some.

    Args:
        query: (V,) which queries these are.
        ap: (V,) mean precision at the right pictures, as torchreid computes it.
        ap_trapezoid: (V,) the area under straight lines from one place to the next, as Market-1501's own code
            (``compute_AP.m``) computes it.
        found: (V, most_rank) probability that the first right picture has at most this rank, 0 or 1 without ties.
        right, wrong: (V,) pictures that were ranked.
        chance: (V,) probability that the first picture is a right one when the order is drawn.
    """

    query: Integers
    ap: Floats
    ap_trapezoid: Floats
    found: Floats
    right: Integers
    wrong: Integers
    chance: Floats

    @property
    def cmc(self) -> Floats:
        """(most_rank,) the cumulative match characteristic: the share of queries that were found by each rank."""
        return np.asarray(self.found.mean(axis=0))


@attrs.frozen(eq=False)
class Block:
    """Distances of some queries to the gallery, and how much they can be trusted.

    Args:
        rows: which queries. keys: (B, G) numbers that grow with the distance; may be written to.
        tolerance: keys that differ by less may be in another order, or equal.
        exact: what tells them apart, where the tolerance is not 0.
    """

    rows: slice
    keys: npt.NDArray[np.floating[Any]]
    tolerance: float = 0.0
    exact: Exact | None = None


def block_rows(gallery: int) -> int:
    """Return how many queries are ranked at once against a gallery of a size."""
    return max(1, _BLOCK_CELLS // max(1, gallery))


def score_distances(
    distances: npt.NDArray[np.floating[Any]], query: Labels, gallery: Labels, protocol: Protocol | None = None
) -> Scores:
    """Return how well a gallery ranks by distances (Q, G), which are left as they are.

    Raises:
        ValueError: when shapes differ, or a distance is not finite.
    """
    if distances.shape != (len(query), len(gallery)):
        raise ValueError(
            f"distances are {distances.shape}, but there are {len(query)} queries, {len(gallery)} pictures"
        )
    if not np.isfinite(distances).all():
        raise ValueError("distances are not all finite")
    step = block_rows(len(gallery))
    blocks = (Block(slice(at, at + step), distances[at : at + step].copy()) for at in range(0, len(query), step))
    return score(blocks, query, gallery, protocol or Protocol())


def score(blocks: Iterator[Block], query: Labels, gallery: Labels, protocol: Protocol) -> Scores:
    """Return how well a gallery ranks by distances that come in blocks of queries."""
    parts = [_score_block(block, query, gallery, protocol) for block in blocks]
    if not parts:
        none = np.zeros(0, np.int64)
        return Scores(none, np.zeros(0), np.zeros(0), np.zeros((0, protocol.most_rank)), none, none, np.zeros(0))
    return Scores(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in attrs.fields(Scores)))


def by_chance(scores: Scores, protocol: Protocol) -> Scores:
    """Return what to expect of the same queries if the order of the gallery were drawn, all as near as another."""
    kinds, which = np.unique(np.stack([scores.right, scores.wrong]), axis=1, return_inverse=True)
    precisions, found = np.ones((2, kinds.shape[1])), np.ones((kinds.shape[1], protocol.most_rank))
    for n, (right, wrong) in enumerate(kinds.T.tolist()):
        if wrong:
            equals = ties.Equals(0, wrong, right, 0)
            precision, earlier = equals.precisions()
            precisions[:, n], found[n] = (precision, (precision + earlier) / 2), equals.found(protocol.most_rank)
    ap, trapezoid = precisions[:, which.reshape(-1)]
    each = found[which.reshape(-1)]
    if protocol.shots == "single":
        each = np.minimum(1.0, scores.chance[:, None] * np.arange(1, protocol.most_rank + 1))
    return attrs.evolve(scores, ap=ap, ap_trapezoid=trapezoid, found=each)


def _score_block(block: Block, query: Labels, gallery: Labels, protocol: Protocol) -> Scores:
    keys, first_row = block.keys, block.rows.start or 0
    identity, view = query.identity[block.rows], query.view[block.rows]
    rows, columns = _own(identity, gallery.identity)
    kept = gallery.view[columns] != view[rows]
    hit_rows, hit_columns = rows[kept], columns[kept]
    hits = keys[hit_rows, hit_columns]
    out_of_reach = np.inf  # sorts behind everything that is ranked
    keys[rows, columns] = out_of_reach
    wrong = len(gallery) - np.bincount(rows, minlength=len(keys))
    if protocol.removal == "all":
        strangers = (gallery.view == view[:, None]) & np.isfinite(keys)
        keys[strangers] = out_of_reach
        wrong -= strangers.sum(axis=1)

    valid, starts, right = np.unique(hit_rows, return_index=True, return_counts=True)
    before, upto = _nearer(block, hits, hit_rows, hit_columns, starts, right)
    order = np.lexsort((upto, before, hit_rows))
    ap, trapezoid, found = _scored(before[order], upto[order], starts, right, protocol.most_rank)
    chance = right / (right + wrong[valid])
    if protocol.shots == "single":
        for n, at in enumerate(starts):
            own = slice(at, at + right[n])
            less, equal = _compared(block, int(valid[n]), hits[own], hit_columns[own])
            ranked = np.isfinite(keys[valid[n]])
            person = people(gallery.identity[ranked])
            found[n] = found_single_shot(less[:, ranked], equal[:, ranked], person, protocol.most_rank)
            chance[n] = 1 / (2 + person.max(initial=-1))
    return Scores(valid + first_row, ap, trapezoid, found, right, wrong[valid], chance)


def _own(identity: Integers, gallery: Integers) -> tuple[Integers, Integers]:
    """Return rows and columns of the pictures that show whom the query shows, row by row; a stranger has none."""
    order = np.argsort(gallery, kind="stable")
    first, last = (gallery[order].searchsorted(identity, side) for side in ("left", "right"))
    count = np.where(identity == STRANGER, 0, last - first)
    rows = np.repeat(np.arange(len(identity)), count)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    return rows, order[np.repeat(first, count) + place]


def _nearer(
    block: Block, hits: npt.NDArray[Any], rows: Integers, columns: Integers, starts: Integers, right: Integers
) -> tuple[Integers, Integers]:
    """Return for each right picture how many wrong ones are nearer, and how many nearer or as near.

    Args:
        hits, rows, columns: keys and places of the right pictures, those of a query together. starts, right: where each
            query's begin, and how many there are.
    """
    before, upto = np.zeros((2, len(hits)), np.int64)
    ranked = np.sort(block.keys, axis=1)
    for start, end in zip(starts, starts + right, strict=True):
        row, own = int(rows[start]), hits[start:end]
        before[start:end] = ranked[row].searchsorted(own - block.tolerance, "left")
        upto[start:end] = ranked[row].searchsorted(own + block.tolerance, "right")
        unsure = start + np.flatnonzero(upto[start:end] > before[start:end])
        if block.exact is not None and len(unsure):
            less, equal = _settled(block, block.exact, row, hits[unsure], columns[unsure])
            before[unsure] += less
            upto[unsure] = before[unsure] + equal
    return before, upto


def _settled(
    block: Block, exact: Exact, row: int, hits: npt.NDArray[Any], columns: Integers
) -> tuple[Integers, Integers]:
    """Return of how many pictures that are about as near as some right ones exact keys are less, and how many equal."""
    keys = block.keys[row]
    near = [
        ((keys >= low) & (keys <= high)).nonzero()[0]
        for low, high in zip(hits - block.tolerance, hits + block.tolerance, strict=True)
    ]
    which = np.repeat(np.arange(len(hits)), [len(part) for part in near])
    places = np.concatenate([columns, *near])
    settled = exact(np.full(len(places), row), places)
    own, other = settled[which], settled[len(columns) :]
    return np.bincount(which[other < own], minlength=len(hits)), np.bincount(which[other == own], minlength=len(hits))


def _compared(
    block: Block, row: int, hits: npt.NDArray[Any], columns: Integers
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which pictures (G,) are nearer to a query than each of some right ones, and which as near: (P, G) each."""
    keys, tolerance = block.keys[row], block.tolerance
    less = keys < (hits - tolerance)[:, None]
    equal = (keys <= (hits + tolerance)[:, None]) & ~less
    if block.exact is not None:
        which, near = np.nonzero(equal)
        places = np.concatenate([columns, near])
        exact = block.exact(np.full(len(places), row), places)
        own, other = exact[which], exact[len(columns) :]
        less[which, near], equal[which, near] = other < own, other == own
    return less, equal


def _scored(
    before: Integers, upto: Integers, starts: Integers, right: Integers, most_rank: int
) -> tuple[Floats, Floats, Floats]:
    """Return both average precisions and by which rank each query is found; see ``Scores``.

    Args:
        before, upto: of each right picture, ascending for each query: wrong ones nearer, and nearer or as near.
        starts, right: where each query's begin, and how many there are.
    """
    if not len(starts):
        return np.zeros(0), np.zeros(0), np.zeros((0, most_rank))
    place = np.arange(1, len(before) + 1) - np.repeat(starts, right)  # among the right ones
    rank = before + place
    precision = place / rank
    earlier = np.where(rank > 1, (place - 1) / np.maximum(rank - 1, 1), 1.0)  # one rank before
    found = (rank[starts][:, None] <= np.arange(1, most_rank + 1)).astype(np.float64)
    query = np.repeat(np.arange(len(starts)), right)
    tied = np.flatnonzero(upto > before)
    same = (before[tied[1:]] == before[tied[:-1]]) & (query[tied[1:]] == query[tied[:-1]])
    for group in np.split(tied, np.flatnonzero(~same) + 1) if len(tied) else []:
        first, wrong, ahead = group[0], int(upto[group[0]] - before[group[0]]), int(place[group[0]]) - 1
        equals = ties.Equals(int(before[first]), wrong, len(group), ahead)
        precision[group], earlier[group] = equals.precisions()
        if ahead == 0:
            found[query[first]] = equals.found(most_rank)
    ap = np.add.reduceat(precision, starts) / right
    trapezoid = np.add.reduceat((precision + earlier) / 2, starts) / right
    return ap, trapezoid, found
