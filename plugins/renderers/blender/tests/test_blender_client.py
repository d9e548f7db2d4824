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

HELLO = """
import json, struct, sys, os, time
def say(header):
    text = json.dumps({**header, "arrays": []}).encode()
    os.write(1, struct.pack("<4sIQ", b"SKB1", len(text), 0) + text)
"""


@pytest.fixture
def worker(tmp_path: Path):
    """Return a function that writes an interpreter which runs a fixed script instead of the worker."""

    def make(body: str) -> Path:
        script = tmp_path / "fake.py"
        script.write_text(HELLO + body)
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the remedy is Debian's")
def test_missing_libraries_come_with_their_remedy(worker):
    python = worker("say({'type': 'error', 'kind': 'libraries', 'message': 'libGL.so.1: cannot open'}); sys.exit(3)")
    with WorkerClient(python, 5, 5) as client, pytest.raises(WorkError, match=r"libGL.*apt-get install.*libgl1"):
        client.render({}, [])


def test_a_hung_worker_is_given_up(worker):
    assert "timeout_s" in failure(worker("say({'type': 'hello'}); time.sleep(60)"), timeout_s=0.3)


def test_a_crash_shows_the_end_of_the_log(worker):
    python = worker("say({'type': 'hello'}); sys.stderr.write('Segmentation fault in render\\n'); os._exit(11)")
    reason = failure(python)
    assert "status 11" in reason
    assert "Segmentation fault" in reason


def test_prints_instead_of_messages_are_refused(worker):
    python = worker("say({'type': 'hello'}); print('Fra:1 Mem:12.00M (Peak 13M)', flush=True)")
    assert "makes no sense" in failure(python)


def test_an_error_of_blender_is_told(worker):
    error = "say({'type': 'error', 'kind': 'render', 'message': 'out of memory'})"
    python = worker(f"say({{'type': 'hello'}}); {error}; time.sleep(9)")
    assert "out of memory" in failure(python)


TEMPORARY = """
import tempfile
open(tempfile.mkdtemp() + "/frame.exr", "w").close()
say({"type": "hello"})
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
