# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve render requests until the pipe ends: ``python -m synthkit_blender_worker PARENT_PID REQUESTS REPLIES``.

The last two are the descriptors of inherited pipes: Blender prints to its standard output whenever it likes.
Replies: ``hello`` once Blender is loaded, ``frames`` per request, ``error`` with ``kind`` ``libraries`` (the
system lacks them), ``packages`` (Python does), ``device``, ``request`` or ``render``.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import BinaryIO

from synthkit_blender_worker import PROTOCOL, __version__
from synthkit_blender_worker.process import die_with_parent, resident_mb
from synthkit_blender_worker.wire import read_message, write_message


def serve(requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer requests in order; return the exit status."""
    try:
        import bpy

        from synthkit_blender_worker.devices import NoDeviceError
        from synthkit_blender_worker.frames import render
    except ImportError as error:
        kind = "libraries" if "shared object" in str(error) else "packages"
        write_message(replies, {"type": "error", "kind": kind, "message": str(error)})
        return 3
    hello = {"type": "hello", "protocol": PROTOCOL, "worker": __version__, "blender": bpy.app.version_string}
    write_message(replies, hello)
    while (message := read_message(requests)) is not None:
        try:
            reply = render(*message)
        except NoDeviceError as error:
            write_message(replies, {"type": "error", "kind": "device", "message": str(error)})
        except (KeyError, IndexError, TypeError, ValueError) as error:
            traceback.print_exc()
            write_message(replies, {"type": "error", "kind": "request", "message": repr(error)})
        except (RuntimeError, OSError, MemoryError) as error:
            traceback.print_exc()
            write_message(replies, {"type": "error", "kind": "render", "message": repr(error)})
        else:
            write_message(replies, {"type": "frames", **reply, "resident_mb": resident_mb()})
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run the worker on the pipes it was given."""
    parent_pid, requests, replies = map(int, arguments)
    die_with_parent(parent_pid)
    try:
        return serve(os.fdopen(requests, "rb"), os.fdopen(replies, "wb"))
    except BrokenPipeError:
        return 0  # the parent is gone; there is nobody to tell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
