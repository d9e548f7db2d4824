# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all, folders with one writer, and a full disk told plainly."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from synthkit.errors import DatasetError, WorkError

TEMPORARY_SUFFIX = ".tmp"
_SCRATCH_PREFIX = "synthkit-upload-"
_ABANDONED_S = 60.0

_OBSTACLES = {
    errno.EACCES,
    errno.EEXIST,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while writing below ``path`` into a line for the user.

    Raises:
        DatasetError: when writing is not possible there. WorkError: when the disk failed or is full.
    """
    try:
        yield
    except OSError as error:
        hidden = str(error.filename or "").endswith(TEMPORARY_SUFFIX)
        place = path if hidden else error.filename or path
        reason = error.strerror or str(error)
        if error.errno in _OBSTACLES:
            raise DatasetError(f"{place}: cannot be written: {reason}") from None
        raise WorkError(
            f"{place}: cannot be written: {reason}; what is finished is kept: make room and run the same again"
        ) from None


def write_atomically(path: Path, chunks: Iterable[bytes], *, durable: bool = True) -> None:
    """Write a file under a temporary name and rename it; with ``durable`` it then survives a power cut.

    On any failure the temporary file is removed and the old file, if there was one, is untouched.
    """
    # Processes of two machines that share a folder may have equal numbers.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}{TEMPORARY_SUFFIX}")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


@contextlib.contextmanager
def scratch_file() -> Iterator[Path]:
    """Have a temporary file, which goes when it is left; what killed processes left of theirs goes first."""
    parent = Path(tempfile.gettempdir())
    for old in parent.glob(f"{_SCRATCH_PREFIX}*"):
        with contextlib.suppress(OSError, DatasetError):  # another user's, or somebody writes it
            if time.time() - old.stat().st_mtime > _ABANDONED_S:  # who has just made one has not locked it yet
                with contextlib.closing(FolderLock(old)):
                    old.unlink()
    with disk_errors(parent):
        descriptor, name = tempfile.mkstemp(prefix=_SCRATCH_PREFIX)
        os.close(descriptor)
        lock = FolderLock(Path(name))
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        lock.close()


def remove(path: Path) -> None:
    """Remove a file, if it is there, and make that durable."""
    with disk_errors(path):
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if they are missing; the names made so survive a power cut."""
    missing = [folder, *folder.parents]
    while len(missing) > 1 and missing[-1].exists():
        missing.pop()
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        with contextlib.suppress(PermissionError):  # one may write below a folder that one may not read
            sync_folder(made.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_temporaries(folder: Path, name: str | None = None) -> None:
    """Remove what killed calls of ``write_atomically`` left half-written in a folder: of all files, or of one.

    In a folder that may hold somebody else's files, give the ``name``.
    """
    leftover = re.compile(
        rf"\.{'.+' if name is None else re.escape(name)}\.\d+(\.[0-9a-f]{{8}})?{re.escape(TEMPORARY_SUFFIX)}"
    )
    with disk_errors(folder):
        for path in list(folder.iterdir()):
            if leftover.fullmatch(path.name):
                path.unlink(missing_ok=True)


class FolderLock:
    """The right to write in a folder (or a file), held by one process until it closes the lock or ends.

    The folder itself is locked, so nothing is left behind.

    Raises:
        DatasetError: when another process holds it. OSError: when the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl  # not on every platform

        self._descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise DatasetError(
                f"{folder}: another process is writing there; wait for it or choose another folder"
            ) from None
        except OSError:  # a file system without locks
            self.close()
            raise

    def close(self) -> None:
        """Give the folder back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
