# SPDX-License-Identifier: Apache-2.0
"""Several data sets made one; nobody's lineage, licence or source is lost."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthkit.dataset.reader import Dataset
from synthkit.dataset.tools import copying
from synthkit.dataset.tools.copying import Origin
from synthkit.dataset.tools.outputs import check_apart
from synthkit.dataset.tools.survey import glances
from synthkit.errors import DatasetError
from synthkit.execution import Executor
from synthkit.interfaces import Progress, silent

_REVISION = 2  # 1 left sequences their names when keys got new ones
_SHOWN = 3


def merge(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    rename: bool = False,
    executor: Executor | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """Write all samples and holes of several sets, in their order, as one set at ``out``.

    Args:
        rename: put each set's name before its keys and sequences; without it a key in two sets is an error.
            Identities stay: the same name is the same person.
        executor: what copies; None copies in this process. tell: takes lines that the user should read.

    Raises:
        DatasetError: when there are fewer than two sets, keys collide, or ``out`` holds something else.
    """
    if len(sources) < 2:
        raise DatasetError("merge needs at least two data sets")
    opened = [Dataset.open(source) for source in sources]
    check_apart(opened, out)
    names = _names(opened)
    prefixes = [f"{name}_" if rename else "" for name in names]
    origins = [Origin(data, prefix) for data, prefix in zip(opened, prefixes, strict=True)]
    _check_keys(origins)
    for line in _oddities(opened, rename, progress):
        tell(f"note: {line}")
    chosen = [pick for n, data in enumerate(opened) for pick in copying.picks(data, n)]
    identity = {
        "merge": {"revision": _REVISION, "prefixes": prefixes},
        "sources": [data.fingerprint for data in opened],
    }
    return copying.copy(
        origins, chosen, out, identity=identity, notes=_notes(origins, out), verb="merge", executor=executor,
        progress=progress,
    )  # fmt: skip


def _names(opened: Sequence[Dataset]) -> list[str]:
    """Return a name for each set that a key may begin with: its folder's, numbered where several share it."""
    plain = [re.sub(r"[^\w-]", "_", data.location.rstrip("/").rpartition("/")[2]) or "set" for data in opened]
    counts = collections.Counter(plain)
    seen: collections.Counter[str] = collections.Counter()
    names: list[str] = []
    for name in plain:
        seen[name] += 1
        names.append(name if counts[name] == 1 else f"{name}-{seen[name]}")
    return names


def _check_keys(origins: Sequence[Origin]) -> None:
    owners: dict[str, list[int]] = {}
    for n, origin in enumerate(origins):
        for key in [*origin.data.keys(), *(key for key, _ in origin.data.skipped)]:
            owners.setdefault(origin.prefix + key, []).append(n)
    twice = [
        f"{key}: in {' and '.join(origins[n].data.location for n in numbers)}"
        for key, numbers in owners.items()
        if len(numbers) > 1
    ]
    if twice:
        what = f"{len(twice)} keys are in more than one place; --rename puts each set's name before its keys:"
        raise DatasetError(copying.told(what, twice))


def _oddities(opened: Sequence[Dataset], rename: bool, progress: Progress) -> list[str]:
    """Return what one should know of sets that are not alike."""
    layers: list[collections.Counter[str]] = []
    identities: list[set[str]] = []
    sequences: list[set[str]] = []
    for data in opened:
        counted: collections.Counter[str] = collections.Counter()
        named: set[str] = set()
        clips: set[str] = set()
        for seen in glances(Dataset.open(data.location, layers=()), stage="look", progress=progress):
            counted.update(seen.layers)
            named.update(person.identity for person in seen.people or () if person.identity is not None)
            clips.update([] if seen.sequence is None else [seen.sequence])
        layers.append(counted)
        identities.append(named)
        sequences.append(clips)
    lines = []
    for data, counted in zip(opened, layers, strict=True):
        missing = sorted({name for other in layers for name in other if counted[name] < len(data)})
        if missing:
            lines.append(f"{data.location}: not all of its samples have the layers {', '.join(missing)}")
    lines += _shared("identities", "people", identities)
    return lines if rename else lines + _shared("sequences", "clips", sequences)


def _shared(what: str, kind: str, names: Sequence[set[str]]) -> list[str]:
    """Return a line about the names that several sets use, if there are any."""
    counts = collections.Counter(name for one in names for name in one)
    shared = sorted(name for name, count in counts.items() if count > 1)
    if not shared:
        return []
    shown = ", ".join(shared[:_SHOWN]) + (", ..." if len(shared) > _SHOWN else "")
    return [f"{len(shared)} {what} are in more than one set and count as the same {kind} ({shown})"]


def _notes(origins: Sequence[Origin], out: Path | str) -> dict[str, Any]:
    notes = [dict(origin.data.manifest.notes) if origin.data.manifest else {} for origin in origins]
    parents = [
        {**copying.parent(origin.data, out), "prefix": origin.prefix, "notes": note}
        for origin, note in zip(origins, notes, strict=True)
    ]
    return {"parents": parents, **_collected(notes)}


def _collected(notes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what the sets say of licences, sources and stages, each statement once.

    What is made of the merged set later takes these over, but not what its parents' parents were.
    """
    found: dict[str, list[Any]] = {}
    asked = (("licences", ("licence", "licences")), ("sources", ("source", "sources")), ("stages", ("stages",)))
    for name, words in asked:
        stated: list[Any] = []
        for note in notes:
            for word in words:
                given = note.get(word)
                for item in given if isinstance(given, list) else [given]:
                    if item is not None and item not in stated:
                        stated.append(item)
        if stated:
            found[name] = stated
    return found
