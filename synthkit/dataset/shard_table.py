# SPDX-License-Identifier: Apache-2.0
"""The table of all shards of a finished set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from synthkit.dataset import npz, stores
from synthkit.dataset.index import DIGEST_BYTES
from synthkit.dataset.limits import MAX_COUNT, MAX_TABLE_BYTES
from synthkit.dataset.records import MANIFEST, TABLE, ShardRecord, Summary, content_of
from synthkit.dataset.stores import Store
from synthkit.dataset.tar import BLOCK_BYTES
from synthkit.errors import DatasetError


@attrs.frozen(eq=False)
class ShardTable:
    """All commit records of a finished set in columns, so that a million samples are opened at once.

    Args:
        shard, first_scene, scenes, samples, skipped, tar_bytes: (N,) int64, as in the records.
        sha256, content: (N, 32) uint8. least_key, greatest_key: (N,) UTF-8 bytes, of the shard's keys.
        index_sha256: (N, 32) uint8; None in tables that were written before it was kept.
    """

    shard: npt.NDArray[np.int64] = npz.column("<i8", "shards")
    first_scene: npt.NDArray[np.int64] = npz.column("<i8", "shards")
    scenes: npt.NDArray[np.int64] = npz.column("<i8", "shards")
    samples: npt.NDArray[np.int64] = npz.column("<i8", "shards")
    skipped: npt.NDArray[np.int64] = npz.column("<i8", "shards")
    tar_bytes: npt.NDArray[np.int64] = npz.column("<i8", "shards")
    sha256: npt.NDArray[np.uint8] = npz.column("u1", "shards", DIGEST_BYTES)
    content: npt.NDArray[np.uint8] = npz.column("u1", "shards", DIGEST_BYTES)
    least_key: npt.NDArray[np.bytes_] = npz.column(npz.BYTES, "shards")
    greatest_key: npt.NDArray[np.bytes_] = npz.column(npz.BYTES, "shards")
    index_sha256: npt.NDArray[np.uint8] | None = npz.column("u1", "shards", DIGEST_BYTES, optional=True)

    def __len__(self) -> int:
        return len(self.shard)

    @classmethod
    def of(cls, listed: Sequence[ShardRecord], key_ranges: Sequence[tuple[bytes, bytes]]) -> ShardTable:
        """Return the table of records in their order, with the least and greatest key of each shard."""
        counts = ("shard", "first_scene", "scenes", "samples")
        return cls(
            **{name: np.array([getattr(record, name) for record in listed], np.int64) for name in counts},
            tar_bytes=np.array([record.bytes for record in listed], np.int64),
            skipped=np.array([len(record.skipped) for record in listed], np.int64),
            sha256=_digests(record.sha256 for record in listed),
            content=_digests(record.content_sha256 for record in listed),
            index_sha256=_digests(record.index_sha256 for record in listed),
            least_key=np.array([least for least, _ in key_ranges], np.bytes_),
            greatest_key=np.array([greatest for _, greatest in key_ranges], np.bytes_),
        )

    def summary(self, data: bytes) -> Summary:
        """Return the totals of the set; ``data``: this table as it is kept."""
        return Summary(
            shards=len(self),
            samples=int(self.samples.sum()),
            skipped=int(self.skipped.sum()),
            bytes=int(self.tar_bytes.sum()),
            content_sha256=content_of(row.tobytes().hex() for row in self.content),
            table_sha256=hashlib.sha256(data).hexdigest(),
        )

    def lists(self, listed: Sequence[ShardRecord]) -> bool:
        """Return whether it is the table of these records, in their order."""
        theirs = type(self).of(listed, [(b"", b"")] * len(listed))
        names = {field.name for field in attrs.fields(type(self))} - {"least_key", "greatest_key"}
        names -= {"index_sha256"} if self.index_sha256 is None else set()
        return all(np.array_equal(getattr(self, name), getattr(theirs, name)) for name in names)

    def to_npz(self) -> bytes:
        """Return the table as npz bytes, the same each time."""
        return npz.pack(self)

    @classmethod
    def read(cls, store: Store, sha256: str) -> ShardTable:
        """Read the table.

        Raises:
            DatasetError: when it is missing, or not the one with that hash.
        """
        where = store.where(TABLE)
        data = stores.read_whole(store, TABLE, MAX_TABLE_BYTES)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DatasetError(f"{where}: is not the table that {MANIFEST} lists; run 'synthkit verify'")
        try:
            table = npz.unpack(cls, data)
            table._check()
        except (ValueError, TypeError) as error:
            raise DatasetError(f"{where}: is damaged: {error}") from None
        return table

    def _check(self) -> None:
        for name in ("shard", "first_scene", "scenes", "samples", "skipped", "tar_bytes"):
            counts = getattr(self, name)
            if not 0 <= counts.min(initial=0) <= counts.max(initial=0) <= MAX_COUNT:
                raise ValueError(f"{name} has impossible counts")
        if (self.samples > self.tar_bytes // BLOCK_BYTES).any():
            raise ValueError("more samples than there is room for")


def _digests(values: Iterable[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(values)), np.uint8).reshape(-1, DIGEST_BYTES)
