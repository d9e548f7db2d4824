# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes this a good child: its own pipe, quiet native code, and death with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import BinaryIO

PR_SET_PDEATHSIG = 1


def private_pipe() -> tuple[BinaryIO, BinaryIO]:
    """Return (requests, replies) and turn stdin and stdout away, for native code prints to them."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def die_with_parent(parent_pid: int | None) -> None:
    """Ask the kernel to end this process with its parent (Linux; elsewhere the pipe's end does it)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_pid is not None and os.getppid() != parent_pid:
        os._exit(0)  # the parent was gone before the request reached the kernel


def resident_mb() -> float:
    """Return this process's resident memory in MB, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a kernel file
            pages = int(file.read().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
