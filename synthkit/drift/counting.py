# SPDX-License-Identifier: Apache-2.0
"""How many people of a refined set drifted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from synthkit.dataset import Dataset
from synthkit.dataset.tools.survey import glances
from synthkit.drift.guard import META


@attrs.frozen
class DriftCounts:
    """What the guard found in the last refinement of a set.

    Args:
        people: checked; drifted: of them. images: checked; images_drifted: with somebody new.
        rolled_back: whether what drifted has its rendered pixels again.
    """

    people: int
    drifted: int
    images: int
    images_drifted: int
    rolled_back: bool

    def __str__(self) -> str:
        done = "rolled back to the pixels before" if self.rolled_back else "left as they are"
        found = f"{self.drifted} of {self.people} people drifted"
        if self.images_drifted:
            found += f", and {self.images_drifted} of {self.images} images got somebody new"
        return f"{found} ({done})" if self.drifted or self.images_drifted else found


def count(data: Dataset) -> DriftCounts | None:
    """Return the counts of a refined set, None when no guard looked at its last refinement; no pixel is decoded."""
    light = Dataset.open(data.location, layers=())
    return total(seen.meta for seen in glances(light, stage="count drift"))


def total(metas: Iterable[Mapping[str, Any]]) -> DriftCounts | None:
    """Return the counts over the ``meta`` of samples, None when no guard looked at them."""
    records = [records[-1] for meta in metas if (records := meta.get(META))]
    if not records:
        return None
    people = [person for record in records for person in record["people"]]
    return DriftCounts(
        people=len(people),
        drifted=sum(person["drifted"] for person in people),
        images=len(records),
        images_drifted=sum(record["image"] for record in records),
        rolled_back=any(record["rolled_back"] for record in records),
    )
