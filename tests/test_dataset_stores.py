# SPDX-License-Identifier: Apache-2.0
"""Where data sets lie: folders and URLs, shards by count and by bytes, a million samples opened at once."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.dataset import Dataset, DatasetWriter, records, stores, verify
from synthkit.dataset.records import Manifest
from synthkit.dataset.shard_table import ShardTable
from synthkit.dataset.storage import FolderLock
from synthkit.errors import DatasetError, WorkError
from synthkit.sample import Sample, Skipped

fsspec = pytest.importorskip("fsspec")


def sample(scene: int) -> Sample:
    """Return a sample whose size in bytes differs from scene to scene."""
    pixels = np.random.default_rng(scene).integers(0, 255, (8 + scene % 5 * 8, 16, 3), dtype=np.uint8)
    return Sample(f"s{scene:04d}", pixels, people=())


def write(out, scenes: int, *, holes=(), order=None, **options) -> DatasetWriter:
    with DatasetWriter(out, identity={"what": "stores"}, scenes=scenes, **options) as writer:
        for scene in order or writer.pending_scenes():
            writer.spool.put(scene, [Skipped(f"s{scene:04d}", "later") if scene in holes else sample(scene)])
            writer.finished(scene)
        writer.finalise()
    return writer


def tree(store) -> dict[str, bytes]:
    names = [*store.names(), *(f"shards/{name}" for name in store.names("shards"))]
    return {name: store.read(name) for name in names if name not in ("shards", ".spool")}


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/set"


def test_a_set_at_a_url_is_that_of_a_folder(tmp_path: Path, url: str) -> None:
    write(tmp_path / "set", 9, scenes_per_shard=4)
    write(url, 9, scenes_per_shard=4, scratch=tmp_path / "scratch")
    assert tree(stores.at(url)) == tree(stores.at(tmp_path / "set"))
    remote = Dataset.open(url)
    local = Dataset.open(f"file://{tmp_path}/set")
    assert [s.key for s in remote] == [s.key for s in local]
    assert np.array_equal(remote[-1].image, local[-1].image)
    assert remote.by_key("s0003").key == "s0003"
    assert remote.fingerprint == local.fingerprint
    assert len(pickle.loads(pickle.dumps(remote))) == 9
    assert verify.verify(url).problems == ()
    with pytest.raises(DatasetError, match="is no local folder"):
        _ = remote.path


def test_a_set_at_a_url_is_taken_up_again_and_grows(tmp_path: Path, url: str) -> None:
    with DatasetWriter(url, identity={"what": "stores"}, scenes=9, scenes_per_shard=4, scratch=tmp_path) as writer:
        for scene in (0, 1, 2, 3, 7):
            writer.spool.put(scene, [sample(scene)])
            writer.finished(scene)
    with pytest.raises(DatasetError, match=r"is not finished .1 of 3 shards"):
        Dataset.open(url)
    with DatasetWriter(url, identity={"what": "stores"}, scenes=9, scenes_per_shard=4, scratch=tmp_path) as writer:
        assert writer.pending_scenes() == [4, 5, 6, 8]
    write(url, 9, scenes_per_shard=4, scratch=tmp_path)
    write(url, 11, scenes_per_shard=4, scratch=tmp_path)
    write(tmp_path / "whole", 11, scenes_per_shard=4)
    assert tree(stores.at(url)) == tree(stores.at(tmp_path / "whole"))
    with pytest.raises(DatasetError, match="other settings"):
        DatasetWriter(url, identity={"what": "else"}, scenes=9, scenes_per_shard=4, scratch=tmp_path).__enter__()


def test_a_tar_at_a_url_is_read_by_its_headers(tmp_path: Path, url: str) -> None:
    write(url, 5, scenes_per_shard=8, scratch=tmp_path)
    stranger = Dataset.open(f"{url}/shards/000000.tar")
    assert stranger.manifest is None
    assert [s.key for s in stranger] == [f"s{n:04d}" for n in range(5)]
    assert len(Dataset.open(f"{url}/shards")) == 5


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("memory://nowhere/at/all", "is no data set"),
        ("nosuch://bucket/set", "cannot be reached"),
        ("memry://bucket/set", "did you mean 'memory'"),
    ],
)
def test_urls_that_lead_nowhere_are_one_line(location: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.open(location)
    assert "\n" not in str(caught.value)


def test_shards_by_bytes_do_not_depend_on_order_or_interruption(tmp_path: Path) -> None:
    write(tmp_path / "whole", 20, shard_bytes=6000)
    expected = tree(stores.at(tmp_path / "whole"))
    sizes = [record.bytes for record in records.read_records(stores.at(tmp_path / "whole"))]
    assert len(sizes) > 3
    assert all(size >= 6000 for size in sizes[:-1])
    write(tmp_path / "backwards", 20, shard_bytes=6000, order=range(19, -1, -1))
    assert tree(stores.at(tmp_path / "backwards")) == expected
    with DatasetWriter(tmp_path / "stopped", identity={"what": "stores"}, scenes=20, shard_bytes=6000) as writer:
        for scene in (0, 1, 2, 3, 4, 5, 6, 11, 12):
            writer.spool.put(scene, [sample(scene)])
            writer.finished(scene)
    write(tmp_path / "stopped", 20, shard_bytes=6000)
    assert tree(stores.at(tmp_path / "stopped")) == expected


def test_shards_by_bytes_heal_and_grow_to_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "whole", 20, shard_bytes=6000)
    expected = tree(stores.at(tmp_path / "whole"))
    write(tmp_path / "small", 13, shard_bytes=6000)
    write(tmp_path / "small", 20, shard_bytes=6000)
    assert tree(stores.at(tmp_path / "small")) == expected
    # Without these scenes more fit into the shards before them, so there are fewer shards at first.
    write(tmp_path / "holes", 20, shard_bytes=6000, holes=(2, 3, 4, 8, 9, 14))
    assert len(Dataset.open(tmp_path / "holes").skipped) == 6
    write(tmp_path / "holes", 20, shard_bytes=6000)
    assert tree(stores.at(tmp_path / "holes")) == expected
    with pytest.raises(DatasetError, match="shard_bytes"):
        write(tmp_path / "holes", 20, scenes_per_shard=4)


def test_keys_are_found_without_reading_every_index(tmp_path: Path) -> None:
    write(tmp_path / "set", 40, scenes_per_shard=2)
    data = Dataset.open(tmp_path / "set")
    for n in range(20):
        if n != 7:
            (tmp_path / "set" / records.index_name(n)).write_bytes(b"not looked at")
    assert data.by_key("s0015").key == "s0015"
    assert "s0041" not in data
    with pytest.raises(DatasetError, match="has no sample 'zzz'"):
        data.by_key("zzz")


OPENING = """
import json, re, sys, time
from pathlib import Path
from synthkit.dataset import Dataset
def peak_mb():  # of this process alone; ru_maxrss has the peak of the one that started it, too
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before_mb, started = peak_mb(), time.process_time()
data = Dataset.open(sys.argv[1])
cpu_s = time.process_time() - started
print(json.dumps({"samples": len(data), "cpu_s": cpu_s, "peak_mb": peak_mb() - before_mb, "key": data[63].key}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are read from /proc")
def test_a_million_samples_open_at_once(tmp_path: Path) -> None:
    """15 625 shards of 64: only their names and one table are looked at."""
    write(tmp_path / "set", 64, scenes_per_shard=64)
    store = stores.at(tmp_path / "set")
    (record,) = records.read_records(store)
    count = 15_625
    listed = [attrs.evolve(record, shard=n, first_scene=64 * n) for n in range(count)]
    table = ShardTable.of(listed, [(b"s0000", b"s0063")] * count)
    store.write(records.TABLE, [table.to_npz()])
    manifest = Manifest.read(store)
    attrs.evolve(manifest, scenes=64 * count, summary=table.summary(table.to_npz())).write(store)
    for n in range(1, count):
        (tmp_path / "set" / records.record_name(n)).touch()
    command = [sys.executable, "-c", OPENING, str(tmp_path / "set")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["samples"], found["key"]) == (1_000_000, "s0063")
    assert found["cpu_s"] < 1
    assert found["peak_mb"] < 100


def test_threads_read_the_file_they_asked_for(tmp_path: Path) -> None:
    """More files than stay open: one thread closes what another reads from."""
    for n in range(60):
        (tmp_path / f"f{n}").write_bytes(bytes([n]) * 4096)
    store = stores.at(tmp_path)
    wrong: list[object] = []

    def read(seed: int) -> None:
        try:
            for n in np.random.default_rng(seed).integers(0, 60, 8000).tolist():
                if store.read_at(f"f{n}", 0, 4096) != bytes([n]) * 4096:
                    wrong.append(n)
        except DatasetError as error:
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_what_is_read_often_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(40):
        (tmp_path / f"f{n}").write_bytes(bytes([n]))
    store, opened, real = stores.at(tmp_path), [], os.open
    monkeypatch.setattr(stores.os, "open", lambda path, *rest: opened.append(Path(path).name) or real(path, *rest))
    for n in range(1, 40):
        assert store.read_at("f0", 0, 1) == b"\0"
        assert store.read_at(f"f{n}", 0, 1) == bytes([n])
    assert opened.count("f0") == 1


def test_what_killed_uploads_left_is_cleared_and_what_others_write_is_not(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["synthkit-upload-dead", "synthkit-upload-working", "synthkit-upload-new", "synthkit-mine"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    for name in (names[0], names[1], names[3]):
        os.utime(tmp_path / name, (0, 0))
    with contextlib.closing(FolderLock(tmp_path / "synthkit-upload-working")):
        stores.at(url).write("large", [bytes(1_000_000), bytes(1_000_000)])
    assert stores.at(url).size("large") == 2_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


@pytest.fixture
def listing() -> type:
    """A file system that answers from remembered listings, as those of the large object stores do."""
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.spec import AbstractFileSystem

    class Listing(AbstractFileSystem):
        protocol = "listing"
        cachable = False
        understands_the_option = True

        def __init__(self, **options: object) -> None:
            if not self.understands_the_option and options:
                raise TypeError(f"unexpected {options}")
            super().__init__(**options)
            self.memory = MemoryFileSystem()

        def ls(self, path: str, detail: bool = True, **_: object) -> list:
            found = self._ls_from_cache(path)
            if found is None:
                made = self.memory.ls(f"/{path}", detail=True)
                found = self.dircache[path] = [{**one, "name": one["name"].strip("/")} for one in made]
            return found if detail else [one["name"] for one in found]

        def info(self, path: str, **_: object) -> dict:
            listed = self._ls_from_cache(path)  # raises when the listed folder lacks it
            return listed[0] if listed else self.memory.info(f"/{path}")

        def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
            return self.memory.cat_file(f"/{path}", start, end)

        def invalidate_cache(self, path: str | None = None) -> None:
            self.dircache.pop(path, None)

    fsspec.register_implementation("listing", Listing, clobber=True)
    return Listing


@pytest.mark.parametrize("understands", [True, False])
def test_what_another_machine_wrote_is_seen_at_once(listing: type, understands: bool) -> None:
    listing.understands_the_option = understands
    place = f"{uuid.uuid4().hex}/set"
    other, store = stores.at(f"memory://{place}"), stores.at(f"listing://{place}")
    other.write("shards/a", [b"1"])
    assert store.names("shards") == ["a"]
    other.write("shards/b", [b"22"])
    store._system.ls(f"{place}/shards")  # remembered without "c"
    other.write("shards/c", [b"333"])
    other.write("shards/a", [b"4444"])
    assert [store.size(f"shards/{name}") for name in "abc"] == [4, 2, 3]
    assert store.names("shards") == ["a", "b", "c"]
    other.remove("shards/b")
    assert store.size("shards/b") is None


@pytest.fixture
def elsewhere() -> str:
    """A URL whose file system works in the background, as those of most stores do."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    class Elsewhere(AsyncFileSystem):
        protocol = "elsewhere"

        def __init__(self, **options: object) -> None:
            super().__init__(**options)
            self.memory = MemoryFileSystem()

        async def _info(self, path: str, **_: object) -> dict:
            return self.memory.info(f"/{path}")

        async def _ls(self, path: str, detail: bool = True, **_: object) -> list:
            return self.memory.ls(f"/{path}", detail=detail)

        async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
            return self.memory.cat_file(f"/{path}", start, end)

        async def _pipe_file(self, path: str, value: bytes, **_: object) -> None:
            self.memory.pipe_file(f"/{path}", value)

        async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
            self.memory.makedirs(f"/{path}", exist_ok=exist_ok)

    fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)
    return f"elsewhere://{uuid.uuid4().hex}/set"


def test_forked_processes_read_from_a_store(tmp_path: Path, elsewhere: str) -> None:
    write(elsewhere, 6, scenes_per_shard=4, scratch=tmp_path)
    data = Dataset.open(elsewhere)
    assert data[0].key == "s0000"
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        code = 1
        try:
            code = 0 if [sample.key for sample in data] == [f"s{n:04d}" for n in range(6)] else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert data[5].key == "s0005"


@pytest.mark.parametrize("answer", ["refused", "empty"])
def test_where_nothing_can_be_listed_the_table_is_enough(tmp_path: Path, answer: str) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    class Plain(MemoryFileSystem):
        protocol = "plain"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return MemoryFileSystem._strip_protocol(path.removeprefix("plain://"))

        def ls(self, path: str, **_: object) -> list:
            if answer == "refused":
                raise NotImplementedError
            return []

    fsspec.register_implementation("plain", Plain, clobber=True)
    place = f"{uuid.uuid4().hex}/set"
    write(f"memory://{place}", 9, scenes_per_shard=4, scratch=tmp_path)
    data = Dataset.open(f"plain://{place}")
    assert [sample.key for sample in data] == [f"s{n:04d}" for n in range(9)]
    assert len(Dataset.open(f"plain://{place}/shards/000001.tar")) == 4
    stores.at(f"memory://{place}").remove(records.record_name(2))
    with pytest.raises(DatasetError, match=r"are not those that dataset.json lists"):
        Dataset.open(f"plain://{place}")


def test_no_bucket_is_made_of_a_mistyped_name(tmp_path: Path) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    class Buckets(MemoryFileSystem):
        protocol = "cos"
        store: dict = {}  # noqa: RUF012 - as its parent has it, which shares it between instances
        pseudo_dirs = ["", "/mine"]  # noqa: RUF012

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return MemoryFileSystem._strip_protocol(path.removeprefix("cos://"))

        def pipe_file(self, path: str, value: bytes, **options: object) -> None:
            if "/" + path.strip("/").partition("/")[0] not in self.pseudo_dirs:
                raise FileNotFoundError("The specified bucket does not exist")
            super().pipe_file(path, value, **options)

    fsspec.register_implementation("cos", Buckets, clobber=True)
    stores.at("cos://mine/set").write("shards/a", [b"1"])
    assert stores.at("cos://mine/set").read("shards/a") == b"1"
    with pytest.raises(WorkError, match="bucket does not exist"):
        stores.at("cos://mime/set").write("shards/a", [b"1"])
    assert "/mime" not in Buckets.pseudo_dirs


def test_small_files_go_straight_to_a_store(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [bytes([n]) * 300_000 for n in range(5)]
    stores.at(url).write("large", iter(large))
    assert stores.at(url).read("large") == b"".join(large)
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: pytest.fail("a temporary file"))
    stores.at(url).write("small", iter([b"ab", b"c"]))
    assert stores.at(url).read("small") == b"abc"
    assert stores.at(url).size("small") == 3
    assert stores.at(url.removesuffix("/set")).size("set") is None, "a folder is no file"


def test_a_sample_of_a_new_shard_takes_two_requests(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    write(url, 8, scenes_per_shard=4, scratch=tmp_path)
    data, calls = Dataset.open(url), []
    for name in ("info", "cat_file", "ls"):
        real = getattr(MemoryFileSystem, name)
        monkeypatch.setattr(
            MemoryFileSystem, name, lambda *a, _real=real, _name=name, **o: calls.append(_name) or _real(*a, **o)
        )
    assert data[5].key == "s0005"
    assert calls == ["cat_file", "cat_file"]
    assert data[6].key == "s0006"
    assert len(calls) == 3
    tar = records.tar_name(0)
    stores.at(url).write(tar, [stores.at(url).read(tar)[:2000]])
    with pytest.raises(DatasetError, match="has 2000 bytes, its record says"):
        data[3]


def test_at_a_url_each_sample_is_looked_at_before_it_is_believed(tmp_path: Path, url: str) -> None:
    """Its tar is not, when the index is loaded: that would be another request."""
    write(url, 8, scenes_per_shard=4, scratch=tmp_path)
    store = stores.at(url)
    first, second = (store.read(records.tar_name(n)) for n in (0, 1))
    assert len(first) == len(second)
    store.write(records.tar_name(0), [second])
    data = Dataset.open(url)
    for look in (lambda: data[0], lambda: list(data.raw())):
        with pytest.raises(DatasetError, match=r"000000\.tar: does not have s0000\.png where its index says"):
            look()
    assert data[4].key == "s0004"
    store.write(records.tar_name(0), [first])
    store.write(records.index_name(0), [store.read(records.index_name(1))])
    with pytest.raises(DatasetError, match=r"000000\.idx\.npz: is damaged, or of another shard"):
        Dataset.open(url)[0]


def test_counts_that_no_tar_can_hold_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "set", 4, scenes_per_shard=4)
    store = stores.at(tmp_path / "set")
    (record,) = records.read_records(store)
    manifest = Manifest.read(store)
    for samples, stated_bytes, message in (
        (2**40, 2**51, "its record says"),
        (record.bytes // 512, record.bytes, "which cannot be"),
    ):
        wrong = attrs.evolve(record, samples=samples, bytes=stated_bytes)
        table = ShardTable.of([wrong], [(b"s0000", b"s0003")])
        store.write(records.TABLE, [table.to_npz()])
        attrs.evolve(manifest, summary=table.summary(table.to_npz())).write(store)
        with pytest.raises(DatasetError, match=message):
            Dataset.open(tmp_path / "set")
