# SPDX-License-Identifier: Apache-2.0
"""Hair: a shell of strands from the crown over the skull to the hairline, which may hang on below it.

The shell is a grid: columns run around the head, rows from the crown outwards.  It is laid out once on the base
mesh and follows every shape through the scalp vertices near each grid point.
"""

from __future__ import annotations

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender.people.haircuts import BALD, HAIR_CUTS, HAIRLINES, HairCut
from synthkit_blender.people.keypoints import Landmarks
from synthkit_blender.people.mpfb import TIGHTS, BaseMesh
from synthkit_blender.people.rotations import X, about
from synthkit_blender.people.skeleton import Skin

COLUMNS, CAP_ROWS, LOOSE_ROWS = 96, 20, 14
CROWN_TILT_DEG = 24.0
NEAR_SPREAD_DEG = 5.0
NEAR_COUNT = 8
RISE_DEG = 20.0


@attrs.frozen(eq=False)
class HairMesh:
    """Hair on a shape at rest; `on_head` (N,) is the share of the head's motion, the rest is the chest's.

    `base_vertices` (N,) are the vertices of the scalp that it grows from, `uv` (F, 4, 2) run around the head and up
    the strands.
    """

    name: str
    vertices_m: NDArray[np.float32]
    faces: NDArray[np.int32]
    on_head: NDArray[np.float32]
    base_vertices: NDArray[np.int32]
    uv: NDArray[np.float32]


@attrs.frozen(eq=False)
class _Layout:
    """Grid points (rows, columns) on the scalp: nearest vertices, their weights, and where the rows end."""

    near: NDArray[np.int64]
    weight: NDArray[np.float32]
    above_line_deg: NDArray[np.float32]
    elevation_deg: NDArray[np.float32]
    azimuth_deg: NDArray[np.float32]


class Barber:
    """Makes hair for a shape."""

    def __init__(self, mesh: BaseMesh, skin: Skin, landmarks: Landmarks) -> None:
        self._landmarks = landmarks
        self._back = mesh.group_vertices(TIGHTS)
        centre = self._centre(mesh.vertices_m)
        head = np.flatnonzero(skin.dense("head", "neck03", "neck02", "neck01")[:13380] > 0.5)
        rays = mesh.vertices_m[head] - centre
        distance = np.linalg.norm(rays, axis=1)
        elevation = np.degrees(np.arcsin(rays[:, 2] / distance))
        azimuth = np.degrees(np.arctan2(np.abs(rays[:, 0]), -rays[:, 1]))
        ear = (np.abs(rays[:, 0]) > 0.071) & (elevation < 12) & (azimuth > 60) & (azimuth < 135)
        scalp = ~ear & (distance > 0.06) & (elevation > np.where(azimuth > 60, -60, 5))
        self._scalp, self._rays = head[scalp], rays[scalp] / distance[scalp, None]
        self._layouts = {name: self._lay_out(HAIRLINES[name]) for name in HAIRLINES}

    def _centre(self, vertices_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the middle of the cranium: between and above the ears."""
        between = vertices_m[list(self._landmarks.ears)].mean(axis=0)
        return np.asarray(between + np.array([0.0, -0.018, 0.038], np.float32), np.float32)

    def _lay_out(self, line: tuple[tuple[float, float], ...]) -> _Layout:
        around = np.linspace(-180, 180, COLUMNS, endpoint=False)
        polar = np.linspace(0, 160, 321)
        angle, spread = np.radians(around)[None, :], np.radians(polar)[:, None]
        across, up = np.sin(spread), np.cos(spread) * np.ones_like(angle)
        upright = np.stack([across * np.sin(angle), -across * np.cos(angle), up], axis=-1)
        rays = upright @ about(X, -CROWN_TILT_DEG).T
        elevation = np.degrees(np.arcsin(np.clip(rays[..., 2], -1, 1)))
        azimuth = np.degrees(np.arctan2(np.abs(rays[..., 0]), -rays[..., 1]))
        above = elevation - np.interp(azimuth, *np.array(line).T)
        end = np.argmax(above <= 0, axis=0)
        rows = np.linspace(0, 1, CAP_ROWS)[:, None] ** 0.9 * end[None, :]
        take = (np.rint(rows).astype(int), np.broadcast_to(np.arange(COLUMNS), rows.shape))
        chosen = rays[take]
        cosine = np.clip(chosen.reshape(-1, 3) @ self._rays.T, -1, 1)
        near = np.argsort(-cosine, axis=1, kind="stable")[:, :NEAR_COUNT]
        away = np.degrees(np.arccos(np.take_along_axis(cosine, near, axis=1)))
        weight = np.exp(-0.5 * (away / NEAR_SPREAD_DEG) ** 2) + 1e-9
        weight /= weight.sum(axis=1, keepdims=True)
        shape = (CAP_ROWS, COLUMNS)
        return _Layout(
            self._scalp[near].reshape(*shape, -1), weight.reshape(*shape, -1).astype(np.float32),
            above[take].astype(np.float32), elevation[take].astype(np.float32), azimuth[take].astype(np.float32),
        )  # fmt: skip

    def make(self, style: str, phase: float, shape_m: NDArray[np.float32]) -> list[HairMesh]:
        """Return the meshes of a hair style on a shape (V, 3) at rest; `phase` in 0..1 varies the strands."""
        if style == BALD:
            return []
        haircut = HAIR_CUTS[style]
        layout = self._layouts[haircut.hairline]
        centre = self._centre(shape_m)
        scalp = np.einsum("rcn,rcnd->rcd", layout.weight, shape_m[layout.near])
        outward = scalp - centre
        outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
        grid = scalp + outward * self._thickness(haircut, layout, phase)[..., None]
        roots = layout.near[..., 0]
        if haircut.length_m > 0:
            grid = np.concatenate([grid, self._loose(haircut, layout, grid[-1], centre, shape_m, phase)])
            roots = np.concatenate([roots, np.repeat(roots[-1:], LOOSE_ROWS, axis=0)])
        meshes = [self._mesh("hair", grid, roots, centre)]
        if haircut.tail is not None:
            tail, root = self._tail(haircut.tail, scalp, centre, phase)
            meshes.append(
                self._mesh("hair_tail", tail, np.full(tail.shape[:2], layout.near[..., 0].flat[root]), centre)
            )
        return meshes

    def _mesh(
        self, name: str, grid: NDArray[np.float32], roots: NDArray[np.int64], centre: NDArray[np.float32]
    ) -> HairMesh:
        rows, columns = grid.shape[:2]
        index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
        beside = np.roll(index, -1, axis=1)
        faces = np.stack([index[:-1], index[1:], beside[1:], beside[:-1]], axis=-1).reshape(-1, 4)
        vertices = grid.reshape(-1, 3).astype(np.float32)
        below = centre[2] - vertices[:, 2]
        on_head = np.clip(1 - (below - 0.13) / 0.16, 0, 1).astype(np.float32)
        row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
        corners = [np.stack([column + right, row + down], axis=-1) for right, down in ((0, 0), (0, 1), (1, 1), (1, 0))]
        uv = np.stack(corners, axis=-2).reshape(-1, 4, 2) / (columns, -(CAP_ROWS + LOOSE_ROWS))
        bases = roots.reshape(-1).astype(np.int32)
        return HairMesh(name, vertices, faces, on_head, bases, uv.astype(np.float32))

    def _thickness(self, haircut: HairCut, layout: _Layout, phase: float) -> NDArray[np.float32]:
        upward = np.clip((layout.elevation_deg + 5) / 55, 0, 1)
        front = np.clip((90 - layout.azimuth_deg) / 90, 0, 1) * upward
        thickness = haircut.side_m + (haircut.top_m - haircut.side_m) * upward + haircut.front_m * front
        rise_deg = RISE_DEG if haircut.length_m == 0 else RISE_DEG * 1.8
        rise = np.clip(layout.above_line_deg / rise_deg, 0, 1)
        if haircut.length_m > 0:
            rise = np.maximum(rise, np.clip((layout.azimuth_deg - 55) / 30, 0, 1))
        from_crown = np.clip(np.linspace(0, 3.2, CAP_ROWS), 0, 1)[:, None]
        strands = strand_noise((CAP_ROWS, COLUMNS), phase) * (0.0012 + 0.1 * thickness) * from_crown
        return np.asarray((thickness + strands) * rise**0.85 - 0.0015 * (rise < 0.02), np.float32)

    def _loose(
        self, haircut: HairCut, layout: _Layout, edge: NDArray[np.float32], centre: NDArray[np.float32],
        shape_m: NDArray[np.float32], phase: float,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Hang hair from the shell's edge, sweeping it behind the shoulders."""
        share = np.linspace(0, 1, LOOSE_ROWS + 1)[1:, None]
        full = np.clip((layout.azimuth_deg[-1] - haircut.face_deg) / 30, 0.02, 1)
        uneven = 1 + 0.05 * strand_noise((1, COLUMNS), phase)[0]
        bottom = centre[2] - haircut.length_m * uneven
        end_z = np.minimum(edge[:, 2] + (bottom - edge[:, 2]) * full, edge[:, 2] - 0.002)
        z = edge[None, :, 2] + (end_z - edge[:, 2])[None, :] * share
        flat = edge[None, :, :2] - centre[None, None, :2]
        below = centre[2] - z
        strands = strand_noise((LOOSE_ROWS, COLUMNS), phase + 0.37) * np.clip(share * 3, 0, 1)
        swell = 1 + haircut.swell * np.sin(np.pi * np.clip(below / haircut.length_m, 0, 1)) + 0.03 * strands
        x, y = flat[..., 0] * swell, flat[..., 1] * swell + centre[1]
        sweep = np.clip((below - 0.1) / 0.1, 0, 1)
        sweep = sweep * sweep * (3 - 2 * sweep)
        x = x * (1 - 0.25 * sweep)
        swept = sweep > 0
        behind = np.maximum(y[swept], self._back_y(x[swept], z[swept], shape_m) + 0.022)
        y[swept] += sweep[swept] * (behind - y[swept])
        return np.asarray(np.stack([x, y, z], axis=-1), np.float32)

    def _back_y(
        self, x: NDArray[np.float32], z: NDArray[np.float32], shape_m: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return (N,) how far back the trunk reaches near points given by x and z."""
        back = shape_m[self._back]
        back = back[(back[:, 1] > -0.03) & (np.abs(back[:, 0]) < 0.2)]
        if len(z):
            back = back[(back[:, 2] > z.min() - 0.05) & (back[:, 2] < z.max() + 0.05)]
        gap = np.hypot(x[:, None] - back[:, 0], z[:, None] - back[:, 2])
        return np.asarray(np.where(gap < 0.05, back[:, 1], -0.02).max(axis=-1, initial=-0.02), np.float32)

    def _tail(
        self, tail: tuple[float, float, float], scalp: NDArray[np.float32], centre: NDArray[np.float32], phase: float
    ) -> tuple[NDArray[np.float32], int]:
        """A bun or pony tail: a lumpy tube from the back of the head; (elevation, length, radius).

        Returns its grid, and which point of the scalp's it is tied at.
        """
        elevation, length, radius = tail
        back = np.array([0.0, np.cos(np.radians(elevation)), np.sin(np.radians(elevation))])
        directions = scalp - centre
        directions = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        place = int(np.argmax(directions.reshape(-1, 3) @ back))
        root = scalp.reshape(-1, 3)[place]
        along = np.linspace(0, 1, 16)
        bend = np.clip((length - 0.08) / 0.1, 0, 1)
        path = root + np.outer(along * min(length, 0.075), back)
        path[:, 2] -= bend * (length - 0.05) * along**1.3
        width = radius * np.sqrt(np.clip(1 - (2 * along - 1) ** 2, 0, 1))
        if bend > 0:
            width = radius * np.clip(np.minimum(0.5 + along * 4, 1.15 - along**3), 0.05, 1)
        around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        heading = np.gradient(path, axis=0)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        side = np.array([1.0, 0.0, 0.0])
        over = np.cross(heading, side)
        lumps = 1 + 0.08 * strand_noise((16, 24), phase + 0.61)
        ring = np.cos(around)[None, :, None] * side + np.sin(around)[None, :, None] * over[:, None, :]
        return np.asarray(path[:, None, :] + ring * (width[:, None] * lumps)[..., None], np.float32), place


def strand_noise(shape: tuple[int, int], phase: float) -> NDArray[np.float32]:
    """Return smooth noise (rows, columns) in about -1..1: fast around the head, slow along a strand."""
    rows, columns = shape
    along = np.linspace(0, 1, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None, :]
    total = np.zeros(shape)
    for number, (frequency, drift, gain) in enumerate(
        ((3, 2.0, 0.5), (7, 1.5, 0.4), (17, 2.5, 0.45), (29, 3.0, 0.4), (41, 2.0, 0.35))
    ):
        offset = 2 * np.pi * ((phase * (number + 1) * 7.31 + 0.19 * number) % 1.0)
        wander = drift * np.sin(2.1 * along + offset)
        total += gain * np.sin(frequency * around + offset + wander)
    return np.asarray(total, np.float32)
