# SPDX-License-Identifier: Apache-2.0
"""Checking a data set against its records and itself, telling everything that is wrong."""

from __future__ import annotations

import collections
import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from synthkit.checkpoint import sha256_of
from synthkit.dataset import codec, tar
from synthkit.dataset.index import DIGEST_BYTES, Entry, Index
from synthkit.dataset.reader import Dataset, Shard, load_index
from synthkit.dataset.tools.truth import DAMAGED, Fault, examine
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Skipped


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
            return Dataset.open(path, allow_unfinished=True), [str(error)]
        except DatasetError:
            raise error from None


def check(data: Dataset, *, progress: Progress = silent) -> Iterator[str | Checked | Skipped]:
    """Yield, in order, each sample as checked, each hole, and a line for what is wrong with a whole shard."""
    keys: dict[str, str] = {}
    for n, shard in enumerate(data.shards):
        progress("verify", n, len(data.shards))
        yield from _with_holes(_findings(shard, keys), shard.record.skipped if shard.record else ())
    progress("verify", len(data.shards), len(data.shards))


def _with_holes(
    findings: Iterator[str | Checked], holes: tuple[tuple[int, str, str], ...]
) -> Iterator[str | Checked | Skipped]:
    """Put the holes of a shard back between its samples, which keep their order."""
    left = collections.deque(sorted(holes))
    for found in findings:
        while left and isinstance(found, Checked) and left[0][:2] < (found.scene, found.key):
            yield Skipped(*left.popleft()[1:])
        yield found
    yield from (Skipped(key, reason) for _, key, reason in left)


def _findings(shard: Shard, keys: dict[str, str]) -> Iterator[str | Checked]:
    try:
        if shard.record and sha256_of(shard.tar) != shard.record.sha256:
            yield f"{shard.tar}: its bytes are not those of its record (sha256)"
    except OSError as error:
        yield str(error)
        return
    try:
        index = load_index(shard)
        yield from _index_problems(shard, index)
    except DatasetError as error:
        yield str(error)
        salvaged = _salvaged_index(shard)
        if salvaged is None:
            return
        index = salvaged
    with shard.tar.open("rb") as file:
        for entry in index.entries():
            members = {}
            for suffix, offset, size in entry.members:
                file.seek(offset)
                members[suffix] = file.read(size)
            faults = list(_entry_faults(shard, entry, members))
            if entry.key in keys:
                faults.append(Fault(f"another sample of this key is in {keys[entry.key]}"))
            keys[entry.key] = str(shard.tar)
            yield Checked(str(shard.tar), entry.key, entry.scene, members, tuple(faults))


def _salvaged_index(shard: Shard) -> Index | None:
    """Return where a damaged shard's samples should lie: as its tar says, or as its index says."""
    with contextlib.suppress(DatasetError):
        return Index.scan(shard.tar)
    with contextlib.suppress(DatasetError):
        return Index.from_npz(shard.tar.with_suffix(".idx.npz"), shard.record.bytes if shard.record else 0)
    return None


def _index_problems(shard: Shard, index: Index) -> Iterator[str]:
    record = shard.record
    if record is None:
        return
    table = shard.tar.with_suffix(".idx.npz")
    if not table.is_file():
        yield f"{table}: is missing"
    elif sha256_of(table) != record.index_sha256:
        yield f"{table}: its bytes are not those of its record (sha256)"
    try:
        found = [(member.name, member.offset, member.size) for member in tar.scan(shard.tar)]
    except DatasetError as error:
        yield str(error)
        return
    listed = [(f"{e.key}.{suffix}", offset, size) for e in index.entries() for suffix, offset, size in e.members]
    if found != listed:
        yield f"{table}: does not list the members of the tar"
    if table.is_file() and hashlib.sha256(index.content.tobytes()).hexdigest() != record.content_sha256:
        yield f"{table}: its content digests are not those of its record"


def _entry_faults(shard: Shard, entry: Entry, members: Mapping[str, bytes]) -> Iterator[Fault]:
    if any(len(members[suffix]) != size for suffix, _, size in entry.members):
        yield Fault("is cut off")
        return
    try:
        sample = codec.decode(entry.key, members, where=str(shard.tar))
    except DatasetError as error:
        yield Fault(str(error).removeprefix(f"{shard.tar}: sample {entry.key} "), DAMAGED)
        return
    known = shard.record and entry.content != bytes(DIGEST_BYTES)
    if known and codec.content_digest(sample, members) != entry.content:
        yield Fault("its content is not that of its digest")
    yield from examine(sample)
