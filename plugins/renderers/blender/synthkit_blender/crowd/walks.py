# SPDX-License-Identifier: Apache-2.0
"""How far walkers go in a clip: steadily, and where the floor ends before the clip does, to a stand."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit_blender.placement import Floats, Pose2D, hull

STRIDES_S = 0.9  # of a walker, each of two steps
PHASES = 12  # of a stride, at which a walker is looked at
BRAKE_S = 0.8  # over which who stops slows down
ABREAST = 0.3  # of the stride, where and half a stride on one foot passes the other
CLOSING = 0.25  # of the stride, over which who stops puts the passing foot down beside the other
STEPS_LEFT = (12, 8, 5, 3, 1, 0)  # whole ones, tried one after the other


@attrs.frozen
class Walk:
    """A way straight ahead; without a speed, of somebody who stays.

    Args:
        length_m: where it ends; they slow down evenly before.
    """

    speed_m_s: float = 0.0
    length_m: float = math.inf

    def gone_m(self, time_s: float) -> float:
        """Return how far they are at a time."""
        brake_m, begins_s = self._brake
        braked_s = min(max(time_s - begins_s, 0.0), self._lasts_s(brake_m))
        lost_m = (self.speed_m_s * braked_s) ** 2 / (4 * brake_m) if braked_s > 0 else 0.0
        return self.speed_m_s * (min(time_s, begins_s) + braked_s) - lost_m

    def pace(self, time_s: float) -> float:
        """Return how fast they go at a time, as a share of their speed."""
        brake_m, begins_s = self._brake
        if time_s <= begins_s:
            return 1.0
        return max(1 - (time_s - begins_s) / self._lasts_s(brake_m), 0.0)

    def stood(self, time_s: float) -> float:
        """Return how far they have come to a stand at a time: 0 in their stride, 1 standing."""
        if self.speed_m_s == 0 or math.isinf(self.length_m):
            return 0.0
        closing_m = min(CLOSING * self.speed_m_s / STRIDES_S, self.length_m)
        return min(max(1 - (self.length_m - self.gone_m(time_s)) / closing_m, 0.0), 1.0)

    @property
    def _brake(self) -> tuple[float, float]:
        """The length over which they slow down, and when it begins."""
        if self.speed_m_s == 0 or math.isinf(self.length_m):
            return 0.0, math.inf
        brake_m = min(self.speed_m_s * BRAKE_S / 2, self.length_m)
        return brake_m, (self.length_m - brake_m) / self.speed_m_s

    def _lasts_s(self, brake_m: float) -> float:
        return 2 * brake_m / self.speed_m_s if self.speed_m_s > 0 else 0.0


STAYING = Walk()


def walks(stride_m: float, phase: float, lasts_s: float) -> list[Walk]:
    """Return the walks of a clip that lasts so long, the longest first: through all of it, or to where one stops.

    Args:
        phase: where in the stride it begins, 0 to 1.
    """
    steady = Walk(stride_m * STRIDES_S)
    to_stand = (ABREAST - phase) % 0.5
    stops = [Walk(steady.speed_m_s, stride_m * (to_stand + steps / 2)) for steps in STEPS_LEFT]
    return [steady, *(walk for walk in stops if 0 < walk.length_m < steady.gone_m(lasts_s))]


def swept(outline_m: Floats, length_m: float) -> Floats:
    """Return the convex outline of a convex one and of all of its way ahead."""
    return hull(np.concatenate([outline_m, Pose2D(0.0, 0.0).ahead(length_m).outline(outline_m)]))


def widened(outline_m: Floats, by_m: float) -> Floats:
    """Return a convex outline that goes by as much farther in each direction, or a little more."""
    return hull(np.concatenate([outline_m + np.array([x, y]) * by_m for x in (-1, 1) for y in (-1, 1)]))
