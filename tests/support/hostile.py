# SPDX-License-Identifier: Apache-2.0
"""Running hostile inputs: in a process that has so much memory and time, and changed at random."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MEMORY_BYTES = 1 << 30  # beyond what the process has; three pictures of 80 million pixels are 720 MB
SECONDS = 20  # for one case; the slowest takes one or two where nothing else runs


def bounded(work):
    """Run in a child that has so much memory and time; return what went wrong there, None when nothing did."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read().decode()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return said or (f"ended with {status}" if status else None)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    try:
        work()
    except BaseException:
        os.write(write, traceback.format_exc()[-3000:].encode())
    os._exit(0)


def attack(target, cases):
    """Run a target on cases by name, each in so many seconds, and name the one that fails."""
    for case, data in cases.items():
        signal.alarm(SECONDS)  # ends the process
        try:
            target(data)
        except BaseException as error:
            raise AssertionError(case) from error
    signal.alarm(0)


@st.composite
def harmed(draw, cases):
    """Return one of some inputs with a few changes."""
    data = bytearray(draw(st.sampled_from(cases)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        end = place + draw(st.integers(0, 16))
        kind = draw(st.sampled_from(["flip", "write", "cut", "double", "splice"]))
        if kind == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "write":
            data[place:end] = draw(st.binary(max_size=16))
        elif kind == "cut":
            del data[place:end]
        elif kind == "double":
            data[place:place] = data[place:end]
        elif kind == "splice":
            data[place:] = draw(st.sampled_from(cases))[place:]
    return bytes(data)


def check_harmed(target, cases, examples):
    """Run a target on so many changed cases, of those that are not large."""
    small = sorted((data for data in cases.values() if len(data) < 60_000), key=lambda data: (len(data), data))

    @given(harmed(small))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def check(data):
        target(data)

    check()
