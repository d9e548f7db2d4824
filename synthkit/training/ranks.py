# SPDX-License-Identifier: Apache-2.0
"""Which of the processes that torchrun started this is; a light module, as all commands look at it."""

from __future__ import annotations

import os


def size() -> int:
    """Return how many processes train together: those that torchrun started, or 1."""
    return int(os.environ["WORLD_SIZE"]) if "RANK" in os.environ and "WORLD_SIZE" in os.environ else 1


def rank() -> int:
    """Return which one this is; the first, 0, alone writes and speaks."""
    return int(os.environ["RANK"]) if size() > 1 else 0


def local_rank() -> int:
    """Return which one this is on its machine: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", rank())) if size() > 1 else 0
