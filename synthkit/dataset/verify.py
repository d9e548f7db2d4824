# SPDX-License-Identifier: Apache-2.0
"""Checking a data set against its records and itself, telling everything that is wrong."""

from __future__ import annotations

import collections
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from synthkit.dataset import codec, description, records, stores, tar
from synthkit.dataset.index import DIGEST_BYTES, Entry, Index
from synthkit.dataset.limits import MAX_RECORD_BYTES, MAX_TABLE_BYTES
from synthkit.dataset.opening import Shard, salvaged_shards
from synthkit.dataset.reader import Dataset
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.tools.truth import DAMAGED, Fault, examine
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, key_order, silent
from synthkit.sample import Sample, Sidecar, Skipped

_CHUNK_BYTES = 1 << 22


@attrs.frozen
class Report:
    """What was checked, one line for each thing that is wrong, and one for each that is merely odd."""

    shards: int
    samples: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Checked:
    """A sample as it lies in a set.

    Args:
        where: names the archive. key, scene: as indexed (-1: unknown scene).
        members: stored bytes by suffix. faults: what is wrong with it.
    """

    where: str
    key: str
    scene: int
    members: Mapping[str, bytes]
    faults: tuple[Fault, ...]


def verify(path: Path | str, *, progress: Progress = silent) -> Report:
    """Check every shard: bytes, index, members, decoded content, and that the truth fits the image.

    Raises:
        DatasetError: when there is no data set that could be checked.
    """
    data, problems = opened(path)
    warnings: list[str] = []
    for found in check(data, progress=progress):
        if isinstance(found, str):
            problems.append(found)
        elif isinstance(found, Checked):
            for fault in found.faults:
                line = f"{found.where}: sample {found.key}: {fault.text}"
                (warnings if fault.warning else problems).append(line)
    return Report(len(data.shards), len(data), tuple(problems), tuple(warnings))


def opened(path: Path | str) -> tuple[Dataset, list[str]]:
    """Open a set of which not everything need be there; return it, and what its records lack.

    Raises:
        DatasetError: when there is no data set.
    """
    try:
        return Dataset.open(path), []
    except DatasetError as error:
        try:
            store = stores.at(path)
            manifest = Manifest.read(store)
            shards, lines = salvaged_shards(store, manifest)
        except DatasetError:
            raise error from None
        if not any(shard.samples for shard in shards):
            raise
        data = Dataset(store, manifest, shards, None, (path, None, True))
        return data, list(dict.fromkeys([str(error), *lines]))


def check(data: Dataset, *, progress: Progress = silent) -> Iterator[str | Checked | Skipped]:
    """Yield, in order, each sample as checked, each hole, and a line for what is wrong with a whole shard."""
    yield from _set_problems(data)
    keys: dict[str, str] = {}
    for n in range(len(data.shards)):
        progress("verify", n, len(data.shards))
        try:
            record = data.record(n)
        except DatasetError as error:
            yield str(error)
            record = None
        yield from _with_holes(_findings(_Place(data, n, record), keys), record.skipped if record else ())
    progress("verify", len(data.shards), len(data.shards))


@attrs.frozen
class _Place:
    """A shard that is being checked, and its commit record, which a stranger's has not."""

    data: Dataset
    number: int
    record: ShardRecord | None

    @property
    def shard(self) -> Shard:
        return self.data.shards[self.number]

    @property
    def where(self) -> str:
        return self.data.where(self.number)

    def sha256(self, name: str) -> str:
        """Return the hash of one of the set's files."""
        store, digest = self.data.store, hashlib.sha256()
        for offset in range(0, store.size(name) or 0, _CHUNK_BYTES):
            digest.update(store.read_at(name, offset, _CHUNK_BYTES))
        return digest.hexdigest()


def _with_holes(
    findings: Iterator[str | Checked], holes: tuple[tuple[int, str, str], ...]
) -> Iterator[str | Checked | Skipped]:
    """Put the holes of a shard back between its samples, which keep their order."""
    left = collections.deque(sorted((scene, key_order(key), reason) for scene, key, reason in holes))
    for found in findings:
        while left and isinstance(found, Checked) and left[0][:2] < (found.scene, key_order(found.key)):
            _, (_, key), reason = left.popleft()
            yield Skipped(key, reason)
        yield found
    yield from (Skipped(key, reason) for _, (_, key), reason in left)


def _findings(place: _Place, keys: dict[str, str]) -> Iterator[str | Checked]:
    try:
        yield from _record_problems(place)
        index = place.data.index(place.number)
        yield from _index_problems(place, index)
    except DatasetError as error:
        yield str(error)
        salvaged = _salvaged_index(place)
        if salvaged is None:
            yield f"{place.where}: its {place.shard.samples} samples cannot be found any more"
            return
        index = salvaged
    # A set of ours without images is one of sidecars; a single sample may have lost its own.
    aside = place.shard.number is not None and not any(_is_pictured(entry) for entry in index.entries())
    for entry in index.entries():
        members = {
            suffix: place.data.store.read_at(place.shard.name, offset, size) for suffix, offset, size in entry.members
        }
        faults = list(_entry_faults(place, entry, members, aside))
        if entry.key in keys:
            faults.append(Fault(f"another sample of this key is in {keys[entry.key]}"))
        keys[entry.key] = place.where
        yield Checked(place.where, entry.key, entry.scene, members, tuple(faults))


def _set_problems(data: Dataset) -> Iterator[str]:
    """Yield what is wrong with the records of the whole set, and files that they do not list."""
    store = data.store
    if data.manifest is None:
        if records.committed_shards(store):
            yield f"{store.where(records.MANIFEST)}: is missing, so its shards are taken for plain WebDataset tars"
        return
    stated = description.load(stores.read_whole(store, records.MANIFEST, MAX_RECORD_BYTES)).get("fingerprint")
    if stated != data.manifest.fingerprint:
        yield (
            f"{store.where(records.MANIFEST)}: its identity is not that of its fingerprint"
            f" ({str(stated)[:80]}, expected {data.manifest.fingerprint}): one of them was changed"
        )
    numbers = [shard.number for shard in data.shards if shard.number is not None]
    listed = {name(n) for n in numbers for name in (records.tar_name, records.index_name, records.record_name)}
    for name in (f"{records.SHARDS}/{file}" for file in store.names(records.SHARDS)):
        if name not in listed:
            yield f"{store.where(name)}: belongs to no shard of the set that has a commit record"


def _record_problems(place: _Place) -> Iterator[str]:
    """Yield where a shard's bytes, its record and the table of all shards disagree."""
    record, shard = place.record, place.shard
    if record is None:
        return
    stated = (record.samples, record.bytes, len(record.skipped), record.content_sha256)
    if stated != (shard.samples, shard.tar_bytes, shard.skipped, shard.content):
        yield f"{place.data.store.where(records.record_name(record.shard))}: is not as {records.TABLE} lists it"
    if place.data.store.size(shard.name) is not None and place.sha256(shard.name) != record.sha256:
        yield f"{place.where}: its bytes are not those of its record (sha256)"


def _salvaged_index(place: _Place) -> Index | None:
    """Return where a damaged shard's samples should lie: as its tar says, or as its index says."""
    store, shard = place.data.store, place.shard
    if store.size(shard.name) is None:
        return None
    with contextlib.suppress(DatasetError):
        return Index.scan(store, shard.name)
    if shard.number is None:
        return None
    table = records.index_name(shard.number)
    with contextlib.suppress(DatasetError):
        data = stores.read_whole(store, table, MAX_TABLE_BYTES)
        return Index.from_npz(data, shard.tar_bytes, store.where(table))
    return None


def _index_problems(place: _Place, index: Index) -> Iterator[str]:
    record, store = place.record, place.data.store
    if record is None:
        return
    name = records.index_name(record.shard)
    where, present = store.where(name), store.size(name) is not None
    if not present:
        yield f"{where}: is missing"
    elif place.sha256(name) != record.index_sha256:
        yield f"{where}: its bytes are not those of its record (sha256)"
    try:
        found = [(member.name, member.offset, member.size) for member in tar.scan(store, place.shard.name)]
    except DatasetError as error:
        yield str(error)
        return
    listed = [(f"{e.key}.{suffix}", offset, size) for e in index.entries() for suffix, offset, size in e.members]
    if found != listed:
        yield f"{where}: does not list the members of the tar"
    if present and hashlib.sha256(index.content.tobytes()).hexdigest() != record.content_sha256:
        yield f"{where}: its content digests are not those of its record"


def _is_pictured(entry: Entry) -> bool:
    return any(suffix in codec.IMAGE_SUFFIXES for suffix, _, _ in entry.members)


def _entry_faults(place: _Place, entry: Entry, members: Mapping[str, bytes], aside: bool) -> Iterator[Fault]:
    if any(len(members[suffix]) != size for suffix, _, size in entry.members):
        yield Fault("is cut off")
        return
    decode = codec.decode_sidecar if aside else codec.decode
    try:
        found: Sample | Sidecar = decode(entry.key, members, where=place.where)
    except DatasetError as error:
        yield Fault(codec.without_place(error, place.where, entry.key), DAMAGED)
        return
    if entry.content != bytes(DIGEST_BYTES) and codec.content_digest(found, members) != entry.content:
        yield Fault("its content is not that of its digest")
    if isinstance(found, Sample):
        yield from examine(found)
