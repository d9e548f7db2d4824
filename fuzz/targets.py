# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: each target takes bytes from nowhere and may raise nothing but the errors it documents.

The property tests and the coverage-guided runs share these functions.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from synthkit.dataset import CodecConfig, Dataset, codec, description, images, records, tar
from synthkit.dataset.index import DIGEST_BYTES, Index
from synthkit.dataset.records import Manifest, ShardRecord
from synthkit.dataset.shard_table import ShardTable
from synthkit.dataset.spool import SceneSpool
from synthkit.dataset.stores import LocalStore
from synthkit.errors import DatasetError
from synthkit.sample import Sample

ENVIRONMENT = "fuzz"
_TAR = "shards/000000.tar"
_TAR_BYTES = 1 << 20
_QUICK = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a folder in memory, where there is one


class Held:
    """A store in memory, as the readers see it."""

    readahead_bytes = 512

    def __init__(self, files: dict[str, bytes]) -> None:
        self.location = "held"
        self.files = files

    def where(self, name: str) -> str:
        """Return a file's name for messages."""
        return f"held/{name}"

    def names(self, folder: str = "") -> list[str]:
        """Return the names in a folder."""
        return sorted(name.rpartition("/")[2] for name in self.files if name.rpartition("/")[0] == folder)

    def size(self, name: str) -> int | None:
        """Return a file's size."""
        return len(self.files[name]) if name in self.files else None

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        if name not in self.files:
            raise DatasetError(f"{self.where(name)}: cannot be read")
        return self.files[name]

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Return a piece of a file."""
        assert 0 <= offset <= len(self.read(name)) + tar.BLOCK_BYTES, "asked for what is not there"
        assert 0 <= size <= _TAR_BYTES << 6, "asked for more than any of these files holds"
        return self.read(name)[offset : offset + size]


@functools.cache
def sample() -> Sample:
    """Return a small sample with a layer of each kind."""
    return Sample(
        key="a",
        image=np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
        layers={"instances": np.eye(4, dtype=np.uint8), "depth": np.eye(4, dtype=np.float32)},
    )


@functools.cache
def members() -> dict[str, bytes]:
    """Return the members of ``sample``."""
    return dict(codec.encode(sample(), CodecConfig()).members)


def archive(data: bytes) -> None:
    """Scan, index, read and decode a stranger's tar."""
    store: Any = Held({_TAR: data})
    with contextlib.suppress(DatasetError):
        for member in tar.scan(store, _TAR):
            assert 0 <= member.offset <= member.offset + member.size <= len(data)
            assert ".." not in member.name.split("/")
            assert not member.name.startswith("/")
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_QUICK) as folder, contextlib.suppress(DatasetError):
        path = Path(folder) / "a.tar"
        path.write_bytes(data)
        opened = Dataset.open(path)
        for place, key in enumerate(opened.keys()):
            assert "/" not in key
            if opened.position(key) != place:  # the same key twice would have been refused
                raise AssertionError(key)
            with contextlib.suppress(DatasetError):
                _ = opened[place]
        assert [key for key, _ in opened.raw()] == list(opened.keys())
        for _ in opened:
            pass


def mended_archive(data: bytes) -> None:
    """The same with checksums made to fit, so that what lies behind them is reached."""
    blocks = bytearray(data)
    for start in range(0, len(blocks) - tar.BLOCK_BYTES + 1, tar.BLOCK_BYTES):
        block = blocks[start : start + tar.BLOCK_BYTES]
        if any(block) and block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    archive(bytes(blocks))


def text(data: bytes) -> None:
    """Read a sample's JSON; what is taken can be written, and is then read as the same."""
    try:
        description.from_json(data)
    except ValueError:
        return
    with contextlib.suppress(DatasetError):
        taken = codec.decode("a", {**members(), "json": data}, where="held")
        written = dict(codec.encode(taken, CodecConfig()).members)["json"]
        again = codec.decode("a", {**members(), "json": written}, where="held")
        assert dict(codec.encode(again, CodecConfig()).members)["json"] == written


def picture(data: bytes) -> None:
    """Decode an image both ways."""
    for rgb in (True, False):
        with contextlib.suppress(ValueError):
            width, height = images.size_px(data)
            array = images.decode(data, rgb=rgb)
            assert array.shape[:2] == (height, width)
            assert array.dtype in (np.uint8, np.uint16, np.bool_)
            assert not rgb or array.shape[2:] == (3,)


def mended_picture(data: bytes) -> None:
    """The same with a PNG's checksums made to fit."""
    kept, offset = [data[:8]], 8
    while offset + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        body = data[offset + 4 : offset + 8 + length]
        kept.append(data[offset : offset + 4] + body + struct.pack(">I", zlib.crc32(body)))
        offset += 12 + length
    picture(b"".join(kept))


def array(data: bytes) -> None:
    """Read an npy."""
    for kinds in ("biuf", "iuS"):
        with contextlib.suppress(ValueError):
            found = codec.decode_npy(data, kinds=kinds)
            assert found.dtype.kind in kinds
            assert found.nbytes <= len(data)


def index(data: bytes) -> None:
    """Read a shard's index; what is taken fits the tar and has names that are no paths."""
    try:
        found = Index.from_npz(data, _TAR_BYTES, "held")
    except DatasetError:
        return
    entries = list(found.entries())
    assert entries == [found.entry(place) for place in range(len(found))]
    for entry in entries:
        assert not set("./\\\0") & set(entry.key)
        assert all(0 <= offset <= offset + size <= _TAR_BYTES for _, offset, size in entry.members)
    assert Index.of(entries).to_npz()


def index_arrays(data: bytes) -> None:
    """The same from arrays of any numbers in a proper npz."""
    names = ("keys", "scene", "content", "first", "suffixes", "suffix", "offset", "size")
    count, rest = (data[0] % 4 if data else 0), data[1:]
    lengths = {"content": count * DIGEST_BYTES, "first": count + 1, "suffixes": 2, "offset": count * 2}
    dtypes = {"keys": "S3", "suffixes": "S3", "content": "u1", "suffix": "<u2"}
    arrays = {}
    for name in names:
        dtype = np.dtype(dtypes.get(name, "<i8"))
        length = lengths.get(name, count * 2 if name in ("suffix", "size") else count)
        taken, rest = rest[: length * dtype.itemsize], rest[length * dtype.itemsize :]
        flat = np.frombuffer(taken.ljust(length * dtype.itemsize, b"\0"), dtype)
        arrays[name] = flat.reshape(count, DIGEST_BYTES) if name == "content" else flat
    if rest[:1] < b"\x80":  # mostly plausible, so that the later checks are reached
        arrays["first"] = np.arange(count + 1) * 2
        arrays["suffix"] = arrays["suffix"] % 2
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    index(buffer.getvalue())


def table(data: bytes) -> None:
    """Read the table of all shards."""
    store: Any = Held({records.TABLE: data})
    try:
        found = ShardTable.read(store, hashlib.sha256(data).hexdigest())
    except DatasetError:
        return
    assert found.summary(data).samples >= 0
    assert all(samples >= 0 for samples in found.samples.tolist())


def manifest(data: bytes) -> None:
    """Read ``dataset.json``; what is taken can be written again."""
    store: Any = Held({records.MANIFEST: data})
    with contextlib.suppress(DatasetError):
        found = Manifest.read(store)
        assert found.fingerprint
        assert found.scenes >= 0


def record(data: bytes) -> None:
    """Read a commit record."""
    store: Any = Held({records.record_name(0): data})
    with contextlib.suppress(DatasetError):
        found = ShardRecord.read(store, 0)
        assert records.content_of([found.content_sha256])
        assert 0 <= found.samples <= found.bytes


def dataset(data: bytes) -> None:
    """Open, read and verify a folder whose manifest, record, index, table or tar (the first byte says) is this."""
    from synthkit.dataset.verify import verify

    names = (records.MANIFEST, records.record_name(0), records.index_name(0), records.tar_name(0), records.TABLE)
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_QUICK) as folder:
        root = Path(folder) / "set"
        (root / records.SHARDS).mkdir(parents=True)
        for name, content in whole_set().items():
            (root / name).write_bytes(content)
        (root / names[data[0] % len(names) if data else 0]).write_bytes(data[1:])
        before = sorted(Path(folder).rglob("*"))
        for allow in (False, True):
            with contextlib.suppress(DatasetError):
                opened = Dataset.open(root, allow_unfinished=allow)
                assert len(opened) > 0
                assert opened.skipped is not None
                assert len(list(opened.keys())) == len(opened)
                assert sum(1 for _ in opened) == len(opened)
        with contextlib.suppress(DatasetError):
            verify(root)
        assert sorted(Path(folder).rglob("*")) == before, "reading made a file"


@functools.cache
def whole_set() -> dict[str, bytes]:
    """Return the files of a small finished set by name."""
    from synthkit.dataset import DatasetWriter

    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_QUICK) as folder:
        with DatasetWriter(Path(folder) / "set", identity={"what": "fuzz"}, scenes=1) as writer:
            writer.spool.put(0, [sample()])
            writer.finished(0)
            writer.finalise()
        root = Path(folder) / "set"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def spooled(data: bytes) -> None:
    """Read a scene's file as it is, and with a hash that fits."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_QUICK) as folder:
        spool = SceneSpool(Path(folder), CodecConfig(), ENVIRONMENT)
        for content in (data, hashlib.sha256(data).hexdigest().encode() + b"\n" + data):
            (Path(folder) / "0000000000.scene").write_bytes(content)
            found = spool.read(0)
            assert spool.body_bytes(0) is not None
            if found is not None:
                assert Index.of(found.entries).to_npz()
                for entry in found.entries:
                    assert all(0 <= o <= o + n <= len(found.body) for _, o, n in entry.members)
        assert LocalStore(Path(folder)).names() == ["0000000000.scene"]


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        archive, mended_archive, text, picture, mended_picture, array,
        index, index_arrays, table, manifest, record, dataset, spooled,
    )
}  # fmt: skip
