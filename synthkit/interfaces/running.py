# SPDX-License-Identifier: Apache-2.0
"""What components get from whoever runs them, and what all of them are: context managers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import attrs

from synthkit.sample import Sample
from synthkit.seeds import Seeds


class Progress(Protocol):
    """How long work tells where it is; calls are cheap and may come from any stage."""

    def __call__(self, stage: str, done: int, total: int | None, note: str = "") -> None:
        """Report ``done`` of ``total`` units of ``stage``; ``note`` is a short free text (a loss, a rate)."""


def silent(stage: str, done: int, total: int | None, note: str = "") -> None:
    """Report nothing."""


@attrs.frozen
class Runtime:
    """What a component gets from whoever runs it.

    Args:
        seeds: the component's own subtree of random streams.
        cache_dir: for what can be made again at any time.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``. threads: CPU threads it may use.
    """

    seeds: Seeds
    cache_dir: Path
    device: str = "cpu"
    threads: int = 1
    progress: Progress = silent


class SampleSet(Protocol):
    """A finite, indexable set of samples, such as an opened data set."""

    @property
    def fingerprint(self) -> str:
        """The identity of the content, stable across copies."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...
    def __iter__(self) -> Iterator[Sample]: ...


class Entered(Protocol):
    """What holds files, processes or devices only while it is entered."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
