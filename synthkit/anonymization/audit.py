# SPDX-License-Identifier: Apache-2.0
"""The audit record: a line for each person, how they were found and treated, and for each image without any."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from synthkit.anonymization.treating import NOTE
from synthkit.dataset import Dataset, codec, description, storage

QUARANTINED = "left out"


@attrs.frozen
class Counts:
    """What was done to a set.

    Args:
        images: by what became of them: ``treated``, ``empty``, ``blurred``, ``passed``, ``left out``.
        people: by how they were treated. doubts: of those in doubt by why. found_by: by the methods that found them.
        reasons: of images that were left out.
    """

    images: Mapping[str, int]
    people: Mapping[str, int]
    doubts: Mapping[str, int]
    found_by: Mapping[str, int]
    reasons: Mapping[str, int]


def write(data: Dataset, path: Path) -> Counts:
    """Write the record of an anonymized set as JSON lines, in its order, and return what it counts."""
    tally: dict[str, Counter[str]] = {field.name: Counter() for field in attrs.fields(Counts)}
    storage.write_atomically(path, _lines(data, tally))
    return Counts(**{name: dict(sorted(counter.items())) for name, counter in tally.items()})


def _lines(data: Dataset, tally: Mapping[str, Counter[str]]) -> Iterator[bytes]:
    for place in range(len(data)):
        key, members = data.members(place)
        note = description.load(members[codec.JSON_SUFFIX])["meta"][NOTE]
        tally["images"][note["image"]] += 1
        if not note["people"]:
            yield _line({"key": key, "image": note["image"], "looked": note["looked"]})
        for number, person in enumerate(note["people"], 1):
            _count(person, tally)
            yield _line({"key": key, "image": note["image"], "person": number, **person})
    for key, reason in sorted(data.skipped):
        tally["images"][QUARANTINED] += 1
        tally["reasons"][reason] += 1
        yield _line({"key": key, "image": QUARANTINED, "reason": reason})


def _count(person: Mapping[str, Any], tally: Mapping[str, Counter[str]]) -> None:
    tally["people"][person["treated"]] += 1
    tally["found_by"][" and ".join(sorted(person["found_by"]))] += 1
    if person["doubt"]:
        tally["doubts"][person["doubt"]] += 1


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True).encode() + b"\n"


def left_out(data: Dataset) -> Sequence[tuple[str, str]]:
    """Return (key, reason) of the images that were left out, by key."""
    return sorted(data.skipped)
