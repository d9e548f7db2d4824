# SPDX-License-Identifier: Apache-2.0
"""Sets of samples that lie in memory, for what learns from sets."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from synthkit.sample import Sample


@attrs.frozen(eq=False)
class Samples:
    """A set of samples in memory."""

    items: list[Sample]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        return self.items[index]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.items)
