# SPDX-License-Identifier: Apache-2.0
"""Publishing a shard: its scenes' bytes in order as one tar, then its index, then the record that commits it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from synthkit import config
from synthkit.dataset import opening, records, stores, tar
from synthkit.dataset.hashing import HashAside
from synthkit.dataset.index import Entry, Index, MixedShard
from synthkit.dataset.limits import MAX_RECORD_BYTES, MAX_TABLE_BYTES
from synthkit.dataset.records import ShardRecord
from synthkit.dataset.spool import SpooledScene, shortened
from synthkit.dataset.stores import Store
from synthkit.errors import DatasetError

_CHUNK_BYTES = 1 << 22
_MAX_REASONS_CHARACTERS = MAX_RECORD_BYTES // 12  # a character may take six bytes; the rest is for the keys


def publish(
    store: Store, shard: int, first_scene: int, scenes: Iterable[SpooledScene], environment: Mapping[str, Any]
) -> ShardRecord:
    """Write a shard and commit it; no more is held in memory than the scene in hand and two megabytes.

    Until the record is there the shard does not count, so this may be stopped at any moment and done again;
    a record that is there is removed before the tar, which may not change under it.

    Args:
        scenes: all of the shard's, in order, without gaps from ``first_scene``. When they raise, be it after the
            last one, nothing was touched.

    Raises:
        DatasetError: when nothing can be written there, or a key comes twice. WorkError: when the disk is full
            or failed.
    """
    entries: list[Entry] = []
    skipped: list[tuple[int, str, str]] = []
    origins: dict[str, Mapping[str, Any]] = {}
    size, count = 0, 0

    def chunks(digest: HashAside) -> Iterator[bytes]:
        nonlocal size, count
        for spooled in scenes:
            entries.extend(shifted(entry, size) for entry in spooled.entries)
            skipped.extend((spooled.scene, key, reason) for key, reason in spooled.skipped)
            origins.update((config.fingerprint(origin), origin) for origin in spooled.origins)
            digest.update(spooled.body)
            size += len(spooled.body)
            count += 1
            yield spooled.body
        _check_keys(entries, store.where(records.tar_name(shard)))
        if store.size(records.record_name(shard)) is not None:
            store.remove(records.record_name(shard))
        end = tar.ending(size)
        digest.update(end)
        size += len(end)
        yield end

    with HashAside() as digest:
        store.write(records.tar_name(shard), chunks(digest))
        sha256 = digest.hexdigest()
    origins.pop(config.fingerprint(environment), None)
    table = Index.of(entries).to_npz()
    store.write(records.index_name(shard), [table])
    record = ShardRecord(
        shard=shard,
        first_scene=first_scene,
        scenes=count,
        samples=len(entries),
        bytes=size,
        sha256=sha256,
        index_sha256=hashlib.sha256(table).hexdigest(),
        content_sha256=hashlib.sha256(b"".join(entry.content for entry in entries)).hexdigest(),
        skipped=_fitting(skipped),
        environment=environment,
        other_environments=tuple(origins[fingerprint] for fingerprint in sorted(origins)),
    )
    record.write(store)
    return record


def scenes_of(store: Store, record: ShardRecord) -> Iterator[SpooledScene]:
    """Yield a committed shard's scenes that have no holes, as they were before they were joined, with origins.

    Raises:
        DatasetError: when the shard cannot be read, or is not what its record says.
    """
    _check_bytes(store, record)
    grouped = itertools.groupby(read_index(store, record).entries(), key=lambda entry: entry.scene)
    entries_of = {scene: list(entries) for scene, entries in grouped}
    holes = {scene for scene, _, _ in record.skipped}
    for scene in range(record.first_scene, record.first_scene + record.scenes):
        entries = entries_of.get(scene, [])
        if scene in holes:
            continue
        if not entries:  # nothing came of it, which is a result too
            yield SpooledScene(scene, (), (), b"", record.environments)
            continue
        start = entries[0].members[0][1] - tar.BLOCK_BYTES
        _, offset, size = entries[-1].members[-1]
        body = store.read_at(records.tar_name(record.shard), start, offset + size + -size % tar.BLOCK_BYTES - start)
        yield SpooledScene(scene, tuple(shifted(entry, -start) for entry in entries), (), body, record.environments)


def body_bytes(store: Store, record: ShardRecord) -> int:
    """Return how many bytes a committed shard's scenes take, without what closes the archive.

    Raises:
        DatasetError: when its index cannot be read, or is not what its record says.
    """
    index = read_index(store, record)
    if not len(index.offset):
        return 0
    end = int(index.offset[-1] + index.size[-1])
    return end + -end % tar.BLOCK_BYTES


def read_index(store: Store, record: ShardRecord) -> Index:
    """Return a committed shard's index.

    Raises:
        DatasetError: when it cannot be read. MixedShard: when it is missing, or not the one that its record lists.
    """
    name = records.index_name(record.shard)
    if store.size(name) is None:
        raise MixedShard(f"{store.where(name)}: is missing")
    data = stores.read_whole(store, name, MAX_TABLE_BYTES)
    return Index.from_npz(data, record.bytes, store.where(name), record.index_sha256)


def checked_index(store: Store, record: ShardRecord) -> Index:
    """Return a committed shard's index, when the tar is as it says.

    Raises:
        DatasetError: when they cannot be read. MixedShard: when they and the record do not belong together.
    """
    shard = opening.of_record(record)
    opening.check_size(store, shard)
    index = read_index(store, record)
    opening.check_ends(store, shard, index)
    return index


def _check_keys(entries: Sequence[Entry], where: str) -> None:
    scenes: dict[str, int] = {}
    for entry in entries:
        if entry.key in scenes:
            raise DatasetError(
                f"{where}: cannot be written: the key {entry.key!r} comes twice, in scenes {scenes[entry.key]} and"
                f" {entry.scene}; each sample of a data set needs a key of its own"
            )
        scenes[entry.key] = entry.scene


def _fitting(skipped: Sequence[tuple[int, str, str]]) -> tuple[tuple[int, str, str], ...]:
    """Return the holes with reasons so short that a record of them all can be read again."""
    if sum(len(reason) for _, _, reason in skipped) <= _MAX_REASONS_CHARACTERS:
        return tuple(skipped)
    most = max(1, _MAX_REASONS_CHARACTERS // len(skipped))
    return tuple((scene, key, shortened(reason, most)) for scene, key, reason in skipped)


def _check_bytes(store: Store, record: ShardRecord) -> None:
    """Refuse a shard whose bytes changed, so that it is never joined anew under a hash that would fit."""
    name, digest = records.tar_name(record.shard), hashlib.sha256()
    for offset in range(0, record.bytes, _CHUNK_BYTES):
        digest.update(store.read_at(name, offset, min(_CHUNK_BYTES, record.bytes - offset)))
    if store.size(name) != record.bytes or digest.hexdigest() != record.sha256:
        raise DatasetError(
            f"{store.where(name)}: its bytes are not those of its record; 'synthkit verify' says what can be saved;"
            f" remove {store.where(records.record_name(record.shard))} to have its scenes made again"
        )


def shifted(entry: Entry, offset: int) -> Entry:
    """Return an entry whose members lie ``offset`` bytes further on."""
    members = tuple((suffix, place + offset, size) for suffix, place, size in entry.members)
    return attrs.evolve(entry, members=members)
