# SPDX-License-Identifier: Apache-2.0
"""The samples of a data set that fulfil some conditions, as a set of their own."""

from __future__ import annotations

import collections
import fnmatch
from pathlib import Path

import attrs

from synthkit.config import plain
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.copying import Origin, Pick
from synthkit.dataset.tools.outputs import check_apart
from synthkit.dataset.tools.survey import Glance, glances
from synthkit.errors import ConfigError, DatasetError
from synthkit.execution import Executor
from synthkit.interfaces import Progress, silent
from synthkit.sample import Person, Skipped

_REVISION = 1


@attrs.frozen
class Conditions:
    """What a sample must fulfil, all of it; conditions that are not given are fulfilled.

    Args:
        keys, sequences, backgrounds: patterns with ``*`` and ``?``, one of which must match.
        layers: names of layers, all of which must be there.
        min_people, max_people: how many people count at least and at most. A sample whose people are
            unknown fulfils neither.
        min_visible, min_size_px: which people count: those of at least that visible fraction, and
            with a box (visible, else rotated) whose longer side is at least so long; who is of unknown
            fraction or has no box does not count. Given alone they ask for one who counts.
    """

    keys: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    min_people: int | None = None
    max_people: int | None = None
    min_visible: float | None = None
    min_size_px: float | None = None

    def __attrs_post_init__(self) -> None:
        problems = []
        if all(value is None or value == () for value in attrs.astuple(self, recurse=False)):
            problems.append("filter needs a condition, such as --min-people 1 or --key 'room_*'")
        if self.min_people is not None and self.max_people is not None and self.min_people > self.max_people:
            problems.append(f"--min-people {self.min_people} is more than --max-people {self.max_people}")
        if self.min_visible is not None and not 0 <= self.min_visible <= 1:
            problems.append(f"--min-visible is {self.min_visible:g}, expected 0 to 1")
        if problems:
            raise ConfigError(problems)

    def failed(self, seen: Glance) -> str | None:
        """Return the name of the first condition that a sample does not fulfil."""
        if not self.takes_key(seen.key):
            return "key"
        if self.sequences and not _matches(seen.sequence, self.sequences):
            return "sequence"
        if self.backgrounds and not _matches(seen.background, self.backgrounds):
            return "background"
        if not set(self.layers) <= set(seen.layers):
            return "layer"
        return None if self._takes_people(seen.people) else "people"

    def takes_key(self, key: str) -> bool:
        """Return whether a key matches."""
        return not self.keys or _matches(key, self.keys)

    def _takes_people(self, people: tuple[Person, ...] | None) -> bool:
        choosy = self.min_visible is not None or self.min_size_px is not None
        low, high = self.min_people, self.max_people
        if low is None and high is None:
            if not choosy:
                return True
            low = 1
        if people is None:
            return False
        count = sum(self._counts(person) for person in people)
        return (low is None or count >= low) and (high is None or count <= high)

    def _counts(self, person: Person) -> bool:
        if self.min_visible is not None and (person.visible_fraction or 0.0) < self.min_visible:
            return False
        return self.min_size_px is None or longer_side_px(person) >= self.min_size_px


def filtered(
    source: Path | str,
    out: Path | str,
    conditions: Conditions,
    *,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> tuple[Dataset, int]:
    """Write the samples that fulfil the conditions as a set at ``out``; return it, and of how many places.

    What was left out, and for which condition, is counted in the notes. A hole of the source whose key
    is asked for stays a hole: nobody knows what would have been in it.

    Raises:
        DatasetError: when nothing fulfils the conditions, or ``out`` holds something else.
    """
    data = Dataset.open(source)
    check_apart([data], out)
    light = Dataset.open(source, layers=())
    failures = [conditions.failed(seen) for seen in glances(light, stage="look", progress=progress)]
    chosen: list[Pick] = []
    left_out: collections.Counter[str] = collections.Counter()
    places = copying.picks(data)
    for pick in places:
        if isinstance(pick.slot, Skipped):
            failed = None if conditions.takes_key(pick.slot.key) else "key"
        else:
            failed = failures[pick.slot]
        if failed is None:
            chosen.append(pick)
        else:
            left_out[failed] += 1
    if all(isinstance(pick.slot, Skipped) for pick in chosen):
        counts = ", ".join(f"{name}: {count}" for name, count in sorted(left_out.items()))
        raise DatasetError(f"{data.location}: no sample fulfils the conditions (left out for {counts or 'nothing'})")
    asked = {key: value for key, value in plain(conditions).items() if value is not None and value != []}
    identity = {"filter": {"revision": _REVISION, **asked}, "source": data.fingerprint}
    notes = copying.inherited(
        data, out, filter={"conditions": asked, "places": len(places), "kept": len(chosen),
                           "left_out": dict(sorted(left_out.items()))},
    )  # fmt: skip
    made = copying.copy(
        [Origin(data)], chosen, out, identity=identity, notes=notes, verb="filter", executor=executor, progress=progress
    )
    return made, len(places)


def longer_side_px(person: Person) -> float:
    """Return the longer side of a person's visible box, else of the rotated one; 0 without any."""
    box = person.box_xyxy_px
    if box is not None:
        return max(box[2] - box[0], box[3] - box[1])
    return person.rotated_box.h if person.rotated_box is not None else 0.0


def _matches(name: str | None, patterns: tuple[str, ...]) -> bool:
    return name is not None and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
