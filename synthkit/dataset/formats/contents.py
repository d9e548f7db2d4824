# SPDX-License-Identifier: Apache-2.0
"""What is in the files of a set, as hashes: with another content it is another set, whatever its names and sizes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import attrs
import numpy as np

from synthkit.errors import DatasetError
from synthkit.interfaces import Progress, silent

_STAGE = "hash"
_THREADS = 4  # hashing is faster than most disks; several reads under way keep those busy
_BATCH = 256  # files asked for at once


class LabelHash:
    """The sha256 of a set's label files, each with its name below the set's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digest = hashlib.sha256()

    def add(self, path: Path, data: bytes) -> None:
        """Take a file and what is in it."""
        self.add_text(os.path.relpath(path, self._folder))
        self._digest.update(hashlib.sha256(data).digest())

    def add_text(self, text: str) -> None:
        """Take something else that decides about samples."""
        self._digest.update(text.encode(errors="surrogateescape") + b"\0")

    def hexdigest(self) -> str:
        """Return the hash of all that was taken, in order."""
        return self._digest.hexdigest()


@attrs.frozen(eq=False)
class Contents:
    """Files as they were when they were hashed.

    Args:
        sha256: of all contents, in order.
    """

    sha256: str
    _paths: Sequence[Path]
    _stamps: np.ndarray[tuple[int, int], np.dtype[np.int64]]

    @classmethod
    def of(cls, paths: Sequence[Path], progress: Progress = silent) -> Self:
        """Read and hash files.

        Raises:
            DatasetError: naming one that cannot be read.
        """
        stamps = np.array([_stamp(path) for path in paths], np.int64).reshape(-1, 2)
        digest = hashlib.sha256()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="hash") as pool:
            for start in range(0, len(paths), _BATCH):
                progress(_STAGE, start, len(paths))
                for one in pool.map(_sha256, paths[start : start + _BATCH]):
                    digest.update(one)
        progress(_STAGE, len(paths), len(paths))
        return cls(digest.hexdigest(), paths, stamps)

    def changed(self) -> Path | None:
        """Return a file whose size or time of change is another one since, or that is gone; None when none is."""
        for path, stamp in zip(self._paths, self._stamps, strict=True):
            try:
                if _stamp(path) != tuple(stamp):
                    return path
            except DatasetError:
                return path
        return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    return status.st_size, status.st_mtime_ns


def _sha256(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
