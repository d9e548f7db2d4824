# SPDX-License-Identifier: Apache-2.0
"""Seats that are there before anybody comes, and solid things that nobody may reach into."""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.geometry import Mesh, prism
from synthkit_blender.placement import Floats, Pose2D
from synthkit_blender.polygons import holds

SEAT_THICK_M = 0.11  # at most, of chairs


@attrs.frozen(eq=False)
class Solid:
    """A thing as a prism: its outline (N, 2), counter-clockwise, from ``low_m`` up to ``high_m``."""

    kind: str
    outline_m: Floats
    low_m: float
    high_m: float

    def holds(self, points_m: Floats) -> NDArray[np.bool_]:
        """Return which points (N, 3) lie within it."""
        z = points_m[:, 2]
        within = (z > self.low_m) & (z < self.high_m)
        within[within] = holds(self.outline_m, points_m[within, :2])
        return within

    @property
    def mesh(self) -> Mesh:
        """Its surface."""
        return prism(self.outline_m, self.low_m, self.high_m)


@attrs.frozen(eq=False)
class SeatPlace:
    """Where somebody may sit: the pelvis over the pose's place, facing its -y, ``height_m`` over the floor.

    The seat's front edge is ``front_m`` ahead of there, and the seat is ``thick_m`` thick.
    """

    pose: Pose2D
    height_m: float
    front_m: float = 0.0
    thick_m: float = SEAT_THICK_M
