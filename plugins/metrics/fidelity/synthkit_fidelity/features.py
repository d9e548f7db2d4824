# SPDX-License-Identifier: Apache-2.0
"""Feature vectors as a state that can be kept and merged: some of them as they are, the rest as its moments."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.interfaces import State
from synthkit_fidelity.gaussians import NOTHING, Gaussian, Moments, moments, of_moments, of_vectors

T = TypeVar("T")
Vectors = npt.NDArray[np.float32]

_FOLD = 4096  # vectors beyond the limit that wait before they become moments


@attrs.frozen(eq=False)
class Features:
    """The features of a set.

    Args:
        keys: (n,) whose they are, sorted by ``draw``. vectors: (n, d) float32. rest: the moments of all others.
    """

    keys: npt.NDArray[np.str_]
    vectors: Vectors
    rest: Moments = NOTHING

    @property
    def count(self) -> int:
        """Of all vectors."""
        return len(self.keys) + self.rest.count

    def gaussian(self) -> Gaussian:
        """Return the distribution of all, at least two."""
        if self.rest.count:
            return of_moments(self.rest + moments(self.vectors))
        return of_vectors(self.vectors)


NO_FEATURES = Features(np.zeros(0, np.str_), np.zeros((0, 0), np.float32))


def gathered(parts: Iterable[tuple[Sequence[str], Vectors]], keep: int, *, only: bool = False) -> Features:
    """Return the features of keys and their vectors, at most ``keep`` of them as they are.

    Which ones depends on their keys alone: those whose digest is smallest, an even draw from all of them, however
    they are divided and in whatever order they come. So results do not depend on that either, but for rounding in
    the moments of the rest.

    Args:
        only: whether the rest is left out.
    """
    done = NO_FEATURES
    keys: list[str] = []
    waiting: list[Vectors] = []
    for names, vectors in parts:
        keys.extend(names)
        waiting.append(vectors)
        if len(keys) >= _FOLD:
            done = joined([done, Features(np.array(keys, np.str_), np.concatenate(waiting))], keep, only=only)
            keys, waiting = [], []
    if keys:
        done = joined([done, Features(np.array(keys, np.str_), np.concatenate(waiting))], keep, only=only)
    return done


def joined(parts: Sequence[Features], keep: int, *, only: bool = False) -> Features:
    """Return the features of all parts; their order never matters. The arguments are those of ``gathered``."""
    rests = sorted((part.rest for part in parts), key=lambda rest: rest.mean.tobytes())
    filled = [part for part in parts if len(part.keys)]
    if not filled:
        return Features(NO_FEATURES.keys, NO_FEATURES.vectors, sum(rests, NOTHING))
    keys = np.concatenate([part.keys for part in filled])
    places = [draw(key) for key in keys.tolist()]
    order = np.array(sorted(range(len(keys)), key=places.__getitem__), dtype=np.intp)
    vectors = np.concatenate([part.vectors for part in filled])[order]
    beyond = [] if only else [moments(vectors[keep:])]
    return Features(keys[order[:keep]], vectors[:keep], sum([*rests, *beyond], NOTHING))


def drawn(items: Iterable[tuple[str, T]], count: int) -> Iterator[tuple[str, T]]:
    """Yield all items that may be among the ``count`` whose keys ``gathered`` keeps: not many more, of many."""
    largest: list[_Reversed] = []
    for key, item in items:
        place = _Reversed(draw(key))
        if len(largest) < count:
            heapq.heappush(largest, place)
        elif place < largest[0]:  # larger than the largest that is kept
            continue
        else:
            heapq.heapreplace(largest, place)
        yield key, item


def to_state(features: Features) -> State:
    """Return plain arrays."""
    rest = features.rest
    return {
        "keys": features.keys, "features": features.vectors,
        "rest_count": np.array([rest.count]), "rest_mean": rest.mean, "rest_scatter": rest.scatter,
    }  # fmt: skip


def from_state(state: State) -> Features:
    """Return what ``to_state`` was given."""
    rest = Moments(int(state["rest_count"][0]), state["rest_mean"], state["rest_scatter"])
    return Features(state["keys"], state["features"], rest)


def draw(key: str) -> tuple[bytes, str]:
    """Return by what keys are sorted: as good as at random, and always the same."""
    return hashlib.blake2b(key.encode(), digest_size=8).digest(), key


@attrs.frozen(order=False)
class _Reversed:
    """A draw that sorts the other way round, for a heap whose first is the largest."""

    place: tuple[bytes, str]

    def __lt__(self, other: _Reversed) -> bool:
        return self.place > other.place
