# SPDX-License-Identifier: Apache-2.0
"""Where on this machine what can be made again is kept, and what is not finished waits."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder for what can be made again: ``$SYNTHKIT_CACHE``, or the user's cache folder."""
    given = os.environ.get("SYNTHKIT_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthkit"


def scratch_dir() -> Path:
    """Return where what goes to a URL waits until its shard is whole."""
    return cache_dir() / "unfinished"
