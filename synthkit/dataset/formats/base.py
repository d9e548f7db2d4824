# SPDX-License-Identifier: Apache-2.0
"""What a format is: a name, how it is recognised, and reading, writing or both."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import attrs

from synthkit.dataset.formats.exporting import Export
from synthkit.dataset.formats.shrinking import Shrunk
from synthkit.dataset.formats.source import Source
from synthkit.dataset.formats.thinning import Thinned
from synthkit.errors import DatasetError

_SHOWN = 20


@attrs.frozen
class Format:
    """A format by name.

    Args:
        name, summary: for ``--format``, ``--to`` and listings.
        recognises: whether a folder or file looks like it; cheap, and False rather than an error.
        read: opens and checks a set, None when the format is only written; raises DatasetError telling
            everything that is wrong.
        write: puts all pictures of an export into the format, None when it is only read.
        has_classes: whether objects have named classes; ``read`` then takes those that are people besides.
    """

    name: str
    summary: str
    recognises: Callable[[Path], bool]
    read: Callable[..., Source] | None = None
    write: Callable[[Export], None] | None = None
    has_classes: bool = False

    def open(
        self, path: Path, max_size_px: int | None = None, every: int = 1, person_classes: Collection[str] = ()
    ) -> Source:
        """Return the opened and checked set: every so many samples, with images of at most so many pixels a side.

        Args:
            person_classes: names of classes that are people, besides the usual ones.

        Raises:
            DatasetError: when the format is only written or has no classes, or telling everything that is wrong.
        """
        if self.read is None:
            raise DatasetError(f"{path}: format {self.name} is only written, not read")
        if person_classes and not self.has_classes:
            raise DatasetError(f"{path}: format {self.name} names no classes; omit --person-class")
        source = self.read(path, person_classes) if self.has_classes else self.read(path)
        if every > 1:
            source = Thinned(source, every)
        return source if max_size_px is None else Shrunk(source, max_size_px)


def is_finite(value: Any) -> TypeGuard[int | float]:
    """Return whether a value of JSON is a finite number that fits a float; truth values are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def told(path: Path, problems: Sequence[str]) -> DatasetError:
    """Return the error that tells all problems of a set, the first twenty in full."""
    if len(problems) == 1:
        return DatasetError(problems[0])
    more = [f"... and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return DatasetError("\n  ".join([f"{path}: {len(problems)} problems:", *problems[:_SHOWN], *more]))
