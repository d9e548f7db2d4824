# SPDX-License-Identifier: Apache-2.0
"""What a plan will take, as far as like steps are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from synthkit.experiments.history import Cost, History
from synthkit.experiments.planning import Plan
from synthkit.experiments.steps import Step, done


@attrs.frozen
class Expected:
    """A step, whether it is done, and what it is expected to take, None where nothing like it is known."""

    step: Step
    done: bool
    cost: Cost | None


@attrs.frozen
class Estimate:
    """What the steps that are left will take.

    Args:
        steps: in the plan's order. seconds, bytes: of those left of which something is known, as many at once as there
            are processors for. unknown: how many are left of which nothing is known.
    """

    steps: tuple[Expected, ...]
    seconds: float
    bytes: float
    unknown: int


def estimate(plan: Plan, out: Path, cores: int, history: History) -> Estimate:
    """Return what a plan will take in an experiment's folder."""
    steps = tuple(Expected(step, done(out, step) is not None, history.cost(step)) for step in plan.steps.values())
    left = [one for one in steps if not one.done]
    known = [(one.step, one.cost) for one in left if one.cost is not None]
    busy = sum(cost.seconds * min(step.cores, cores) for step, cost in known) / cores
    longest = _longest_chain(plan, {step.id: cost.seconds for step, cost in known})
    return Estimate(
        steps, max(busy, longest), sum(cost.bytes for _, cost in known), sum(one.cost is None for one in left)
    )


def _longest_chain(plan: Plan, seconds: dict[str, float]) -> float:
    """Return the seconds of steps that must follow one another; the plan has each after those it needs."""
    ends: dict[str, float] = {}
    for key, step in plan.steps.items():
        ends[key] = seconds.get(key, 0.0) + max((ends[need] for need in step.needs), default=0.0)
    return max(ends.values(), default=0.0)


def table(found: Estimate) -> Iterator[str]:
    """Yield a line for each step, for a terminal."""
    width = max((len(one.step.title) for one in found.steps), default=0)
    for number, one in enumerate(found.steps, start=1):
        yield f"{number:>4}  {one.step.title:<{width}}  {'done' if one.done else _told(one.cost)}"


def summary(found: Estimate) -> Iterator[str]:
    """Yield how many steps there are and what is left of them, and of how many nothing is known."""
    left = sum(not one.done for one in found.steps)
    known = f"; about {duration(found.seconds)}, {size(found.bytes)} on disk" if left > found.unknown else ""
    yield f"{len(found.steps)} steps, {left} to do{known}"
    if found.unknown:
        yield f"of {found.unknown} of them nothing is known yet: no step like them was done on this machine"


def _told(cost: Cost | None) -> str:
    if cost is None:
        return "unknown"
    return f"{'' if cost.like else 'roughly '}{duration(cost.seconds)}, {size(cost.bytes)}"


def duration(seconds: float) -> str:
    """Return a time in words."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Return a number of bytes in words."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
