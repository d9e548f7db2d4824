# SPDX-License-Identifier: Apache-2.0
"""What settings may be: validators shared by the areas."""

from __future__ import annotations

import math
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


def convex(_: Any, __: Any, value: tuple[Range, ...]) -> None:
    """Validate an outline that is convex and counter-clockwise, or empty."""
    if not value:
        return
    turns_rad = []
    for (ax, ay), (bx, by), (cx, cy) in zip(value, value[1:] + value[:1], value[2:] + value[:2], strict=True):
        first, second = (bx - ax, by - ay), (cx - bx, cy - by)
        cross, along = first[0] * second[1] - first[1] * second[0], first[0] * second[0] + first[1] * second[1]
        turns_rad.append(math.atan2(cross, along))
    # A star turns left at each corner too, but goes round more than once.
    if len(value) < 3 or min(turns_rad) <= 0 or sum(turns_rad) > 3 * math.pi:
        raise ValueError("must be empty, or three or more corners of a convex area in counter-clockwise order")


def all_convex(_: Any, __: Any, value: tuple[tuple[Range, ...], ...]) -> None:
    """Validate a list of outlines, none of them empty."""
    for outline in value:
        if not outline:
            raise ValueError("an outline must have three or more corners")
        convex(None, None, outline)


def different(_: Any, __: Any, value: tuple[Any, ...]) -> None:
    """Validate a list that names nothing twice."""
    if len(set(value)) != len(value):
        raise ValueError(f"must name each at most once, got {list(value)}")
