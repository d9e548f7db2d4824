# SPDX-License-Identifier: Apache-2.0
"""Reading data sets: by position, by key or in order, at each member's own place in its tar."""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

from synthkit.dataset import codec, records, stores
from synthkit.dataset.cache import Kept
from synthkit.dataset.index import Entry, Index, Place
from synthkit.dataset.keytable import KeyTable
from synthkit.dataset.opening import (
    Shard,
    check_header,
    check_size,
    foreign_tars,
    load_index,
    own_shards,
    scanned,
    sha256_of,
)
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.stores import Store
from synthkit.dataset.tar import BLOCK_BYTES
from synthkit.errors import DatasetError
from synthkit.interfaces import key_order
from synthkit.sample import Sample, Skipped

if TYPE_CHECKING:
    from synthkit.dataset.stream import Stream

_KEPT_INDEX_BYTES = 1 << 26  # 64 samples take about 7 kB
_SHOWN = 3
_CHUNK_BYTES = 1 << 22  # read at a time when all is read in order

Samples = Iterator[tuple[str, list[Place]]]


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
        indexes: Sequence[Index] = (),
    ) -> None:
        self.store = store
        self.manifest = manifest
        self.layers = None if layers is None else tuple(layers)
        self.shards = tuple(shards)
        self._reopen = reopen
        self._ends = list(itertools.accumulate(shard.samples for shard in shards))
        self._indexes: Kept[Index] = Kept(_KEPT_INDEX_BYTES)
        for n, index in enumerate(indexes):
            self._indexes.put(n, index, index.table_bytes)

    @classmethod
    def open(
        cls,
        location: Path | str,
        *,
        layers: Collection[str] | None = None,
        allow_unfinished: bool = False,
        allow_empty: bool = False,
    ) -> Dataset:
        """Open a data set.

        Args:
            location: its folder, a tar, or the URL of either that fsspec reaches. layers: decode only these.
            allow_unfinished: take the committed shards of a set that is still being made, or has lost some.
            allow_empty: take a set of holes alone.

        Raises:
            DatasetError: when it is missing, empty, unfinished, or its records do not fit together.
        """
        if isinstance(layers, str):
            raise DatasetError(f"layers={layers!r}: expected a list of names: layers=[{layers!r}]")
        store, indexes = stores.at(location), list[Index]()
        if store.size(records.MANIFEST) is not None:
            manifest = Manifest.read(store)
            shards = own_shards(store, manifest, allow_unfinished)
        else:
            store, names = foreign_tars(location)
            manifest, shards = None, []
            for name in names:
                shard, index = scanned(store, name)
                shards.append(shard)
                indexes.append(index)
        if not allow_empty and not any(shard.samples for shard in shards):
            raise DatasetError(f"{location}: holds no samples")
        return cls(store, manifest, shards, layers, (location, layers, allow_unfinished), indexes)

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
        return _reopened, (*self._reopen, self._likeness())

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: SupportsIndex, /) -> Sample:
        """Return the sample at a position; negative ones count from the end.

        Raises:
            IndexError: beyond the end. DatasetError: when the sample is damaged, naming shard and key.
        """
        return self.with_members(index)[0]

    def __iter__(self) -> Iterator[Sample]:
        return (self._decoded(*found) for found in self._in_order())

    @functools.cached_property
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
            places += [place for _, _, place in sorted(found, key=lambda item: (item[0], key_order(item[1])))]
        return places

    def keys(self) -> Iterator[str]:
        """Yield the keys in order, reading indexes only."""
        for shard in range(len(self.shards)):
            yield from (key.decode() for key in self.index(shard).keys.tolist())

    def key(self, index: SupportsIndex) -> str:
        """Return the key at a position without reading the sample."""
        return self._locate(index)[1].key

    def position(self, key: str) -> int:
        """Return where a key's sample is.

        Raises:
            DatasetError: when there is none, or more than one.
        """
        place = self.find(key)
        if place is None:
            raise DatasetError(f"{self.location}: has no sample {key!r}")
        return place

    def find(self, key: str) -> int | None:
        """Return where a key's sample is, None when there is none.

        Indexes are read of those shards alone that may have it, or of all, once, when those would be many.

        Raises:
            DatasetError: when there is more than one.
        """
        positions = self._keys.positions(key)
        if len(positions) > 1:
            tars = sorted({self.where(bisect.bisect_right(self._ends, position)) for position in positions})
            raise DatasetError(
                f"{self.location}: {len(positions)} samples have the key {key!r} (in {', '.join(tars[:_SHOWN])});"
                " they can be told apart by their positions alone"
            )
        return positions[0] if positions else None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.find(key) is not None

    def by_key(self, key: str) -> Sample:
        """Return a sample by key.

        Raises:
            DatasetError: when there is none, or more than one.
        """
        return self[self.position(key)]

    def members(self, index: SupportsIndex) -> tuple[str, dict[str, bytes]]:
        """Return a sample's key and its stored members by suffix, undecoded."""
        shard, entry = self._locate(index)
        return entry.key, self._read(shard, entry)

    def with_members(self, index: SupportsIndex) -> tuple[Sample, dict[str, bytes]]:
        """Return a sample and the stored members that it was decoded from, by suffix, in one reading.

        Raises:
            IndexError, DatasetError: as by indexing.
        """
        shard, entry = self._locate(index)
        members = self._read(shard, entry)
        return self._decoded(shard, entry.key, members), members

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
            try:
                found = load_index(self.store, self.shards[shard])
            except DatasetError as error:
                raise self._explained(error) from None
            self._indexes.put(shard, found, found.table_bytes)
        return found

    def _holes(self, shard: int) -> tuple[tuple[int, str, str], ...]:
        record = self.record(shard) if self.shards[shard].skipped else None
        return record.skipped if record else ()

    @functools.cached_property
    def _keys(self) -> KeyTable:
        return KeyTable(self.shards, self.index)

    def _likeness(self) -> str:
        """Return what another opening of the same files has too; a stranger's tars are not read for it."""
        if self.manifest:
            return self.fingerprint
        return records.content_of(f"{shard.name} {shard.tar_bytes} {shard.samples}" for shard in self.shards)

    def _explained(self, error: DatasetError) -> DatasetError:
        """Return what to say of what seems damaged, but may have been healed or made anew."""
        try:
            changed = self.manifest is not None and Manifest.read(self.store).summary != self.manifest.summary
        except DatasetError:
            return error
        return DatasetError(f"{self.location}: has changed since it was opened: open it again") if changed else error

    def _decoded(self, shard: int, key: str, members: dict[str, bytes]) -> Sample:
        try:
            return codec.decode(key, members, where=self.where(shard))
        except DatasetError as error:
            raise self._explained(error) from None

    def _cut_off(self, shard: int, key: str) -> DatasetError:
        if self.shards[shard].number is not None:
            try:
                check_size(self.store, self.shards[shard])
            except DatasetError as error:
                return self._explained(error)
        return self._explained(DatasetError(f"{self.where(shard)}: sample {key}: is cut off; see 'synthkit verify'"))

    def _locate(self, index: SupportsIndex) -> tuple[int, Entry]:
        position = operator.index(index)
        position += len(self) if position < 0 else 0
        if not 0 <= position < len(self):
            raise IndexError(f"{self.location}: has {len(self)} samples, no number {index}")
        shard = bisect.bisect_right(self._ends, position)
        return shard, self.index(shard).entry(position - self._ends[shard] + self.shards[shard].samples)

    def _is_wanted(self, suffix: str) -> bool:
        return codec.is_wanted(suffix, self.layers)

    def _read(self, shard: int, entry: Entry) -> dict[str, bytes]:
        members = [member for member in entry.members if self._is_wanted(member[0])]
        return self._pieces(shard, entry.key, members)

    def _pieces(self, n: int, key: str, members: list[Place]) -> dict[str, bytes]:
        """Return a sample's members: read one by one, or, where requests are dear, in as few as are worth it."""
        read, before, found = self.store.opened(self.shards[n].name), self._header_bytes(n), dict[str, bytes]()
        for run in _runs(members, self.store.skip_bytes):
            start, (_, last, length) = run[0][1] - before, run[-1]
            data = read(start, last + length - start)
            if len(data) < last + length - start:
                raise self._cut_off(n, key)
            if before:
                self._check_header(n, key, run[0], data)
            for suffix, offset, size in run:
                found[suffix] = data if size == len(data) else data[offset - start : offset - start + size]
        return found

    def _in_order(self) -> Iterator[tuple[int, str, dict[str, bytes]]]:
        """Yield (shard, key, members); where requests are dear, of whole stretches of the tars."""
        read = self._stretches if self.store.skip_bytes else self._one_by_one
        for n in range(len(self.shards)):
            yield from read(n, self.index(n).samples(self._is_wanted))

    def _one_by_one(self, n: int, samples: Samples) -> Iterator[tuple[int, str, dict[str, bytes]]]:
        """Yield every sample of a shard; reading more at once would copy it twice, and out of the caches."""
        read = self.store.opened(self.shards[n].name)
        for key, members in samples:
            found = {}
            for suffix, offset, size in members:
                found[suffix] = data = read(offset, size)
                if len(data) < size:
                    raise self._cut_off(n, key)
            yield n, key, found

    def _stretches(self, n: int, samples: Samples) -> Iterator[tuple[int, str, dict[str, bytes]]]:
        """Yield every sample of a shard, of which large pieces are read at once."""
        read, before, start, data = self.store.opened(self.shards[n].name), self._header_bytes(n), 0, b""
        for key, members in samples:
            begin = members[0][1] - before if members else start
            end = members[-1][1] + members[-1][2] if members else start
            if end - begin > sum(size + self.store.skip_bytes for _, _, size in members):  # scattered over the tar
                yield n, key, self._pieces(n, key, members)
                continue
            if end > start + len(data) or begin < start:
                start, data = begin, read(begin, max(_CHUNK_BYTES, end - begin))
                if len(data) < end - begin:
                    raise self._cut_off(n, key)
            if members and before:
                self._check_header(n, key, members[0], data[begin - start : begin - start + before])
            yield n, key, {suffix: data[o - start : o - start + size] for suffix, o, size in members}

    def _header_bytes(self, n: int) -> int:
        """Return how much before a member is read too, to see that it is the one: where a tar was not looked at when
        its index was loaded, for that costs a request; and not of strangers' tars, of which headers are all we know."""
        return BLOCK_BYTES if self.store.skip_bytes and self.shards[n].number is not None else 0

    def _check_header(self, n: int, key: str, member: Place, data: bytes) -> None:
        try:
            check_header(data[:BLOCK_BYTES], key, member[0], member[2], self.where(n))
        except DatasetError as error:
            raise self._explained(error) from None


def _reopened(location: Path | str, layers: Collection[str] | None, allow_unfinished: bool, likeness: str) -> Dataset:
    data = Dataset.open(location, layers=layers, allow_unfinished=allow_unfinished)
    if data._likeness() != likeness:
        raise DatasetError(f"{location}: is no longer the data set that was sent here: open it again")
    return data


def _runs(members: list[Place], skip_bytes: int) -> list[list[Place]]:
    """Group members so that each group is worth one request."""
    if not skip_bytes:
        return [[member] for member in members]
    runs: list[list[Place]] = []
    for member in members:
        _, offset, _ = member
        if runs and 0 <= offset - runs[-1][-1][1] - runs[-1][-1][2] <= skip_bytes:
            runs[-1].append(member)
        else:
            runs.append([member])
    return runs
