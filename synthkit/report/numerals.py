# SPDX-License-Identifier: Apache-2.0
"""Numbers as pages and tables have them."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float, interval: Sequence[float] | None = None) -> str:
    """Return a number in three significant digits, as all in a column have them, with its interval where it has one."""
    told = f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:#.3g}".removesuffix(".")
    return told if interval is None else f"{told} [{number(interval[0])}, {number(interval[1])}]"
