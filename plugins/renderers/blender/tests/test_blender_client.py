# SPDX-License-Identifier: Apache-2.0
"""Workers that misbehave: each is told apart, and the user is told what to do. No Blender here."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from synthkit.errors import WorkError
from synthkit_blender.client import PROTOCOL, WorkerClient
from synthkit_blender.config import WorkerConfig
from synthkit_blender.process import FrameFailed

PRELUDE = """
import json, struct, sys, os, time
REQUESTS, REPLIES = map(int, sys.argv[-2:])
def say(header):
    text = json.dumps(header).encode()
    os.write(REPLIES, struct.pack("<4sIQ", b"SKB1", len(text), 0) + text)
def frames(**changes):
    os.makedirs(os.environ["TMPDIR"] + "/frame-1", exist_ok=True)
    say({"type": "frames", "folder": "frame-1", "passes": [], "timings": {}, "resident_mb": 1, **changes})
HELLO = {"type": "hello", "protocol": EXPECTED, "blender": "4.5.1 LTS"}
"""


@pytest.fixture
def worker(tmp_path: Path):
    """Return a function that writes an interpreter which runs a fixed script instead of the worker."""

    def make(body: str) -> Path:
        script = tmp_path / "fake.py"
        script.write_text(PRELUDE.replace("EXPECTED", str(PROTOCOL)) + body)
        launcher = tmp_path / "python"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
        return launcher

    return make


def config(python: Path, **settings) -> WorkerConfig:
    return WorkerConfig(python=python, **{"timeout_s": 5.0, **settings})


def failure(python: Path, **settings) -> str:
    with WorkerClient(config(python, **settings)) as client, pytest.raises(FrameFailed) as caught:
        client.render({"type": "render"}, [])
    return str(caught.value)


def test_a_missing_interpreter_is_named(tmp_path):
    with WorkerClient(config(tmp_path / "none")) as client, pytest.raises(WorkError, match="none cannot be started"):
        client.render({}, [])


@pytest.mark.parametrize("program", ["none", "true", "sh", "pwd", "sleeping"])
@pytest.mark.parametrize("setting", ["python", "blender"])
def test_what_is_no_blender_is_told_with_what_to_set(setting, program, tmp_path, monkeypatch):
    monkeypatch.setattr("synthkit_blender.client.START_TIMEOUT_S", 0.5)
    sleeping = tmp_path / "sleeping"
    sleeping.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeping.chmod(0o700)
    path = shutil.which(program) or tmp_path / program
    chosen = WorkerConfig(**{setting: Path(path)})
    with WorkerClient(chosen) as client, pytest.raises(WorkError) as caught:
        client.render({}, [])
    told = str(caught.value)
    assert str(path) in told
    assert f"; set renderer.worker.{setting} to " in told
    assert "timeout_s" not in told, "that is a frame's"


def test_a_missing_worker_says_how_to_install_it(worker):
    python = worker("sys.stderr.write('No module named synthkit_blender_worker\\n'); sys.exit(1)")
    with WorkerClient(config(python)) as client, pytest.raises(WorkError, match="pip install"):
        client.render({}, [])


def test_missing_packages_are_told_from_missing_libraries(worker):
    error = {"type": "error", "kind": "packages", "message": "No module named 'bpy'"}
    with WorkerClient(config(worker(f"say({error})"))) as client, pytest.raises(WorkError) as caught:
        client.render({}, [])
    assert "'bpy'" in str(caught.value)
    assert "pip install" in str(caught.value)
    assert "apt-get" not in str(caught.value)


def test_another_missing_module_is_not_taken_for_the_worker(worker):
    python = worker("sys.stderr.write(\"ModuleNotFoundError: No module named 'zlib'\\n\"); sys.exit(1)")
    with WorkerClient(config(python)) as client, pytest.raises(WorkError, match=r"did not start.*zlib") as caught:
        client.render({}, [])
    assert "synthkit_blender_worker" not in str(caught.value)


def test_a_worker_of_another_version_is_refused(worker):
    python = worker("say({'type': 'hello', 'protocol': 1})")
    with (
        WorkerClient(config(python)) as client,
        pytest.raises(WorkError, match=rf"protocol 1, expected {PROTOCOL}.*pip install"),
    ):
        client.render({}, [])


def test_a_start_that_fails_once_is_tried_again(worker, tmp_path):
    body = f"""
import pathlib
tried = pathlib.Path({str(tmp_path / "tried")!r})
if not tried.exists():
    tried.touch()
    sys.exit("no memory left")
say(HELLO)
os.read(REQUESTS, 1 << 20)
frames(resident_mb=7)
"""
    with WorkerClient(config(worker(body))) as client:
        assert client.render({"type": "render"}, []).resident_mb == 7


@pytest.mark.parametrize(
    "answer",
    [
        'say({"type": "frames"})',
        "say([])",
        'frames(passes=[{"name": "room", "file": "room.exr", "size": [2, 2]}])',
        'frames(passes=[{"name": "room", "file": "none.exr", "size": [2, 2], "region": [0, 2, 0, 2]}])',
        "frames(passes=3)",
        "frames(timings=None)",
        'frames(folder="/etc")',
        'frames(folder="../other")',
        "frames(folder=None)",
        "os.write(REPLIES, b'not a message, though long enough')",
    ],
)
def test_an_answer_that_lacks_something_is_refused(worker, answer):
    python = worker(f"say(HELLO); os.read(REQUESTS, 1 << 20); {answer}; time.sleep(9)")
    assert "makes no sense" in failure(python)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the remedy is Debian's")
def test_missing_libraries_come_with_their_remedy(worker):
    python = worker("say({'type': 'error', 'kind': 'libraries', 'message': 'libGL.so.1: cannot open'}); sys.exit(3)")
    with WorkerClient(config(python)) as client, pytest.raises(WorkError, match=r"libGL.*apt-get install.*libgl1"):
        client.render({}, [])


def test_a_hung_worker_is_given_up(worker):
    assert "timeout_s" in failure(worker("say(HELLO); time.sleep(60)"), timeout_s=0.3)


def test_a_crash_shows_the_end_of_the_log(worker):
    python = worker("say(HELLO); sys.stderr.write('Segmentation fault in render\\n'); os._exit(11)")
    reason = failure(python)
    assert "status 11" in reason
    assert "Segmentation fault" in reason


def test_what_blender_prints_is_no_message(worker):
    body = "print('Blender 4.5.1', flush=True); say(HELLO); print('Fra:1 Mem:12.00M (Peak 13M)', flush=True); "
    with WorkerClient(config(worker(body + "os.read(REQUESTS, 1 << 20); frames(resident_mb=3)"))) as client:
        assert client.render({"type": "render"}, []).resident_mb == 3


ANSWERS = """
say(HELLO)
def exactly(count):
    taken = b""
    while len(taken) < count:
        taken += os.read(REQUESTS, count - len(taken))
    return taken
while True:
    _, text, body = struct.unpack("<4sIQ", exactly(16))
    header = json.loads(exactly(text))
    exactly(body)
    frames(resident_mb=header["number"])
"""


def test_work_is_done_while_the_worker_has_a_request(worker):
    done = []
    filled = [np.full(1 << 20, 7, np.int32)]
    with WorkerClient(config(worker(ANSWERS))) as client:
        reply = client.render({"type": "render", "number": 3}, filled, lambda: done.append(client.pid))
        assert (reply.resident_mb, done) == (3, [client.pid])


def test_no_request_gets_the_answer_to_one_that_was_given_up(worker):
    with WorkerClient(config(worker(ANSWERS))) as client:
        with pytest.raises(ZeroDivisionError):
            client.render({"type": "render", "number": 3}, [], lambda: 1 / 0)
        assert client.render({"type": "render", "number": 4}, []).resident_mb == 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_worker_that_takes_too_much_memory_is_given_up(worker):
    python = worker("say(HELLO); os.read(REQUESTS, 1 << 20); filled = bytearray(200 << 20); time.sleep(60)")
    reason = failure(python, memory_mb=150)
    assert reason == "the worker took more than worker.memory_mb=150 allows", "told once for both tries"


def test_an_older_blender_is_refused(worker):
    python = worker("say({**HELLO, 'blender': '3.4.1'})")
    with WorkerClient(config(python)) as client, pytest.raises(WorkError, match=r"is Blender 3\.4\.1; expected 4\.5"):
        client.render({}, [])


def test_a_device_that_is_not_there_stops_the_work(worker):
    error = {"type": "error", "kind": "device", "message": "no GPU that Cycles can use was found"}
    python = worker(f"say(HELLO); os.read(REQUESTS, 1 << 20); say({error}); time.sleep(9)")
    with WorkerClient(config(python)) as client, pytest.raises(WorkError, match=r"no GPU.*renderer\.device=cpu"):
        client.render({}, [])


def test_a_blender_gets_the_worker_without_installing_it(worker, tmp_path):
    # A stand-in that takes Blender's options: what follows --python-expr is run, with all arguments in sys.argv.
    body = """
at = sys.argv.index("--python-expr")
assert sys.argv[1:at] == ["--background", "--factory-startup", "--python-exit-code", "3"], sys.argv
assert sys.argv[at + 2] == "--"
code = sys.argv[at + 1]
assert "sys.path.insert" in code and "synthkit_blender_worker.__main__" in code
import types
module = types.ModuleType("synthkit_blender_worker.__main__")
def main(arguments):
    assert list(map(int, arguments)) == [os.getppid(), REQUESTS, REPLIES]
    say(HELLO)
    os.read(REQUESTS, 1 << 20)
    frames(resident_mb=5)
    time.sleep(9)
module.main = main
sys.modules["synthkit_blender_worker"] = types.ModuleType("synthkit_blender_worker")
sys.modules["synthkit_blender_worker.__main__"] = module
exec(code)
"""
    with WorkerClient(WorkerConfig(blender=worker(body), timeout_s=5)) as client:
        assert client.render({"type": "render"}, []).resident_mb == 5


def test_python_and_blender_together_are_refused():
    with pytest.raises(ValueError, match="python or blender"):
        WorkerConfig(python=Path("a"), blender=Path("b"))


def test_an_error_of_blender_is_told(worker):
    error = "say({'type': 'error', 'kind': 'render', 'message': 'out of memory'})"
    python = worker(f"say(HELLO); {error}; time.sleep(9)")
    assert "out of memory" in failure(python)


TEMPORARY = """
import tempfile
open(tempfile.mkdtemp() + "/frame.exr", "w").close()
say(HELLO)
while os.read(REQUESTS, 1 << 20):
    frames()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch) -> Path:
    """Return the folder where temporary files go during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_stopped_or_recycled_worker_leaves_no_files(worker, temporary):
    with WorkerClient(config(worker(TEMPORARY), recycle_after=1)) as client:
        client.render({"type": "render"}, [])
        (first,) = temporary.iterdir()
        assert list(first.glob("*/frame.exr"))
        client.render({"type": "render"}, [])
        (second,) = temporary.iterdir()
        assert second != first
    assert not list(temporary.iterdir())
    with WorkerClient(config(temporary / "none")) as client, pytest.raises(WorkError):
        client.render({}, [])
    assert not list(temporary.iterdir())


def test_the_next_start_removes_what_a_killed_process_left(worker, temporary):
    python = worker(TEMPORARY)
    code = f"""
        import sys, tempfile
        tempfile.tempdir = {str(temporary)!r}
        from pathlib import Path
        from synthkit_blender.client import WorkerClient
        from synthkit_blender.config import WorkerConfig
        client = WorkerClient(WorkerConfig(python=Path({str(python)!r})))
        client.render({{"type": "render"}}, [])
        print(client.pid, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with WorkerClient(config(python)) as client:
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
