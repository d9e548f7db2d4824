# SPDX-License-Identifier: Apache-2.0
"""Where data sets lie: folders and URLs, shards by count and by bytes, a million samples opened at once."""

from __future__ import annotations

import pickle
import resource
import time
import uuid
from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.dataset import Dataset, DatasetWriter, records, stores, verify
from synthkit.dataset.records import Manifest, ShardTable
from synthkit.errors import DatasetError
from synthkit.sample import Sample, Skipped

pytest.importorskip("fsspec")


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
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    data = Dataset.open(tmp_path / "set")
    seconds = time.process_time() - started
    assert len(data) == 1_000_000
    assert seconds < 3, "a second is the aim; a busy machine gets more"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb < 100
    assert data[63].key == "s0063"
