# SPDX-License-Identifier: Apache-2.0
"""Reading data sets: by position, by key or in order, at each member's own place in its tar."""

from __future__ import annotations

import bisect
import functools
import hashlib
import itertools
import operator
import os
from collections import OrderedDict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, SupportsIndex

import attrs

from synthkit.checkpoint import sha256_of
from synthkit.dataset import codec, records
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Skipped

_OPEN_FILES = 16
_LOADED_INDEXES = 64


@attrs.frozen
class Shard:
    """A tar of a data set; strangers' have no record and are indexed by scanning."""

    tar: Path
    samples: int
    record: ShardRecord | None


class Dataset:
    """A finished data set folder, or any folder of WebDataset tars (or one tar), opened for reading.

    Only records are read at first; indexes and samples when they are asked for. It can be pickled and
    is cheap to open again in another process.

    Args:
        path: the folder. layers: which layers to decode; None means all.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest | None,
        shards: list[Shard],
        layers: Collection[str] | None,
        allow_unfinished: bool,
    ) -> None:
        self.path = path
        self._allow_unfinished = allow_unfinished
        self.manifest = manifest
        self.layers = None if layers is None else tuple(layers)
        self.shards = tuple(shards)
        self._ends = list(itertools.accumulate(shard.samples for shard in shards))
        self._indexes: OrderedDict[int, Index] = OrderedDict()
        self._files: OrderedDict[int, int] = OrderedDict()
        self._places: dict[str, int] | None = None

    @classmethod
    def open(
        cls, path: Path | str, *, layers: Collection[str] | None = None, allow_unfinished: bool = False
    ) -> Dataset:
        """Open a data set.

        Args:
            path: its folder, or a tar. layers: decode only these. allow_unfinished: take the committed
                shards of a set that is still being made, or has lost some.

        Raises:
            DatasetError: when it is missing, empty, unfinished, or its records do not fit together.
        """
        path = Path(path)
        if (path / records.MANIFEST).is_file():
            manifest = Manifest.read(path)
            shards = _own_shards(path, manifest, allow_unfinished)
        else:
            manifest, shards = None, _foreign_shards(path)
        if not any(shard.samples for shard in shards):
            raise DatasetError(f"{path}: holds no samples")
        return cls(path, manifest, shards, layers, allow_unfinished)

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, {len(self)} samples)"

    def __reduce__(self) -> Any:
        reopen = functools.partial(Dataset.open, layers=self.layers, allow_unfinished=self._allow_unfinished)
        return reopen, (self.path,)

    def __del__(self) -> None:
        for descriptor in getattr(self, "_files", {}).values():
            os.close(descriptor)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: SupportsIndex, /) -> Sample:
        """Return the sample at a position; negative ones count from the end.

        Raises:
            IndexError: beyond the end. DatasetError: when the sample is damaged, naming shard and key.
        """
        shard, entry = self._locate(index)
        return codec.decode(entry.key, self._read(shard, entry), where=str(self.shards[shard].tar))

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    @property
    def fingerprint(self) -> str:
        """The identity of the content (of the tars' bytes, for a stranger's), stable across copies."""
        listed = [shard.record for shard in self.shards if shard.record]
        if len(listed) == len(self.shards):
            return records.summarize(listed).content_sha256
        return hashlib.sha256("\n".join(sha256_of(shard.tar) for shard in self.shards).encode()).hexdigest()

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """(key, reason) of every sample that could not be made."""
        listed = [shard.record for shard in self.shards if shard.record]
        return [(key, reason) for record in listed for _, key, reason in record.skipped]

    def slots(self) -> list[int | Skipped]:
        """Return every place a sample was meant for: its position, or why it is missing.

        Places stay the same when holes heal, and when the set grows; positions do not.
        """
        places: list[int | Skipped] = []
        for n, shard in enumerate(self.shards):
            start = self._ends[n] - shard.samples
            if not shard.record or not shard.record.skipped:
                places += range(start, self._ends[n])
                continue
            entries = enumerate(self._index(n).entries(), start)
            found: list[tuple[int, str, int | Skipped]] = [(e.scene, e.key, place) for place, e in entries]
            found += [(scene, key, Skipped(key, reason)) for scene, key, reason in shard.record.skipped]
            places += [place for _, _, place in sorted(found, key=lambda item: item[:2])]
        return places

    def keys(self) -> Iterator[str]:
        """Yield the keys in order, reading indexes only."""
        for shard in range(len(self.shards)):
            yield from (key.decode() for key in self._index(shard).keys)

    def key(self, index: SupportsIndex) -> str:
        """Return the key at a position without reading the sample."""
        return self._locate(index)[1].key

    def by_key(self, key: str) -> Sample:
        """Return a sample by key; the first call reads all indexes.

        Raises:
            DatasetError: when there is none.
        """
        if self._places is None:
            self._places = {name: place for place, name in enumerate(self.keys())}
        if key not in self._places:
            raise DatasetError(f"{self.path}: has no sample {key!r}")
        return self[self._places[key]]

    def members(self, index: SupportsIndex) -> tuple[str, dict[str, bytes]]:
        """Return a sample's key and its stored members by suffix, undecoded."""
        shard, entry = self._locate(index)
        return entry.key, self._read(shard, entry)

    def _locate(self, index: SupportsIndex) -> tuple[int, Entry]:
        position = operator.index(index)
        position += len(self) if position < 0 else 0
        if not 0 <= position < len(self):
            raise IndexError(f"{self.path}: has {len(self)} samples, no number {index}")
        shard = bisect.bisect_right(self._ends, position)
        return shard, self._index(shard).entry(position - self._ends[shard] + self.shards[shard].samples)

    def _index(self, shard: int) -> Index:
        if shard in self._indexes:
            self._indexes.move_to_end(shard)
        else:
            self._indexes[shard] = load_index(self.shards[shard])
            if len(self._indexes) > _LOADED_INDEXES:
                self._indexes.popitem(last=False)
        return self._indexes[shard]

    def _read(self, shard: int, entry: Entry) -> dict[str, bytes]:
        path = self.shards[shard].tar
        descriptor = self._file(shard)
        found = {}
        for suffix, offset, size in entry.members:
            if codec.is_wanted(suffix, self.layers):
                data = os.pread(descriptor, size, offset)
                if len(data) != size:
                    raise DatasetError(f"{path}: sample {entry.key}: is cut off; see 'synthkit verify'")
                found[suffix] = data
        return found

    def _file(self, shard: int) -> int:
        if shard in self._files:
            self._files.move_to_end(shard)
            return self._files[shard]
        try:
            descriptor = os.open(self.shards[shard].tar, os.O_RDONLY)
        except OSError as error:
            raise DatasetError(f"{self.shards[shard].tar}: cannot be read: {error.strerror}") from None
        self._files[shard] = descriptor
        if len(self._files) > _OPEN_FILES:
            os.close(self._files.popitem(last=False)[1])
        return descriptor


def load_index(shard: Shard) -> Index:
    """Return a shard's index: from its npz, or by scanning the tar when there is none.

    Raises:
        DatasetError: when the index is damaged, or does not fit the tar and its record.
    """
    path, record = shard.tar, shard.record
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    if record is None:
        return Index.scan(path)
    if size != record.bytes:
        raise DatasetError(f"{path}: has {size} bytes, its record says {record.bytes}: it is damaged")
    table = path.with_suffix(".idx.npz")
    index = Index.from_npz(table, size) if table.exists() else Index.scan(path)
    if len(index) != record.samples:
        raise DatasetError(f"{table}: lists {len(index)} samples, the record says {record.samples}: it is damaged")
    return index


def _own_shards(path: Path, manifest: Manifest, allow_unfinished: bool) -> list[Shard]:
    listed = records.read_records(path)
    if manifest.summary is None and not allow_unfinished:
        raise DatasetError(
            f"{path}: is not finished ({len(listed)} of {manifest.shards} shards);"
            " run again the command that was making it"
        )
    if manifest.summary and records.summarize(listed) != manifest.summary and not allow_unfinished:
        raise DatasetError(
            f"{path}: its shards ({len(listed)}) are not those that {records.MANIFEST} lists"
            f" ({manifest.summary.shards}): some are missing or were exchanged"
        )
    return [Shard(records.tar_path(path, record.shard), record.samples, record) for record in listed]


def tars_in(folder: Path) -> list[Path]:
    """Return the tars that make up a stranger's set, in order."""
    return sorted({*folder.glob("*.tar"), *folder.glob("shards/*.tar")})


def _foreign_shards(path: Path) -> list[Shard]:
    if not path.exists():
        raise DatasetError(f"{path}: there is no such data set")
    tars = [path] if path.is_file() else tars_in(path)
    if not tars or (path.is_file() and path.suffix != ".tar"):
        inside = [str(manifest.parent) for manifest in sorted(path.glob(f"*/{records.MANIFEST}"))]
        raise DatasetError(
            f"{path}: is no data set: expected a folder with {records.MANIFEST} or WebDataset tars;"
            + (f" inside it are {', '.join(inside)}" if inside else " other sets are brought in by 'synthkit convert'")
        )
    return [Shard(tar, len(Index.scan(tar)), None) for tar in tars]
