# SPDX-License-Identifier: Apache-2.0
"""A sound data set from a damaged one: everything that is whole, and a record of everything that was not."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from synthkit import config
from synthkit.dataset.codec import CodecConfig, Encoded
from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.mending import mend
from synthkit.dataset.tools.outputs import check_apart
from synthkit.dataset.verify import Checked, check, opened
from synthkit.errors import DatasetError
from synthkit.execution import JobSpec
from synthkit.execution.scenes import Maker
from synthkit.interfaces import Progress, silent
from synthkit.sample import Skipped

_REVISION = 1
_REASON = "dropped by repair: "


@attrs.frozen(eq=False)
class Repair:
    """The new set; how many samples were copied, mended and dropped; a line for each thing dropped."""

    dataset: Dataset
    copied: int
    mended: int
    dropped: int
    lines: tuple[str, ...]


@attrs.frozen
class _Diagnosis:
    """What is wrong with the whole set or its shards, how many places it has, and what each faulty sample loses."""

    general: tuple[str, ...]
    places: int
    mended: dict[int, tuple[str, tuple[str, ...]]]
    lost: dict[int, tuple[str, tuple[str, ...]]]


def repair(path: Path | str, out: Path | str, *, progress: Progress = silent) -> Repair:
    """Write what is sound of the set at ``path`` as a set at ``out``; the original is only read.

    A sample that is dropped becomes a hole with its reason; what is dropped is listed in the notes, too.
    What ``mend`` says is done to the rest. What is merely odd (a warning of ``verify``) stays.

    Raises:
        DatasetError: when there is no data set, nothing of it is sound, or ``out`` holds something else.
    """
    data, general = opened(path)
    if os.path.realpath(out) == os.path.realpath(data.location):
        raise DatasetError(f"{out}: is the set itself; a repair is written elsewhere and never touches the original")
    check_apart([data], out)
    found = _diagnose(data, general, progress)
    if len(found.lost) == found.places:
        raise DatasetError(f"{data.location}: nothing of it is sound")
    _write(data, out, found, progress)
    lines = [*found.general, *_lines(found.mended, ""), *_lines(found.lost, "sample dropped: ")]
    copied = found.places - len(found.mended) - len(found.lost)
    return Repair(Dataset.open(out), copied, len(found.mended), len(found.lost), tuple(lines))


def _write(data: Dataset, out: Path | str, found: _Diagnosis, progress: Progress) -> None:
    listed = {
        "general": list(found.general),
        "mended": [{"key": key, "dropped": list(texts)} for key, texts in found.mended.values()],
        "dropped": [{"key": key, "reasons": list(texts)} for key, texts in found.lost.values()],
    }
    copying.write(
        out,
        JobSpec("synthkit.dataset.tools.repair:RepairJob", {"location": copying.whole(data.location)}),
        found.places,
        identity={
            "repair": {"revision": _REVISION, "found": config.fingerprint(listed)},
            "source": data.fingerprint,
        },
        notes=copying.inherited(data, out, repair=listed),
        codec=data.manifest.codec if data.manifest else CodecConfig(),
        verb="repair",
        executor=None,
        progress=progress,
    )


class RepairJob(Maker):
    """Makes each place of the new set of the same place of a damaged one, which is quick in their order alone: what
    is wrong with a sample depends on those before it, and an earlier one than the last means to begin anew."""

    def __init__(self, location: str) -> None:
        self._data, _ = opened(location)
        self._next = 0
        self._items = self._places()

    def _places(self) -> Iterator[Checked | Skipped]:
        return (item for item in check(self._data) if not isinstance(item, str))

    def __call__(self, place: int) -> list[Encoded | Skipped]:
        """Return what is sound of a sample, or the hole that is left of it."""
        if place < self._next:
            self._next, self._items = 0, self._places()
        item = next(itertools.islice(self._items, place - self._next, None))
        self._next = place + 1
        return [_result(item)]


def _diagnose(data: Dataset, general: list[str], progress: Progress) -> _Diagnosis:
    places = 0
    mended: dict[int, tuple[str, tuple[str, ...]]] = {}
    lost: dict[int, tuple[str, tuple[str, ...]]] = {}
    for item in check(data, progress=progress):
        if isinstance(item, str):
            general.append(item)
            continue
        if isinstance(item, Checked) and any(not fault.warning for fault in item.faults):
            result = mend(item.key, item.members, item.faults, where=item.where)
            (lost if result.sample is None else mended)[places] = (item.key, result.dropped)
        places += 1
    return _Diagnosis(tuple(general), places, mended, lost)


def _result(item: Checked | Skipped) -> Encoded | Skipped:
    if isinstance(item, Skipped):
        return item
    result = mend(item.key, item.members, item.faults, where=item.where)
    if result.sample is not None:
        return result.sample
    key = "".join("_" if c in "./\\" or not c.isprintable() else c for c in item.key) or "_"
    return Skipped(key, _REASON + "; ".join(result.dropped))


def _lines(items: dict[int, tuple[str, tuple[str, ...]]], what: str) -> Iterator[str]:
    return (f"{key}: {what}{text}" for key, texts in items.values() for text in texts)
