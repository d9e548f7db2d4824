# SPDX-License-Identifier: Apache-2.0
"""A folder of named array tables that are dear to compute, keyed by a digest of what they came from."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Table = dict[str, NDArray[Any]]


class ArrayCache:
    """Tables of arrays as `NAME-DIGEST.npz` in `folder`; with no folder nothing is kept.

    Files appear under their final name only when complete, so processes may share a folder.  A damaged file is
    computed afresh.
    """

    def __init__(self, folder: Path | None, digest: str) -> None:
        self._folder = folder
        self._digest = digest
        self.enabled = folder is not None

    def get(self, name: str, compute: Callable[[], Table]) -> Table:
        """Return the table of that name, computing and keeping it where it is not there yet."""
        if self._folder is None:
            return compute()
        path = self._folder / f"{name}-{self._digest}.npz"
        if path.is_file():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    return {key: stored[key] for key in stored.files}
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
        table = compute()
        self._write(path, table)
        return table

    def _write(self, path: Path, table: Table) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez(stream, **table)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
