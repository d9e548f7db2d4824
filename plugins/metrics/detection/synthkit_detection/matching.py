# SPDX-License-Identifier: Apache-2.0
"""Pairing all detections of a set with the truth, at several agreements at once."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.interfaces import State
from synthkit_detection.geometry import Bools, Floats, Geometry, Ints

FLOOR = 0.1
"""Agreements below this (or below the least that is asked for) are as good as none."""

_PAIRS_AT_ONCE = 1 << 19


@attrs.frozen(eq=False)
class Candidates:
    """The truths that each detection agrees with at all, best first; of equal ones the later, as pycocotools takes it.

    Args:
        truth: (D, C) index of the truth; -1: no more. agreement: (D, C), -1 where there is none.
    """

    truth: Ints
    agreement: Floats


def candidates(state: State, geometry: Geometry, least: float) -> Candidates:
    """Return which truths of its image each detection agrees with by at least ``least``."""
    parts = [_agreeing(state, geometry, found, truth, least) for found, truth in _pairs(state)]
    empty: tuple[Ints, Ints, Floats] = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    found, truth, agreement = (np.concatenate(part) for part in zip(empty, *parts, strict=True))
    order = np.lexsort((-truth, -agreement, found))
    found, truth, agreement = found[order], truth[order], agreement[order]
    count = np.bincount(found, minlength=len(state["scores"]))
    place = ranks(count)
    shape = len(count), int(count.max(initial=0))
    table = Candidates(np.full(shape, -1), np.full(shape, -1.0))
    table.truth[found, place], table.agreement[found, place] = truth, agreement
    return table


def ranks(counts: Ints) -> Ints:
    """Return the place of each row among its image's rows, (N,), for the images' numbers of rows."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def partners(
    found: Candidates, rank: Ints, thresholds: Floats, optional: Bools, region: Bools
) -> npt.NDArray[np.int64]:
    """Return the truth that each detection takes, or -1: (T, D) int64.

    COCO's rule: the detections of an image choose in the order of their scores. Each takes the truth it agrees with
    most among those still free and agreeing by the threshold at least; truth that need not be found only where there is
    no other; regions stay free.

    Args:
        rank: (D,) place of each detection among its image's. thresholds: (T,). optional, region: (G,).
    """
    least = np.minimum(thresholds, 1.0 - 1e-10)[:, None, None]
    free = np.ones((len(thresholds), len(optional)), dtype=bool)
    taken = np.full((len(thresholds), len(rank)), -1, dtype=np.int64)
    choosing = np.flatnonzero((found.truth >= 0).any(axis=1)) if found.truth.size else np.zeros(0, np.int64)
    for turn in np.unique(rank[choosing]):
        rows = choosing[rank[choosing] == turn]
        truth, there = found.truth[rows], found.agreement[rows]
        possible = (there >= least) & (free[:, truth] | region[truth])
        needed = possible & ~optional[truth]
        possible = np.where(needed.any(axis=2, keepdims=True), needed, possible)
        level, row = np.nonzero(possible.any(axis=2))
        chosen = truth[row, possible[level, row].argmax(axis=1)]
        taken[level, rows[row]] = chosen
        free[level, chosen] = False
    return taken


def _pairs(state: State) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs of a detection and a truth of the same image, as two index arrays, some images at a time."""
    found, truth = state["detections"], state["truths"]
    found_start, truth_start = np.cumsum(found) - found, np.cumsum(truth) - truth
    pairs = np.asarray(found * truth, dtype=np.int64)
    blocks = np.cumsum(pairs) // _PAIRS_AT_ONCE
    for images in np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(blocks)) + 1):
        image = np.repeat(images, pairs[images])
        place = ranks(pairs[images])
        columns = np.maximum(truth[image], 1)
        yield found_start[image] + place // columns, truth_start[image] + place % columns


def _agreeing(state: State, geometry: Geometry, found: Ints, truth: Ints, least: float) -> tuple[Ints, Ints, Floats]:
    agreement = geometry.agreement(state["detected"][found], state["truth"][truth], state["region"][truth])
    kept = agreement >= least
    return found[kept], truth[kept], agreement[kept]
