# SPDX-License-Identifier: Apache-2.0
"""What is written beside the tars: the manifest of a data set, and one commit record per shard."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import numpy as np
import PIL
from PIL import features

import synthkit
from synthkit import config
from synthkit.dataset import description, storage
from synthkit.dataset.codec import CodecConfig
from synthkit.errors import ConfigError, DatasetError

FORMAT = "synthkit-dataset"
SCHEMA = 1
MANIFEST = "dataset.json"
SHARDS = "shards"
SPOOL = ".spool"

_CODEC_REVISION = 1  # raise it when the same sample is stored in other bytes


def _mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(value))


@attrs.frozen
class Summary:
    """What a finished data set holds; ``content_sha256`` identifies its content."""

    shards: int
    samples: int
    skipped: int
    bytes: int
    content_sha256: str


@attrs.frozen
class Manifest:
    """``dataset.json``: what a data set is made from, written first and completed last.

    Args:
        identity: plain JSON that determines every sample: configuration, seeds, revisions, input digests.
        notes: plain JSON besides: lineage, licences, commands.
        scenes: how many there are to be. scenes_per_shard, codec: how they are stored.
        summary: what came of it; None while it is being made.
    """

    identity: Mapping[str, Any] = attrs.field(converter=_mapping, hash=False)
    notes: Mapping[str, Any] = attrs.field(converter=_mapping, hash=False)
    scenes: int
    scenes_per_shard: int
    codec: CodecConfig
    summary: Summary | None = None

    @property
    def fingerprint(self) -> str:
        """The identity of what is being made, whatever its count."""
        return config.fingerprint([self.identity, self.scenes_per_shard, config.plain(self.codec), _CODEC_REVISION])

    @property
    def shards(self) -> int:
        """How many shards the scenes fill."""
        return -(-self.scenes // self.scenes_per_shard)

    def write(self, folder: Path) -> None:
        """Write ``dataset.json`` whole."""
        table = {
            "format": FORMAT,
            "schema": SCHEMA,
            "status": "finished" if self.summary else "building",
            "fingerprint": self.fingerprint,
            **config.plain(self),
        }
        storage.write_atomically(folder / MANIFEST, [pretty(table)])

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``dataset.json``.

        Raises:
            DatasetError: when it is damaged, a stranger's, or of a newer version.
        """
        path = folder / MANIFEST
        table = _read_table(path)
        if table.get("format") != FORMAT:
            raise DatasetError(f"{path}: is not a synthkit data set's")
        if table.get("schema") != SCHEMA:
            raise DatasetError(
                f"{path}: schema {table.get('schema')!r} is not known, expected {SCHEMA}; update synthkit"
            )
        try:
            summary = table["summary"]
            return cls(
                identity=table["identity"],
                notes=table["notes"],
                scenes=int(table["scenes"]),
                scenes_per_shard=max(1, int(table["scenes_per_shard"])),
                codec=config.structure(CodecConfig, table["codec"]),
                summary=None if summary is None else Summary(**summary),
            )
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise DatasetError(f"{path}: is damaged: {error}") from None


@attrs.frozen
class ShardRecord:
    """The commit of a shard: a tar without one does not count.

    Args:
        first_scene, scenes: which scenes it holds. samples: how many came of them.
        bytes, sha256: of the tar. index_sha256: of its index. content_sha256: of the decoded samples' digests.
        skipped: (scene, key, reason) of the samples that could not be made.
        environment: what it was made with.
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

    def write(self, folder: Path) -> None:
        """Write the record: from now on the shard is committed."""
        table = {"schema": SCHEMA, **config.plain(self)}
        storage.write_atomically(record_path(folder, self.shard), [pretty(table)])

    @classmethod
    def read(cls, path: Path) -> ShardRecord:
        """Read a record.

        Raises:
            DatasetError: when it is damaged or of a newer version.
        """
        table = _read_table(path)
        if table.pop("schema", None) != SCHEMA:
            raise DatasetError(f"{path}: is of an unknown schema, expected {SCHEMA}; update synthkit")
        try:
            skipped = tuple((int(scene), str(key), str(reason)) for scene, key, reason in table.pop("skipped"))
            record = cls(**table, skipped=skipped)
            if min(record.shard, record.scenes, record.samples, record.bytes) < 0:
                raise ValueError("negative counts")
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path}: is damaged: {error}") from None
        return record


def tar_path(folder: Path, shard: int) -> Path:
    """Return where a shard's tar lies."""
    return folder / SHARDS / f"{shard:06d}.tar"


def index_path(folder: Path, shard: int) -> Path:
    """Return where a shard's index lies."""
    return folder / SHARDS / f"{shard:06d}.idx.npz"


def record_path(folder: Path, shard: int) -> Path:
    """Return where a shard's commit record lies."""
    return folder / SHARDS / f"{shard:06d}.json"


def read_records(folder: Path) -> list[ShardRecord]:
    """Return the records of all committed shards, in order.

    Raises:
        DatasetError: when one is damaged or not what its name says.
    """
    records = []
    for path in sorted((folder / SHARDS).glob("[0-9]*.json")):
        record = ShardRecord.read(path)
        if path != record_path(folder, record.shard):
            raise DatasetError(f"{path}: states that it is of shard {record.shard}")
        records.append(record)
    return sorted(records, key=lambda record: record.shard)


def summarize(records: Iterable[ShardRecord]) -> Summary:
    """Return the totals over committed shards."""
    listed = list(records)
    content = hashlib.sha256("\n".join(record.content_sha256 for record in listed).encode())
    return Summary(
        shards=len(listed),
        samples=sum(record.samples for record in listed),
        skipped=sum(len(record.skipped) for record in listed),
        bytes=sum(record.bytes for record in listed),
        content_sha256=content.hexdigest(),
    )


def environment() -> dict[str, Any]:
    """Return what decides about bytes besides configuration: interpreter, libraries, machine."""
    return {
        "synthkit": synthkit.__version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "jpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
        "zlib": str(features.version("zlib") or zlib.ZLIB_RUNTIME_VERSION),
    }


def pretty(table: Mapping[str, Any]) -> bytes:
    """Return a small file's JSON for people and machines: sorted, indented, UTF-8."""
    text = json.dumps(table, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")  # a path's bytes that are no UTF-8 become JSON escapes


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = description.load(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{path}: is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise DatasetError(f"{path}: holds no table")
    return table
