# SPDX-License-Identifier: Apache-2.0
"""Making a data set from samples of others, member for member the same bytes; what is made can be resumed.

Only where a new set says otherwise what its samples are called, or which part they are, their description is
written anew; images and layers stay the bytes that they were.
"""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from synthkit.cache import scratch_dir
from synthkit.dataset import codec
from synthkit.dataset.codec import CodecConfig, Encoded
from synthkit.dataset.reader import Dataset
from synthkit.dataset.spool import SceneSpool
from synthkit.dataset.stores import is_url
from synthkit.dataset.tools.restating import restated
from synthkit.dataset.writer import DatasetWriter
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import Failed, JobSpec, Local, run
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample, Sidecar, Skipped

_SCENES_PER_SHARD = 256
_WORTH_A_PROCESS = 500  # samples; fewer are copied sooner than processes start


@attrs.frozen
class Origin:
    """A set to copy from.

    Args:
        prefix: what each key, and each sequence, gets before it. split: what ``meta`` of each image says of its
            split from now on; None leaves it as it is.
    """

    data: Dataset
    prefix: str = ""
    split: str | None = None


@attrs.frozen
class Pick:
    """What stands in a place of the new set: a position in an origin, or why there is nothing."""

    origin: int
    slot: int | Skipped


def picks(data: Dataset, origin: int = 0) -> list[Pick]:
    """Return every place of a set, holes too."""
    return [Pick(origin, slot) for slot in data.slots()]


def copy(
    origins: Sequence[Origin],
    chosen: Sequence[Pick],
    out: Path | str,
    *,
    identity: Mapping[str, Any],
    notes: Mapping[str, Any],
    verb: str,
    workers: int = 0,
    progress: Progress = silent,
) -> Dataset:
    """Write the chosen samples and holes as a data set at ``out``, or what is left to write of it.

    No image is encoded again, and a sample that is copied as it is keeps the digest of its content, so that
    ``verify`` finds in the new set what was damaged in the old one. One with a new key or description has
    to fit its digest, and gets a new one; that of a stranger's is taken from the decoded sample.

    Args:
        identity, notes: as for ``DatasetWriter``. verb: what progress is told as.
        workers: processes besides this one for large sets; 0 works here.

    Raises:
        DatasetError: when ``out`` holds something else, or a chosen sample is damaged. WorkError: when
            the disk is full.
    """
    if all(isinstance(pick.slot, Skipped) for pick in chosen):
        raise DatasetError(f"{out}: would hold no sample")
    writer = DatasetWriter(
        out,
        identity=identity,
        notes=notes,
        scenes=len(chosen),
        scenes_per_shard=_SCENES_PER_SHARD,
        codec=_codec(origins),
        scratch=scratch_dir(),
    )
    with writer:
        progress(verb, writer.scenes_done, len(chosen))
        with closing(_copied(writer, origins, chosen, workers)) as scenes:
            for scene in scenes:
                writer.finished(scene)
                progress(verb, writer.scenes_done, len(chosen))
        writer.finalise()
    return Dataset.open(out)


def _copied(
    writer: DatasetWriter, origins: Sequence[Origin], chosen: Sequence[Pick], workers: int
) -> Generator[int, None, None]:
    """Spool what is still to be copied; yield each place as it is done."""
    rest = []
    for scene in writer.pending_scenes():
        slot = chosen[scene].slot
        if isinstance(slot, Skipped):
            writer.spool.put(scene, [attrs.evolve(slot, key=origins[chosen[scene].origin].prefix + slot.key)])
            yield scene
        else:
            rest.append(scene)
    arguments = {
        "origins": [[origin.data.location, origin.prefix, origin.split] for origin in origins],
        "places": [[p.origin, -1 if isinstance(p.slot, Skipped) else p.slot] for p in chosen],
        "spool": writer.spool.to_plain(),
    }
    job = JobSpec("synthkit.dataset.tools.copying:CopyJob", arguments)
    with closing(run(job, rest, Local(workers=workers if len(rest) >= _WORTH_A_PROCESS else 0))) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                raise WorkError(f"sample {outcome.task} cannot be copied: {outcome.reason}")
            yield outcome.task


class CopyJob:
    """Task n copies the sample of place n into the spool."""

    def __init__(
        self,
        origins: Sequence[tuple[str, str, str | None]],
        places: Sequence[tuple[int, int]],
        spool: Mapping[str, Any],
    ) -> None:
        opened = [Origin(Dataset.open(location), prefix, split) for location, prefix, split in origins]
        self._origins = [(one, list(itertools.accumulate(s.samples for s in one.data.shards))) for one in opened]
        self._places = places
        self._spool = SceneSpool.from_plain(spool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, place: int) -> dict[str, int]:
        """Spool one sample."""
        number, position = self._places[place]
        origin, ends = self._origins[number]
        key, members = origin.data.members(position)
        shard = bisect.bisect_right(ends, position)
        place_in_shard = position - ends[shard] + origin.data.shards[shard].samples
        content = origin.data.index(shard).entry(place_in_shard).content
        where = origin.data.where(shard)
        told = restated(members, origin.prefix, origin.split, where=f"{where}: sample {key}")
        if origin.prefix or told != members.get(codec.JSON_SUFFIX) or not any(content):
            copied = _renewed(origin.prefix + key, key, members, told, content, where=where)
        else:
            copied = Encoded(key, tuple(members.items()), content)
        return self._spool.put_encoded(place, [copied])


def _renewed(
    new_key: str, key: str, members: Mapping[str, bytes], told: bytes | None, content: bytes, *, where: str
) -> Encoded:
    """Return a sample with another key or description, and the digest of that.

    Raises:
        DatasetError: when it is damaged, or is not what the old digest (zeros: there is none) says.
    """
    sample = _decoded(key, members, where=where)
    if any(content) and codec.content_digest(sample, members) != content:
        raise DatasetError(f"{where}: sample {key}: its content is not that of its digest; see 'synthkit verify'")
    renewed = dict(members) if told is None else {**members, codec.JSON_SUFFIX: told}
    digest = codec.content_digest(attrs.evolve(sample, key=new_key), renewed)
    return Encoded(new_key, tuple(renewed.items()), digest)


def encoded(key: str, members: Mapping[str, bytes], *, where: str) -> Encoded:
    """Return stored members as the writer takes them, with the digest of what they decode to.

    Raises:
        DatasetError: when they are damaged.
    """
    return Encoded(key, tuple(members.items()), codec.content_digest(_decoded(key, members, where=where), members))


def _decoded(key: str, members: Mapping[str, bytes], *, where: str) -> Sample | Sidecar:
    pictured = any(suffix in members for suffix in codec.IMAGE_SUFFIXES)
    return (codec.decode if pictured else codec.decode_sidecar)(key, members, where=where)


def parent(data: Dataset, out: Path | str) -> dict[str, Any]:
    """Return the lineage entry of a set that another one is made from."""
    location = data.location
    return {
        "path": location if is_url(location) or is_url(out) else os.path.relpath(location, out),
        "fingerprint": data.fingerprint,
        "samples": len(data),
        "skipped": len(data.skipped),
    }


def inherited(data: Dataset, out: Path | str, **more: Any) -> dict[str, Any]:
    """Return the notes of a set made from one other: the other's (stages, licences, sources), lineage, and more."""
    notes = dict(data.manifest.notes) if data.manifest else {}
    return {**notes, "parents": [parent(data, out)], **more}


def told(what: str, lines: Iterable[str], shown: int = 20) -> str:
    """Return a message of several lines, cut off when there are very many."""
    listed = list(lines)
    more = [f"... and {len(listed) - shown} more"] if len(listed) > shown else []
    return "\n  ".join([what, *listed[:shown], *more])


def _codec(origins: Sequence[Origin]) -> CodecConfig:
    """Return how the first set that says so stores its samples: nothing is encoded, but it is on record."""
    return next((origin.data.manifest.codec for origin in origins if origin.data.manifest), CodecConfig())
