# SPDX-License-Identifier: Apache-2.0
"""Refusing a key that comes twice in a set, in memory that is eight bytes a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from synthkit.dataset import records, shards
from synthkit.dataset.records import ShardRecord
from synthkit.dataset.stores import Store
from synthkit.errors import DatasetError


def hashes_of(keys: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return the hashes of keys (N,), which hold in this process alone."""
    return np.fromiter(map(hash, keys), np.int64, len(keys))


class UniqueKeys:
    """Takes the keys of one shard after the other, and remembers their hashes.

    They are kept in sorted runs, each more than twice as long as the next: among a million each is merged some
    twenty times, and as many runs are searched. A key is looked for by name when its hash was there before.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runs: list[npt.NDArray[np.int64]] = []

    def add(self, keys: Sequence[bytes], scenes: Sequence[int], earlier: Iterable[ShardRecord]) -> None:
        """Take the keys of another shard, which has each once.

        Args:
            scenes: that they are of. earlier: the shards whose keys were taken before; others do no harm.

        Raises:
            DatasetError: when one is in an earlier shard, naming it and both scenes.
        """
        hashes = hashes_of(keys)
        again = np.zeros(len(keys), np.bool_)
        for run in self._runs:
            again |= run[np.searchsorted(run, hashes).clip(max=len(run) - 1)] == hashes
        if again.any():
            self._refuse({keys[place]: scenes[place] for place in again.nonzero()[0].tolist()}, earlier)
        if len(keys):
            self._runs.append(np.sort(hashes))
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            self._runs[-2:] = [np.sort(np.concatenate(self._runs[-2:]), kind="stable")]

    def _refuse(self, scene_of: dict[bytes, int], earlier: Iterable[ShardRecord]) -> None:
        for record in earlier:
            index = shards.read_index(self._store, record)
            for key, scene in zip(index.keys.tolist(), index.scene.tolist(), strict=True):
                if key in scene_of:
                    raise DatasetError(
                        f"{self._store.location}: cannot be finished: the key {key.decode()!r} comes twice, in scene"
                        f" {scene} ({records.tar_name(record.shard)}) and in scene {scene_of[key]};"
                        " each sample of a data set needs a key of its own"
                    )
