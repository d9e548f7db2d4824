# SPDX-License-Identifier: Apache-2.0
"""Giving groups of different sizes to parts, so that the parts come near to the sizes they should have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

_MAX_STEPS = 1000


def allot(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Return for each group the number of its part.

    Each group, the largest first, goes where most is missing; then single groups are moved and pairs
    exchanged as long as that brings the parts nearer to their sizes.

    Args:
        sizes: of the groups, falling. shares: of the parts, summing to 1.
    """
    wanted = [share * sum(sizes) for share in shares]
    missing = list(wanted)
    given = []
    for size in sizes:
        part = max(range(len(shares)), key=lambda p: (missing[p], -p))
        missing[part] -= size
        given.append(part)
    for _ in range(_MAX_STEPS):
        if not _improve(sizes, given, missing):
            break
    return given


def _improve(sizes: Sequence[int], given: list[int], missing: list[float]) -> bool:
    """Do the move or exchange that helps most; return whether there was one.

    Groups of one size in one part are alike, so only the last of each kind is looked at.
    """
    last = {(part, size): n for n, (part, size) in enumerate(zip(given, sizes, strict=True))}
    best = 1e-9  # what floats make of nothing is no gain
    chosen: tuple[int, int, int | None] | None = None
    for (a, size_a), n in last.items():
        for b in range(len(missing)):
            if b != a:
                gain = _gain(missing, a, b, size_a)
                if gain > best:
                    best, chosen = gain, (n, b, None)
    for ((a, size_a), n), ((b, size_b), m) in itertools.combinations(last.items(), 2):
        if a != b:
            gain = _gain(missing, a, b, size_a - size_b)
            if gain > best:
                best, chosen = gain, (n, b, m)
    if chosen is None:
        return False
    n, part, other = chosen
    size = sizes[n] - (0 if other is None else sizes[other])
    missing[given[n]] += size
    missing[part] -= size
    if other is not None:
        given[other] = given[n]
    given[n] = part
    return True


def _gain(missing: Sequence[float], a: int, b: int, size: int) -> float:
    """Return by how much the squared misses fall when ``size`` samples move from part a to part b."""
    before = missing[a] ** 2 + missing[b] ** 2
    return before - (missing[a] + size) ** 2 - (missing[b] - size) ** 2
