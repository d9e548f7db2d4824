# SPDX-License-Identifier: Apache-2.0
"""What every benchmark prints: a table for people, and one last line of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs


@attrs.frozen
class Result:
    """One measured thing.

    Args:
        name, unit: what, and in what. ours: the median of our runs.
        peer, peer_name: the same of what we compare with, measured in the same run; None when there is none.
        goal: what we want to reach, in ``unit``; None when nothing is set.
        smaller_is_better: for times and sizes.
        low, high: least and most of our runs, where these are of interest; ``ours`` is their mean then.
    """

    name: str
    unit: str
    ours: float
    peer: float | None = None
    peer_name: str | None = None
    goal: float | None = None
    smaller_is_better: bool = True
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether ours reaches the goal; None without one."""
        if self.goal is None:
            return None
        return self.ours <= self.goal if self.smaller_is_better else self.ours >= self.goal

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer we are; above 1 is better."""
        if self.peer is None:
            return None
        return self.peer / self.ours if self.smaller_is_better else self.ours / self.peer


def report(title: str, results: Sequence[Result]) -> None:
    """Print the table and the line."""
    print(title)
    width = max(len(result.name) for result in results)
    ranged = any(result.low is not None for result in results)
    more = f"  {'least':>10}  {'most':>10}  {'holds':>5}" if ranged else ""
    print(f"{'':<{width}}  {'ours':>10}  {'peer':>10}  {'ratio':>7}  {'goal':>10}{more}")
    for result in results:
        cells = [_cell(result.ours, 10), _cell(result.peer, 10), _cell(result.ratio, 7), _cell(result.goal, 10)]
        if ranged:
            holds = {None: "-", True: "yes", False: "no"}[result.holds]
            cells += [_cell(result.low, 10), _cell(result.high, 10), f"{holds:>5}"]
        peer = f"  peer: {result.peer_name}" if result.peer_name else ""
        print(f"{result.name:<{width}}  {'  '.join(cells)}  {result.unit}{peer}")
    keys = ("name", "unit", "ours", "low", "high", "peer", "peer_name", "ratio", "goal")
    print(json.dumps({"results": [{key: getattr(result, key) for key in keys} for result in results]}))


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>{width}}"
