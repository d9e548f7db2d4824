# SPDX-License-Identifier: Apache-2.0
"""What to expect of ranks when some distances are equal (McSherry and Najork, ECIR 2008, sections 2.3 to 2.6)."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@attrs.frozen
class Equals:
    """Right and wrong pictures that are equally near to a query, in an order that is drawn.

    Args:
        nearer, ahead: wrong and right pictures before them. wrong, right: those among them, at least one of each.
    """

    nearer: int
    wrong: int
    right: int
    ahead: int

    def precisions(self) -> tuple[float, float]:
        """Return the precision to expect at the rank of one of the right pictures, and one rank before it.

        Before the first rank it is 1, as in Market-1501's ``compute_AP.m``.
        """
        place = np.arange(self.wrong + self.right)
        # With one right picture at a place, the others are spread evenly over all other places.
        ahead = self.ahead + place * ((self.right - 1) / (self.wrong + self.right - 1))
        rank = self.nearer + self.ahead + 1 + place
        earlier = np.where(rank > 1, ahead / np.maximum(rank - 1, 1), 1.0)
        return float(np.mean((ahead + 1) / rank)), float(np.mean(earlier))

    def found(self, most_rank: int) -> Floats:
        """Return the probability of a right picture up to each rank, (most_rank,), when there is none before these."""
        result = np.zeros(most_rank)
        place = np.arange(min(self.wrong + self.right, max(0, most_rank - self.nearer)))
        if len(place):
            missed = np.cumprod(np.maximum(self.wrong - place, 0) / (self.wrong + self.right - place))
            result[self.nearer : self.nearer + len(place)] = 1 - missed
            result[self.nearer + len(place) :] = 1.0
        return result
