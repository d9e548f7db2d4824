# SPDX-License-Identifier: Apache-2.0
"""Temporary folders that are gone when their process is, however it ended."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "synthkit-blender-"


class ScratchFolder:
    """A new temporary folder, locked while this process, or one that inherits ``handle``, lives.

    A process that is killed cannot tidy up; so each new folder starts by removing those that nobody has locked.

    ``path`` is the folder and ``handle`` the descriptor that holds its lock, to be handed to a child.
    """

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self.handle = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self.handle, fcntl.LOCK_EX)
            if self.path.is_dir():
                return
            os.close(self.handle)  # somebody swept it before the lock was on it

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.handle)


def _sweep(parent: Path) -> None:
    """Remove the folders that ended processes left behind; those of other users stay."""
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its process is alive
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)
