# SPDX-License-Identifier: Apache-2.0
"""Work is done here or in workers, with the same results, and survives workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from synthkit.errors import ConfigError, DatasetError, WeightsError, WorkError
from synthkit.execution import Done, Failed, JobSpec, Local, run

JOBS = Path(__file__).parent / "jobs"


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(JOBS)


def job(mode="well", kind="Job", **arguments):
    return JobSpec(f"trouble:{kind}", {"mode": mode, **arguments})


def outcomes(spec, tasks=range(6), **options):
    return {outcome.task: outcome for outcome in run(spec, tasks, Local(**options))}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_are_the_same_wherever_it_runs(workers):
    found = outcomes(job(), workers=workers)
    assert {task: outcome.result["double"] for task, outcome in found.items()} == {n: 2 * n for n in range(6)}


def test_jobs_are_entered_once_per_process_and_left(tmp_path):
    assert len(outcomes(job(folder=str(tmp_path)), workers=2)) == 6
    assert len(list(tmp_path.glob("enter*"))) == 2
    assert len(list(tmp_path.glob("exit*"))) == 2


def test_no_more_workers_than_tasks(tmp_path):
    outcomes(job(folder=str(tmp_path)), [1], workers=4)
    assert len(list(tmp_path.glob("enter*"))) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_no_tasks_no_workers(workers):
    assert outcomes(job("cannot enter"), [], workers=workers) == {}


@pytest.mark.parametrize(("tasks", "least", "here"), [(2, 3, True), (3, 3, False), (1, 1, False)])
def test_few_tasks_are_done_in_this_process_where_processes_are_not_worth_it(tmp_path, tasks, least, here):
    with closing(run(job(folder=str(tmp_path)), range(tasks), Local(workers=1, least=least))) as results:
        assert sorted(outcome.task for outcome in results) == list(range(tasks))
    (entered,) = tmp_path.glob("enter*")
    assert (entered.name.partition(".")[0] == f"enter{os.getpid()}") is here


def test_threads_are_the_callers_choice():
    assert outcomes(job(), [0], threads=3)[0].result["threads"] == "3"


def test_tasks_are_taken_as_they_are_needed():
    taken = []

    def tasks():
        for n in range(1000):
            taken.append(n)
            yield n

    with closing(run(job(), tasks(), Local(workers=2))) as results:
        next(results)
    assert len(taken) < 20


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_fails_its_task_alone(workers):
    found = outcomes(job("mistake"), workers=workers)
    assert isinstance(found[3], Failed)
    assert "ValueError: a mistake (at " in found[3].reason
    assert " (at trouble.py:" in found[3].reason, "where the file is installed is no part of a record"
    assert sum(isinstance(outcome, Done) for outcome in found.values()) == 5


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("mode", "kind"), [("users", DatasetError), ("weights", WeightsError)])
def test_what_the_user_can_mend_comes_back_as_such(workers, mode, kind):
    with pytest.raises(kind, match=r"the user can mend this|other weights"):
        outcomes(job(mode), workers=workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_wrong_settings_come_back_with_all_problems(workers):
    with pytest.raises(ConfigError) as caught:
        outcomes(job("wrong settings"), workers=workers)
    assert caught.value.problems == ("a: wrong", "b: wrong too")


def test_a_killed_worker_is_replaced_and_its_task_done(tmp_path):
    found = outcomes(job("killed once", folder=str(tmp_path)), workers=2)
    assert all(isinstance(outcome, Done) for outcome in found.values())
    assert len(found) == 6


def test_a_task_that_kills_twice_is_given_up(tmp_path):
    found = outcomes(job("killed", folder=str(tmp_path)), workers=2)
    assert found[3] == Failed(3, found[3].reason)
    assert "SIGKILL" in found[3].reason
    assert "out of memory, or so" in found[3].reason
    assert len(list(tmp_path.glob("task3-*"))) == 2
    assert len(found) == 6


def test_a_task_that_leaves_the_process_is_given_up():
    found = outcomes(job("exit"), workers=1)
    assert "ended with code 5" in found[3].reason
    assert len(found) == 6


def test_a_task_beyond_its_time_is_given_up(tmp_path):
    start = time.monotonic()
    found = outcomes(job("slow", folder=str(tmp_path)), workers=2, timeout_s=0.7)
    assert "took longer than 0.7 s" in found[3].reason
    assert len(found) == 6
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("workers", [0, 1])
def test_steps_of_tasks_are_told(workers):
    told = []
    spec = job(kind="LongJob", pauses=[0.0, 0.0])
    assert [o.task for o in run(spec, [3, 4], Local(workers), heard=lambda *step: told.append(step))] == [3, 4]
    assert told == [(3, 1), (3, 2), (4, 1), (4, 2)]


def test_a_time_limit_is_of_each_step():
    limited = Local(1).limited(1.0)
    assert limited == Local(1, timeout_s=1.0)
    (done,) = run(job(kind="LongJob", pauses=[0.4] * 4), [1], limited)
    assert done == Done(1, 4)
    (failed,) = run(job(kind="LongJob", pauses=[0.1, 60]), [1], limited)
    assert failed == Failed(1, "the worker took longer than 1 s (2 attempts)")


def test_a_worker_that_writes_much_to_stderr_does_not_hang():
    assert isinstance(outcomes(job("chatty"), workers=1)[3], Done)


def test_results_that_cannot_travel_fail_their_task():
    found = outcomes(job(kind="OddJob"), workers=1)
    assert "TypeError" in found[3].reason
    assert found[4] == Done(4, 4)


def test_large_results_travel():
    assert outcomes(job(kind="BigJob"), range(3), workers=2)[2].result.endswith("x2")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (job("dies entering"), "cannot start: it ended with code 7; its last words: last words"),
        (job("cannot enter"), "RuntimeError: no entry"),
        (JobSpec("nowhere:Job"), "No module named 'nowhere'"),
        (JobSpec("trouble:Nothing"), "Nothing"),
        (JobSpec("trouble:Job", {"unknown": 1}), "unexpected keyword"),
    ],
)
def test_workers_that_cannot_start_are_a_line(spec, message):
    with pytest.raises(WorkError, match=message):
        outcomes(spec, workers=2)


@pytest.mark.parametrize("arguments", [{"a": object()}, {"a": float("nan")}, {"a": b"x"}])
def test_arguments_are_plain(arguments):
    with pytest.raises((TypeError, ValueError)):
        JobSpec("trouble:Job", arguments)


def test_targets_are_names():
    with pytest.raises(ValueError):
        JobSpec("os.system('true')")


def workers_of(folder):
    return [int(path.name.removeprefix("enter").split(".")[0]) for path in folder.glob("enter*")]


def test_closing_ends_the_workers(tmp_path):
    results = run(job("slow", at=2, folder=str(tmp_path)), range(10), Local(workers=2))
    next(results)
    assert wait_until(lambda: len(workers_of(tmp_path)) == 2)
    results.close()
    assert wait_until(lambda: not any(map(alive, workers_of(tmp_path))), 5)


PARENT = """
import signal, sys
from synthkit.execution import JobSpec, Local, run
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may ignore it, and that is inherited
job = JobSpec("trouble:Job", {"mode": "slow", "at": 1, "folder": sys.argv[1]})
for outcome in run(job, range(2), Local(workers=2)):
    print(outcome, flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, how):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(JOBS), *filter(None, sys.path)])}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert wait_until(lambda: len(workers_of(tmp_path)) == 2 and any(tmp_path.glob("task1-*")))
    started = time.monotonic()
    parent.send_signal(how)
    parent.wait(15)
    assert time.monotonic() - started < 5
    assert wait_until(lambda: not any(map(alive, workers_of(tmp_path))), 5)
    parent.stdout.close()
