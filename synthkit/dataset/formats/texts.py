# SPDX-License-Identifier: Apache-2.0
"""Small label files of strangers, read with limits; and images in folders."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path

from synthkit.dataset.formats.photos import SUFFIXES
from synthkit.files import small_file

_MAX_BYTES = 4_000_000


def label_file(path: Path) -> bytes:
    """Return the bytes of a file of labels.

    Raises:
        ValueError: when it cannot be read, or is too large to be one.
    """
    return small_file(path, _MAX_BYTES, "labels")


def lines(data: bytes) -> list[tuple[int, list[str]]]:
    """Return (line number, fields) of the lines that are not empty.

    Raises:
        ValueError: when it is no text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8 text") from None
    numbered = ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, fields) for number, fields in numbered if fields]


def numbers(fields: list[str]) -> list[float]:
    """Return finite numbers.

    Raises:
        ValueError: naming the first field that is none.
    """
    values = []
    for field in fields:
        try:
            value = float(field)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"expected finite numbers, got {field[:30]!r}")
        values.append(value)
    return values


def files_named(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a pattern, in order; hidden ones, as macOS puts beside every file of an archive, are none."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith(".") and path.is_file())


def images_below(folder: Path) -> Iterator[Path]:
    """Yield all images in a folder and the folders in it, in order; hidden ones and links to folders are left out."""
    return files_below(folder, SUFFIXES)


def files_below(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Yield all files with these suffixes, as ``images_below`` does."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path, suffixes)
        elif path.suffix.lower() in suffixes and path.is_file():
            yield path
