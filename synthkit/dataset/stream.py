# SPDX-License-Identifier: Apache-2.0
"""Orders of samples that need no memory, and streams of samples that stop and go on anywhere in an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.config import at_least
from synthkit.errors import DatasetError
from synthkit.sample import Sample
from synthkit.seeds import Seeds

if TYPE_CHECKING:
    from synthkit.dataset.reader import Dataset

_ROUNDS = 6
_AHEAD = 4096  # positions worked out at once
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@attrs.frozen
class Order:
    """The order of ``count`` samples in one epoch: a permutation that is computed place by place.

    A Feistel network over the least even number of bits that can count the samples, walked on until it
    lands among them (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002), permutes any
    number of samples exactly and without a table. Its round function is SplitMix64's finaliser (Steele,
    Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).

    Args:
        count: samples. seed: of the order; None keeps the set's own. epoch: each has its own order.
    """

    count: int = attrs.field(validator=at_least(1))
    seed: int | None
    epoch: int = attrs.field(default=0, validator=at_least(0))

    def positions(self, places: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return which sample stands at each place (N,), 0 <= place < count."""
        values = np.asarray(places, np.int64)
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < self.count:
            raise IndexError(f"places must lie in 0..{self.count - 1}")
        if self.seed is None or self.count == 1:
            return values
        keys = Seeds(self.seed).stream("order", self.epoch).integers(0, 2**63, _ROUNDS, dtype=np.uint64)
        half = np.uint64(max(1, ((self.count - 1).bit_length() + 1) // 2))
        result = _shuffled(values.astype(np.uint64), half, keys)
        while (outside := result >= self.count).any():
            result[outside] = _shuffled(result[outside], half, keys)
        return result.astype(np.int64)


def _shuffled(values: npt.NDArray[np.uint64], half: np.uint64, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Permute the numbers below 2^(2 half) by a balanced Feistel network."""
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        mixed = right + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return np.asarray((left << half) | right, np.uint64)


class Stream(Iterator[Sample]):
    """The samples of a set, epoch after epoch, for one of several readers that share the work.

    Together the readers see every sample once in each epoch: reader ``rank`` of ``world`` takes places
    ``rank``, ``rank + world``, ... of the epoch's order. Where they are is one number, so any number of
    readers can go on from the state of another number, as long as all had read equally many.

    ``epoch + epochs`` is where the stream ends, also after a state was loaded: a job that is started
    again with the same arguments trains as many epochs in all as it would have without the break.

    Args:
        data: the set. seed: shuffles exactly, by seed and epoch; None keeps the set's order.
        epoch: the first one. epochs: how many; None never ends. rank, world: which of how many readers.

    Raises:
        DatasetError: for a rank beyond the readers, or a reader that would look for its share of an
            endless stream for ever, because there are fewer samples than readers.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        seed: int | None = None,
        epoch: int = 0,
        epochs: int | None = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if not 0 <= rank < world:
            raise DatasetError(f"rank {rank} of {world} readers: expected 0 <= rank < world")
        if epochs is None and rank >= len(data):
            raise DatasetError(
                f"{data.location}: reader {rank} of {world} has no share of {len(data)} samples,"
                " and would look for one without end; use fewer readers"
            )
        self._data, self._seed = data, seed
        self._rank, self._world = rank, world
        self._epoch, self._end = epoch, None if epochs is None else epoch + epochs
        self._place = 0  # of this epoch, over all readers
        self._ahead: list[int] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sample:
        return self._data[self.next_position()]

    def next_position(self) -> int:
        """Return the position in the set of the next sample, and go past it.

        Raises:
            StopIteration: after the last epoch.
        """
        while not self._ahead:
            first = self._place + self._rank
            if self._end is not None and self._epoch >= self._end:
                raise StopIteration
            if first >= len(self._data):
                self._epoch, self._place = self._epoch + 1, 0
                continue
            places = np.arange(first, min(len(self._data), first + _AHEAD * self._world), self._world)
            self._ahead = Order(len(self._data), self._seed, self._epoch).positions(places).tolist()[::-1]
        self._place += self._world
        return self._ahead.pop()

    def state_dict(self) -> dict[str, Any]:
        """Return plain values that say where the stream is, between two samples."""
        return {
            "data": self._data.fingerprint,
            "seed": self._seed,
            "epoch": self._epoch,
            "place": min(self._place, len(self._data)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, also of a stream with another number of readers, up to this stream's own end.

        Raises:
            DatasetError: when the state is damaged, of another data set or another seed, or beyond this stream's end.
        """
        data = self._data
        epoch, place = loaded_place(state, data.fingerprint, self._seed, len(data), data.location)
        if self._end is not None and (epoch, place) > (self._end, 0):
            raise DatasetError(
                f"{data.location}: the state is in epoch {epoch}, this stream ends before epoch {self._end}:"
                " give it more epochs, or a later first epoch"
            )
        self._epoch, self._place, self._ahead = epoch, place, []


def loaded_place(
    state: Mapping[str, Any], fingerprint: str, seed: int | None, count: int, where: str
) -> tuple[int, int]:
    """Return epoch and place of a state, 0 <= place <= count.

    Args:
        fingerprint, seed, count: of who goes on from it. where: names the data in errors.

    Raises:
        DatasetError: when the state is of another data set or another seed, or damaged.
    """
    missing = sorted({"data", "seed", "epoch", "place"} - state.keys())
    if missing:
        raise DatasetError(f"{where}: the state lacks {', '.join(missing)}")
    for name, mine in (("data", fingerprint), ("seed", seed)):
        if state[name] != mine:
            raise DatasetError(f"{where}: the state is of another {name}: {state[name]!r}, not {mine!r}")
    epoch, place = state["epoch"], state["place"]
    if type(epoch) is not int or type(place) is not int or epoch < 0 or not 0 <= place <= count:
        raise DatasetError(f"{where}: the state is damaged: place {place!r} of epoch {epoch!r} of {count} samples")
    return epoch, place
