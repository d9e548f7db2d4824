# SPDX-License-Identifier: Apache-2.0
"""Where the tools may write: never into a data set, and never over a file that somebody else made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from synthkit.dataset import description, records, storage, stores
from synthkit.dataset.limits import MAX_RECORD_BYTES
from synthkit.dataset.reader import Dataset
from synthkit.errors import ConfigError, DatasetError


def check_apart(sources: Iterable[Dataset], out: Path | str) -> None:
    """Check that a new data set would neither be one of those it is made from nor lie inside a data set.

    Raises:
        DatasetError: when it would.
    """
    place = _real(out)
    for source in sources:
        if place == _real(source.location) or place.startswith(_real(source.location).rstrip("/") + "/"):
            raise DatasetError(
                f"{out}: is in the data set {source.location}, which it is made from; choose another place"
            )
    if not stores.is_url(out) and (holder := holding(Path(out))) is not None:
        raise DatasetError(f"{out}: is in the data set {holder}; choose another place")


def check_file(out: Path, option: str, ours: Callable[[bytes], bool], *, allowed: Path | None = None) -> None:
    """Check that a file can and may be written: it is in no data set, and new or one that this tool wrote.

    Args:
        option: by which the user names it. ours: whether these are the bytes of such a file.
        allowed: the one place inside a data set that it may have.

    Raises:
        ConfigError: when it may not, or something else is in its folder's place. DatasetError: when nobody can look.
    """
    check_folder(out, option, allowed=allowed)
    with storage.disk_errors(out):
        place = next(folder for folder in out.absolute().parents if folder.exists())
        if not (place.is_dir() and os.access(place, os.W_OK)):
            raise ConfigError([f"{option} {out}: nothing can be written in {place}; choose another place"])
        if out.exists() and not (out.is_file() and ours(out.read_bytes())):
            raise ConfigError([f"{option} {out}: is there already and was not written by this command;"
                               " choose another name, or remove it"])  # fmt: skip


def check_folder(out: Path, option: str, *, allowed: Path | None = None) -> None:
    """Check that a path is neither a data set nor inside one.

    Raises:
        ConfigError: when it is.
    """
    holder = holding(out / records.MANIFEST)
    if holder is not None and (allowed is None or _real(out) != _real(allowed)):
        raise ConfigError([f"{option} {out}: is in the data set {holder}, which holds its own records only;"
                           " choose another place"])  # fmt: skip


def holding(path: Path) -> Path | None:
    """Return the data set of ours that a path is inside of."""
    return next((folder for folder in Path(_real(path)).parents if _is_set(folder)), None)


def _is_set(folder: Path) -> bool:
    file = folder / records.MANIFEST
    try:
        if not file.is_file() or file.stat().st_size > MAX_RECORD_BYTES:
            return False
        table = description.load(file.read_bytes())
    except (OSError, ValueError):  # others call files so, too
        return False
    return isinstance(table, dict) and table.get("format") == records.FORMAT


def _real(location: Path | str) -> str:
    return str(location).rstrip("/") if stores.is_url(location) else os.path.realpath(location)
