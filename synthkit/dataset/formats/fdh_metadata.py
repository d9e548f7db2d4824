# SPDX-License-Identifier: Apache-2.0
"""FDH's ``metadata.json``: one table of a gigabyte, read entry by entry and looked up by key."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from synthkit.dataset import description

NAME = "metadata.json"
SPLIT = "cateogry"  # the set's own spelling
SPLITS = ("train", "val")
SURFACE, IDENTITY = "surface", "identity"  # fields of ours
_NO_SPLIT = -1
_KEY = re.compile(rb'\s*"((?:[^"\\]++|\\.)*+)"\s*:\s*')
# A flat table: of texts, numbers, truth values.
_ENTRY = re.compile(rb'\{(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+\}')
_NEXT = re.compile(rb"\s*(,|\})")
_CHUNK_BYTES = 1 << 20
_MAX_ENTRY_BYTES = 100_000


class Metadata:
    """Where each key's entry is in the file.

    Raises:
        ValueError: when the file cannot be read, or is no table of flat tables.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: dict[str, int] = {}
        self._start, self._size, self._split = array("q"), array("q"), array("b")
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                for key, start, data in _entries(_Hashing(file, digest)):
                    if key in self._number:
                        raise ValueError(f"key {key[:80]!r} comes twice")
                    split = _parsed(key, data).get(SPLIT)
                    self._split.append(SPLITS.index(split) if split in SPLITS else _NO_SPLIT)
                    self._number[key] = len(self._number)
                    self._start.append(start)
                    self._size.append(len(data))
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._number)

    def __contains__(self, key: object) -> bool:
        return key in self._number

    def split(self, key: str) -> str | None:
        """Return ``train`` or ``val``, None when a key has no entry or it does not say."""
        number = self._split[self._number[key]] if key in self._number else _NO_SPLIT
        return None if number == _NO_SPLIT else SPLITS[number]

    def get(self, key: str) -> Mapping[str, Any] | None:
        """Return a key's entry, None when it has none.

        Raises:
            ValueError: when the file was exchanged since.
        """
        number = self._number.get(key)
        if number is None:
            return None
        try:
            with self._path.open("rb") as file:
                file.seek(self._start[number])
                return _parsed(key, file.read(self._size[number]))
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# Entries are flat, so their depth needs no check, which would take as long as all the rest.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def carried(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as a data set keeps it: numbers that would lose digits there become text."""
    kept = {}
    for name, value in entry.items():
        exact = not isinstance(value, float) or description.plain(value, name) == value
        kept[name] = value if exact else repr(value)
    return kept


def restored(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as FDH has it: the time of the crawl is a number again."""
    crawled = entry.get("unixtime_crawled")
    if isinstance(crawled, str) and re.fullmatch(r"\d{1,12}(\.\d{1,12})?", crawled):
        return {**entry, "unixtime_crawled": float(crawled)}
    return dict(entry)


def _parsed(key: str, data: bytes) -> dict[str, Any]:
    try:
        entry = _DECODER.decode(data.decode())
    except ValueError as error:
        raise ValueError(f"the entry of {key[:80]!r} is no JSON: {error}") from None
    if not isinstance(entry, dict):
        raise ValueError(f"the entry of {key[:80]!r} is no table")
    return entry


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file, self._digest = file, digest

    def read(self) -> bytes:
        data = self._file.read(_CHUNK_BYTES)
        self._digest.update(data)
        return data


def _entries(file: _Hashing) -> Iterator[tuple[str, int, bytes]]:
    """Yield (key, where its entry starts, its bytes) of a table of flat tables.

    Raises:
        ValueError: where it is none.
    """
    data, offset, place = file.read(), 0, 0
    opening = re.match(rb"\s*\{\s*(\})?", data)
    if opening is None:
        raise ValueError("is no JSON table of keys")
    place, ended = opening.end(), opening[1] is not None
    while not ended:
        if len(data) - place < _MAX_ENTRY_BYTES:
            offset, data, place = offset + place, data[place:] + file.read(), 0
        key = _KEY.match(data, place, place + _MAX_ENTRY_BYTES)
        entry = key and _ENTRY.match(data, key.end(), key.end() + _MAX_ENTRY_BYTES)
        after = entry and _NEXT.match(data, entry.end())
        if not key or not entry or not after:
            raise ValueError(f"is damaged at byte {offset + place}: expected a key with a flat table")
        yield _text(key[1]), offset + entry.start(), entry[0]
        place, ended = after.end(), after[1] == b"}"
    if data[place:].strip() or file.read():
        raise ValueError(f"is damaged at byte {offset + place}: there is more after its end")


def _text(quoted: bytes) -> str:
    try:
        return str(_DECODER.decode(f'"{quoted.decode()}"'))
    except ValueError:
        raise ValueError(f"has a key that is no text: {quoted[:40]!r}") from None
