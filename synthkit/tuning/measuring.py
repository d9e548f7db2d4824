# SPDX-License-Identifier: Apache-2.0
"""Settings that labels decide: they are measured, not searched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs

from synthkit.sample import Sample
from synthkit.tuning import labels
from synthkit.tuning.space import Dial
from synthkit.tuning.trials import Renders

ROUNDS = 2  # of renders, to bring people's sizes to what real ones have
# With the setting s people's sizes go as s^-SLOPE at first sight: heads are nearer to a camera than the floor is.
_SLOPE = 1.5
_SLOPES = (0.5, 4.0)  # between which measured ones are believed
_MOST_SCALE = 1.6
_ALIKE = 0.03  # sizes that differ by less are taken as equal
_SURE = 2.0  # standard errors


@attrs.frozen
class Measured:
    """Values by path, what could not be measured or needs to be known, and how many rounds of renders it took."""

    values: dict[str, Any] = attrs.Factory(dict)
    notes: tuple[str, ...] = ()
    rounds: int = 0


def counts(real: Sequence[Sample], dials: Sequence[Dial]) -> Measured:
    """Return how many people there are, shared among the settings that say so."""
    if not dials:
        return Measured()
    total = labels.people_counts(real)
    if total is None:
        return Measured(notes=("The real images have no labels: how many people there are is left as it was.",))
    told = f"{total[0]}" if total[0] == total[1] else f"{total[0]} to {total[1]}"
    return Measured(dict(labels.shared(total, dials)), (f"Real images usually have {told} labelled people.",))


def sizes(renders: Renders, real: labels.Sizes | None, dials: Sequence[Dial]) -> Measured:
    """Return settings with which people are seen as large as real ones, by rendering and comparing their boxes.

    The settings are scaled together, by a guess and then by the secant through what that gave. Differences that may
    be chance change nothing.

    Args:
        renders: of the start. real: people of the real images, None where too few have boxes.
    """
    if not dials:
        return Measured()
    if real is None:
        return Measured(notes=("Too few people of the real images have boxes: their sizes are left.",))
    first = _ratio(renders, real, dials, 0.0)
    if first is None:
        return Measured(notes=("Too few people are seen at the same distances from the middle: sizes are left.",))
    ratio, error = first
    told = f"Real people are seen {math.exp(ratio):.2f} times as large as rendered ones (+- {error:.0%}) at the start"
    if abs(ratio) < max(_ALIKE, _SURE * error):
        return Measured(notes=(f"{told}, which may be chance: what decides about sizes is left.",), rounds=1)
    scale = _limited(-ratio / _SLOPE)
    second = _ratio(renders, real, dials, scale)
    if second is not None:
        slope = min(max((ratio - second[0]) / -scale, _SLOPES[0]), _SLOPES[1])
        scale = _limited(-ratio / slope)
    note = f"{told}; as labels mark the same parts of people in both, {', '.join(d.setting for d in dials)} follows it."
    return Measured(_scaled(dials, scale), (note,), rounds=2)


def _ratio(renders: Renders, real: labels.Sizes, dials: Sequence[Dial], scale: float) -> tuple[float, float] | None:
    rendered = labels.sizes(renders.made(_scaled(dials, scale) if scale else {}))
    return None if rendered is None else labels.size_ratio(real, rendered)


def _scaled(dials: Sequence[Dial], scale: float) -> dict[str, Any]:
    """Return the settings' values with their starts' logarithms moved by ``scale``."""
    values = {}
    for dial in dials:
        ends = dial.start if isinstance(dial.start, list) else [dial.start]
        moved = [float(f"{end * math.exp(scale):.3g}") for end in ends]
        moved = [min(max(end, dial.tunable.low), dial.tunable.high) for end in moved]
        values[dial.setting] = moved if isinstance(dial.start, list) else moved[0]
    return values


def _limited(scale: float) -> float:
    most = math.log(_MOST_SCALE)
    return min(max(scale, -most), most)
