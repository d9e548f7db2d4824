# SPDX-License-Identifier: Apache-2.0
"""Where keys are: the few shards whose ranges of keys hold one, or a compact table of all keys."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from synthkit.dataset.index import Index
from synthkit.dataset.opening import Shard
from synthkit.dataset.twins import hashes_of

_FEW = 4  # shards that are looked into one by one


class KeyTable:
    """Finds the positions of a key.

    Where the shards' ranges of keys are known and hardly overlap, their bounds are bisected. Otherwise the
    hashes of all keys are sorted once, which takes 16 bytes a sample, and what they find is compared.

    Args:
        shards: of the set, in order. index_of: gives the index of a shard by its place in them.
    """

    def __init__(self, shards: Sequence[Shard], index_of: Callable[[int], Index]) -> None:
        self._index_of = index_of
        self._starts = [0, *itertools.accumulate(shard.samples for shard in shards)]
        self._hashes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
        ranges = [(shard.key_range, n) for n, shard in enumerate(shards) if shard.samples]
        known = sorted((*keys, n) for keys, n in ranges if keys is not None)
        self._ranged = len(known) == len(ranges)
        self._least = [least for least, _, _ in known]
        self._by_least = [n for _, _, n in known]
        # The greatest key so far never falls, so that it can be bisected even when ranges overlap.
        self._greatest = list(itertools.accumulate((greatest for _, greatest, _ in known), max))

    def positions(self, key: str) -> list[int]:
        """Return where a key's samples are; only in sets of strangers or earlier versions there may be several."""
        if not key.isprintable():  # no such key is ever stored, and NumPy would cut zero bytes off
            return []
        name = key.encode()
        places = self._candidates(name)
        if places is None:
            return self._hashed(name)
        return [
            self._starts[n] + found for n in places for found in (self._index_of(n).keys == name).nonzero()[0].tolist()
        ]

    def _candidates(self, key: bytes) -> list[int] | None:
        """Return the shards that may have a key, in order; None when they are many, or nobody knows."""
        if not self._ranged:
            return None
        begin = bisect.bisect_left(self._greatest, key)
        end = bisect.bisect_right(self._least, key)
        return sorted(self._by_least[begin:end]) if end - begin <= _FEW else None

    def _hashed(self, key: bytes) -> list[int]:
        if self._hashes is None:
            self._hashes = self._all_hashes()
        hashes, positions = self._hashes
        found, wanted = [], hashes_of([key])[0]
        for place in range(int(np.searchsorted(hashes, wanted)), len(hashes)):
            if hashes[place] != wanted:
                break
            position = int(positions[place])
            shard = bisect.bisect_right(self._starts, position) - 1
            if self._index_of(shard).keys[position - self._starts[shard]] == key:
                found.append(position)
        return found

    def _all_hashes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the hashes of all keys, sorted, and the positions they are of."""
        hashes = np.empty(self._starts[-1], np.int64)
        for n, (start, end) in enumerate(itertools.pairwise(self._starts)):
            hashes[start:end] = hashes_of(self._index_of(n).keys.tolist())
        order = np.argsort(hashes, kind="stable")  # of equal ones the first comes first
        return hashes[order], order
