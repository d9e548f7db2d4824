# SPDX-License-Identifier: Apache-2.0
"""What a fit found, as the report and the settings' file tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from synthkit.tuning.distance import Estimate, Vectors
from synthkit.tuning.features import Picture
from synthkit.tuning.plan import Budget


@attrs.frozen
class Fitted:
    """One setting: its path, what it was, what it is, and how that was found."""

    setting: str
    before: Any
    after: Any
    how: str


@attrs.frozen
class Change:
    """A distance to the real images before and after the search, and what it fell by, all on fresh scenes."""

    before: Estimate
    after: Estimate
    gain: Estimate


@attrs.frozen(eq=False)
class Verified:
    """How start and found settings compare on scenes that nothing was fitted to.

    Args:
        changes: by kind of vector. views: pictures by ``real``, ``before``, ``after``.
        looks: mean statistics by the same names, in their own units, in the order of ``features.NAMES``.
    """

    changes: Mapping[str, Change]
    views: Mapping[str, Sequence[Picture]]
    looks: Mapping[str, Vectors]

    @property
    def improved(self) -> bool:
        """Whether the found settings are nearer, in the mean over the kinds of what is left of the distance."""
        parts = [change.after.value / max(change.before.value, 1e-9) for change in self.changes.values()]
        return sum(parts) < len(parts)

    @property
    def sure(self) -> bool:
        """Whether that is more than chance."""
        return self.improved and all(change.gain.interval[0] > 0 for change in self.changes.values())


@attrs.frozen(eq=False)
class Story:
    """Everything the report tells about.

    Args:
        real_images, looked_at: how many the real set has, and how many were looked at.
        fitted: settings that changed. notes: what should be known of how.
        worths: of the candidates, as parts of the start's. course: of the first search upon what was rendered.
    """

    renderer: str
    real_images: int
    looked_at: int
    side_px: int
    budget: Budget
    samples_per_scene: int
    fitted: Sequence[Fitted]
    notes: Sequence[str]
    verified: Verified
    kinds: Mapping[str, str]
    worths: Sequence[float]
    course: Sequence[float]
    seed: int

    @property
    def verdict(self) -> str:
        """What came of the search, in a sentence."""
        if not self.verified.improved:
            return "No look was found that is nearer on scenes which nothing was fitted to: it stays as it was."
        change = next(iter(self.verified.changes.values()))
        told = f"The distance fell from {change.before.value:.3g} to {change.after.value:.3g}"
        sure = "more than chance" if self.verified.sure else "which may be chance"
        return f"{told} on scenes that nothing was fitted to, {sure}."


def spelled(value: Any) -> str:
    """Return a setting's value for people: ranges as ``low .. high``."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        low, high = value
        return f"{low:g}" if low == high else f"{low:g} .. {high:g}"
    return f"{value:g}"
