# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve render requests until the pipe ends: ``python -m synthkit_blender_worker [PARENT_PID]``.

Replies: ``hello`` once Blender is loaded, ``frames`` per request, ``error`` with ``kind`` ``libraries`` (the
system lacks them), ``packages`` (Python does), ``request`` or ``render``.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any, BinaryIO

from synthkit_blender_worker import PROTOCOL, __version__
from synthkit_blender_worker.process import die_with_parent, private_pipe, resident_mb
from synthkit_blender_worker.wire import read_message, write_message


def serve(requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer requests in order; return the exit status."""
    try:
        import bpy

        from synthkit_blender_worker.frames import render
    except ImportError as error:
        kind = "libraries" if "shared object" in str(error) else "packages"
        write_message(replies, {"type": "error", "kind": kind, "message": str(error)})
        return 3
    hello = {"type": "hello", "protocol": PROTOCOL, "worker": __version__, "blender": bpy.app.version_string}
    write_message(replies, hello)
    while (message := read_message(requests)) is not None:
        header, arrays = message
        try:
            reply: dict[str, Any]
            reply, results = render(header, arrays)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            traceback.print_exc()
            write_message(replies, {"type": "error", "kind": "request", "message": repr(error)})
        except (RuntimeError, OSError, MemoryError) as error:
            traceback.print_exc()
            write_message(replies, {"type": "error", "kind": "render", "message": repr(error)})
        else:
            write_message(replies, {"type": "frames", **reply, "resident_mb": resident_mb()}, results)
    return 0


def main() -> int:
    """Run the worker on the process's own stdin and stdout."""
    die_with_parent(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    requests, replies = private_pipe()
    try:
        return serve(requests, replies)
    except BrokenPipeError:
        return 0  # the parent is gone; there is nobody to tell


if __name__ == "__main__":
    sys.exit(main())
