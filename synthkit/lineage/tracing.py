# SPDX-License-Identifier: Apache-2.0
"""From an artefact back to everything that it was made from, as far as that can be found."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from synthkit.dataset.records import MANIFEST
from synthkit.experiments.whole import CLAIM_FILE
from synthkit.lineage.artefacts import Artefact, Parent, quietly, read

_LOOKED_AT = 20_000  # files and folders, in search of parents
_DEEPEST = 8
_PACKAGES = ("site-packages", "node_modules", "__pycache__")
_ENVIRONMENT = "pyvenv.cfg"  # is in virtual environments, however they are called


@attrs.frozen
class Lineage:
    """An artefact and its ancestors, by fingerprint; parents that are nowhere to be found are not among them."""

    start: Artefact
    found: Mapping[str, Artefact]


def trace(path: Path, places: Sequence[Path] = ()) -> Lineage:
    """Return the lineage of an artefact.

    Args:
        places: folders below which parents are looked for, besides where they are said to lie; where there are none,
            the experiment that the artefact belongs to, or else the folder that holds its folder.

    Raises:
        DatasetError, WeightsError: when the artefact cannot be read.
    """
    start = read(path)
    finder = _Finder(places or [_surroundings(start.place)])
    found: dict[str, Artefact] = {}
    waiting = list(start.parents)
    while waiting:
        parent = waiting.pop()
        if parent.fingerprint in found:
            continue
        artefact = finder.find(parent)
        if artefact is not None:
            found[parent.fingerprint] = artefact
            waiting += artefact.parents
    return Lineage(start, found)


def _surroundings(place: Path) -> Path:
    whole = place.absolute()
    for folder in whole.parents:
        if (folder / CLAIM_FILE).is_file():
            return folder
    return whole.parent if whole.is_dir() else whole.parent.parent


class _Finder:
    """Artefacts below some folders, read when the first one is looked for that does not lie where it should."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = places
        self._known: dict[str, Artefact] | None = None

    def find(self, parent: Parent) -> Artefact | None:
        if parent.hint is not None:
            there = quietly(parent.hint)
            if there is not None and there.fingerprint == parent.fingerprint:
                return there
        if self._known is None:
            every = [found for place in self._places for path in _candidates(place) if (found := quietly(path))]
            self._known = {one.fingerprint: one for one in every}
        return self._known.get(parent.fingerprint)


def _candidates(place: Path) -> Iterator[Path]:
    """Yield data sets and checkpoints below a folder; data sets are not looked into."""
    looked, waiting = 0, deque([(place, 0)])
    while waiting and looked <= _LOOKED_AT:
        folder, depth = waiting.popleft()  # what lies near comes first
        try:
            inside = sorted(os.scandir(folder), key=lambda one: one.name)
        except OSError:
            continue
        names = {one.name for one in inside}
        if _ENVIRONMENT in names:
            continue
        looked += len(inside)
        if MANIFEST in names:
            yield folder
            continue
        yield from (Path(one.path) for one in inside if one.name.endswith(".safetensors"))
        if depth < _DEEPEST:
            waiting += ((Path(one.path), depth + 1) for one in inside if _is_looked_into(one))


def _is_looked_into(entry: os.DirEntry[str]) -> bool:
    """Tell whether a folder may hold artefacts, and not thousands of files of programs."""
    return not entry.name.startswith(".") and entry.name not in _PACKAGES and entry.is_dir(follow_symlinks=False)
