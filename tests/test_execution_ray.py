# SPDX-License-Identifier: Apache-2.0
"""Many machines: the same bytes as one, although machines die; a Ray cluster of two nodes on this one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import attrs
import cv2
import numpy as np
import pytest

from synthkit import detection, pipeline
from synthkit.cli.app import app
from synthkit.cli.options import ExecutorName, executor_of
from synthkit.dataset import Dataset, formats
from synthkit.dataset.tools.filter import Conditions, filtered
from synthkit.errors import ConfigError, SynthkitError, WeightsError, WorkError
from synthkit.execution import JobSpec, Local, RayCluster, _ray_worker, cluster
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.session import Session
from synthkit.settings import Plan, RunSettings

JOBS = Path(__file__).parent / "jobs"
COMMAND = [sys.executable, "-c", "from synthkit.cli import main; main()"]
RUN = RunSettings(scenes_per_shard=2)
DISCS = ComponentSpec("renderer", "discs", {"size_px": 32, "samples_per_scene": 1})
# So that a dead node is known as such in seconds; and stores as small as they may be.
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
QUICK = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500, "health_check_failure_threshold": 3}


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory):
    """Yield a cluster of two nodes, to which this process is connected, with the plugins ``moody`` and ``seeing``."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (extra 'ray')")
    import ray
    from ray.cluster_utils import Cluster

    plugins = tmp_path_factory.mktemp("plugins")
    for name in ("moody", "seeing"):
        info = plugins / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[synthkit.v1]\n{name} = {name}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(plugins), str(JOBS)]))
        patch.setenv("RAY_TMPDIR", tempfile.gettempdir())  # the paths of its sockets must be short
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("spools")))
        patch.syspath_prepend(JOBS)
        patch.syspath_prepend(plugins)
        nodes = Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False, "_system_config": QUICK}
        )
        nodes.second = nodes.add_node(**NODE, num_gpus=1)  # which is only said of it
        ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
        try:
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


@pytest.fixture
def session(two_nodes):
    return Session(discover(), RUN, RayCluster())


def moody(**options):
    return ComponentSpec("renderer", "moody", options)


def local(session):
    return attrs.evolve(session, executor=Local(0))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def children(parent):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # processes come and go
            if path.read_text().rpartition(")")[2].split()[1] == str(parent):
                found.append(int(path.parent.name))
    return found


def test_many_machines_make_the_same_bytes_as_one(session, tmp_path):
    told = []
    session = attrs.evolve(session, progress=lambda *where: told.append(where))
    near, far = tmp_path / "near", tmp_path / "far"
    for own, out in ((local(session), near), (session, far)):
        pipeline.render(own, DISCS, out / "rendered", 7)
        pipeline.refine(own, ComponentSpec("refiner", "tint"), out / "rendered", out / "refined")
    assert files(far) == files(near)
    assert told[0] == ("render", 0, 7)
    assert told[-1] == ("refine", 7, 7)


def test_components_stay_warm_and_scenes_are_told_as_they_are_made(session, tmp_path):
    told = []
    session = attrs.evolve(
        session, progress=lambda stage, done, total: told.append(done), run=RunSettings(scenes_per_shard=4)
    )
    pipeline.render(session, moody(notes=str(tmp_path), pause_s=0.3), tmp_path / "out", 32)
    made = defaultdict(list)
    for note in tmp_path.glob("0*"):
        _, process, count, hash_seed, devices = note.name.split("-")
        made[process].append(int(count))
        assert hash_seed == "0", "as in local workers"
        assert devices == "", "nobody asked for a GPU"
    assert len(made) <= 2, "one process per node"
    assert all(sorted(counts) == list(range(1, len(counts) + 1)) for counts in made.values()), "entered once each"
    assert set(told) - {0, 4, 8, 12, 16}, "other counts than whole shards'"
    assert told == sorted(told)


def test_tasks_that_take_a_gpu_are_done_where_one_is(two_nodes, tmp_path):
    plan = Plan(discover(), RunSettings(scenes_per_shard=2, device="cuda", task_gpus=1), {})
    session = Session(plan.registry, plan.run, executor_of(plan.run, ExecutorName.RAY, None, None))
    pipeline.render(session, moody(notes=str(tmp_path)), tmp_path / "far", 8)
    pipeline.render(local(session), moody(), tmp_path / "near", 8)
    assert files(tmp_path / "far" / "shards") == files(tmp_path / "near" / "shards")
    told = {tuple(note.name.split("-")[i] for i in (1, 4)) for note in tmp_path.glob("0*")}
    assert [devices for _, devices in told] == ["0"], "one process, on the node with the GPU, which it sees"


def test_conversions_and_copies_are_made_by_many_machines_too(session, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(70):
        cv2.imwrite(str(photos / f"p{n}.jpg"), np.random.default_rng(n).integers(0, 256, (16, 24, 3), np.uint8))
    (photos / "p3.jpg").write_bytes((photos / "p3.jpg").read_bytes()[:-200])
    for out, executor in ((tmp_path / "near", None), (tmp_path / "far", session.executor)):
        made = formats.convert(photos, out / "set", executor=executor)
        assert [key for key, _ in made.skipped] == ["p3"]
        filtered(made.location, out / "some", Conditions(keys=("p1*", "p2*", "p3*")), executor=executor)
    assert files(tmp_path / "far") == files(tmp_path / "near")


@pytest.mark.parametrize(("scenes", "new"), [(4, ["0004", "0005"]), (3, ["0003", "0004", "0005"])])
def test_a_grown_set_makes_the_new_scenes_alone(session, tmp_path, scenes, new):
    pipeline.render(session, moody(), tmp_path / "far", 2 * scenes)
    pipeline.render(session, moody(notes=str(tmp_path)), tmp_path / "far", 12)
    pipeline.render(local(session), moody(), tmp_path / "near", 12)
    assert files(tmp_path / "far" / "shards") == files(tmp_path / "near" / "shards")
    assert sorted(note.name[:4] for note in tmp_path.glob("0*")) == new


def test_a_plugins_mistake_is_a_hole_with_the_same_reason_everywhere(session, tmp_path):
    made = pipeline.render(session, moody(mistake=3), tmp_path / "far", 8)
    assert made.skipped == 2
    pipeline.render(local(session), moody(mistake=3), tmp_path / "near", 8)
    assert files(tmp_path / "far") == files(tmp_path / "near")
    (_, reason), _ = Dataset.open(tmp_path / "far").skipped
    assert reason.startswith("ValueError: a mistake (at ")


def test_what_the_user_can_mend_names_the_machine(session, tmp_path):
    with pytest.raises(WeightsError, match=rf"the user can mend this \(on {socket.gethostname()}\)"):
        pipeline.render(session, moody(users=1), tmp_path / "out", 8)
    with pytest.raises(WeightsError, match=r"moody\.safetensors: is missing"):
        pipeline.render(session, moody(unusable=True), tmp_path / "other", 8)


def test_a_scene_that_kills_its_process_costs_itself_alone(session, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "RETRIES", 0)
    made = pipeline.render(session, moody(deadly=3), tmp_path / "out", 10)
    assert made.skipped == 2
    assert len(made.dataset) == 8
    assert {reason for _, reason in made.dataset.skipped} == {"its Ray task died: WorkerCrashedError (1 attempts)"}


def test_an_image_beyond_its_time_costs_itself_alone(session, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(4):
        cv2.imwrite(str(photos / f"p{n}.png"), np.full((8, 8, 3), n, np.uint8))
    hanging = ComponentSpec("detector", "seeing", {"fault": "hangs", "at": "p2"})
    made = detection.detect(session, hanging, photos, tmp_path / "found", timeout_s=2.0)
    assert made.dataset.skipped == [("p2", "the worker took longer than 2 s (2 attempts)")]  # as without Ray
    assert list(made.dataset.keys()) == ["p0", "p1", "p3"]


def test_too_large_a_task_is_told_at_once(two_nodes, tmp_path):
    session = Session(discover(), RUN, RayCluster(cpus=64, gpus=1))
    with pytest.raises(WorkError, match="no machine of the Ray cluster has room for a task of 64 CPUs, 1 GPUs"):
        pipeline.render(session, DISCS, tmp_path / "out", 4)


def test_ctrl_c_cancels_and_the_rest_is_made_later(session, two_nodes, tmp_path):
    notes, out = tmp_path / "notes", tmp_path / "out"
    notes.mkdir()
    options = [f"--set=renderer.notes={notes}", "--set=renderer.pause_s=0.4", "--set=scenes_per_shard=2"]
    where = ["--executor=ray", f"--address={two_nodes.address}"]
    path = os.pathsep.join(sys.path)
    arguments = ["render", "--renderer=moody", f"--out={out}", "--count=200", *options, *where]
    # The signal may be ignored by what runs the tests, and that is inherited.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    process = subprocess.Popen(
        [*COMMAND[:-1], heeding + COMMAND[-1], *arguments],
        env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list((out / "shards").glob("*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "interrupted; run the same command again to go on" in told
    assert "Traceback" not in told
    time.sleep(1.5)
    begun = len(list(notes.iterdir()))
    time.sleep(1.5)
    assert len(list(notes.iterdir())) == begun, "nobody works on"
    finished = len(list((out / "shards").glob("*.json")))
    assert 0 < finished < 100
    assert pipeline.render(local(session), moody(), out, 200).skipped == 0
    pipeline.render(local(session), moody(), tmp_path / "near", 200)
    assert files(out / "shards") == files(tmp_path / "near" / "shards")


def test_a_machine_that_dies_in_the_middle_changes_nothing(session, two_nodes, tmp_path):  # the last: it takes a node
    notes = tmp_path / "notes"
    notes.mkdir()

    def watch(stage, done, total):
        both = len({note.name.split("-")[1] for note in notes.iterdir()}) == 2
        if both and done >= 8 and two_nodes.second is not None:
            raylet = two_nodes.second.all_processes["raylet"][0].process.pid
            processes = children(raylet)
            two_nodes.remove_node(two_nodes.second, allow_graceful=False)
            for process in processes:  # the power is gone for all of them
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            two_nodes.second = None

    watching = attrs.evolve(session, progress=watch)
    made = pipeline.render(watching, moody(notes=str(notes), pause_s=0.3), tmp_path / "far", 40)
    assert two_nodes.second is None, "it was killed in the middle"
    assert made.skipped == 0
    pipeline.render(local(session), moody(), tmp_path / "near", 40)
    assert files(tmp_path / "far" / "shards") == files(tmp_path / "near" / "shards")
    # Whether the node died over a scene, which the other did again, or between two is chance.
    assert len({note.name.split("-")[1] for note in notes.iterdir()}) == 2, "both nodes worked"


@pytest.mark.slow
def test_a_client_of_a_cluster_that_is_elsewhere(two_nodes, tmp_path):
    """A driver that is no node itself, by ``ray://``: a process of its own, as each may have one connection."""
    import ray
    from ray.cluster_utils import Cluster

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray.shutdown()
    head = Cluster(
        initialize_head=True, head_node_args={**NODE, "include_dashboard": False, "ray_client_server_port": port}
    )
    try:
        where = ["--executor=ray", f"--address=ray://127.0.0.1:{port}", "--set=scenes_per_shard=2"]
        done = subprocess.run(
            [*COMMAND, "render", "--renderer=moody", f"--out={tmp_path / 'far'}", "--count=8", *where],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=200,
        )  # fmt: skip
    finally:
        head.shutdown()
        ray.init(two_nodes.address, log_to_driver=False, logging_level="ERROR")
    assert done.returncode == 0, done.stderr
    pipeline.render(Session(discover(), RUN, Local(0)), moody(), tmp_path / "near", 8)
    assert files(tmp_path / "far" / "shards") == files(tmp_path / "near" / "shards")


def test_who_listens_may_die(two_nodes):
    """It takes the news along, not the work; nor is it an error when it is ended."""
    import ray

    job = JobSpec("trouble:Job", {"mode": "well"})
    told = []
    tasks = cluster._Tasks(ray, job, RayCluster()._options(), lambda *what: told.append(what))
    ray.kill(tasks._listener)
    assert [outcome.task for outcome in tasks.results(iter([1]))] == [1]


class Listener:
    """As the handle of Ray's that listens."""

    def __init__(self):
        self.told = []
        self.note = SimpleNamespace(remote=lambda *step: self.told.append(step))


@pytest.fixture
def do(monkeypatch):
    """Yield what a process of the cluster does; it leaves its job in the end."""
    monkeypatch.syspath_prepend(JOBS)
    monkeypatch.setattr(_ray_worker, "_warm", warm := _ray_worker._Warm())
    yield _ray_worker.do
    warm.leave()


@pytest.mark.parametrize("timeout_s", [None, 5.0])
def test_a_job_stays_entered_until_another_run_begins(do, tmp_path, timeout_s):
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        arguments = {"mode": "mistake", "folder": str(tmp_path / run)}
        answers = [do(("trouble:Job", arguments, run, timeout_s), task, None) for task in (1, 3, 4)]
        assert [answer.get("result", {}).get("double") for answer in answers] == [2, None, 8]
        assert answers[1]["failed"].startswith("ValueError: a mistake")
        (entered,) = (tmp_path / run).glob("enter*")
        assert (entered.name.partition(".")[0] == f"enter{os.getpid()}") is (timeout_s is None)
    assert [len(list((tmp_path / run).glob("exit*"))) for run in ("first", "second")] == [1, 0]


@pytest.mark.parametrize("timeout_s", [None, 5.0])
def test_what_ends_a_run_is_told_and_the_next_task_begins_anew(do, timeout_s):
    job = ("trouble:Job", {"mode": "users"}, "run", timeout_s)
    error = do(job, 3, None)["error"]
    assert error["class"] == "DatasetError"
    assert error["message"] == f"the user can mend this (on {socket.gethostname()})"
    assert do(job, 4, None)["result"]["double"] == 8
    assert "no entry" in do(("trouble:Job", {"mode": "cannot enter"}, "other", timeout_s), 1, None)["error"]["message"]


def test_steps_are_told_and_one_that_takes_too_long_fails_its_task(do):
    listener = Listener()
    assert do(("trouble:LongJob", {"pauses": [0, 0]}, "run", None), 7, listener) == {"result": 2}
    answer = do(("trouble:LongJob", {"pauses": [0, 60]}, "slow", 1.0), 8, listener)
    assert answer == {"failed": "the worker took longer than 1 s (2 attempts)"}
    assert listener.told == [(7, 1), (7, 2), (8, 1), (8, 1)]


def test_a_head_that_is_lost_is_one_line():
    class LostError(Exception):
        pass

    class Lost:
        """As Ray when nothing is to be reached any more."""

        exceptions = SimpleNamespace(RayError=LostError)

        def wait(self, *_, **__):
            raise LostError("Failed to connect to GCS")

        def kill(self, _):
            raise LostError("Failed to connect to GCS")

        cancel = kill

    tasks = object.__new__(cluster._Tasks)
    tasks._ray, tasks._kept, tasks._running, tasks._listener = Lost(), True, {"reference": 1}, "listener"
    with pytest.raises(WorkError, match="the Ray cluster is lost: Failed to connect to GCS; what is finished is kept"):
        next(tasks.results(iter([])))


def test_without_ray_one_line_tells_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"Ray is not installed: pip install 'synthkit-core\[ray\]'"):
        RayCluster()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra 'ray')")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--executor=ray", "--address=127.0.0.1:1"], "Ray at 127.0.0.1:1: cannot be reached: Connection refused"),
        (["--executor=ray", "--address=nonsense"], "--address nonsense: expected HOST:PORT"),
        (["--executor=ray", "--workers=2"], "--workers: is for --executor local"),
        (["--address=127.0.0.1:1"], "--address 127.0.0.1:1: is for --executor ray"),
        (["--executor=ray", "--set=shard_mb=1"], "shard_mb: machines that make whole shards"),
        (["--executor=ray", "--set=device=cuda:1"], "device: cuda:1 cannot be chosen on another machine"),
    ],
)
def test_what_does_not_fit_together_is_told_at_once(arguments, line, tmp_path):
    with pytest.raises(SynthkitError, match=re.escape(line)):
        app(["render", "--renderer=discs", f"--out={tmp_path / 'out'}", *arguments], standalone_mode=False)
