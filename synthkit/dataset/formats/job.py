# SPDX-License-Identifier: Apache-2.0
"""Converting in worker processes: task n reads image n and spools it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from synthkit.dataset import codec, formats
from synthkit.dataset.spool import SceneSpool
from synthkit.errors import DatasetError
from synthkit.sample import Skipped


class ConvertJob:
    """A source of another format and a spool, opened once per process."""

    def __init__(
        self,
        source: str,
        form: str,
        max_size_px: int | None,
        every: int,
        spool: Mapping[str, Any],
        person_classes: Sequence[str] = (),
    ) -> None:
        self._source = formats.find(Path(source), form).open(Path(source), max_size_px, every, person_classes)
        self._spool = SceneSpool.from_plain(spool)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, index: int) -> dict[str, int]:
        """Spool one sample, with its photo's own bytes where they need not be changed; or why it is damaged."""
        try:
            sample, stored = self._source.read(index)
        except DatasetError as error:
            return self._spool.put_encoded(index, [Skipped(self._source.key(index), str(error))])
        return self._spool.put_encoded(index, [codec.encode(sample, self._spool.codec, stored)])
