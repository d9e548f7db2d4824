# SPDX-License-Identifier: Apache-2.0
"""Metrics' states in the cache, so that what was observed once is not observed again."""

from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path

import attrs
import numpy as np

from synthkit.dataset import storage
from synthkit.errors import SynthkitError
from synthkit.interfaces import State

_log = logging.getLogger(__name__)


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
        """Keep a state; one that cannot be written is not kept, and that is told."""
        buffer = io.BytesIO()
        np.savez(buffer, **state)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            storage.write_atomically(self._path(identity), [buffer.getvalue()], durable=False)
        except (OSError, SynthkitError) as error:
            _log.warning("what was measured is not kept for another time: %s", error)

    def _path(self, identity: str) -> Path:
        return self.folder / f"{identity}.npz"
