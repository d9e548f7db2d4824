# SPDX-License-Identifier: Apache-2.0
"""Metrics' states in the cache, so that what was observed once is not observed again."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from synthkit import config
from synthkit.dataset import storage
from synthkit.interfaces import State


@attrs.frozen
class StateCache:
    """States by what they depend on; ones that cannot be read are made again."""

    folder: Path

    def get(self, identity: Mapping[str, Any], observe: Callable[[], State]) -> State:
        """Return the state of an identity, plain JSON: the one that is kept, or else what ``observe`` returns."""
        path = self.folder / f"{config.fingerprint(identity)}.npz"
        kept = _read(path)
        if kept is not None:
            return kept
        state = observe()
        buffer = io.BytesIO()
        np.savez(buffer, **state)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage.write_atomically(path, [buffer.getvalue()], durable=False)
        return state


def _read(path: Path) -> State | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
