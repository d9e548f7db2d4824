# SPDX-License-Identifier: Apache-2.0
"""What an opened set of another format is."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthkit.dataset.formats.contents import Contents
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample

Stored = tuple[str, bytes]
"""An image file without metadata: ``png`` or ``jpg``, and its bytes."""


class Source(ABC):
    """An opened and checked set of another format."""

    @property
    @abstractmethod
    def notes(self) -> Mapping[str, Any]:
        """Plain JSON besides: where it came from, its licence."""

    @property
    @abstractmethod
    def remarks(self) -> Sequence[str]:
        """Lines for the user: what was ignored or assumed."""

    @abstractmethod
    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return plain JSON that determines the samples: sha256 of the contents of all files, which are read for it.

        Raises:
            DatasetError: when one of them cannot be read.
        """

    @abstractmethod
    def changed(self) -> Path | None:
        """Return a file that was changed since ``identify`` read it, None when none was."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, index: int) -> str:
        """Return a sample's key, also where the sample itself is damaged."""

    @abstractmethod
    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one sample, and the image file that holds just its pixels, None where there is none.

        Raises:
            DatasetError: when it is damaged.
        """

    def sample(self, index: int) -> Sample:
        """Return one sample.

        Raises:
            DatasetError: when it is damaged.
        """
        return self.read(index)[0]


class FileSource(Source):
    """A source of files that are hashed as they lie.

    Args:
        notes, remarks: the source's.
    """

    def __init__(self, notes: Mapping[str, Any], remarks: Sequence[str] = ()) -> None:
        self._notes, self._remarks = notes, tuple(remarks)
        self._contents: Contents | None = None

    @property
    def notes(self) -> Mapping[str, Any]:
        """Where the set came from, its licence."""
        return self._notes

    @property
    def remarks(self) -> Sequence[str]:
        """Lines for the user."""
        return self._remarks

    def changed(self) -> Path | None:
        """Return a file that was changed since."""
        return self._contents.changed() if self._contents else None

    def _hashed(self, files: Mapping[str, Path], progress: Progress) -> str:
        """Return the sha256 of files by name: of their names and contents, in order."""
        self._contents = Contents.of(list(files.values()), progress)
        names = "\0".join(files)
        return hashlib.sha256(names.encode(errors="surrogateescape") + self._contents.sha256.encode()).hexdigest()


class Derived(Source):
    """A source made of another one, whose samples are changed or left out."""

    def __init__(self, source: Source) -> None:
        self._source = source

    # Asked for when they are needed: to know those of a video takes as long as to decode it.

    @property
    def notes(self) -> Mapping[str, Any]:
        """The source's."""
        return self._source.notes

    @property
    def remarks(self) -> Sequence[str]:
        """The source's."""
        return self._source.remarks

    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return the source's."""
        return self._source.identify(progress)

    def changed(self) -> Path | None:
        """Return what the source says."""
        return self._source.changed()

    def __len__(self) -> int:
        return len(self._source)

    def key(self, index: int) -> str:
        """Return a sample's key."""
        return self._source.key(index)
