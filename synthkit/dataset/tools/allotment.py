# SPDX-License-Identifier: Apache-2.0
"""Giving groups of different sizes to parts, so that the parts come near to the sizes they should have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs

_MAX_STEPS = 1000
_FEW_KINDS = 12  # of sizes, up to which pairs are worth their number


def allot(sizes: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Return for each group the number of its part.

    It begins in two ways: each group, the largest first, goes where most is missing; or the parts, the smallest
    first, take the groups that fit. From each, groups are exchanged, one or two for none, one or two, as long as that
    brings the parts nearer to their sizes; the better end is taken.

    Args:
        sizes: of the groups, falling. shares: of the parts, summing to 1.
    """
    wanted = [share * sum(sizes) for share in shares]
    ends = []
    for begin in (_most_missing, _smallest_first):
        given = begin(sizes, wanted)
        missing = list(wanted)
        for size, part in zip(sizes, given, strict=True):
            missing[part] -= size
        for _ in range(_MAX_STEPS):
            if not _improve(sizes, given, missing):
                break
        ends.append((round(sum(miss**2 for miss in missing), 6), given))
    return min(ends, key=lambda end: end[0])[1]


def _most_missing(sizes: Sequence[int], wanted: Sequence[float]) -> list[int]:
    missing, given = list(wanted), []
    for size in sizes:
        part = max(range(len(wanted)), key=lambda p: (missing[p], -p))
        missing[part] -= size
        given.append(part)
    return given


def _smallest_first(sizes: Sequence[int], wanted: Sequence[float]) -> list[int]:
    *smaller, largest = sorted(range(len(wanted)), key=lambda p: (wanted[p], p))
    given = [largest] * len(sizes)
    left = list(range(len(sizes)))
    for part in smaller:
        missing, rest = wanted[part], []
        for n in left:
            if sizes[n] <= missing:
                missing -= sizes[n]
                given[n] = part
            else:
                rest.append(n)
        left = rest
    return given


def _improve(sizes: Sequence[int], given: list[int], missing: list[float]) -> bool:
    """Do the exchange between two parts that helps most; return whether there was one."""
    held = [_bundles(sizes, [n for n, part in enumerate(given) if part == of]) for of in range(len(missing))]
    best = 1e-9  # what floats make of nothing is no gain
    chosen: tuple[int, int, _Bundle, _Bundle] | None = None
    for a, b in itertools.combinations(range(len(missing)), 2):
        for there, back in itertools.product(held[a], held[b]):
            gain = _gain(missing, a, b, there.size - back.size)
            if gain > best:
                best, chosen = gain, (a, b, there, back)
    if chosen is None:
        return False
    a, b, there, back = chosen
    missing[a] += there.size - back.size
    missing[b] -= there.size - back.size
    for n in there.groups:
        given[n] = b
    for n in back.groups:
        given[n] = a
    return True


@attrs.frozen
class _Bundle:
    """Groups that may leave a part together, and their size."""

    groups: tuple[int, ...]
    size: int


def _bundles(sizes: Sequence[int], groups: Sequence[int]) -> list[_Bundle]:
    """Return nothing, single groups and, where there are few kinds, pairs of groups of a part.

    Groups of one size are alike, so two of each kind stand for all.
    """
    alike: dict[int, list[int]] = {}
    for n in groups:
        alike.setdefault(sizes[n], []).append(n)
    kinds = [n for kind in alike.values() for n in kind[-2:]]
    most = 2 if len(alike) <= _FEW_KINDS else 1
    chosen = itertools.chain.from_iterable(itertools.combinations(kinds, count) for count in range(most + 1))
    return [_Bundle(some, sum(sizes[n] for n in some)) for some in chosen]


def _gain(missing: Sequence[float], a: int, b: int, size: int) -> float:
    """Return by how much the squared misses fall when ``size`` samples move from part a to part b."""
    before = missing[a] ** 2 + missing[b] ** 2
    return before - (missing[a] + size) ** 2 - (missing[b] - size) ** 2
