# SPDX-License-Identifier: Apache-2.0
"""Every so many samples of a source of any format: frames of a video that differ from each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthkit.dataset.formats.source import Derived, Source, Stored
from synthkit.interfaces import Progress, silent
from synthkit.sample import Sample


class Thinned(Derived):
    """A source of which every so many samples are taken, the first included."""

    def __init__(self, source: Source, every: int) -> None:
        super().__init__(source)
        self._every = every

    def identify(self, progress: Progress = silent) -> Mapping[str, Any]:
        """Return what determines the samples."""
        return {**super().identify(progress), "every": self._every}

    def __len__(self) -> int:
        return -(-len(self._source) // self._every)

    def key(self, index: int) -> str:
        """Return a sample's key."""
        return self._source.key(index * self._every)

    def read(self, index: int) -> tuple[Sample, Stored | None]:
        """Return one of the samples that are taken, with its file."""
        return self._source.read(index * self._every)
