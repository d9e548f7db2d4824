# SPDX-License-Identifier: Apache-2.0
"""What settings may be: validators shared by the areas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from synthkit.config import Validator, all_of, between, ordered

Range = tuple[float, float]


def within(low: float, high: float) -> Validator:
    """Return a validator for (low, high) pairs inside limits."""
    return all_of(ordered, between(low, high))


def counts(_: Any, __: Any, value: tuple[int, int]) -> None:
    """Validate the least and the most of something."""
    if not 0 <= value[0] <= value[1] <= 20:
        raise ValueError(f"must be (least, most) with 0 <= least <= most <= 20, got {value}")


def at_most(count: int, what: str) -> Validator:
    """Return a validator for lists of at most so many of something."""

    def check(_: Any, __: Any, value: tuple[Any, ...]) -> None:
        if len(value) > count:
            raise ValueError(f"must have at most {count} {what}, got {len(value)}")

    return check


def a_folder(_: Any, __: Any, value: Path | None) -> None:
    """Validate that a folder is there."""
    if value is not None and not _there(value.is_dir):
        raise ValueError(f"{value} is no folder")


def a_file(_: Any, __: Any, value: Path | None) -> None:
    """Validate that a file is there."""
    if value is not None and not _there(value.is_file):
        raise ValueError(f"{value} is no file")


def _there(look: Callable[[], bool]) -> bool:
    """Return what a look at a path tells; what the system will not look at, such as too long a name, is not there."""
    try:
        return look()
    except OSError:
        return False
