# SPDX-License-Identifier: Apache-2.0
"""Reading data sets: by position, by key or in order, at each member's own place in its tar."""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from synthkit.dataset import codec, records, stores
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.opening import Shard, foreign_tars, load_index, own_shards, scanned, sha256_of
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.stores import Store
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Skipped

if TYPE_CHECKING:
    from synthkit.dataset.stream import Stream

_LOADED_INDEXES = 64
_CHUNK_BYTES = 1 << 22  # read at a time when all is read in order


class Dataset:
    """A finished data set, or any folder of WebDataset tars (or one tar), opened for reading.

    Only records are read at first; indexes and samples when they are asked for. It can be pickled, is
    cheap to open again in another process, and may be shared by threads.

    Args:
        store: where its files are. layers: which layers to decode; None means all.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest | None,
        shards: list[Shard],
        layers: Collection[str] | None,
        reopen: tuple[Any, ...],
    ) -> None:
        self.store = store
        self.manifest = manifest
        self.layers = None if layers is None else tuple(layers)
        self.shards = tuple(shards)
        self._reopen = reopen
        self._ends = list(itertools.accumulate(shard.samples for shard in shards))
        self._indexes: OrderedDict[int, Index] = OrderedDict()
        self._places: dict[bytes, int] | None = None

    @classmethod
    def open(
        cls, location: Path | str, *, layers: Collection[str] | None = None, allow_unfinished: bool = False
    ) -> Dataset:
        """Open a data set.

        Args:
            location: its folder, a tar, or the URL of either that fsspec reaches. layers: decode only these.
            allow_unfinished: take the committed shards of a set that is still being made, or has lost some.

        Raises:
            DatasetError: when it is missing, empty, unfinished, or its records do not fit together.
        """
        store = stores.at(location)
        if store.size(records.MANIFEST) is not None:
            manifest = Manifest.read(store)
            shards = own_shards(store, manifest, allow_unfinished)
        else:
            store, names = foreign_tars(location)
            manifest, shards = None, [scanned(store, name) for name in names]
        if not any(shard.samples for shard in shards):
            raise DatasetError(f"{location}: holds no samples")
        return cls(store, manifest, shards, layers, (location, layers, allow_unfinished))

    @property
    def location(self) -> str:
        """The path or URL it was opened at."""
        return str(self._reopen[0])

    @property
    def path(self) -> Path:
        """The folder (or tar) of a local set.

        Raises:
            DatasetError: when it lies at a URL.
        """
        if stores.is_url(self._reopen[0]):
            raise DatasetError(f"{self.location}: is no local folder; copy it first")
        return Path(self._reopen[0])

    def __repr__(self) -> str:
        return f"Dataset({self.location!r}, {len(self)} samples)"

    def __reduce__(self) -> Any:
        location, layers, allow_unfinished = self._reopen
        return functools.partial(Dataset.open, layers=layers, allow_unfinished=allow_unfinished), (location,)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: SupportsIndex, /) -> Sample:
        """Return the sample at a position; negative ones count from the end.

        Raises:
            IndexError: beyond the end. DatasetError: when the sample is damaged, naming shard and key.
        """
        shard, entry = self._locate(index)
        return codec.decode(entry.key, self._read(shard, entry), where=self.where(shard))

    def __iter__(self) -> Iterator[Sample]:
        for shard, key, members in self._in_order():
            yield codec.decode(key, members, where=self.where(shard))

    @property
    def fingerprint(self) -> str:
        """The identity of the content (of the tars' bytes, for a stranger's), stable across copies."""
        if self.manifest:
            return records.content_of(shard.content for shard in self.shards)
        return records.content_of(sha256_of(self.store, shard) for shard in self.shards)

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(key, reason) of every sample that could not be made."""
        return [(key, reason) for n in range(len(self.shards)) for _, key, reason in self._holes(n)]

    def stream(
        self, *, seed: int | None = None, epoch: int = 0, epochs: int | None = 1, rank: int = 0, world: int = 1
    ) -> Stream:
        """Return an iterator over the samples that can stop and go on anywhere; see ``Stream``."""
        from synthkit.dataset.stream import Stream

        return Stream(self, seed=seed, epoch=epoch, epochs=epochs, rank=rank, world=world)

    def slots(self) -> list[int | Skipped]:
        """Return every place a sample was meant for: its position, or why it is missing.

        Places stay the same when holes heal, and when the set grows; positions do not.
        """
        places: list[int | Skipped] = []
        for n, shard in enumerate(self.shards):
            start = self._ends[n] - shard.samples
            if not shard.skipped:
                places += range(start, self._ends[n])
                continue
            entries = enumerate(self.index(n).entries(), start)
            found: list[tuple[int, str, int | Skipped]] = [(e.scene, e.key, place) for place, e in entries]
            found += [(scene, key, Skipped(key, reason)) for scene, key, reason in self._holes(n)]
            places += [place for _, _, place in sorted(found, key=lambda item: item[:2])]
        return places

    def keys(self) -> Iterator[str]:
        """Yield the keys in order, reading indexes only."""
        for shard in range(len(self.shards)):
            yield from (key.decode() for key in self.index(shard).keys.tolist())

    def key(self, index: SupportsIndex) -> str:
        """Return the key at a position without reading the sample."""
        return self._locate(index)[1].key

    def position(self, key: str) -> int:
        """Return where a key's sample is; indexes are read of those shards alone that may have it.

        Raises:
            DatasetError: when there is none.
        """
        place = self._search(key.encode())
        if place is None:
            raise DatasetError(f"{self.location}: has no sample {key!r}")
        return place

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._search(key.encode()) is not None

    def by_key(self, key: str) -> Sample:
        """Return a sample by key.

        Raises:
            DatasetError: when there is none.
        """
        return self[self.position(key)]

    def members(self, index: SupportsIndex) -> tuple[str, dict[str, bytes]]:
        """Return a sample's key and its stored members by suffix, undecoded."""
        shard, entry = self._locate(index)
        return entry.key, self._read(shard, entry)

    def raw(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yield every sample's key and stored members in order, undecoded, in large reads."""
        return ((key, members) for _, key, members in self._in_order())

    def where(self, shard: int) -> str:
        """Return the path or URL of a shard's tar."""
        return self.store.where(self.shards[shard].name)

    def record(self, shard: int) -> ShardRecord | None:
        """Return a shard's commit record; None for a stranger's."""
        number = self.shards[shard].number
        return None if number is None else ShardRecord.read(self.store, number)

    def index(self, shard: int) -> Index:
        """Return a shard's index: from its npz, or by scanning the tar when there is none.

        Raises:
            DatasetError: when the index is damaged, or does not fit the tar and its record.
        """
        found = self._indexes.get(shard)
        if found is None:
            found = self._indexes[shard] = load_index(self.store, self.shards[shard])
            if len(self._indexes) > _LOADED_INDEXES:
                self._indexes.popitem(last=False)
        return found

    def _holes(self, shard: int) -> tuple[tuple[int, str, str], ...]:
        record = self.record(shard) if self.shards[shard].skipped else None
        return record.skipped if record else ()

    def _search(self, key: bytes) -> int | None:
        """Return the position of a key, or None."""
        if any(shard.key_range is None for shard in self.shards):
            if self._places is None:
                self._places = {name.encode(): place for place, name in enumerate(self.keys())}
            return self._places.get(key)
        for n, shard in enumerate(self.shards):
            assert shard.key_range is not None
            if shard.key_range[0] <= key <= shard.key_range[1]:
                found = (self.index(n).keys == key).nonzero()[0]
                if len(found):
                    return self._ends[n] - shard.samples + int(found[0])
        return None

    def _locate(self, index: SupportsIndex) -> tuple[int, Entry]:
        position = operator.index(index)
        position += len(self) if position < 0 else 0
        if not 0 <= position < len(self):
            raise IndexError(f"{self.location}: has {len(self)} samples, no number {index}")
        shard = bisect.bisect_right(self._ends, position)
        return shard, self.index(shard).entry(position - self._ends[shard] + self.shards[shard].samples)

    def _wanted(self, entry: Entry) -> list[tuple[str, int, int]]:
        return [member for member in entry.members if codec.is_wanted(member[0], self.layers)]

    def _read(self, shard: int, entry: Entry) -> dict[str, bytes]:
        name, found = self.shards[shard].name, {}
        for run in _runs(self._wanted(entry), self.store.skip_bytes):
            start, (_, last, length) = run[0][1], run[-1]
            data = self.store.read_at(name, start, last + length - start)
            if len(data) < last + length - start:
                raise DatasetError(f"{self.where(shard)}: sample {entry.key}: is cut off; see 'synthkit verify'")
            for suffix, offset, size in run:
                found[suffix] = data if size == len(data) else data[offset - start : offset - start + size]
        return found

    def _in_order(self) -> Iterator[tuple[int, str, dict[str, bytes]]]:
        """Yield (shard, key, members); where requests are dear, of whole stretches of the tars."""
        for n in range(len(self.shards)):
            entries = self.index(n).entries()
            if self.store.skip_bytes:
                yield from self._stretches(n, entries)
            else:
                yield from ((n, entry.key, self._read(n, entry)) for entry in entries)

    def _stretches(self, n: int, entries: Iterator[Entry]) -> Iterator[tuple[int, str, dict[str, bytes]]]:
        start, data = 0, b""
        for entry in entries:
            wanted = self._wanted(entry)
            begin = min((offset for _, offset, _ in wanted), default=start)
            end = max((offset + size for _, offset, size in wanted), default=start)
            if end - begin > sum(size + self.store.skip_bytes for _, _, size in wanted):  # scattered over the tar
                yield n, entry.key, self._read(n, entry)
                continue
            if end > start + len(data) or begin < start:
                start = begin
                data = self.store.read_at(self.shards[n].name, begin, max(_CHUNK_BYTES, end - begin))
                if len(data) < end - begin:
                    raise DatasetError(f"{self.where(n)}: sample {entry.key}: is cut off; see 'synthkit verify'")
            yield n, entry.key, {suffix: data[o - start : o - start + size] for suffix, o, size in wanted}


def _runs(members: list[tuple[str, int, int]], skip_bytes: int) -> list[list[tuple[str, int, int]]]:
    """Group members so that each group is worth one request."""
    if not skip_bytes:
        return [[member] for member in members]
    runs: list[list[tuple[str, int, int]]] = []
    for member in members:
        _, offset, _ = member
        if runs and 0 <= offset - runs[-1][-1][1] - runs[-1][-1][2] <= skip_bytes:
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs
