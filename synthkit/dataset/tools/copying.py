# SPDX-License-Identifier: Apache-2.0
"""Making a data set from samples of others, member for member the same bytes; what is made can be resumed.

Only where a new set says otherwise what its samples are called, or which part they are, their description is
written anew; images and layers stay the bytes that they were.
"""

from __future__ import annotations

import bisect
import itertools
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit.cache import scratch_dir
from synthkit.dataset import codec
from synthkit.dataset.codec import JSON_SUFFIX, CodecConfig, Encoded
from synthkit.dataset.reader import Dataset
from synthkit.dataset.stores import is_url
from synthkit.dataset.tools.restating import restated
from synthkit.dataset.writer import DatasetWriter
from synthkit.errors import DatasetError, WorkError
from synthkit.execution import Executor, JobSpec, Local
from synthkit.execution.scenes import Maker, fill
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample, Sidecar, Skipped

_SCENES_PER_SHARD = 256


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
    executor: Executor | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Write the chosen samples and holes as a data set at ``out``, or what is left to write of it.

    No image is encoded again, and a sample that is copied as it is keeps the digest of its content, so that
    ``verify`` finds in the new set what was damaged in the old one. One with a new key or description has
    to fit its digest, and gets a new one; that of a stranger's is taken from the decoded sample.

    Args:
        identity, notes: as for ``DatasetWriter``. verb: what progress is told as.
        executor: what copies; None copies in this process.

    Raises:
        DatasetError: when ``out`` holds something else, or a chosen sample is damaged. WorkError: when
            the disk is full.
    """
    if all(isinstance(pick.slot, Skipped) for pick in chosen):
        raise DatasetError(f"{out}: would hold no sample")
    arguments = {
        "origins": [[whole(o.data.location), o.data.fingerprint, o.prefix, o.split] for o in origins],
        "places": [[p.origin, [p.slot.key, p.slot.reason] if isinstance(p.slot, Skipped) else p.slot] for p in chosen],
    }
    write(
        out, JobSpec("synthkit.dataset.tools.copying:CopyJob", arguments), len(chosen),
        identity=identity, notes=notes, codec=_codec(origins), verb=verb, executor=executor, progress=progress,
    )  # fmt: skip
    return Dataset.open(out)


def write(
    out: Path | str,
    maker: JobSpec,
    places: int,
    *,
    identity: Mapping[str, Any],
    notes: Mapping[str, Any],
    codec: CodecConfig,
    verb: str,
    executor: Executor | None,
    progress: Progress,
    check: Callable[[], None] | None = None,
) -> None:
    """Write a data set of so many places, each of which takes no longer to make again than to keep by itself.

    Args:
        check: raises when what was read is no longer what it was; asked before the set is finished.
    """
    writer = DatasetWriter(
        out,
        identity=identity,
        notes=notes,
        scenes=places,
        scenes_per_shard=_SCENES_PER_SHARD,
        codec=codec,
        scratch=scratch_dir(),
    )

    def failed(place: int, reason: str) -> list[Skipped]:
        raise WorkError(f"sample {place} cannot be copied: {reason}")

    with writer:
        fill(
            writer, maker, executor or Local(0), failed=failed,
            progress=lambda done: progress(verb, done, places), whole_shards=True,
        )  # fmt: skip
        if check is not None:
            check()
        writer.finalise()


class CopyJob(Maker):
    """Copies the sample, or hole, of each place of the new set."""

    def __init__(
        self, origins: Sequence[tuple[str, str, str, str | None]], places: Sequence[tuple[int, int | tuple[str, str]]]
    ) -> None:
        self._origins = [
            (Origin(data, prefix, split), fingerprint, list(itertools.accumulate(s.samples for s in data.shards)))
            for location, fingerprint, prefix, split in origins
            for data in [Dataset.open(location)]
        ]
        self._places = places

    def check_machine(self) -> None:
        """Check that the sets to copy from are the same here.

        Raises:
            WorkError: when one is not.
        """
        for origin, fingerprint, _ in self._origins:
            if origin.data.fingerprint != fingerprint:
                raise WorkError(f"{origin.data.location}: is another data set on {socket.gethostname()}")

    def __call__(self, place: int) -> list[Encoded | Skipped]:
        """Return one sample as it is to be stored, or one hole."""
        number, slot = self._places[place]
        origin, _, ends = self._origins[number]
        if not isinstance(slot, int):
            key, reason = slot
            return [Skipped(origin.prefix + key, reason)]
        key, members = origin.data.members(slot)
        shard = bisect.bisect_right(ends, slot)
        place_in_shard = slot - ends[shard] + origin.data.shards[shard].samples
        content = origin.data.index(shard).entry(place_in_shard).content
        where = origin.data.where(shard)
        told = restated(members, origin.prefix, origin.split, where=f"{where}: sample {key}")
        if origin.prefix or told != members.get(JSON_SUFFIX) or not any(content):
            return [_renewed(origin.prefix + key, key, members, told, content, where=where)]
        return [Encoded(key, tuple(members.items()), content)]


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
    renewed = dict(members) if told is None else {**members, JSON_SUFFIX: told}
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


def whole(location: str) -> str:
    """Return a place as another process finds it, whatever folder it works in."""
    return location if is_url(location) else os.path.abspath(location)  # noqa: PTH100 - links stay as they are


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
