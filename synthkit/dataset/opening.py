# SPDX-License-Identifier: Apache-2.0
"""Finding the shards of a data set, ours by its records or a stranger's tars, and their indexes."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.dataset import records, stores, tar
from synthkit.dataset.index import Index, MixedShard
from synthkit.dataset.limits import MAX_TABLE_BYTES
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.shard_table import ShardTable
from synthkit.dataset.stores import Store
from synthkit.dataset.tar import BLOCK_BYTES
from synthkit.errors import DatasetError

_CHUNK_BYTES = 1 << 22
_MOST_READ_BYTES = 1 << 22  # of an index in one request; a larger one takes a second
_MANY_SAMPLES = 1 << 16  # in one shard; what states more is measured at once
_COMPRESSED_ENDINGS = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")  # which are refused by name
_LEAST_SAMPLE_BYTES = 2 * BLOCK_BYTES  # a member's header and its data


@attrs.frozen
class Shard:
    """A tar of a data set, by name in its store; strangers' have no record and are indexed by scanning.

    Args:
        number: in the set's own records; None for a stranger's. samples: how many it holds.
        tar_bytes: its size. skipped: how many samples could not be made. content: digest of its content.
        key_range: least and greatest key, where known. index_sha256: of its index; empty where none is listed.
    """

    name: str
    number: int | None
    samples: int
    tar_bytes: int
    skipped: int = 0
    content: str = ""
    key_range: tuple[bytes, bytes] | None = None
    index_sha256: str = ""


def load_index(store: Store, shard: Shard) -> Index:
    """Return a shard's index: from its npz, or by scanning the tar when there is none.

    Raises:
        DatasetError: when the index is damaged. MixedShard: when index, tar and record do not belong together.
    """
    if shard.number is None:
        return Index.scan(store, shard.name)
    if not store.skip_bytes:  # where requests are dear, a tar of another size shows when it is read
        check_size(store, shard)
    table = records.index_name(shard.number)
    data = _table_bytes(store, table)
    if data is None:
        check_size(store, shard)
        index = Index.scan(store, shard.name)
    else:
        index = Index.from_npz(data, shard.tar_bytes, store.where(table), shard.index_sha256)
    if len(index) != shard.samples:
        raise MixedShard(
            f"{store.where(table)}: lists {len(index)} samples, the record says {shard.samples}: it is damaged"
        )
    if data is not None:
        check_ends(store, shard, index)
    return index


def check_ends(store: Store, shard: Shard, index: Index) -> None:
    """Look whether the tar has at both ends what the index says; one of another writing is found by the far one.

    Where requests are dear nothing is done: each sample is looked at when it is read.

    Raises:
        MixedShard: when it has not.
    """
    if store.skip_bytes or not len(index):
        return
    for entry, place in (index.entry(0), 0), (index.entry(len(index) - 1), -1):
        if entry.members:
            suffix, offset, size = entry.members[place]
            begin = offset - BLOCK_BYTES
            block = store.read_at(shard.name, begin, BLOCK_BYTES) if begin >= 0 else b""
            check_header(block, entry.key, suffix, size, store.where(shard.name))


def check_header(block: bytes, key: str, suffix: str, size: int, where: str) -> None:
    """Compare what stands in a tar before a member's data with what the index says of it.

    Raises:
        MixedShard: when it is another member's.
    """
    if block != tar.header(f"{key}.{suffix}", size):
        raise MixedShard(
            f"{where}: does not have {key}.{suffix} where its index says: one of them is damaged, or of another shard;"
            " see 'synthkit verify'"
        )


def _table_bytes(store: Store, name: str) -> bytes | None:
    """Return the bytes of a shard's index, None when there is none; where requests are dear, in one."""
    if store.skip_bytes:
        with contextlib.suppress(DatasetError):  # it may be missing
            data = store.read_at(name, 0, _MOST_READ_BYTES)
            if len(data) < _MOST_READ_BYTES:
                return data
    return None if store.size(name) is None else stores.read_whole(store, name, MAX_TABLE_BYTES)


def check_size(store: Store, shard: Shard) -> None:
    """Compare a tar with what its record states.

    Raises:
        MixedShard: when it is missing, or of another size.
    """
    where, size = store.where(shard.name), store.size(shard.name)
    if size is None:
        raise MixedShard(f"{where}: cannot be read: there is no such file")
    if size != shard.tar_bytes:
        raise MixedShard(f"{where}: has {size} bytes, its record says {shard.tar_bytes}: it is damaged")


def own_shards(store: Store, manifest: Manifest, allow_unfinished: bool) -> list[Shard]:
    """Return the shards of a set of ours: from the table of all, or record by record.

    Raises:
        DatasetError: when it is unfinished or not whole, and that is not allowed.
    """
    summary = manifest.summary
    if summary and summary.table_sha256 and not allow_unfinished:
        shards = _plausible(store, _tabled(ShardTable.read(store, summary.table_sha256)))
        present = _present(store, shards)
        if present == [shard.number for shard in shards]:
            return shards
        raise _not_listed(store, len(present), summary.shards)
    listed = records.read_records(store)
    if summary is None and not allow_unfinished:
        expected = (
            "" if manifest.scenes_per_shard is None else f" of {-(-manifest.scenes // manifest.scenes_per_shard)}"
        )
        raise DatasetError(
            f"{store.location}: is not finished ({len(listed)}{expected} shards);"
            " run again the command that was making it"
        )
    content = records.content_of(record.content_sha256 for record in listed)
    if summary and content != summary.content_sha256 and not allow_unfinished:
        raise _not_listed(store, len(listed), summary.shards)
    return _plausible(store, [of_record(record) for record in listed])


def of_record(record: ShardRecord) -> Shard:
    """Return a committed shard as its record tells of it."""
    return Shard(
        name=records.tar_name(record.shard),
        number=record.shard,
        samples=record.samples,
        tar_bytes=record.bytes,
        skipped=len(record.skipped),
        content=record.content_sha256,
        index_sha256=record.index_sha256,
    )


def salvaged_shards(store: Store, manifest: Manifest) -> tuple[list[Shard], list[str]]:
    """Return every shard of a damaged set that the table of all shards or a record of its own tells of, and a line
    for whatever cannot be believed.

    Shards without a record are among them when the table lists them: it has the hashes of their indexes.
    """
    shards: dict[int, Shard] = {}
    lines: list[str] = []
    if manifest.summary and manifest.summary.table_sha256:
        try:
            table = ShardTable.read(store, manifest.summary.table_sha256)
            shards = dict(zip(table.shard.tolist(), _tabled(table), strict=True))
        except DatasetError as error:
            lines.append(str(error))
    for number in records.committed_shards(store):
        if number not in shards:
            try:
                shards[number] = of_record(ShardRecord.read(store, number))
            except DatasetError as error:
                lines.append(str(error))
    plausible = []
    for _, shard in sorted(shards.items()):
        try:
            plausible += _plausible(store, [shard])
        except DatasetError as error:
            lines.append(str(error))
    return plausible, lines


def _plausible(store: Store, shards: list[Shard]) -> list[Shard]:
    """Refuse counts that no tar there can hold: whoever walks over all positions would never end.

    Raises:
        DatasetError: naming the first such shard.
    """
    for shard in shards:
        if shard.samples * _LEAST_SAMPLE_BYTES > shard.tar_bytes:
            raise DatasetError(
                f"{store.where(shard.name)}: its record states {shard.samples} samples in {shard.tar_bytes} bytes,"
                " which cannot be"
            )
        if shard.samples > _MANY_SAMPLES:
            check_size(store, shard)
    return shards


def _present(store: Store, shards: list[Shard]) -> list[int | None]:
    """Return the numbers of the shards that are there; where nothing can be listed, the first and last vouch for all.

    The table of all shards is checked by its hash, so a plain web server is enough.
    """
    with contextlib.suppress(DatasetError):
        if found := records.committed_shards(store):
            return list(found)
    numbers = [shard.number for shard in shards]
    ends = {number for number in (*numbers[:1], *numbers[-1:]) if number is not None}
    return numbers if all(store.size(records.record_name(number)) is not None for number in ends) else []


def _tabled(table: ShardTable) -> list[Shard]:
    names = [records.tar_name(shard) for shard in table.shard.tolist()]
    columns = (table.shard, table.samples, table.tar_bytes, table.skipped)
    ranges = zip(table.least_key.tolist(), table.greatest_key.tolist(), strict=True)
    hashes = [""] * len(table) if table.index_sha256 is None else _hex(table.index_sha256)
    rows = zip(names, *(column.tolist() for column in columns), _hex(table.content), ranges, hashes, strict=True)
    return [Shard(*row) for row in rows]


def _hex(digests: npt.NDArray[np.uint8]) -> list[str]:
    return [row.hex() for row in map(bytes, digests)]


def _not_listed(store: Store, found: int, expected: int) -> DatasetError:
    return DatasetError(
        f"{store.location}: its shards ({found}) are not those that {records.MANIFEST} lists"
        f" ({expected}): some are missing or were exchanged"
    )


def tars_in(store: Store) -> list[str]:
    """Return the names of the tars that make up a stranger's set, in order."""
    found = [name for name in store.names() if _is_tar(name)]
    return found + [f"{records.SHARDS}/{name}" for name in store.names(records.SHARDS) if _is_tar(name)]


def _is_tar(name: str) -> bool:
    """Return whether a file is called like a tar; hidden ones, as macOS puts beside every file, are none."""
    return name.endswith(".tar") and not name.startswith(".")


def foreign_tars(location: Path | str) -> tuple[Store, list[str]]:
    """Return a stranger's tars and the store they are in: all of a folder, or one file.

    Raises:
        DatasetError: when there are none.
    """
    folder, _, name = str(location).rstrip("/").rpartition("/")
    if name.endswith((".tar", *_COMPRESSED_ENDINGS)):
        parent = stores.at(folder) if stores.is_url(location) else stores.at(Path(location).parent)
        if parent.size(name) is not None:  # not a folder of that name
            return parent, [name]
    store = stores.at(location)
    found = tars_in(store)
    if found:
        return store, found
    if not stores.is_url(location) and not Path(location).exists():
        raise DatasetError(f"{location}: there is no such data set")
    inside = [store.where(name) for name in store.names() if store.size(f"{name}/{records.MANIFEST}") is not None]
    raise DatasetError(
        f"{location}: is no data set: expected a folder with {records.MANIFEST} or WebDataset tars;"
        + (f" inside it are {', '.join(inside)}" if inside else " other sets are brought in by 'synthkit convert'")
    )


def scanned(store: Store, name: str) -> tuple[Shard, Index]:
    """Return a stranger's tar as a shard, its samples counted, and its index."""
    index = Index.scan(store, name)
    return Shard(name, None, len(index), store.size(name) or 0), index


def sha256_of(store: Store, shard: Shard) -> str:
    """Return the hash of a tar's bytes."""
    digest = hashlib.sha256()
    for offset in range(0, shard.tar_bytes, _CHUNK_BYTES):
        digest.update(store.read_at(shard.name, offset, _CHUNK_BYTES))
    return digest.hexdigest()
