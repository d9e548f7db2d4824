# SPDX-License-Identifier: Apache-2.0
"""A worker process: ``python -m synthkit._worker SOCKET PARENT``; it ends when its parent does.

The first message is the job, each further one a task. Standard output belongs to whatever the job
prints; messages cross the socket alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from typing import Any

from synthkit.execution.channel import Unpacker, pack
from synthkit.execution.jobs import JobSpec, error_to_plain, with_steps

_PR_SET_PDEATHSIG = 1
_CHUNK_BYTES = 1 << 16


def main(descriptor: int, parent: int) -> None:
    """Serve one parent until it closes the socket."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    with socket.socket(fileno=descriptor) as channel:
        state = _State(channel)
        threading.Thread(target=state.listen, daemon=True).start()
        job = state.inbox.get()
        if job is not None:
            _serve(state, JobSpec(job["target"], job["arguments"]))


class _State:
    """What the listening thread and the working one share."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.busy = False

    def listen(self) -> None:
        """Queue messages; at the end of them finish, or, in the middle of a task, end at once."""
        unpacker = Unpacker()
        while True:
            try:
                data = self.channel.recv(_CHUNK_BYTES)
            except OSError:
                data = b""
            if not data:
                break
            for message in unpacker.feed(data):
                self.inbox.put(message)
        if self.busy:
            os._exit(1)  # nobody waits for the result, and files are written whole or not at all
        self.inbox.put(None)

    def send(self, message: bytes) -> None:
        """Send a packed message; a parent that is gone is no error of ours."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.channel.sendall(message)


def _serve(state: _State, spec: JobSpec) -> None:
    state.busy = True
    with contextlib.ExitStack() as stack:
        try:
            job = stack.enter_context(spec.build())
        except Exception as error:  # whatever it is, the parent must hear of it
            state.send(pack({"unusable": error_to_plain(error)}))
            return
        state.busy = False
        state.send(pack({"ready": True}))
        while (message := state.inbox.get()) is not None:
            state.busy = True
            answer = _answer(state, job, message["task"])
            state.busy = False
            state.send(answer)


def _answer(state: _State, job: Any, task: int) -> bytes:
    try:
        result = with_steps(job, task, lambda done: state.send(pack({"task": task, "step": done})))
        return pack({"task": task, "result": result})
    except Exception as error:  # one task's mistake must not end the others
        return pack({"task": task, "error": error_to_plain(error)})


def _die_with(parent: int) -> None:
    """End when the parent does, even in the middle of native code that never returns (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that native code's prints go where its errors go
    main(int(sys.argv[1]), int(sys.argv[2]))
