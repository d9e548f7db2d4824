# SPDX-License-Identifier: Apache-2.0
"""Which licence an asset states: in its files, or in the licence file beside or above them; else unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from synthkit_blender.people.assets.files import AssetFolder

UNKNOWN = "unknown"
MAX_STATED = 80
MAX_LICENCE_BYTES = 1 << 18
LICENCE_FILES = ("license", "licence", "copying")
_STATED = re.compile(r"^\W*(?:licen[cs]e)\W+(?!text\b|can\b|of\b|for\b)(\S.*)$", re.IGNORECASE | re.MULTILINE)
_RELEASED = re.compile(r"released as (CC0)\b", re.IGNORECASE)
_NON_COMMERCIAL = re.compile(r"non-?\s?commercial|\bNC\b", re.IGNORECASE)
_CREATIVE_COMMONS = re.compile(r"\bCC[- ]?(BY(?:[- ](?:NC|SA|ND))*)(?:[- ]v?(\d\.\d))?(?![\w-])", re.IGNORECASE)
# Tells a licence by a phrase of its text; of Creative Commons' only by the title.
_PHRASES = (
    (re.compile(r"permission is hereby granted, free of charge", re.IGNORECASE), "MIT"),
    (re.compile(r"apache license\W+version 2\.0", re.IGNORECASE), "Apache-2.0"),
    (re.compile(r"gnu affero general public license\W+version 3", re.IGNORECASE), "AGPL-3.0"),
    (re.compile(r"\bCC0\b", re.IGNORECASE), "CC0-1.0"),
)
_TITLE = re.compile(
    r"(?:creative commons\W+)?Attribution((?:[- ](?:NonCommercial|ShareAlike|NoDerivatives|NoDerivs))*)\W+(\d\.\d)",
    re.IGNORECASE,
)
_PARTS = {"noncommercial": "NC", "sharealike": "SA", "noderivatives": "ND", "noderivs": "ND"}


def stated(texts: Iterable[str]) -> str | None:
    """Return the licences that an asset's own files state, several joined by AND, or None."""
    found = set()
    for text in texts:
        released = _RELEASED.search(text)
        if released:
            found.add("CC0-1.0")
        elif match := _STATED.search(text):
            found.add(identified(match.group(1)))
    return " AND ".join(sorted(found)) or None


def beside(folder: AssetFolder, path: Path) -> str | None:
    """Return the licence that a licence file beside or above a file, within the folder, is about, or None."""
    for parent in path.parents:
        for candidate in sorted(parent.iterdir()):
            if candidate.stem.lower() in LICENCE_FILES and candidate.is_file():
                return identified(folder.read(candidate, MAX_LICENCE_BYTES).decode("utf-8", errors="replace"))
        if parent == folder.root:
            return None
    return None


def identified(text: str) -> str:
    """Return the SPDX identifier of a licence's name or text; where none is recognised, its first words as they are."""
    if known := recognised(text):
        return known
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words[:MAX_STATED] or UNKNOWN


def recognised(text: str) -> str | None:
    """Return the SPDX identifier of the licence that a text names, quotes or is, or None."""
    if match := _CREATIVE_COMMONS.search(text):
        parts = "-".join(re.split(r"[- ]", match.group(1).upper()))
        return f"CC-{parts}" + (f"-{match.group(2)}" if match.group(2) else "")
    if match := _TITLE.search(text):
        parts = "".join(f"-{_PARTS[word.lower()]}" for word in re.split(r"[- ]", match.group(1)) if word)
        return f"CC-BY{parts}-{match.group(2)}"
    return next((name for phrase, name in _PHRASES if phrase.search(text)), None)


def is_non_commercial(licence: str) -> bool:
    """Return whether a licence's name says that it allows no commercial use."""
    return _NON_COMMERCIAL.search(licence) is not None
