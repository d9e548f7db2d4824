# SPDX-License-Identifier: Apache-2.0
"""Which item of the data a step sees: a pure function of seed and step."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthkit.seeds import Seeds


class Feed:
    """Goes through a set in a new random order each time round.

    ``feed.index(position)`` is the same whatever was asked before, so training resumes anywhere.

    Args:
        count: items in the set, at least 1.
        seeds: this feed's own streams.
    """

    def __init__(self, count: int, seeds: Seeds) -> None:
        if count < 1:
            raise ValueError(f"a feed needs at least one item, got {count}")
        self.count = count
        self._seeds = seeds
        self._round = -1
        self._order: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def index(self, position: int) -> int:
        """Return the item at a position >= 0 of the endless sequence of rounds."""
        round_, place = divmod(position, self.count)
        if round_ != self._round:
            self._order = self._seeds.stream("order", round_).permutation(self.count)
            self._round = round_
        return int(self._order[place])

    def indices(self, step: int, batch: int) -> list[int]:
        """Return the items of a step's batch."""
        return [self.index(step * batch + n) for n in range(batch)]
