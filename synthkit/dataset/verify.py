# SPDX-License-Identifier: Apache-2.0
"""Checking a data set against its records and itself, telling everything that is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np

from synthkit.checkpoint import sha256_of
from synthkit.dataset import codec, records, tar
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.reader import Dataset, Shard, load_index
from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample

_TOLERANCE_PX = 0.51


@attrs.frozen
class Report:
    """What was checked, and one line for each thing that is wrong."""

    shards: int
    samples: int
    problems: tuple[str, ...]


def verify(path: Path | str, *, progress: Progress = silent) -> Report:
    """Check every shard: bytes, index, members, decoded content, and that the truth fits the image.

    Raises:
        DatasetError: when there is no data set that could be checked.
    """
    path = Path(path)
    problems: list[str] = []
    try:
        data = Dataset.open(path)
    except DatasetError as error:
        if not (path / records.MANIFEST).is_file():
            raise
        problems.append(str(error))
        data = Dataset.open(path, allow_unfinished=True)
    keys: dict[str, Path] = {}
    for n, shard in enumerate(data.shards):
        progress("verify", n, len(data.shards))
        problems += _shard_problems(shard, keys)
    progress("verify", len(data.shards), len(data.shards))
    return Report(len(data.shards), len(data), tuple(problems))


def _shard_problems(shard: Shard, keys: dict[str, Path]) -> Iterator[str]:
    try:
        if shard.record and sha256_of(shard.tar) != shard.record.sha256:
            yield f"{shard.tar}: its bytes are not those of its record (sha256)"
        index = load_index(shard)
    except (DatasetError, OSError) as error:
        yield str(error)
        return
    yield from _index_problems(shard, index)
    with shard.tar.open("rb") as file:
        for entry in index.entries():
            if entry.key in keys:
                yield f"{shard.tar}: sample {entry.key} is in {keys[entry.key].name} too"
            keys[entry.key] = shard.tar
            members = {}
            for suffix, offset, size in entry.members:
                file.seek(offset)
                members[suffix] = file.read(size)
            yield from _entry_problems(shard, entry, members)


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
    if hashlib.sha256(index.content.tobytes()).hexdigest() != record.content_sha256:
        yield f"{table}: its content digests are not those of its record"


def _entry_problems(shard: Shard, entry: Entry, members: dict[str, bytes]) -> Iterator[str]:
    where = f"{shard.tar}: sample {entry.key}"
    try:
        sample = codec.decode(entry.key, members, where=str(shard.tar))
    except DatasetError as error:
        yield str(error)
        return
    if shard.record and codec.content_digest(sample, members) != entry.content:
        yield f"{where}: its content is not that of its digest"
    yield from (f"{where}: {problem}" for problem in truth_problems(sample))


def truth_problems(sample: Sample) -> Iterator[str]:
    """Yield what in a sample's truth cannot be: boxes outside the image, instances that do not match."""
    width, height = sample.size_px
    people = sample.people or ()
    for i, person in enumerate(people):
        box = person.box_xyxy_px
        if box and not (_within(box[0], box[2], width) and _within(box[1], box[3], height)):
            yield f"people[{i}]: box {box} reaches outside the image of {width}x{height} pixels"
        turned = person.rotated_box
        if turned and not (_within(turned.cx, turned.cx, width) and _within(turned.cy, turned.cy, height)):
            yield f"people[{i}]: rotated box {turned.as_tuple()} lies outside the image of {width}x{height} pixels"
        if person.visible_fraction is not None and not 0 <= person.visible_fraction <= 1:
            yield f"people[{i}]: visible_fraction is {person.visible_fraction}"
    numbers = [person.instance for person in people if person.instance is not None]
    if len(set(numbers)) < len(numbers):
        yield f"two people share an instance number: {numbers}"
    layer = sample.layers.get("instances")
    if layer is not None and sample.people is not None:
        stray = set(np.unique(layer).tolist()) - {0, *numbers}
        if stray:
            yield f"layer 'instances' holds {sorted(stray)}, which are nobody's"
    if sample.camera and (sample.camera.width_px, sample.camera.height_px) != (width, height):
        yield f"the camera is of {sample.camera.width_px}x{sample.camera.height_px} pixels"


def _within(low: float, high: float, size: int) -> bool:
    return low >= -_TOLERANCE_PX and high <= size + _TOLERANCE_PX
