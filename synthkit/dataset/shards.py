# SPDX-License-Identifier: Apache-2.0
"""Publishing a shard: its scenes' bytes in order as one tar, then its index, then the record that commits it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from synthkit.dataset import records, stores, tar
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.limits import MAX_TABLE_BYTES
from synthkit.dataset.records import ShardRecord
from synthkit.dataset.spool import SpooledScene
from synthkit.dataset.stores import Store
from synthkit.errors import DatasetError

_CHUNK_BYTES = 1 << 22


def publish(
    store: Store, shard: int, first_scene: int, scenes: Iterable[SpooledScene], environment: Mapping[str, Any]
) -> ShardRecord:
    """Write a shard and commit it; only one scene is held in memory.

    Until the record is there the shard does not count, so this may be stopped at any moment and done again.

    Args:
        scenes: all of the shard's, in order, without gaps from ``first_scene``.

    Raises:
        DatasetError: when nothing can be written there. WorkError: when the disk is full or failed.
    """
    entries: list[Entry] = []
    skipped: list[tuple[int, str, str]] = []
    digest, size, count = hashlib.sha256(), 0, 0

    def chunks() -> Iterator[bytes]:
        nonlocal size, count
        for spooled in scenes:
            entries.extend(shifted(entry, size) for entry in spooled.entries)
            skipped.extend((spooled.scene, key, reason) for key, reason in spooled.skipped)
            digest.update(spooled.body)
            size += len(spooled.body)
            count += 1
            yield spooled.body
        end = tar.ending(size)
        digest.update(end)
        size += len(end)
        yield end

    store.write(records.tar_name(shard), chunks())
    table = Index.of(entries).to_npz()
    store.write(records.index_name(shard), [table])
    record = ShardRecord(
        shard=shard,
        first_scene=first_scene,
        scenes=count,
        samples=len(entries),
        bytes=size,
        sha256=digest.hexdigest(),
        index_sha256=hashlib.sha256(table).hexdigest(),
        content_sha256=hashlib.sha256(b"".join(entry.content for entry in entries)).hexdigest(),
        skipped=tuple(skipped),
        environment=environment,
    )
    record.write(store)
    return record


def scenes_of(store: Store, record: ShardRecord) -> Iterator[SpooledScene]:
    """Yield a committed shard's scenes that have no holes, as they were before they were joined.

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
            yield SpooledScene(scene, (), (), b"")
            continue
        start = entries[0].members[0][1] - tar.BLOCK_BYTES
        _, offset, size = entries[-1].members[-1]
        body = store.read_at(records.tar_name(record.shard), start, offset + size + -size % tar.BLOCK_BYTES - start)
        yield SpooledScene(scene, tuple(shifted(entry, -start) for entry in entries), (), body)


def read_index(store: Store, record: ShardRecord) -> Index:
    """Return a committed shard's index.

    Raises:
        DatasetError: when it is missing, or not the one that its record lists.
    """
    name = records.index_name(record.shard)
    data = stores.read_whole(store, name, MAX_TABLE_BYTES)
    if hashlib.sha256(data).hexdigest() != record.index_sha256:
        raise DatasetError(f"{store.where(name)}: its bytes are not those of its record; see 'synthkit verify'")
    return Index.from_npz(data, record.bytes, store.where(name))


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
