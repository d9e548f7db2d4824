# SPDX-License-Identifier: Apache-2.0
"""Metrics' states in the cache, so that what was observed once is not observed again."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import attrs
import numpy as np

from synthkit.dataset import storage
from synthkit.interfaces import State


@attrs.frozen
class StateCache:
    """States by the fingerprints of what they depend on."""

    folder: Path

    def get(self, identity: str) -> State | None:
        """Return the state that is kept by an identity, None where there is none that can be read."""
        try:
            with np.load(self._path(identity), allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def put(self, identity: str, state: State) -> None:
        """Keep a state."""
        buffer = io.BytesIO()
        np.savez(buffer, **state)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage.write_atomically(self._path(identity), [buffer.getvalue()], durable=False)

    def _path(self, identity: str) -> Path:
        return self.folder / f"{identity}.npz"
