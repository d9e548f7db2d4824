# SPDX-License-Identifier: Apache-2.0
"""What is written beside the tars: the manifest of a data set, and a commit record per shard."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from synthkit import config
from synthkit.dataset.codec import CodecConfig
from synthkit.dataset.environments import environment as environment
from synthkit.dataset.limits import MAX_COUNT
from synthkit.dataset.small_files import pretty as pretty
from synthkit.dataset.small_files import read_table, write_table
from synthkit.dataset.stores import Store
from synthkit.dataset.tar import BLOCK_BYTES
from synthkit.errors import ConfigError, DatasetError
from synthkit.sample import Skipped

FORMAT = "synthkit-dataset"
SCHEMA = 2
"""Version of the manifest and the commit records. 1 had no table of shards and no shards by bytes."""
MANIFEST = "dataset.json"
TABLE = "shards.npz"
SHARDS = "shards"
SPOOL = ".spool"

_RECORD_NAME = re.compile(r"(\d{6}|[1-9]\d{6,15})\.json", re.ASCII)  # one name for each number
_REMEDY = "remove it and run again what made the set, to have its scenes made again"
_CODEC_REVISION = 1  # raise it when the same sample is stored in other bytes


def _mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


def _mappings(values: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(_mapping(value) for value in values)


@attrs.frozen
class Summary:
    """What a finished data set holds; ``content_sha256`` identifies its content.

    ``table_sha256`` is of the table of shards; sets of schema 1 have none.
    """

    shards: int
    samples: int
    skipped: int
    bytes: int
    content_sha256: str
    table_sha256: str | None = None


@attrs.frozen
class Manifest:
    """``dataset.json``: what a data set is made from, written first and completed last.

    Args:
        identity: plain JSON that determines every sample: configuration, seeds, revisions, input digests.
        notes: plain JSON besides: the stages' provenance, lineage, licences, sources.
        scenes: how many there are to be. scenes_per_shard, shard_bytes: how many scenes, or else how many
            bytes at least, fill a shard; one of them is None. codec: how samples are stored.
        summary: what came of it; None while it is being made.
        unknown, codec_unknown: what a later version wrote besides, in all and about the codec; it is kept, and
            the latter is part of what the set is.
    """

    identity: Mapping[str, Any] = attrs.field(converter=_mapping, hash=False)
    notes: Mapping[str, Any] = attrs.field(converter=_mapping, hash=False)
    scenes: int
    scenes_per_shard: int | None
    codec: CodecConfig
    shard_bytes: int | None = None
    summary: Summary | None = None
    unknown: Mapping[str, Any] = attrs.field(factory=dict, converter=_mapping, hash=False)
    codec_unknown: Mapping[str, Any] = attrs.field(factory=dict, converter=_mapping, hash=False)

    @property
    def fingerprint(self) -> str:
        """The identity of what is being made, whatever its count."""
        layout = self.scenes_per_shard if self.shard_bytes is None else {"shard_bytes": self.shard_bytes}
        return config.fingerprint([self.identity, layout, self.stored_codec, _CODEC_REVISION])

    @property
    def stored_codec(self) -> dict[str, Any]:
        """How samples are stored, as plain values, with what a later version states of it."""
        return {**self.codec_unknown, **config.plain(self.codec)}

    def write(self, store: Store) -> None:
        """Write ``dataset.json`` whole.

        Raises:
            DatasetError: when it is too large to be read again.
        """
        table = {
            **self.unknown,
            "format": FORMAT,
            "schema": SCHEMA,
            "status": "finished" if self.summary else "building",
            "fingerprint": self.fingerprint,
            **_known(self),
            "codec": self.stored_codec,
        }
        write_table(store, MANIFEST, table)

    @classmethod
    def read(cls, store: Store) -> Manifest:
        """Read ``dataset.json``.

        Raises:
            DatasetError: when it is damaged, a stranger's, or of a newer version.
        """
        where = store.where(MANIFEST)
        table = read_table(store, MANIFEST)
        if table.pop("format", None) != FORMAT:
            raise DatasetError(f"{where}: is not a synthkit data set's")
        _check_schema(table.pop("schema", None), where)
        for derived in ("status", "fingerprint"):
            table.pop(derived, None)
        try:
            summary = table.pop("summary")
            per_shard, shard_bytes = table.pop("scenes_per_shard"), table.pop("shard_bytes", None)
            codec, codec_unknown = _split(CodecConfig, table.pop("codec"))
            return cls(
                identity=table.pop("identity"),
                notes=table.pop("notes"),
                scenes=_count(table.pop("scenes")),
                scenes_per_shard=None if per_shard is None else max(1, _count(per_shard)),
                shard_bytes=None if shard_bytes is None else max(1, _count(shard_bytes)),
                codec=config.structure(CodecConfig, codec),
                summary=None if summary is None else _summary(summary),
                unknown=table,
                codec_unknown=codec_unknown,
            )
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise DatasetError(f"{where}: is damaged: {error}") from None


@attrs.frozen
class ShardRecord:
    """The commit of a shard: a tar without one does not count.

    Args:
        first_scene, scenes: which scenes it holds. samples: how many came of them.
        bytes, sha256: of the tar. index_sha256: of its index. content_sha256: of the decoded samples' digests.
        skipped: (scene, key, reason) of the samples that could not be made.
        environment: what it was made with. other_environments: those of its scenes that were made in others.
        unknown: what a later version wrote besides; it is kept.
    """

    shard: int
    first_scene: int
    scenes: int
    samples: int
    bytes: int
    sha256: str
    index_sha256: str
    content_sha256: str
    skipped: tuple[tuple[int, str, str], ...]
    environment: Mapping[str, Any] = attrs.field(converter=_mapping, hash=False)
    other_environments: tuple[Mapping[str, Any], ...] = attrs.field(default=(), converter=_mappings, hash=False)
    unknown: Mapping[str, Any] = attrs.field(factory=dict, converter=_mapping, hash=False)

    @property
    def environments(self) -> tuple[Mapping[str, Any], ...]:
        """All environments that took part."""
        return (self.environment, *self.other_environments)

    def write(self, store: Store) -> None:
        """Write the record: from now on the shard is committed.

        Raises:
            DatasetError: when it is too large to be read again.
        """
        known = _known(self)
        if not self.other_environments:
            del known["other_environments"]
        write_table(store, record_name(self.shard), {**self.unknown, "schema": SCHEMA, **known})

    @classmethod
    def read(cls, store: Store, shard: int) -> ShardRecord:
        """Read a shard's record.

        Raises:
            DatasetError: when it is damaged, another shard's, or of a newer version.
        """
        where = store.where(record_name(shard))
        table = read_table(store, record_name(shard))
        _check_schema(table.pop("schema", None), where)
        try:
            counts = ("shard", "first_scene", "scenes", "samples", "bytes")
            known: dict[str, Any] = {name: _count(table.pop(name)) for name in counts}
            known |= {name: _digest_text(table.pop(name)) for name in ("sha256", "index_sha256", "content_sha256")}
            known["skipped"] = tuple(_hole(*one[:3]) for one in table.pop("skipped"))
            known["other_environments"] = table.pop("other_environments", ())
            record = cls(**known, environment=table.pop("environment"), unknown=table)
            if record.samples * BLOCK_BYTES > record.bytes:
                raise ValueError(f"{record.samples} samples in {record.bytes} bytes")
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{where}: is damaged: {error}; {_REMEDY}") from None
        if record.shard != shard:
            raise DatasetError(f"{where}: states that it is of shard {record.shard}; {_REMEDY}")
        return record


def tar_name(shard: int) -> str:
    """Return a shard's tar, as named in its set."""
    return f"{SHARDS}/{shard:06d}.tar"


def index_name(shard: int) -> str:
    """Return a shard's index, as named in its set."""
    return f"{SHARDS}/{shard:06d}.idx.npz"


def record_name(shard: int) -> str:
    """Return a shard's commit record, as named in its set."""
    return f"{SHARDS}/{shard:06d}.json"


def committed_shards(store: Store) -> list[int]:
    """Return the numbers of the shards that have a commit record, in order."""
    stems = (name.removesuffix(".json") for name in store.names(SHARDS) if _RECORD_NAME.fullmatch(name))
    return sorted(int(stem) for stem in stems)


def read_records(store: Store) -> list[ShardRecord]:
    """Return the records of all committed shards, in order.

    Raises:
        DatasetError: when one is damaged or not what its name says.
    """
    return [ShardRecord.read(store, shard) for shard in committed_shards(store)]


def content_of(digests: Iterable[str]) -> str:
    """Return the digest of a whole set's content from its shards' content digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return value


def _digest_text(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError(f"{str(value)[:40]!r} is no sha256")
    return value


def _hole(scene: Any, key: Any, reason: Any) -> tuple[int, str, str]:
    skipped = Skipped(str(key), str(reason))
    return _count(scene), skipped.key, skipped.reason


def _summary(table: Mapping[str, Any]) -> Summary:
    summary = Summary(**_split(Summary, table)[0])  # what a later version sums up besides would be out of date
    for value in (summary.shards, summary.samples, summary.skipped, summary.bytes):
        _count(value)
    for digest in (summary.content_sha256, summary.table_sha256):
        if digest is not None:
            _digest_text(digest)
    return summary


def _known(thing: Manifest | ShardRecord) -> dict[str, Any]:
    return {name: value for name, value in config.plain(thing).items() if not name.endswith("unknown")}


def _split(cls: type[Any], table: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what this version knows of a table, and the rest."""
    if not isinstance(table, dict):
        raise TypeError(f"{str(table)[:40]!r} is no table")
    names = {field.name for field in attrs.fields(cls)}
    known = {name: value for name, value in table.items() if name in names}
    return known, {name: value for name, value in table.items() if name not in names}


def _check_schema(stated: Any, where: str) -> None:
    if not isinstance(stated, int) or not 1 <= stated <= SCHEMA:
        raise DatasetError(
            f"{where}: schema {repr(stated)[:40]} is not known, expected at most {SCHEMA}; update synthkit"
        )
