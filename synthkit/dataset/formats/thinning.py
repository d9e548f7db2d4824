# SPDX-License-Identifier: Apache-2.0
"""Every so many samples of a source of any format: frames of a video that differ from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthkit.sample import Sample

if TYPE_CHECKING:
    from synthkit.dataset.formats.base import Source, StoresImages


class Thinned:
    """A source of which every so many samples are taken, the first included."""

    def __init__(self, source: Source, every: int) -> None:
        self._source, self._every = source, every

    @property
    def identity(self) -> Mapping[str, Any]:
        """What determines the samples."""
        return {**self._source.identity, "every": self._every}

    @property
    def notes(self) -> Mapping[str, Any]:
        """The source's."""
        return self._source.notes

    @property
    def remarks(self) -> Sequence[str]:
        """The source's."""
        return self._source.remarks

    def __len__(self) -> int:
        return -(-len(self._source) // self._every)

    def key(self, index: int) -> str:
        """Return a sample's key."""
        return self._source.key(index * self._every)

    def sample(self, index: int) -> Sample:
        """Return one of the samples that are taken."""
        return self._source.sample(index * self._every)


class ThinnedFiles(Thinned):
    """The same of a source whose images are files."""

    def __init__(self, source: Source, files: StoresImages, every: int) -> None:
        super().__init__(source, every)
        self._files = files

    def stored(self, index: int) -> tuple[str, bytes]:
        """Return an image's suffix and its bytes."""
        return self._files.stored(index * self._every)
