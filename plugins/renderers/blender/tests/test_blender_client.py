# SPDX-License-Identifier: Apache-2.0
"""Workers that misbehave: each is told apart, and the user is told what to do. No Blender here."""

from __future__ import annotations

import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from synthkit.errors import WorkError
from synthkit_blender.client import FrameFailed, WorkerClient

PRELUDE = """
import json, struct, sys, os, time
def say(header):
    text = json.dumps({**header, "arrays": []}).encode()
    os.write(1, struct.pack("<4sIQ", b"SKB1", len(text), 0) + text)
HELLO = {"type": "hello", "protocol": 4}
"""


@pytest.fixture
def worker(tmp_path: Path):
    """Return a function that writes an interpreter which runs a fixed script instead of the worker."""

    def make(body: str) -> Path:
        script = tmp_path / "fake.py"
        script.write_text(PRELUDE + body)
        launcher = tmp_path / "python"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}"\n')
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
        return launcher

    return make


def failure(python: Path, timeout_s: float = 5.0) -> str:
    with WorkerClient(python, timeout_s, 500) as client, pytest.raises(FrameFailed) as caught:
        client.render({"type": "render"}, [])
    return str(caught.value)


def test_a_missing_interpreter_is_named(tmp_path):
    with WorkerClient(tmp_path / "none", 5, 5) as client, pytest.raises(WorkError, match="none cannot be started"):
        client.render({}, [])


def test_a_missing_worker_says_how_to_install_it(worker):
    python = worker("sys.stderr.write('No module named synthkit_blender_worker\\n'); sys.exit(1)")
    with WorkerClient(python, 5, 5) as client, pytest.raises(WorkError, match="pip install"):
        client.render({}, [])


def test_missing_packages_are_told_from_missing_libraries(worker):
    error = {"type": "error", "kind": "packages", "message": "No module named 'bpy'"}
    with WorkerClient(worker(f"say({error})"), 5, 5) as client, pytest.raises(WorkError) as caught:
        client.render({}, [])
    assert "'bpy'" in str(caught.value)
    assert "pip install" in str(caught.value)
    assert "apt-get" not in str(caught.value)


def test_another_missing_module_is_not_taken_for_the_worker(worker):
    python = worker("sys.stderr.write(\"ModuleNotFoundError: No module named 'zlib'\\n\"); sys.exit(1)")
    with WorkerClient(python, 5, 5) as client, pytest.raises(WorkError, match=r"did not start.*zlib") as caught:
        client.render({}, [])
    assert "synthkit_blender_worker" not in str(caught.value)


def test_a_worker_of_another_version_is_refused(worker):
    python = worker("say({'type': 'hello', 'protocol': 1})")
    with WorkerClient(python, 5, 5) as client, pytest.raises(WorkError, match=r"protocol 1, expected 4.*pip install"):
        client.render({}, [])


def test_a_start_that_fails_once_is_tried_again(worker, tmp_path):
    body = f"""
import pathlib
tried = pathlib.Path({str(tmp_path / "tried")!r})
if not tried.exists():
    tried.touch()
    sys.exit("no memory left")
say(HELLO)
os.read(0, 1 << 20)
say({{"type": "frames", "passes": [], "timings": {{}}, "resident_mb": 7}})
"""
    with WorkerClient(worker(body), 5, 5) as client:
        assert client.render({"type": "render"}, []).resident_mb == 7


@pytest.mark.parametrize(
    "reply",
    [
        {"type": "frames"},
        {"type": "frames", "passes": [{"name": "room", "layers": ["color"]}], "timings": {}, "resident_mb": 1},
        {"type": "frames", "passes": 3, "timings": {}, "resident_mb": 1},
        {"type": "frames", "passes": [], "timings": None, "resident_mb": 1},
    ],
)
def test_an_answer_that_lacks_something_is_refused(worker, reply):
    python = worker(f"say(HELLO); os.read(0, 1 << 20); say({reply}); time.sleep(9)")
    assert "makes no sense" in failure(python)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the remedy is Debian's")
def test_missing_libraries_come_with_their_remedy(worker):
    python = worker("say({'type': 'error', 'kind': 'libraries', 'message': 'libGL.so.1: cannot open'}); sys.exit(3)")
    with WorkerClient(python, 5, 5) as client, pytest.raises(WorkError, match=r"libGL.*apt-get install.*libgl1"):
        client.render({}, [])


def test_a_hung_worker_is_given_up(worker):
    assert "timeout_s" in failure(worker("say(HELLO); time.sleep(60)"), timeout_s=0.3)


def test_a_crash_shows_the_end_of_the_log(worker):
    python = worker("say(HELLO); sys.stderr.write('Segmentation fault in render\\n'); os._exit(11)")
    reason = failure(python)
    assert "status 11" in reason
    assert "Segmentation fault" in reason


def test_prints_instead_of_messages_are_refused(worker):
    python = worker("say(HELLO); print('Fra:1 Mem:12.00M (Peak 13M)', flush=True)")
    assert "makes no sense" in failure(python)


def test_an_error_of_blender_is_told(worker):
    error = "say({'type': 'error', 'kind': 'render', 'message': 'out of memory'})"
    python = worker(f"say(HELLO); {error}; time.sleep(9)")
    assert "out of memory" in failure(python)


TEMPORARY = """
import tempfile
open(tempfile.mkdtemp() + "/frame.exr", "w").close()
say(HELLO)
while os.read(0, 1 << 20):
    say({"type": "frames", "passes": [], "timings": {}, "resident_mb": 1})
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch) -> Path:
    """Return the folder where temporary files go during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_stopped_or_recycled_worker_leaves_no_files(worker, temporary):
    with WorkerClient(worker(TEMPORARY), 5, recycle_after=1) as client:
        client.render({"type": "render"}, [])
        (first,) = temporary.iterdir()
        assert list(first.glob("*/frame.exr"))
        client.render({"type": "render"}, [])
        (second,) = temporary.iterdir()
        assert second != first
    assert not list(temporary.iterdir())
    with WorkerClient(temporary / "none", 5, 5) as client, pytest.raises(WorkError):
        client.render({}, [])
    assert not list(temporary.iterdir())


def test_the_next_start_removes_what_a_killed_process_left(worker, temporary):
    python = worker(TEMPORARY)
    code = f"""
        import sys, tempfile
        tempfile.tempdir = {str(temporary)!r}
        from pathlib import Path
        from synthkit_blender.client import WorkerClient
        client = WorkerClient(Path({str(python)!r}), 5, 5)
        client.render({{"type": "render"}}, [])
        print(client.pid, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with WorkerClient(python, 5, 5) as client:
        parent.stdout.readline()
        (left,) = temporary.iterdir()
        client.render({"type": "render"}, [])
        assert left.is_dir(), "a living worker keeps its folder"
        client.stop()
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while left.is_dir() and time.monotonic() < deadline:
            client.render({"type": "render"}, [])
            client.stop()
    assert not list(temporary.iterdir())
