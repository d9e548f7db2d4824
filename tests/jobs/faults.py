# SPDX-License-Identifier: Apache-2.0
"""A disk that fails where it is told to: every call that changes files is counted, and any may go wrong.

What is below the root is also kept in a model of what a power cut would leave: a file's bytes are safe once
they are synced, a name once its folder is; of the rest anything may survive.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
from pathlib import Path

FOLDER = object()
_REAL = {
    name: getattr(os, name)
    for name in ("open", "fsync", "replace", "unlink", "mkdir", "rmdir", "pread", "listdir", "scandir")
}
_REAL_OPEN = io.open


class File:
    """A file's bytes as written, and as synced."""

    def __init__(self, data=b"", synced=None):
        self.data, self.synced = bytearray(data), synced


class _Raw(io.FileIO):
    def __init__(self, disk, path):
        super().__init__(path, "wb")
        self.disk, self.file = disk, File()

    def write(self, data):
        data = self.disk.before("write", data)
        written = super().write(data)
        self.file.data += bytes(data[:written])
        return written


class Disk:
    """Replaces the calls by which Python changes files, while it is entered.

    Args:
        root: what lies below it is modelled.
        fault: called with (number, operation, data) before each call that changes something; it may raise,
            kill the process, or return fewer data to be written.
        reading: called likewise before each call that reads.
    """

    def __init__(self, root, fault=None, reading=None):
        self.root, self.fault, self.reading = Path(root), fault, reading
        self.calls = self.reads = 0
        self.live = {path: FOLDER if path.is_dir() else _stable(path) for path in sorted(self.root.rglob("*"))}
        self.durable = dict(self.live)
        self._descriptors = {}

    def __enter__(self):
        io.open = self._open
        for name in ("fsync", "replace", "unlink", "mkdir", "rmdir"):
            setattr(os, name, getattr(self, f"_{name}"))
        os.open = self._os_open
        for name in ("pread", "listdir", "scandir"):
            setattr(os, name, self._read_call(_REAL[name]))
        return self

    def __exit__(self, *_):
        io.open = _REAL_OPEN
        for name, real in _REAL.items():
            setattr(os, name, real)

    def before(self, operation, data=None):
        self.calls += 1
        shorter = self.fault(self.calls, operation, data) if self.fault else None
        return data if shorter is None else shorter

    def power_cut(self, target, luck, *, least=False):
        """Write what a power cut would leave into a folder; ``least``: only what must be there."""
        kept = {}
        for path in {*self.durable, *self.live}:
            was, now = self.durable.get(path), self.live.get(path)
            kept[path] = was if least or luck.random() < 0.5 else now
        for path, thing in sorted(kept.items()):
            place = Path(target) / path.relative_to(self.root)
            if thing is None or not place.parent.is_dir():
                continue
            if thing is FOLDER:
                _REAL["mkdir"](place)
            else:
                with _REAL_OPEN(place, "wb") as file:
                    file.write(_torn(thing, luck, least))

    def _below(self, path):
        return Path(path).is_relative_to(self.root)

    def _open(self, path, mode="r", *args, **kwargs):
        if "w" not in mode or isinstance(path, int) or not self._below(path):
            self._about_to_read(path)
            return _REAL_OPEN(path, mode, *args, **kwargs)
        self.before("open")
        raw = _Raw(self, path)
        self.live[Path(path)] = self._descriptors[raw.fileno()] = raw.file
        return io.BufferedWriter(raw)

    def _os_open(self, path, *args, **kwargs):
        descriptor = _REAL["open"](path, *args, **kwargs)
        self._descriptors[descriptor] = Path(path)
        return descriptor

    def _fsync(self, descriptor):  # the model is what counts: nothing is really synced, which would take long
        self.before("fsync")
        thing = self._descriptors[descriptor]
        if isinstance(thing, File):
            thing.synced = bytes(thing.data)
            return
        for path in [path for path in {*self.durable, *self.live} if path.parent == thing]:
            self.durable[path] = self.live.get(path)

    def _replace(self, old, new):
        self.before("replace")
        _REAL["replace"](old, new)
        self.live[Path(new)] = self.live.pop(Path(old), None)

    def _unlink(self, path, **kwargs):
        self.before("unlink")
        _REAL["unlink"](path, **kwargs)
        self.live.pop(Path(path), None)

    def _mkdir(self, path, *args, **kwargs):
        self.before("mkdir")
        _REAL["mkdir"](path, *args, **kwargs)
        self.live[Path(path)] = FOLDER

    def _rmdir(self, path, **kwargs):
        self.before("rmdir")
        _REAL["rmdir"](path, **kwargs)
        self.live.pop(Path(path), None)

    def _read_call(self, real):
        def call(path, *args, **kwargs):
            self._about_to_read(path)
            return real(path, *args, **kwargs)

        return call

    def _about_to_read(self, path):
        path = self._descriptors.get(path) if isinstance(path, int) else path
        if isinstance(path, File) or path is None or not self._below(path):
            return
        self.reads += 1
        if self.reading:
            self.reading(self.reads)


def _stable(path):
    data = path.read_bytes()
    return File(data, data)


def _torn(file, luck, least):
    if file.synced == bytes(file.data):
        return file.synced
    if least:
        return file.synced or b""
    data = bytes(file.data)
    return luck.choice([b"", data[: luck.randrange(len(data) + 1)], bytes(len(data)), data])


def in_a_child(work):
    """Run something in a child process; return its exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 3
    with contextlib.suppress(BaseException):
        work()
        status = 0
    os._exit(status)


def die():
    """End this process as nothing can prevent."""
    os.kill(os.getpid(), signal.SIGKILL)
