# SPDX-License-Identifier: Apache-2.0
"""How many people of a refined set drifted."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from synthkit.dataset import Dataset
from synthkit.dataset.tools.survey import glances
from synthkit.drift.guard import META


@attrs.frozen
class DriftCounts:
    """What the guard found in the last refinement of each sample of a set.

    Args:
        people: checked; drifted: of them; moved, lost: of these, some of them both.
        rolled_back: of the drifted, how many have their rendered pixels again.
        images: checked; images_drifted: with somebody new; images_rolled_back: of these.
    """

    people: int
    drifted: int
    moved: int
    lost: int
    rolled_back: int
    images: int
    images_drifted: int
    images_rolled_back: int

    def __str__(self) -> str:
        found = f"{self.drifted} of {self.people} people drifted"
        if self.drifted:
            found += f" ({self.moved} moved, {self.lost} lost; {self.rolled_back} rolled back)"
        if self.images_drifted:
            found += f", and {self.images_drifted} of {self.images} images got somebody new"
            found += f" ({self.images_rolled_back} rolled back)"
        return found


class DriftTally:
    """Counts records of the guard, sample by sample; what others wrote under its name does not count."""

    def __init__(self) -> None:
        self._counts: collections.Counter[str] = collections.Counter()

    def add(self, meta: Mapping[str, Any]) -> None:
        """Count the last record in a sample's ``meta``."""
        records = meta.get(META)
        if not (isinstance(records, list) and records):
            return
        try:
            self._counts.update(_counted(records[-1]))
        except (KeyError, TypeError):
            return

    def result(self) -> DriftCounts | None:
        """Return the counts, None when no guard looked at any sample."""
        if not self._counts["images"]:
            return None
        return DriftCounts(**{field.name: self._counts[field.name] for field in attrs.fields(DriftCounts)})


def _counted(record: Any) -> dict[str, int]:
    """Return the counts of one record.

    Raises:
        KeyError, TypeError: when it is none.
    """
    people, limits, back = record["people"], record["limits"], bool(record["rolled_back"])
    moved = [person["moved"] > limits["moved"] for person in people]
    lost = [person["lost"] > limits["lost"] for person in people]
    drifted = sum(a or b for a, b in zip(moved, lost, strict=True))
    new = bool(record["image"])
    return {"people": len(people), "drifted": drifted, "moved": sum(moved), "lost": sum(lost),
            "rolled_back": drifted * back, "images": 1, "images_drifted": new,
            "images_rolled_back": new and back}  # fmt: skip


def count(data: Dataset) -> DriftCounts | None:
    """Return the counts of a refined set, None when no guard looked at its last refinement; no pixel is decoded."""
    light = Dataset.open(data.location, layers=())
    return total(seen.meta for seen in glances(light, stage="count drift"))


def total(metas: Iterable[Mapping[str, Any]]) -> DriftCounts | None:
    """Return the counts over the ``meta`` of samples, None when no guard looked at them."""
    tally = DriftTally()
    for meta in metas:
        tally.add(meta)
    return tally.result()
