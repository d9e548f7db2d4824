# SPDX-License-Identifier: Apache-2.0
"""What hangs on a room's walls and stands along them."""

from __future__ import annotations

import itertools
import math

import attrs
import numpy as np

from synthkit_blender import furniture as make
from synthkit_blender.furniture import Piece, rectangle
from synthkit_blender.placement import Floats, Floor, Placed, Pose2D
from synthkit_blender.rooms.goods import wall_shelf
from synthkit_blender.rooms.plan import RoomPlan, WallStretch
from synthkit_blender.surfaces import Decor

DOOR_CLEARANCE_M = 0.9
OFF_WALL_M = 0.02
LEAST_STRETCH_M = 0.6
SHALLOW_M = 0.035  # what reaches no farther off the wall is in nobody's way


@attrs.frozen
class WallPlan:
    """What a kind of room has on and along its walls: (least, most) of each, and shares of rooms that have one."""

    doors: tuple[int, int] = (1, 1)
    windowed_walls: tuple[int, int] = (1, 2)
    whiteboard_share: float = 0.7
    screen_share: float = 0.4
    pictures: tuple[int, int] = (0, 3)
    cupboards: tuple[int, int] = (1, 3)
    shelves: tuple[int, int] = (0, 0)
    plants: tuple[int, int] = (0, 2)
    radiator_share: float = 0.5


TABLES = WallPlan()
PLANS = {
    "corridor": WallPlan((3, 6), (0, 1), 0.0, 0.0, (2, 5), (0, 1), (0, 0), (0, 2)),
    "lobby": WallPlan((1, 3), (1, 2), 0.0, 0.4, (1, 4), (0, 1), (0, 0), (2, 5)),
    "shop": WallPlan((1, 1), (0, 1), 0.0, 0.3, (1, 4), (0, 0), (3, 6), (0, 1)),
}


class Walls:
    """Fills the four walls, keeping things apart along each."""

    def __init__(self, plan: RoomPlan, decor: Decor, floor: Floor, rng: np.random.Generator) -> None:
        self._plan, self._decor, self._floor, self._rng = plan, decor, floor, rng
        self._used: dict[int, list[tuple[float, float]]] = {n: [] for n in range(4)}
        self.placed: list[Placed] = []
        self.windows: list[tuple[Floats, float, float]] = []
        self.clearances: list[Floats] = []

    def furnish(self) -> None:
        """Hang and stand everything."""
        rng, kind = self._rng, PLANS.get(self._plan.layout, TABLES)
        for _ in range(_some(rng, kind.doors)):
            self._door()
        for wall in rng.permutation(4)[: _some(rng, kind.windowed_walls)]:
            for _ in range(int(rng.integers(1, 4))):
                self._window(int(wall), radiator=bool(rng.random() < kind.radiator_share))
        if rng.random() < kind.whiteboard_share:
            width = float(rng.uniform(1.4, 2.4))
            self._hang(make.whiteboard(width, self._decor.prints.boards), width + 0.1)
        if rng.random() < kind.screen_share:
            self._hang(make.screen(), 1.6)
        for number in range(_some(rng, kind.pictures)):
            self._hang(make.picture(self._decor, rng, number), 1.2)
        for _ in range(_some(rng, kind.shelves)):
            self._stand(wall_shelf(float(rng.uniform(1.2, 2.4)), float(rng.uniform(1.6, 2.1)), self._decor, rng))
        for _ in range(_some(rng, kind.cupboards)):
            self._stand(self._cupboard())
        for _ in range(_some(rng, kind.plants)):
            self._stand(make.plant(float(rng.uniform(0.9, 1.6)), rng))
        self._stand(make.bin_())

    def _door(self) -> None:
        pose = self._hang(make.door(self._decor), 1.1)
        if pose is not None:
            outline = pose.outline(rectangle(1.1, DOOR_CLEARANCE_M, 0, DOOR_CLEARANCE_M / 2))
            self.clearances.append(self._floor.take(outline))

    def _window(self, wall: int, *, radiator: bool) -> None:
        width, height = float(self._rng.uniform(0.9, 1.6)), float(self._rng.uniform(1.0, 1.4))
        glow = float(self._rng.uniform(1.0, 2.0))
        sill = 0.95
        height = min(height, self._plan.height_m - sill - 0.25)
        pose = self._hang(make.window(width, height, sill, self._decor, glow, len(self.windows)), width + 0.3, wall)
        if pose is not None:
            centre = pose.matrix @ np.array([0, 0.06, sill + height / 2, 1.0])
            matrix = pose.matrix.copy()
            matrix[:3, 3] = centre[:3]
            self.windows.append((matrix, width, height))
            if radiator:
                self.placed.append(Placed(make.radiator(width), pose))

    def _cupboard(self) -> Piece:
        rng = self._rng
        if rng.random() < 0.45:
            return make.bookcase(float(rng.uniform(0.8, 1.8)), float(rng.uniform(1.2, 2.0)), self._decor, rng)
        length = float(rng.uniform(0.8, 2.0))
        height = float(rng.choice([0.75, 1.1, 1.9]))
        return make.cabinet(length, float(rng.uniform(0.38, 0.5)), height, self._decor, max(2, round(length / 0.5)))

    def _hang(self, piece: Piece, width_m: float, wall: int | None = None) -> Pose2D | None:
        pose = self._free_stretch(width_m, wall)
        if pose is not None:
            self.placed.append(Placed(piece, pose))
            low, high = _reach(piece)
            width, depth = (float(v) for v in high - low)
            if depth > SHALLOW_M:  # sills, handles and the like: nobody stands in them
                self._floor.take(pose.outline(rectangle(width, depth, *((low + high) / 2).tolist())))
        return pose

    def _stand(self, piece: Piece) -> None:
        width = float(np.ptp(piece.outline_m[:, 0]))
        pose = self._free_stretch(width + 0.1, None)
        if pose is None:
            return
        c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        forward = Pose2D(pose.x_m - OFF_WALL_M * s, pose.y_m + OFF_WALL_M * c, pose.yaw_rad)
        outline = forward.outline(piece.outline_m)
        if self._floor.fits(outline, 0.005):
            self._floor.take(outline)
            self.placed.append(Placed(piece, forward))

    def _free_stretch(self, width_m: float, wall: int | None) -> Pose2D | None:
        """Return the pose of a free stretch of wall, and mark it as used."""
        for _ in range(12):
            n = int(self._rng.integers(4)) if wall is None else wall
            length = self._plan.length_m if n % 2 == 0 else self._plan.width_m
            slack = length / 2 - width_m / 2 - 0.25
            if slack <= 0:
                continue
            x = float(self._rng.uniform(-slack, slack))
            low, high = x - width_m / 2, x + width_m / 2
            if all(high < a or low > b for a, b in self._used[n]):
                self._used[n].append((low, high))
                return self._plan.at_wall(n, x)
        return None

    def free_stretches(self) -> list[WallStretch]:
        """Return what is left of the walls."""
        found = []
        for wall, used in self._used.items():
            half = (self._plan.length_m if wall % 2 == 0 else self._plan.width_m) / 2
            edges = [(-half, -half), *sorted(used), (half, half)]
            for (_, low), (high, _) in itertools.pairwise(edges):
                if high - low > LEAST_STRETCH_M:
                    found.append(WallStretch(self._plan.at_wall(wall, (low + high) / 2), high - low))
        return found


def _reach(piece: Piece) -> tuple[Floats, Floats]:
    """Return the low and the high corner (x, y) of a piece."""
    points = np.concatenate([mesh.vertices_m[:, :2] for mesh, _ in piece.parts]).astype(np.float64)
    return points.min(axis=0), points.max(axis=0)


def _some(rng: np.random.Generator, counts: tuple[int, int]) -> int:
    return int(rng.integers(counts[0], counts[1] + 1))
