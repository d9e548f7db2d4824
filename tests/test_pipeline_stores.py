# SPDX-License-Identifier: Apache-2.0
"""Stages on other stores than folders, in whole shards, by size and as JPEG: the same samples, resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import attrs
import fsspec
import pytest

from synthkit import execution, pipeline
from synthkit.dataset import Dataset, DatasetWriter, records, stores
from synthkit.dataset.records import Manifest
from synthkit.errors import ConfigError, DatasetError, WorkError
from synthkit.execution import Failed, JobSpec, Local
from synthkit.execution.scenes import ShardJob
from synthkit.interfaces import ComponentSpec, sample_key
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.settings import RunSettings

REGISTRY = discover()
DISCS = ComponentSpec("renderer", "discs", {"size_px": 32, "samples_per_scene": 1})
TINT = ComponentSpec("refiner", "tint")
URL = "memory://sets"


@attrs.frozen
class InShards(Local):
    """This process, which works as other machines do: in whole shards that it publishes itself."""

    whole_shards: ClassVar[bool] = True

    workers: int = 0


@pytest.fixture(autouse=True)
def _empty_memory():
    yield
    memory = fsspec.filesystem("memory")
    for path in memory.ls("/", detail=False):
        memory.rm(path, recursive=True)


def session(executor=None, **run):
    return Session(REGISTRY, RunSettings(**{"scenes_per_shard": 2, **run}), executor or Local(0))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def objects(url):
    memory = fsspec.filesystem("memory")
    root = "/" + url.partition("://")[2]
    return {path.removeprefix(root + "/"): memory.cat_file(path) for path in memory.find(root)}


@pytest.mark.parametrize("executor", [Local(0), InShards()])
def test_a_url_gets_the_same_objects_as_a_folder_gets_files(executor, tmp_path):
    built = pipeline.build(session(), DISCS, TINT, tmp_path / "build", 5)
    far = pipeline.build(session(executor), DISCS, TINT, URL, 5)
    assert far.refined.location == f"{URL}/refined"
    assert [sample.key for sample in far.refined] == [sample.key for sample in built.refined]
    assert objects(URL) == files(tmp_path / "build")
    assert far.refined.manifest.notes["parents"][0]["path"] == "../rendered"


def test_workers_write_to_a_url_too(tmp_path):
    pipeline.render(session(), DISCS, tmp_path / "near", 5)
    pipeline.render(session(Local(2)), DISCS, f"{URL}/far", 5)
    assert objects(f"{URL}/far") == files(tmp_path / "near")


def test_what_is_at_a_url_can_grow_and_is_not_made_again(tmp_path):
    pipeline.render(session(), DISCS, f"{URL}/far", 3)
    before = objects(f"{URL}/far")
    told = []
    grown = attrs.evolve(session(InShards()), progress=lambda stage, done, total: told.append(done))
    pipeline.render(grown, DISCS, f"{URL}/far", 7)
    assert told[0] == 3, "the first shard stays, and so does what is in the second"
    pipeline.render(session(), DISCS, tmp_path / "near", 7)
    assert objects(f"{URL}/far") == files(tmp_path / "near")
    assert before["shards/000000.json"] == objects(f"{URL}/far")["shards/000000.json"]


@pytest.mark.parametrize("place", ["folder", "url"])
def test_other_settings_are_refused_at_a_url_as_in_a_folder(place, tmp_path):
    out = tmp_path / "build" if place == "folder" else URL
    pipeline.build(session(), DISCS, TINT, out, 2)
    with pytest.raises(DatasetError, match="holds work of this kind with another seed;"):
        pipeline.build(session(seed=1), DISCS, TINT, out, 2)
    with pytest.raises(DatasetError, match="holds work of this kind with another codec;"):
        pipeline.build(session(image_format="jpg"), DISCS, TINT, out, 2)
    with pytest.raises(DatasetError, match="other settings"):
        pipeline.render(session(image_format="jpg"), DISCS, f"{out}/rendered", 2)
    with pytest.raises(DatasetError, match="holds other files"):
        pipeline.render(session(), DISCS, out, 2)


def test_training_at_a_url_is_refused_before_anything_is_made(tmp_path):
    pipeline.render(session(), DISCS, tmp_path / "real", 2)
    with pytest.raises(ConfigError, match=f"--out {URL}: training needs a folder on this machine"):
        pipeline.build(session(), DISCS, ComponentSpec("refiner", "cyclegan-dfm"), URL, 2, real=tmp_path / "real")
    assert objects(URL) == {}


def test_a_source_elsewhere_is_noted_as_it_was_given(tmp_path):
    pipeline.render(session(), DISCS, f"{URL}/rendered", 2)
    made = pipeline.refine(session(), TINT, f"{URL}/rendered", tmp_path / "refined")
    assert made.dataset.manifest.notes["parents"][0]["path"] == f"{URL}/rendered"


def test_a_url_that_nothing_reaches_is_one_line():
    with pytest.raises(DatasetError, match=r"memori://x: cannot be reached: .*did you mean 'memory'"):
        pipeline.render(session(), DISCS, "memori://x", 2)


@pytest.mark.parametrize(("call", "kind"), [("info", DatasetError), ("pipe_file", WorkError)])
def test_what_a_stores_own_package_raises_is_one_line(call, kind, monkeypatch):
    def unreachable(*_, **__):
        raise RuntimeError("no credentials\nin three places")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), call, unreachable)
    with pytest.raises(kind, match=rf"{URL}/x/dataset.json: cannot be (read|written): no credentials(;.*)?$"):
        pipeline.render(session(), DISCS, f"{URL}/x", 2)


def test_shards_by_size_are_equal_however_they_are_made(tmp_path):
    big = attrs.evolve(DISCS, options={"size_px": 512, "samples_per_scene": 2})
    one = pipeline.render(session(shard_mb=1), big, tmp_path / "one", 6).dataset
    pipeline.render(session(Local(2), shard_mb=1), big, tmp_path / "two", 6)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert one.manifest.shard_bytes == 10**6
    assert all(shard.tar_bytes >= 10**6 for shard in one.shards[:-1])
    assert len(one.shards) > 1


def test_shards_by_size_cannot_be_made_apart():
    with pytest.raises(ConfigError, match=r"shard_mb: .* use scenes_per_shard") as caught:
        session(InShards(), shard_mb=1, device="cuda:1")
    assert len(caught.value.problems) == 2


def test_images_can_be_jpeg_of_a_quality_which_is_part_of_what_the_set_is(tmp_path):
    large = attrs.evolve(DISCS, options={"size_px": 128})
    fine = pipeline.render(session(image_format="jpg"), large, tmp_path / "fine", 3).dataset
    coarse = pipeline.render(session(image_format="jpg", jpeg_quality=20), large, tmp_path / "coarse", 3).dataset
    plain = pipeline.render(session(jpeg_quality=20), DISCS, tmp_path / "plain", 3).dataset
    pipeline.render(session(), DISCS, tmp_path / "default", 3)
    assert files(tmp_path / "plain") == files(tmp_path / "default"), "no quality where nothing is a jpg"
    assert len({one.manifest.fingerprint for one in (fine, coarse, plain)}) == 3
    assert ".jpg" in str((tmp_path / "fine" / "shards" / "000000.tar").read_bytes()[:100])
    assert sum(shard.tar_bytes for shard in coarse.shards) < sum(shard.tar_bytes for shard in fine.shards)


def shard_job(tmp_path, **changes):
    """Return the job of the only shard of a set that was begun."""
    jobs = []

    @attrs.frozen
    class Listening(InShards):
        def run(self, job, tasks, heard=None):
            jobs.append(job)
            return super().run(job, tasks, heard)

    pipeline.render(session(Listening()), DISCS, tmp_path / "set", 2)
    return JobSpec(jobs[0].target, {**jobs[0].arguments, **changes})


@pytest.mark.parametrize("place", ["none", "other set"])
def test_a_place_that_is_not_shared_is_told_and_not_written_to(place, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    if place == "other set":
        pipeline.render(session(seed=8), DISCS, elsewhere, 2)
    before = files(elsewhere) if elsewhere.exists() else None
    job = shard_job(tmp_path, location=str(elsewhere))
    with pytest.raises(WorkError, match="is not the same place on every machine of the cluster"):
        list(execution.run(job, [0], Local(0)))
    assert (files(elsewhere) if elsewhere.exists() else None) == before


def test_a_machine_with_another_component_is_refused(tmp_path):
    job = shard_job(tmp_path)
    other = JobSpec(job.target, {**job.arguments, "arguments": {**job.arguments["arguments"], "identity": "0" * 64}})
    with pytest.raises(WorkError, match="renderer 'discs', or a file in its settings, is another one there"):
        list(execution.run(other, [0], Local(0)))


def test_a_machine_with_another_source_is_refused(tmp_path):
    pipeline.render(session(), DISCS, tmp_path / "source", 2)
    arguments = {"source_fingerprint": "0" * 64}
    jobs = []

    @attrs.frozen
    class Listening(InShards):
        def run(self, job, tasks, heard=None):
            inner = {**job.arguments["arguments"], **arguments}
            jobs.append(JobSpec(job.target, {**job.arguments, "arguments": inner}))
            return super().run(jobs[0], tasks, heard)

    with pytest.raises(WorkError, match="source: is another data set on "):
        pipeline.refine(session(Listening()), TINT, tmp_path / "source", tmp_path / "out")


def test_a_shard_tells_the_environment_it_was_made_in(tmp_path, monkeypatch):
    real = records.environment
    warnings = []

    class Elsewhere(InShards):
        """A machine with another zlib."""

        def run(self, job, tasks, heard=None):
            with monkeypatch.context() as there:
                there.setattr(records, "environment", lambda: {**real(), "zlib": "another"})
                yield from super().run(job, tasks, heard)

    own = attrs.evolve(session(Elsewhere()), tell=warnings.append)
    pipeline.render(own, DISCS, tmp_path / "set", 6)
    assert len(warnings) == 1
    assert "some shards were made in another environment (zlib: 'another' there" in warnings[0]
    record = json.loads((tmp_path / "set" / "shards" / "000000.json").read_bytes())
    assert record["environment"]["zlib"] == "another"
    with pytest.raises(WorkError, match="is another environment; strict=true refuses"):
        pipeline.render(session(Elsewhere(), strict=True), DISCS, tmp_path / "strict", 6)


@attrs.frozen
class Dying(InShards):
    """Machines that die of shard 1 and of scene 3, before they do anything."""

    def run(self, job, tasks, heard=None):
        deadly = 1 if job.target.endswith(":ShardJob") else 3
        for task in tasks:
            if task == deadly:
                yield Failed(task, "the machine died")
            else:
                yield from super().run(job, [task], heard)


def test_a_shard_that_cannot_be_made_whole_is_made_scene_by_scene_and_heals(tmp_path):
    made = pipeline.render(session(Dying()), DISCS, tmp_path / "set", 6)
    assert made.dataset.skipped == [(sample_key(3, 0), "the machine died")]
    healed = pipeline.render(session(InShards()), DISCS, tmp_path / "set", 6)
    assert healed.skipped == 0
    pipeline.render(session(), DISCS, tmp_path / "near", 6)
    assert files(tmp_path / "set") == files(tmp_path / "near")


def test_a_machine_that_dies_while_a_hole_heals_costs_nothing_that_was_there(tmp_path):
    pipeline.render(session(Dying()), DISCS, tmp_path / "set", 6)
    before = files(tmp_path / "set" / "shards")
    again = pipeline.render(session(Dying()), DISCS, tmp_path / "set", 6)
    assert (len(again.dataset), again.skipped) == (5, 1)
    assert files(tmp_path / "set" / "shards") == before


@pytest.mark.parametrize("place", ["folder", "url"])
def test_what_is_committed_or_spooled_is_not_made_again_in_whole_shards(place, tmp_path):
    out = tmp_path / "set" if place == "folder" else f"{URL}/set"
    made = []

    @attrs.frozen
    class Listening(InShards):
        def run(self, job, tasks, heard=None):
            tasks = list(tasks)
            made.extend((job.target.rpartition(":")[2], task) for task in tasks)
            return super().run(job, tasks, heard)

    pipeline.render(session(Listening(), scenes_per_shard=4), DISCS, out, 6)
    assert made == [("ShardJob", 0), ("ShardJob", 1)]
    made.clear()
    pipeline.render(session(Listening(), scenes_per_shard=4), DISCS, out, 13)
    assert made == [("ShardJob", 2), ("ShardJob", 3), ("SceneJob", 6), ("SceneJob", 7)]
    pipeline.render(session(scenes_per_shard=4), DISCS, tmp_path / "near", 13)
    found = files(out) if place == "folder" else objects(out)
    assert found == files(tmp_path / "near")


def test_a_shard_that_was_published_before_its_task_died_stays_as_it_is(tmp_path):
    """On some devices the second copy has other bytes; it may not replace what is committed, not even for a while."""
    job = shard_job(tmp_path)
    record, tar = (tmp_path / "set" / "shards" / f"000000.{name}" for name in ("json", "tar"))
    before = files(tmp_path / "set"), tar.stat().st_mtime_ns
    assert list(execution.run(job, [0], Local(0))) == [execution.Done(0, 2)]
    assert (files(tmp_path / "set"), tar.stat().st_mtime_ns) == before
    record.unlink()
    building(tmp_path / "set")
    assert list(execution.run(job, [0], Local(0))) == [execution.Done(0, 2)]
    assert {**files(tmp_path / "set"), "dataset.json": before[0]["dataset.json"]} == before[0]
    assert tar.stat().st_mtime_ns != before[1], "without its record it does not count"


def building(out):
    """Make a finished set one that is still being made."""
    store = stores.at(out)
    attrs.evolve(Manifest.read(store), summary=None).write(store)


def test_who_was_thought_dead_publishes_nothing_when_the_set_is_finished(tmp_path, monkeypatch):
    """It slept while it looked whether its shard had been published by others, and woke when all was done."""
    job = shard_job(tmp_path)
    before = files(tmp_path / "set")
    monkeypatch.setattr(ShardJob, "_published", lambda *_: None)
    with pytest.raises(WorkError, match="was finished by others meanwhile"):
        list(execution.run(job, [0], Local(0)))
    assert files(tmp_path / "set") == before


def test_a_shard_that_somebody_thought_dead_published_once_more_is_seen(tmp_path):
    @attrs.frozen
    class Twice(InShards):
        def run(self, job, tasks, heard=None):
            yield from super().run(job, tasks, heard)
            if job.target.endswith(":ShardJob"):  # and then dies on its way
                (tmp_path / "set" / "shards" / "000001.json").unlink()

    with pytest.raises(WorkError, match=r"000001\.json: was written by two machines; run the same again"):
        pipeline.render(session(Twice()), DISCS, tmp_path / "set", 6)
    pipeline.render(session(InShards()), DISCS, tmp_path / "set", 6)
    pipeline.render(session(), DISCS, tmp_path / "near", 6)
    assert files(tmp_path / "set") == files(tmp_path / "near")


def test_scenes_of_another_machine_tell_its_environment(tmp_path, monkeypatch):
    real = records.environment

    class Elsewhere(InShards):
        """A machine with another zlib."""

        def run(self, job, tasks, heard=None):
            with monkeypatch.context() as there:
                there.setattr(records, "environment", lambda: {**real(), "zlib": "another"})
                yield from super().run(job, tasks, heard)

    pipeline.render(session(scenes_per_shard=4), DISCS, tmp_path / "set", 2)
    pipeline.render(session(Elsewhere(), scenes_per_shard=4), DISCS, tmp_path / "set", 4)
    record = json.loads((tmp_path / "set" / "shards" / "000000.json").read_bytes())
    assert record["environment"]["zlib"] == real()["zlib"]
    assert [one["zlib"] for one in record["other_environments"]] == ["another"]


def test_what_a_local_run_left_half_made_is_taken_up_in_whole_shards(tmp_path):
    class Stopped(Exception):
        pass

    def stop(stage, done, total):
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        pipeline.render(attrs.evolve(session(), progress=stop), DISCS, tmp_path / "set", 6)
    assert list((tmp_path / "set" / ".spool").iterdir()), "one scene of the second shard is spooled"
    (tmp_path / "set" / "shards" / ".000002.tar.123.tmp").write_bytes(b"of a machine that died")
    pipeline.render(session(InShards()), DISCS, tmp_path / "set", 6)
    pipeline.render(session(), DISCS, tmp_path / "near", 6)
    assert files(tmp_path / "set") == files(tmp_path / "near")
    assert not list(Path(tmp_path / "set").glob(".spool/*"))


def test_a_shard_of_other_scenes_is_not_adopted(tmp_path):
    pipeline.render(session(), DISCS, tmp_path / "set", 4)
    with DatasetWriter(tmp_path / "other", identity={}, scenes=4, scenes_per_shard=4) as writer:
        (tmp_path / "other" / "shards" / "000000.json").write_bytes(
            (tmp_path / "set" / "shards" / "000000.json").read_bytes()
        )
        with pytest.raises(WorkError, match="is of another data set"):
            writer.adopt(0)
    assert Dataset.open(tmp_path / "set").manifest.scenes == 4
