# SPDX-License-Identifier: Apache-2.0
"""Writing: the same bytes whatever happened on the way, and nobody's files are harmed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.dataset import CodecConfig, Dataset, DatasetWriter, records, shards, storage, twins
from synthkit.dataset.hashing import HashAside
from synthkit.dataset.index import Entry, Index
from synthkit.dataset.layout import Completion, Layout
from synthkit.dataset.spool import packed_scene
from synthkit.dataset.stores import LocalStore
from synthkit.dataset.twins import UniqueKeys
from synthkit.errors import DatasetError, WorkError
from synthkit.sample import Sample, Skipped

JOBS = Path(__file__).parent / "jobs"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(JOBS)


@pytest.fixture
def work():
    import spooling

    return spooling


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def writer(out, scenes=5, **changes):
    return DatasetWriter(out, **{"identity": {"what": "spooling"}, "scenes": scenes, "scenes_per_shard": 3, **changes})


def make(work, out, scenes=5, *, order=None, holes=(), **changes):
    with writer(out, scenes, **changes) as opened:
        pending = opened.pending_scenes()
        for scene in sorted(pending, key=order or (lambda n: n)):
            opened.spool.put(scene, work.scene(scene, holes=holes))
            opened.finished(scene)
        return opened.finalise(), pending


@pytest.fixture
def whole(work, tmp_path):
    """The bytes of an uninterrupted run over five scenes."""
    make(work, tmp_path / "whole")
    return tree(tmp_path / "whole")


def test_what_is_on_the_disk(whole):
    assert sorted(whole) == [
        "dataset.json", "shards.npz",
        "shards/000000.idx.npz", "shards/000000.json", "shards/000000.tar",
        "shards/000001.idx.npz", "shards/000001.json", "shards/000001.tar",
    ]  # fmt: skip
    manifest = json.loads(whole["dataset.json"])
    assert manifest["status"] == "finished"
    assert manifest["identity"] == {"what": "spooling"}
    assert manifest["summary"]["samples"] == 10
    record = json.loads(whole["shards/000000.json"])
    assert record["samples"] == 6
    assert record["environment"]["numpy"]


def test_order_does_not_matter(work, tmp_path, whole):
    make(work, tmp_path / "a", order=lambda n: -n)
    make(work, tmp_path / "b", order=lambda n: (n * 7) % 5)
    assert tree(tmp_path / "a") == tree(tmp_path / "b") == whole


def test_one_two_or_no_workers_write_the_same(work, tmp_path, whole):
    for workers in (0, 1, 2):
        work.produce(tmp_path / str(workers), 5, workers=workers)
        assert tree(tmp_path / str(workers)) == whole


def test_running_again_makes_nothing(work, tmp_path, whole):
    _, pending = make(work, tmp_path / "whole")
    assert pending == []
    assert tree(tmp_path / "whole") == whole


def test_a_finished_set_grows_to_what_one_run_would_have_made(work, tmp_path, whole):
    for scenes in (1, 2, 3, 4):
        make(work, tmp_path / "a", scenes)
    _, pending = make(work, tmp_path / "a", 5)
    assert pending == [4], "what was there is not made again"
    assert tree(tmp_path / "a") == whole


def test_an_unfinished_set_can_grow_too(work, tmp_path, whole):
    with writer(tmp_path / "a", 4) as opened:
        for scene in (3, 1):
            opened.spool.put(scene, work.scene(scene))
            opened.finished(scene)
    _, pending = make(work, tmp_path / "a", 5)
    assert pending == [0, 2, 4]
    assert tree(tmp_path / "a") == whole


def test_it_cannot_shrink(work, tmp_path, whole):
    with pytest.raises(DatasetError, match="can grow but not shrink"), writer(tmp_path / "whole", 4):
        pass
    assert tree(tmp_path / "whole") == whole


def test_holes_are_recorded_and_heal(work, tmp_path, whole):
    summary, _ = make(work, tmp_path / "a", holes={(1, 0), (4, 0), (4, 1)})
    assert (summary.samples, summary.skipped) == (7, 3)
    data = Dataset.open(tmp_path / "a")
    assert data.skipped[0] == ("00000001_000", "could not be made")
    assert len(list(data)) == 7
    _, pending = make(work, tmp_path / "a")
    assert pending == [1, 4], "only scenes with holes are made again"
    assert tree(tmp_path / "a") == whole


def test_slots_stay_in_place_when_holes_heal_and_the_set_grows(work, tmp_path):
    def keys():
        data = Dataset.open(tmp_path)
        return [slot.key if isinstance(slot, Skipped) else data.key(slot) for slot in data.slots()]

    make(work, tmp_path, 4, holes={(0, 0), (1, 1), (3, 0), (3, 1)})
    slots = Dataset.open(tmp_path).slots()
    assert [isinstance(slot, Skipped) for slot in slots] == [True, False, False, True, False, False, True, True]
    before = keys()
    make(work, tmp_path, 5)
    assert Dataset.open(tmp_path).slots() == list(range(10))
    assert keys()[:8] == before


def test_holes_may_stay(work, tmp_path):
    make(work, tmp_path / "a", holes={(1, 0)})
    first = tree(tmp_path / "a")
    make(work, tmp_path / "a", holes={(1, 0)})
    assert tree(tmp_path / "a") == first


def test_unfinished_work_is_said(work, tmp_path):
    with writer(tmp_path / "a") as opened:
        opened.spool.put(2, work.scene(2))
        opened.finished(2)
        assert opened.scenes_done == 1
        with pytest.raises(WorkError, match="4 of 5 scenes are not made yet"):
            opened.finalise()
    with pytest.raises(DatasetError, match=r"not finished \(0 of 2 shards\)"):
        Dataset.open(tmp_path / "a")


def test_a_spooled_scene_that_was_torn_is_made_again(work, tmp_path, whole):
    out = tmp_path / "a"
    with writer(out) as opened:
        for scene in (0, 1, 3):
            opened.spool.put(scene, work.scene(scene))
            opened.finished(scene)
    torn = sorted((out / ".spool").glob("*.scene"))
    torn[0].write_bytes(torn[0].read_bytes()[:-7])
    torn[1].write_bytes(b"")
    _, pending = make(work, out)
    assert pending == [0, 1, 2, 4]
    assert tree(out) == whole


def test_other_settings_are_refused_and_named(work, tmp_path, whole):
    with pytest.raises(DatasetError, match="what: 'spooling' there, 'other' now"):
        writer(tmp_path / "whole", identity={"what": "other"}).__enter__()
    with pytest.raises(DatasetError, match=r"codec\.image_format: 'png' there, 'jpg' now"):
        writer(tmp_path / "whole", codec=CodecConfig(image_format="jpg")).__enter__()
    with pytest.raises(DatasetError, match="scenes_per_shard: 3 there, 4 now"):
        writer(tmp_path / "whole", scenes_per_shard=4).__enter__()
    assert tree(tmp_path / "whole") == whole


@pytest.mark.parametrize("files", [{"holiday.jpg": b"x"}, {".hidden": b"x"}, {".notes.tmp": b"x"},
                                   {".notes.txt.77.tmp": b"x"}, {"dataset.json": b"{}"},
                                   {"dataset.json": b"not json"}, {"dataset.json": b"[]"}])  # fmt: skip
def test_other_peoples_files_are_left_alone(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=str(tmp_path)) as caught, writer(tmp_path):
        pass
    assert caught.value.exit_code == 2
    assert tree(tmp_path) == files


def test_what_a_killed_writer_left_is_cleared(work, tmp_path, whole):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".dataset.json.77.tmp").write_bytes(b"{")
    make(work, tmp_path / "a")
    assert tree(tmp_path / "a") == whole


def test_a_file_in_the_way_is_a_line(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    for out in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(DatasetError, match="cannot be written"), writer(out):
            pass
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_folder_that_takes_no_files_is_named_without_our_temporary_name():
    with pytest.raises(DatasetError, match=r"^/proc/x\.json: cannot be written"):
        storage.write_atomically(Path("/proc/x.json"), [b"x"])


def test_two_writers_at_once(work, tmp_path, whole):
    with (
        writer(tmp_path / "a"),
        pytest.raises(DatasetError, match="another process is writing there"),
        writer(tmp_path / "a"),
    ):
        pass
    make(work, tmp_path / "a")
    assert tree(tmp_path / "a") == whole


def test_paths_that_are_no_text_can_be_noted(work, tmp_path):
    odd = os.fsdecode(b"n\xff")
    make(work, tmp_path / "a", notes={"path": odd}, identity={"path": odd})
    make(work, tmp_path / "a", notes={"path": odd}, identity={"path": odd})
    assert Dataset.open(tmp_path / "a").manifest.notes["path"] == odd


def test_identity_must_be_plain(tmp_path):
    with pytest.raises(DatasetError, match=r"identity\.x is of type object"):
        writer(tmp_path, identity={"x": object()})


def test_another_environment_warns_or_is_refused(work, tmp_path, whole):
    out = tmp_path / "whole"
    with writer(out, 6, environment={"bpy": "4.5"}) as opened:
        assert "bpy: None there, '4.5' now" in opened.warnings[0]
    with pytest.raises(DatasetError, match="strict=true"):
        writer(out, 7, environment={"bpy": "4.6"}, strict=True).__enter__()


def test_scenes_of_another_environment_are_not_mixed_in(work, tmp_path):
    with writer(tmp_path, environment={"bpy": "4.4"}) as opened:
        opened.spool.put(0, work.scene(0))
        opened.finished(0)
    with writer(tmp_path, environment={"bpy": "4.5"}) as opened:
        assert opened.pending_scenes() == [0, 1, 2, 3, 4]


class Full:
    """Lets some syncs succeed, then pretends that the disk is full."""

    def __init__(self, good, number=errno.ENOSPC):
        self.left, self.number, self.real = good, number, os.fsync

    def __call__(self, descriptor):
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))
        self.real(descriptor)


@pytest.mark.parametrize("good", range(0, 14))
def test_a_full_disk_is_a_line_and_leaves_no_litter(work, tmp_path, whole, monkeypatch, good):
    out = tmp_path / "a"
    monkeypatch.setattr(os, "fsync", Full(good))
    with pytest.raises(WorkError, match="No space left on device; what is finished is kept") as caught:
        make(work, out)
    assert caught.value.exit_code == 1
    monkeypatch.undo()
    monkeypatch.syspath_prepend(JOBS)
    assert not list(out.rglob(f"*{storage.TEMPORARY_SUFFIX}"))
    make(work, out)
    assert tree(out) == whole


def test_a_file_that_cannot_grow(work, tmp_path, whole):
    """The real thing: the system refuses to write beyond a size."""
    out = tmp_path / "a"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(WorkError, match=r"000000\.tar.*cannot be written"):
            make(work, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(out.rglob(f"*{storage.TEMPORARY_SUFFIX}"))
    make(work, out)
    assert tree(out) == whole


def crash_at(work, out, step):
    """Run in a child that dies at its nth durable operation; return whether it got that far."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    count = 0

    def counted(real):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == step:
                os._exit(9)
            return real(*args, **kwargs)

        return call

    try:
        os.fsync = counted(os.fsync)
        Path.replace, Path.unlink, Path.mkdir = map(counted, (Path.replace, Path.unlink, Path.mkdir))
        make(work, out, 3, scenes_per_shard=2)
        os._exit(0)
    finally:
        os._exit(1)


@pytest.mark.parametrize("story", ["afresh", "growing", "healing"])
def test_a_crash_at_every_single_step(work, tmp_path, story):
    """Each durable operation in turn is the last one; the next run must end as if nothing had happened."""
    make(work, tmp_path / "calm", 3, scenes_per_shard=2)
    before = tmp_path / "before"
    if story == "growing":
        make(work, before, 1, scenes_per_shard=2)
    if story == "healing":
        make(work, before, 3, scenes_per_shard=2, holes={(1, 1)})
    for step in range(1, 500):
        out = tmp_path / f"{story}{step}"
        if before.exists():
            shutil.copytree(before, out)
        crashed = crash_at(work, out, step)
        make(work, out, 3, scenes_per_shard=2)
        assert tree(out) == tree(tmp_path / "calm"), f"after a crash at step {step}"
        if not crashed:
            break
    assert step > 20, "the story has fewer steps than it should"
    assert not crashed


def test_killed_at_random_moments(work, tmp_path):
    """A process with two workers, killed again and again, ends with the bytes of a calm run."""
    scenes = 14
    work.produce(tmp_path / "calm", scenes)
    out, luck, kills = tmp_path / "killed", random.Random(4), 0
    command = [sys.executable, str(JOBS / "spooling.py"), str(out), str(scenes), "2"]
    for pause_s in (luck.uniform(0.2, 0.9) for _ in range(8)):
        process = subprocess.Popen(command)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause_s)
        kills += process.poll() is None
        process.kill()
        process.wait()
    subprocess.run(command, check=True)
    assert kills > 0
    assert tree(out) == tree(tmp_path / "calm")


def one(key, value=0):
    return Sample(key=key, image=np.full((8, 8, 3), value, np.uint8))


def environments(out):
    table = json.loads((out / "shards" / "000000.json").read_bytes())
    return table["environment"]["gpu"], [other["gpu"] for other in table.get("other_environments", [])]


def test_a_shard_tells_all_environments_that_took_part(work, tmp_path):
    out = tmp_path / "a"
    make(work, out, 1, environment={"gpu": "A"})
    assert environments(out) == ("A", [])
    make(work, out, 2, environment={"gpu": "B"})
    assert environments(out) == ("B", ["A"])
    make(work, out, 3, environment={"gpu": "A"})
    assert environments(out) == ("A", ["B"])
    with pytest.raises(DatasetError, match=r"gpu: 'B' there, 'A' now.*strict=true refuses"):
        make(work, out, 4, environment={"gpu": "A"}, strict=True)
    with writer(out, 4, environment={"gpu": "A"}) as opened:
        assert "gpu: 'B' there, 'A' now" in opened.warnings[0]


def test_an_opened_shard_keeps_its_environment_however_often_its_writer_is_killed(work, tmp_path):
    out = tmp_path / "a"
    make(work, out, 2, environment={"gpu": "A"})
    with writer(out, 3, environment={"gpu": "B"}):  # opens the shard, and ends
        pass
    before = tree(out)
    with pytest.raises(DatasetError, match="strict=true refuses"):
        make(work, out, 3, environment={"gpu": "B"}, strict=True)
    assert tree(out) == before
    _, pending = make(work, out, 3, environment={"gpu": "C"})
    assert pending == [2], "what was committed once is not made again"
    assert environments(out) == ("C", ["A"])


def test_processes_of_equal_number_do_not_write_one_temporary_file(tmp_path):
    path = tmp_path / "000000.tar"

    def slowly():
        yield b"a" * 5
        storage.write_atomically(path, [b"b" * 10])  # another machine's process, in the same shared folder
        assert path.read_bytes() == b"b" * 10
        yield b"a" * 5

    storage.write_atomically(path, slowly())
    assert path.read_bytes() == b"a" * 10
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_process_left_half_written_is_known_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda *_: os._exit(9))
    child = os.fork()
    if not child:
        storage.write_atomically(tmp_path / "x.json", [b"x"])
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 1
    storage.clear_temporaries(tmp_path, "y.json")
    assert len(list(tmp_path.iterdir())) == 1
    storage.clear_temporaries(tmp_path, "x.json")
    assert not list(tmp_path.iterdir())


def test_a_record_goes_before_its_tar_is_touched(work, tmp_path, whole, monkeypatch):
    """Who is killed while it publishes a shard once more leaves none that is listed and is another one."""
    store = LocalStore(tmp_path / "whole")
    real = Path.replace

    def killed(path, target):
        if target.suffix == ".tar":
            assert store.size("shards/000000.json") is None
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        shards.publish(store, 0, 0, [packed_scene(0, [one("other")], CodecConfig())], {})
    monkeypatch.undo()
    monkeypatch.syspath_prepend(JOBS)
    assert store.size("shards/000000.tar") == len(whole["shards/000000.tar"])
    assert make(work, tmp_path / "whole")[1] == [0, 1, 2]
    assert tree(tmp_path / "whole") == whole


def test_scenes_that_end_in_an_error_touch_no_shard(tmp_path, whole):
    def failing():
        yield packed_scene(0, [one("other")], CodecConfig())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.publish(LocalStore(tmp_path / "whole"), 0, 0, failing(), {})
    assert tree(tmp_path / "whole") == whole


def test_a_shard_that_was_published_once_more_after_the_end_is_told_and_mends(work, tmp_path, whole):
    """A machine that was thought dead came back: with other pixels, as on another device."""
    out = tmp_path / "whole"
    record = records.ShardRecord.read(LocalStore(out), 0)
    other = [packed_scene(n, [one(f"{n:08d}_000", 9)], CodecConfig()) for n in range(3)]
    shards.publish(LocalStore(out), 0, 0, other, record.environment)
    late = tree(out)
    with pytest.raises(DatasetError, match=r"000000\.tar: has \d+ bytes, its record says"):
        Dataset.open(out)[0]
    (out / "shards" / "000000.tar").write_bytes(whole["shards/000000.tar"])
    with pytest.raises(DatasetError, match=r"000000\.idx\.npz: is damaged, or of another shard"):
        Dataset.open(out)[0]
    with pytest.raises(WorkError, match=r"000000\.tar: has .*run the same again to have these scenes made again"):
        make(work, out)
    assert make(work, out)[1] == [0, 1, 2]
    assert tree(out) == whole
    for name, data in late.items():
        (out / name).write_bytes(data)
    assert make(work, out)[1] == [], "a shard that is whole is kept, and listed anew"
    assert len(list(Dataset.open(out))) == 3 + 4


def swap(one, other):
    one_bytes, other_bytes = one.read_bytes(), other.read_bytes()
    one.write_bytes(other_bytes)
    other.write_bytes(one_bytes)


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: (d / "000001.tar").write_bytes((d / "000001.tar").read_bytes()[:-10240]),
        lambda d: (d / "000001.tar").unlink(),
        lambda d: (d / "000001.idx.npz").unlink(),
        lambda d: swap(d / "000000.tar", d / "000001.tar"),
        lambda d: [swap(d / f"000000.{name}", d / f"000001.{name}") for name in ("tar", "idx.npz")],
    ],
    ids=["cut", "lost", "index lost", "tars swapped", "shards swapped"],
)
@pytest.mark.parametrize("rule", [{"scenes_per_shard": 3}, {"scenes_per_shard": None, "shard_bytes": 20_000}])
def test_a_finished_set_with_files_that_do_not_belong_together_is_told_and_mends(work, tmp_path, harm, rule):
    layout = {"scenes": 9, **rule}
    make(work, tmp_path / "calm", **layout)
    make(work, tmp_path / "set", **layout)
    harm(tmp_path / "set" / "shards")
    with pytest.raises(WorkError, match=r"00000[01]\..*; run the same again to have these scenes made again"):
        make(work, tmp_path / "set", **layout)
    make(work, tmp_path / "set", **layout)
    assert tree(tmp_path / "set") == tree(tmp_path / "calm")


def test_long_reasons_are_cut_so_that_records_can_be_read_again(tmp_path):
    reasons = ["x" * (20 << 20), *["\u00fc" * 2000] * 4000]
    with DatasetWriter(tmp_path, identity={}, scenes=3, scenes_per_shard=2) as opened:
        opened.spool.put(0, [one("made")])
        opened.finished(0)
        opened.spool.put(1, [Skipped("k", reasons[0])])
        opened.finished(1)
        opened.spool.put(2, [Skipped(f"m{n}", reason) for n, reason in enumerate(reasons)])
        opened.finished(2)
        opened.finalise()
    first, *others = (reason for _, reason in Dataset.open(tmp_path).skipped)
    assert first == "x" * 999 + "…"
    assert len(others) == 4001
    assert all(100 < len(reason) < 1000 and reason.endswith("…") for reason in others)


def test_a_manifest_that_could_not_be_read_again_is_refused(tmp_path):
    notes = {"sources": ["x" * 1000] * 10_000}
    with pytest.raises(DatasetError, match=r"dataset\.json: would have \d+ bytes, more than the 8388608"):
        writer(tmp_path / "a", notes=notes).__enter__()


def test_a_key_twice_in_a_shard_is_refused_by_name(tmp_path):
    with DatasetWriter(tmp_path, identity={}, scenes=2, scenes_per_shard=2) as opened:
        opened.spool.put(0, [one("a"), one("twin")])
        opened.finished(0)
        opened.spool.put(1, [one("twin")])
        with pytest.raises(DatasetError, match=r"000000\.tar: .* key 'twin' comes twice, in scenes 0 and 1"):
            opened.finished(1)
    assert not list(tmp_path.glob("shards/*"))


@pytest.mark.parametrize("runs", [1, 2], ids=["told soon", "told in the end"])
def test_a_key_in_two_shards_is_refused_by_name(tmp_path, runs):
    keys = ["a", "twin", "c", "d", "twin", "f"]

    def write(count):
        with DatasetWriter(tmp_path, identity={}, scenes=6, scenes_per_shard=1) as opened:
            for scene in opened.pending_scenes()[:count]:
                opened.spool.put(scene, [one(keys[scene])])
                opened.finished(scene)
            opened.finalise()

    if runs == 2:
        with pytest.raises(WorkError, match="3 of 6 scenes are not made yet"):
            write(3)
    message = r"the key 'twin' comes twice, in scene 1 \(shards/000001\.tar\) and in scene 4"
    with pytest.raises(DatasetError, match=message):
        write(6)
    assert len(records.committed_shards(LocalStore(tmp_path))) == (4 if runs == 1 else 6)
    with pytest.raises(DatasetError, match="is not finished"):
        Dataset.open(tmp_path)
    found = Dataset.open(tmp_path, allow_unfinished=True)
    assert found.by_key("d").key == "d"


def test_many_keys_are_known_apart_in_eight_bytes_each(monkeypatch):
    read = []
    monkeypatch.setattr(shards, "read_index", lambda store, record: read.append(record) or pytest.fail("no need"))
    unique = UniqueKeys(LocalStore(Path("nowhere")))
    for shard in range(3125):
        unique.add([b"%08d_%03d" % (shard * 977 % 3125, n) for n in range(64)], range(64), [])
    assert sum(run.nbytes for run in unique._runs) == 8 * 200_000
    assert len(unique._runs) < 20


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.sampled_from("abcdefghijklmnopqrst"), max_size=6), max_size=12), st.booleans())
def test_keys_that_come_twice_are_found_and_equal_hashes_are_not_taken_for_them(sets, same_hash):
    indexes = [Index.of([Entry(key, n, bytes(32), ()) for key in sorted(keys)]) for n, keys in enumerate(sets)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "read_index", lambda store, record: indexes[record])
        patch.setattr(twins, "hash", (lambda key: key[0] % 3) if same_hash else hash, raising=False)
        unique, seen = UniqueKeys(LocalStore(Path("here"))), set()
        for n, keys in enumerate(sets):
            stored = sorted(key.encode() for key in keys)
            if keys & seen:
                with pytest.raises(DatasetError, match="comes twice"):
                    unique.add(stored, [n] * len(stored), _Numbered.range(n))
                break
            unique.add(stored, [n] * len(stored), _Numbered.range(n))
            seen |= keys


class _Numbered(int):
    """Stands for a commit record of which only the number is asked for."""

    shard = property(int)

    @classmethod
    def range(cls, count):
        return [cls(n) for n in range(count)]


def test_a_full_last_shard_by_bytes_is_not_opened_again(work, tmp_path):
    size = 20_000
    whole = tmp_path / "whole"
    make(work, whole, 5, scenes_per_shard=None, shard_bytes=size)
    record = json.loads((whole / "shards" / "000000.json").read_bytes())
    scenes = record["scenes"]
    assert 0 < scenes < 5
    make(work, tmp_path / "a", scenes, scenes_per_shard=None, shard_bytes=size)
    first = (tmp_path / "a" / "shards" / "000000.tar").stat().st_ino
    with writer(tmp_path / "a", 5, scenes_per_shard=None, shard_bytes=size):
        assert (tmp_path / "a" / "shards" / "000000.json").exists()
    make(work, tmp_path / "a", 5, scenes_per_shard=None, shard_bytes=size)
    assert (tmp_path / "a" / "shards" / "000000.tar").stat().st_ino == first
    assert tree(tmp_path / "a") == tree(whole)


@pytest.mark.parametrize("short", [1, 0])
def test_whether_a_shard_by_bytes_is_full_does_not_depend_on_what_closes_its_tar(work, tmp_path, short):
    """The archive's ending, of up to 11,263 bytes, is no part of what fills a shard."""
    make(work, tmp_path / "probe", 1, scenes_per_shard=None, shard_bytes=1)
    body = sum(len(spooled.body) for spooled in _scenes(tmp_path / "probe"))
    layout = {"scenes_per_shard": None, "shard_bytes": body + short}
    make(work, tmp_path / "a", 1, **layout)
    _, pending = make(work, tmp_path / "a", 2, **layout)
    make(work, tmp_path / "whole", 2, **layout)
    assert pending == [1]
    assert tree(tmp_path / "a") == tree(tmp_path / "whole")
    assert len(list((tmp_path / "a" / "shards").glob("*.tar"))) == 2 - short


def _scenes(out):
    store = LocalStore(out)
    return [scene for record in records.read_records(store) for scene in shards.scenes_of(store, record)]


@pytest.mark.parametrize("rule", [{"scenes_per_shard": 100_000, "shard_bytes": None},
                                  {"scenes_per_shard": None, "shard_bytes": 1 << 50}])  # fmt: skip
def test_a_finished_scene_costs_the_same_in_a_large_shard(rule):
    completion = Completion(Layout(scenes=100_000, **rule), ())
    began = time.process_time()
    found = []
    for scene in range(100_000):
        completion.add(scene, 1000)
        found += completion.shards()
    assert found == [(0, range(100_000))]
    assert time.process_time() - began < 5, "it took 30 ms each"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3_000_000), max_size=6), st.integers(0, 255))
def test_hashing_aside_is_hashing(sizes, value):
    expected = hashlib.sha256()
    with HashAside() as digest:
        for size in sizes:
            piece = bytes([value]) * size
            digest.update(piece)
            expected.update(piece)
        assert digest.hexdigest() == expected.hexdigest()
        digest.update(b"and more")
        expected.update(b"and more")
        assert digest.hexdigest() == expected.hexdigest()
