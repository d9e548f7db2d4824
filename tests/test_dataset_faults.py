# SPDX-License-Identifier: Apache-2.0
"""Whatever fails while a data set is written: no shard that is listed is corrupt, nothing finished is lost,
and the next run ends with the bytes of a calm one.

Each fault is put at one exact call among all that change files. A default run takes some of these places,
spread over the whole of a story; ``-m slow`` takes every one of them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.dataset import CodecConfig, Dataset, DatasetWriter, codec, records, shards, storage, verify
from synthkit.dataset.stores import LocalStore
from synthkit.errors import DatasetError, SynthkitError, WorkError
from synthkit.interfaces import sample_key
from synthkit.sample import Person, Sample, Skipped

JOBS = Path(__file__).parent / "jobs"
SCENES = 5
BYTES = 9_000  # two or three scenes


@pytest.fixture
def faults(monkeypatch):
    monkeypatch.syspath_prepend(JOBS)
    import faults

    return faults


@functools.cache
def encoded(scene):
    """Return what a scene holds, encoded; later scenes are larger, so that shards by bytes differ."""
    draw = np.random.default_rng(scene)
    return [
        codec.encode(
            Sample(
                key=sample_key(scene, n),
                image=draw.integers(0, 256, (8 + 4 * scene, 12, 3), np.uint8),
                people=[Person(instance=1, box_xyxy_px=(1, 1, 4, 5))],
                meta={"scene": scene},
            ),
            CodecConfig(),
        )
        for n in range(1 + scene % 2)
    ]


def results(scene, holes):
    return [Skipped(one.key, "failed") if (scene, n) in holes else one for n, one in enumerate(encoded(scene))]


@attrs.frozen
class Story:
    """What is there before a run, and how the shards are filled."""

    name: str
    layout: dict
    before: int = 0
    holes: frozenset = frozenset()


HOLES = frozenset({(1, 0), (4, 0)})
STORIES = [
    Story(f"{what} {layout}", values, before, holes)
    for layout, values in {"by count": {"scenes_per_shard": 2}, "by bytes": {"shard_bytes": BYTES}}.items()
    for what, before, holes in [("afresh", 0, ()), ("growing", 3, ()), ("healing", SCENES, HOLES)]
]


def write(out, story, scenes=SCENES, *, holes=(), note=lambda *_: None, scratch=None):
    """Write a data set, or the rest of it; tell ``note`` what is finished. Return the scenes that were made."""
    identity = {"what": "faults"}
    with DatasetWriter(out, identity=identity, scenes=scenes, scratch=scratch, **story.layout) as writer:
        pending = writer.pending_scenes()
        for scene in sorted(pending, key=lambda n: (n * 3) % 5):  # not in order
            writer.spool.put(scene, results(scene, holes))
            note("scene", scene)
            writer.finished(scene)
            for shard in writer._committed:
                note("shard", shard)
        writer.finalise()
        note("finished", 0)
    return pending


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Bench:
    """A story's calm outcome, and beginnings of it to do harm to."""

    def __init__(self, base, story, faults):
        self.base, self.story, self.faults, self.cases = base, story, faults, 0
        self.luck = random.Random(story.name)
        self.start = base / "start"
        self.start.mkdir(parents=True)
        if story.before:
            self.quietly(lambda: write(self.start / "out", story, story.before, holes=story.holes), self.start)
        with_calm = base / "calm"
        self.quietly(lambda: write(with_calm / "out", story), self._copy(self.start, with_calm))
        self.calm = tree(with_calm / "out")
        fresh = base / "fresh"
        fresh.mkdir()
        self.quietly(lambda: write(fresh / "out", story), fresh)
        assert self.calm == tree(fresh / "out")
        self.full_before = self._intact(self.start / "out") if story.before else set()
        self.steps, self.reads = self._count()

    def quietly(self, work, root):
        with self.faults.Disk(root):
            return work()

    def _copy(self, source, target):
        return Path(shutil.copytree(source, target))

    def _count(self):
        root = self._copy(self.start, self.base / "counted")
        with self.faults.Disk(root) as disk:
            write(root / "out", self.story)
        return disk.calls, disk.reads

    def begin(self):
        self.cases += 1
        return self._copy(self.start, self.base / f"case{self.cases}")

    def _intact(self, out):
        """Return the scenes of committed shards that have no hole; fail when a listed shard is corrupt."""
        store, found = LocalStore(out), set()
        if store.size(records.MANIFEST) is None:
            return found
        listed = records.read_records(store)
        for record in listed:
            data = store.read(records.tar_name(record.shard))
            assert hashlib.sha256(data).hexdigest() == record.sha256, "a listed shard is corrupt"
            table = shards.read_index(store, record)
            assert hashlib.sha256(table.content.tobytes()).hexdigest() == record.content_sha256
            missing = {scene for scene, _, _ in record.skipped}
            found |= set(range(record.first_scene, record.first_scene + record.scenes)) - missing
        if any(record.samples for record in listed):
            opened = Dataset.open(out, allow_unfinished=True)
            assert sum(1 for _ in opened) == sum(record.samples for record in listed)
        return found

    def mend(self, root, *, kept):
        """Look at what a fault left, run again, and compare; ``kept``: scenes that may not be made again."""
        out = root / "out"
        intact = self._intact(out) if out.exists() else set()
        made = self.quietly(lambda: write(out, self.story), root)
        assert not set(made) & (intact | kept), "finished work was done again"
        assert tree(out) == self.calm
        assert sorted(path.name for path in out.iterdir()) == ["dataset.json", "shards", "shards.npz"]
        shutil.rmtree(root)


@pytest.fixture
def bench(tmp_path, faults, request, record_property):
    bench = Bench(tmp_path, request.param, faults)
    yield bench
    record_property("cases", bench.cases)  # in the report of --junitxml


def everywhere(bench, most, steps=None):
    """Return the places for a fault: all, or so many spread evenly, never the same for two stories."""
    steps = bench.steps if steps is None else steps
    stride = max(1, steps // most) if most else 1
    return range(1 + bench.luck.randrange(stride), steps + 1, stride)


stories = pytest.mark.parametrize("bench", STORIES, indirect=True, ids=lambda story: story.name)
sweep = pytest.mark.parametrize("most", [4, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "all"])


def killed(bench, root, step, *, torn=False, cut=None):
    """Run in a child that is killed at a call; return the scenes and shards it said were finished."""
    log = os.open(bench.base / "log", os.O_CREAT | os.O_TRUNC | os.O_RDWR)

    def fault(number, operation, data):
        if number < step:
            return None
        if torn and operation == "write" and number == step:
            return data[: len(data) // 2]  # and then, at the next call, the end
        if cut:
            disk.power_cut(cut, bench.luck, least=step % 2 == 0)
        bench.faults.die()
        return None

    disk = bench.faults.Disk(root, fault)

    def work():
        with disk:
            write(root / "out", bench.story, note=lambda *what: os.write(log, f"{json.dumps(what)}\n".encode()))

    status = bench.faults.in_a_child(work)
    assert status in (0, -signal.SIGKILL)
    said = [json.loads(line) for line in (bench.base / "log").read_text().splitlines()]
    os.close(log)
    return status != 0, {n for kind, n in said if kind == "scene"}, {n for kind, n in said if kind == "shard"}


@stories
@sweep
@pytest.mark.parametrize("torn", [False, True], ids=["between calls", "in a write"])
def test_a_kill_loses_nothing(bench, most, torn):
    """After SIGKILL at a call every scene that was finished is still there, and so is every shard."""
    kills = 0
    for step in everywhere(bench, most):
        root = bench.begin()
        died, scenes, listed = killed(bench, root, step, torn=torn)
        kills += died
        assert listed <= set(records.committed_shards(LocalStore(root / "out")))
        bench.mend(root, kept=scenes | bench.full_before)
    assert kills >= bench.cases - 2


@stories
@sweep
def test_a_power_cut_loses_no_shard(bench, most):
    """What was not synced is lost, torn or stays, name by name; committed shards stay, the rest is made again."""
    cuts = 0
    for step in everywhere(bench, most):
        root = bench.begin()
        left = bench.base / f"left{step}"
        left.mkdir()
        died, _, listed = killed(bench, root, step, cut=left)
        if not died:
            continue
        cuts += 1
        shutil.rmtree(root)
        assert listed <= set(records.committed_shards(LocalStore(left / "out"))), "a committed shard is lost"
        bench.mend(left, kept=bench.full_before)
    assert cuts >= bench.cases - 1


ERRORS = {
    "full": (errno.ENOSPC, True, ("open", "write", "mkdir", "fsync")),
    "failing": (errno.EIO, False, ()),
    "read-only": (errno.EROFS, True, ()),
    "over quota": (errno.EDQUOT, True, ("write",)),
}


def failing(number_of_error, lasting, operations, step):
    """Return a fault that fails a call, or it and all after it, with a short write first where it can be."""

    def fault(number, operation, data):
        if number < step or (number > step and not lasting) or (operations and operation not in operations):
            return None
        if number == step and operation == "write" and lasting:
            return data[: len(data) // 2]
        raise OSError(number_of_error, os.strerror(number_of_error))

    return fault


def check_line(error):
    assert "\n" not in str(error)
    assert "cannot be" in str(error)
    assert storage.TEMPORARY_SUFFIX not in str(error)
    assert "what is finished is kept" in str(error) or not isinstance(error, WorkError)


@stories
@sweep
@pytest.mark.parametrize("kind", ERRORS)
def test_a_failing_disk_is_one_line_and_loses_nothing(bench, most, kind):
    number, lasting, operations = ERRORS[kind]
    told = 0
    for step in everywhere(bench, most and max(1, most // 2)):
        root, finished = bench.begin(), set()
        with bench.faults.Disk(root, failing(number, lasting, operations, step)):
            try:
                write(root / "out", bench.story, note=lambda what, n, done=finished: done.add((what, n)))
            except SynthkitError as error:
                told += 1
                check_line(error)
        bench.mend(root, kept={n for what, n in finished if what == "scene"} | bench.full_before)
    assert told > 0


@stories
@sweep
def test_a_disk_that_cannot_be_read_is_one_line(bench, most):
    for step in everywhere(bench, most and 3, bench.reads):
        root = bench.begin()

        def reading(number, step=step):
            if number == step:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        with bench.faults.Disk(root, reading=reading):
            try:
                write(root / "out", bench.story)
            except SynthkitError as error:
                check_line(error)
        bench.mend(root, kept=bench.full_before)


@stories
@sweep
def test_an_interruption_loses_nothing(bench, most):
    """Ctrl-C at a call: it gets through, no litter stays, and what was finished is kept."""
    for step in everywhere(bench, most and max(1, most // 2)):
        root, finished = bench.begin(), set()

        def fault(number, operation, data, step=step):
            if number == step:
                raise KeyboardInterrupt

        with bench.faults.Disk(root, fault), pytest.raises(KeyboardInterrupt):
            write(root / "out", bench.story, note=lambda what, n, done=finished: done.add((what, n)))
        bench.mend(root, kept={n for what, n in finished if what == "scene"} | bench.full_before)


@stories
def test_a_disk_that_takes_little_at_a_time(bench):
    root = bench.begin()
    with bench.faults.Disk(root, lambda number, operation, data: data[:97] if operation == "write" else None):
        write(root / "out", bench.story)
    assert tree(root / "out") == bench.calm


@stories
@pytest.mark.parametrize("most", [2, pytest.param(40, marks=pytest.mark.slow)], ids=["some", "many"])
def test_killed_at_any_time(bench, most):
    """The same by the clock, with real syncs, again and again in one folder, until a run gets through."""
    root, kept = bench.begin(), set(bench.full_before)
    for _ in range(most):
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                write(root / "out", bench.story)
            os._exit(0)
        time.sleep(bench.luck.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if (root / "out").exists():
            kept |= bench._intact(root / "out")
    bench.mend(root, kept=kept)


def test_ctrl_c_of_a_real_process(tmp_path, faults):
    story, ready = STORIES[0], tmp_path / "ready"

    def work():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            write(tmp_path / "out", story, note=lambda *_: (ready.touch(), time.sleep(0.05)))
        except KeyboardInterrupt:
            os._exit(7)

    child = os.fork()
    if not child:
        work()
        os._exit(1)
    deadline = time.monotonic() + 20
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(child, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    write(tmp_path / "out", story)
    write(tmp_path / "calm", story)
    assert tree(tmp_path / "out") == tree(tmp_path / "calm")


def test_a_read_only_folder_is_one_line(faults):
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "out").mkdir()
        (folder / "out").chmod(0o555)
        folder.chmod(0o555)

        def work():
            if os.geteuid() == 0:  # nothing is read-only to root
                os.setuid(65534)
            with pytest.raises(DatasetError, match=r"out.*cannot be written: Permission denied"):
                write(folder / "out", STORIES[0])
            with pytest.raises(DatasetError, match=r"new.*cannot be written: Permission denied"):
                write(folder / "new", STORIES[0])

        assert faults.in_a_child(work) == 0
        assert [path.name for path in folder.rglob("*")] == ["out"]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_what_a_killed_writer_committed_is_durable_once_it_is_believed(tmp_path, faults):
    """A kill between a record's rename and the sync of its folder, and a power cut in the next run."""

    def fault(number, operation, data):
        if operation == "fsync" and (tmp_path / "out" / "shards" / "000000.json").exists():
            raise KeyboardInterrupt

    with faults.Disk(tmp_path, fault) as killed, pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", STORIES[0])
    record = tmp_path / "out" / "shards" / "000000.json"
    assert killed.durable.get(record) is None, "the fault came too late"
    with faults.Disk(tmp_path) as disk:
        disk.durable.pop(record)
        with DatasetWriter(tmp_path / "out", identity={"what": "faults"}, scenes=SCENES, **STORIES[0].layout) as writer:
            assert 0 not in writer.pending_scenes()
    assert disk.durable.get(record) is not None


def test_a_shard_that_rotted_is_not_joined_anew(tmp_path):
    """Growing and healing carry old bytes over; they are checked first, so that no hash covers their damage."""
    story = STORIES[0]
    for name in ("000000.tar", "000000.idx.npz"):
        out = tmp_path / name
        write(out, story, 3, holes={(1, 0)})
        damaged = out / "shards" / name
        data = bytearray(damaged.read_bytes())
        data[700] ^= 1
        damaged.write_bytes(data)
        before = tree(out)
        with pytest.raises(DatasetError, match=f"{name}: .*its bytes are not those of its record"):
            write(out, story, 3)
        assert {name: before[name] for name in before if name.startswith("shards/")} == {
            path: data for path, data in tree(out).items() if path.startswith("shards/")
        }
        assert verify.verify(out).problems


def test_a_scene_of_which_nothing_came_is_not_made_again(tmp_path):
    for scenes in (1, 2):
        with DatasetWriter(tmp_path, identity={}, scenes=scenes, scenes_per_shard=2) as writer:
            assert writer.pending_scenes() == [scenes - 1]
            writer.spool.put(scenes - 1, [] if scenes == 1 else encoded(1))
            writer.finished(scenes - 1)
            writer.finalise()


def test_a_spooled_scene_is_believed_whole_or_not_at_all(tmp_path):
    """Any byte of its file that changed is seen, in what it says as in what it holds."""
    with DatasetWriter(tmp_path, identity={}, scenes=3, scenes_per_shard=3) as writer:
        writer.spool.put(1, results(1, {(1, 1)}))
        (path,) = (tmp_path / ".spool").glob("*.scene")
        data = path.read_bytes()
        assert writer.spool.read(1) is not None
        for place in range(0, len(data), max(1, len(data) // 400)):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            assert writer.spool.read(1) is None
            path.write_bytes(data[:place])
            assert writer.spool.read(1) is None
        path.rename(path.with_name("0000000002.scene"))
        assert writer.spool.read(2) is None, "a file of another name"


def test_reasons_that_are_no_unicode_are_kept(tmp_path):
    reason = os.fsdecode(b"no file n\xff.png")
    with DatasetWriter(tmp_path, identity={}, scenes=1) as writer:
        writer.spool.put(0, [Skipped("k", reason)])
        writer.finished(0)
        writer.finalise()
        assert writer.skipped() == [("k", reason)]


@pytest.fixture
def flaky():
    """A store of which every nth call fails, before or after it has done its work."""
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    class Flaky(MemoryFileSystem):
        protocol = "flaky"
        store: dict = {}  # noqa: RUF012 - as its parent has it, which shares it between instances
        pseudo_dirs = [""]  # noqa: RUF012
        calls, step, late, error = 0, 0, False, OSError

        def _failing(self, real, *args, **kwargs):
            cls = type(self)
            cls.calls += 1
            if cls.calls == cls.step and not cls.late:
                raise cls.error("connection reset")
            result = real(*args, **kwargs)
            if cls.calls == cls.step:
                raise cls.error("connection reset")
            return result

        def put_file(self, *args, **kwargs):
            return self._failing(super().put_file, *args, **kwargs)

        def pipe_file(self, *args, **kwargs):
            return self._failing(super().pipe_file, *args, **kwargs)

        def rm_file(self, *args, **kwargs):
            return self._failing(super().rm_file, *args, **kwargs)

        def cat_file(self, *args, **kwargs):
            return self._failing(super().cat_file, *args, **kwargs)

        def ls(self, *args, **kwargs):
            return self._failing(super().ls, *args, **kwargs)

    fsspec.register_implementation("flaky", Flaky, clobber=True)
    yield Flaky
    Flaky.step = 0


class Gone(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
@pytest.mark.parametrize(
    "error", [OSError, pytest.param(Gone, marks=pytest.mark.slow)], ids=lambda error: error.__name__
)
def test_a_store_that_fails_at_every_call(tmp_path, flaky, story, late, error, record_property):
    """An upload, removal or listing that fails is one line (or the end); the next run mends everything."""
    flaky.error, flaky.late = error, late

    def contents(name):
        return {path.removeprefix(f"/{name}/"): bytes(file.getvalue()) for path, file in flaky.store.items()
                if path.startswith(f"/{name}/")}  # fmt: skip

    def run(name, step, **changes):
        flaky.calls, flaky.step = 0, step
        scratch = tmp_path / name
        scratch.mkdir(exist_ok=True)
        return write(f"flaky://{name}", story, **changes, scratch=scratch)

    def begin(name):
        if story.before:
            run(name, 0, scenes=story.before, holes=story.holes)

    begin("calm")
    run("calm", 0)
    steps = flaky.calls
    assert steps > 12
    for step in range(1, steps + 1):
        name, finished = f"case{step}", set()
        begin(name)
        try:
            run(name, step, note=lambda what, n, done=finished: done.add((what, n)))
        except SynthkitError as told:
            check_line(told)
        except Gone:
            pass
        made = run(name, 0)
        assert not set(made) & {n for what, n in finished if what == "scene"}
        assert contents(name) == contents("calm")
        assert sum(1 for _ in Dataset.open(f"flaky://{name}")) > 0
    record_property("cases", steps)
