# SPDX-License-Identifier: Apache-2.0
"""What people wear over their clothes: backpack, shoulder bag, lanyard and cap, fitted to what is below them.

All is made in the frame of the chest or the head, which turns the posed body back upright: x to the left, y
backwards, z up, as in the person frame at rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synthkit_blender.geometry import Mesh, box, merged, slab, turned_x
from synthkit_blender.people.held import Made
from synthkit_blender.people.rotations import Vec, unit

Points = NDArray[np.float64]
STRAP_OVER_M = 0.004


def ribbon(
    path_m: Points, outwards: Points, width_m: float, thickness_m: float = 0.004, *, closed: bool = False
) -> Mesh:
    """Return a flat band along a path (N, 3) whose broad side faces `outwards` (N, 3)."""
    ahead = np.roll(path_m, -1, axis=0) - np.roll(path_m, 1, axis=0) if closed else np.gradient(path_m, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    out = outwards - ahead * (outwards * ahead).sum(axis=1, keepdims=True)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    aside = np.cross(ahead, out)
    corners = [path_m + aside * a * width_m / 2 + out * b * thickness_m for a, b in ((-1, 0), (1, 0), (1, 1), (-1, 1))]
    count = len(path_m)
    vertices = np.stack(corners, axis=1).reshape(-1, 3)
    faces = []
    for n in range(count if closed else count - 1):
        m = (n + 1) % count
        faces += [[4 * n + k, 4 * n + (k + 1) % 4, 4 * m + (k + 1) % 4, 4 * m + k] for k in range(4)]
    if not closed:
        last = 4 * (count - 1)
        faces += [[3, 2, 1, 0], [last, last + 1, last + 2, last + 3]]
    return Mesh(vertices.astype(np.float32), np.array(faces, np.int32), smooth=False)


def girdle(body_m: Points, centre: Vec, axes: tuple[Vec, Vec], degrees: Points, half_m: float) -> tuple[Points, Points]:
    """Return how a taut band lies on a body, in a plane through `centre` that is spanned by two unit axes.

    Args:
        degrees: (N,) where to, counter-clockwise from the first axis. half_m: of the band's width.

    Returns:
        points (N, 3) on the surface and the directions (N, 3) away from the centre.
    """
    first, second = axes
    rays = np.cos(np.radians(degrees))[:, None] * first + np.sin(np.radians(degrees))[:, None] * second
    offset = body_m - centre
    near = np.abs(offset @ np.cross(first, second)) < half_m
    flat = np.stack([offset[near] @ first, offset[near] @ second], axis=1)
    angles, far = np.degrees(np.arctan2(flat[:, 1], flat[:, 0])), np.hypot(flat[:, 0], flat[:, 1])
    away = np.abs((degrees[:, None] - angles + 180) % 360 - 180)
    radius = np.where(away < 9, far, 0.0).max(axis=1, initial=0.0)
    known = np.flatnonzero(radius > 0)
    radius = np.interp(np.arange(len(radius)), known, radius[known]) if len(known) else np.full(len(radius), 0.1)
    # Taut cloth bridges hollows: no point lies below the chord of its neighbours.
    for _ in range(12):
        radius[1:-1] = np.maximum(radius[1:-1], (radius[:-2] + radius[2:]) / 2)
    return centre + rays * (radius + STRAP_OVER_M)[:, None], rays


def _extent(body_m: Points, axis: int, chosen: NDArray[np.bool_], sign: float, default: float) -> float:
    return sign * float((sign * body_m[chosen, axis]).max(initial=sign * default))


def backpack(body_m: Points, neck: Vec, pelvis: Vec) -> Made:
    """Return a pack on the back with two shoulder straps."""
    height, width, depth = 0.42, 0.29, 0.13
    top = float(neck[2]) - 0.045
    behind = (np.abs(body_m[:, 0]) < width / 2) & (body_m[:, 2] < top) & (body_m[:, 2] > top - height)
    back = _extent(body_m, 1, behind, 1.0, 0.1) + 0.006
    sack = slab(width, height, depth, corner_m=0.08, bevel_m=0.045, smooth=True).moved(turned_x(np.pi / 2))
    pocket = slab(width * 0.72, height * 0.42, 0.05, corner_m=0.04, bevel_m=0.022, smooth=True).moved(
        turned_x(np.pi / 2)
    )
    sack = sack.at(0, back + depth, top - height / 2)
    pocket = pocket.at(0, back + depth + 0.04, top - height * 0.7)
    straps = []
    for side in (1.0, -1.0):
        x = side * 0.095
        centre = np.array([x, float(neck[1]) - 0.01, top - 0.14])
        over, out = girdle(
            body_m, centre, (np.array([0, 1.0, 0]), np.array([0, 0, 1.0])), np.linspace(75, 215, 22), 0.03
        )
        low = over[-1]
        middle = np.array([0.0, float(neck[1]), low[2]])
        start = float(np.degrees(np.arctan2(low[1] - middle[1], (low[0] - middle[0]) * side)))
        around, aside = girdle(
            body_m, middle, (np.array([side, 0.0, 0.0]), np.array([0, 1.0, 0])), np.linspace(start, 62, 16), 0.03
        )
        around[:, 2] -= np.linspace(0, 0.1, len(around))
        first = np.array([x, back + 0.02, top - 0.03])
        path, normals = np.vstack([first, over, around[1:]]), np.vstack([out[0], out, aside[1:]])
        straps.append(ribbon(path, normals, 0.045, 0.007))
    return (sack, "body"), (pocket, "trim"), (merged(straps), "trim")


def shoulder_bag(body_m: Points, neck: Vec, pelvis: Vec) -> Made:
    """Return a bag at the right hip on a strap over the left shoulder, a little behind the arm."""
    hip_z = float(pelvis[2]) + 0.03
    high = np.array([0.1, float(neck[1]), float(neck[2]) - 0.03])
    low = np.array([-0.13, float(neck[1]) + 0.03, hip_z + 0.12])
    centre = (high + low) / 2
    up = unit(high - low)
    degrees = np.linspace(0, 360, 48, endpoint=False)
    path, out = girdle(body_m, centre, (up, np.array([0.0, 1.0, 0.0])), degrees, 0.03)
    strap = ribbon(path, out, 0.032, 0.004, closed=True)
    height, width, thick = 0.25, 0.3, 0.085
    aside = unit(np.array([-0.62, 0.78, 0.0]))
    near = (body_m[:, 2] < hip_z + 0.12) & (body_m[:, 2] > hip_z - height)
    reach = float((body_m[near] @ aside).max(initial=0.15)) + thick / 2 + 0.006
    sack = slab(width, thick, height, corner_m=0.035, bevel_m=0.025, smooth=True)
    flap = slab(width * 0.98, thick + 0.012, height * 0.5, corner_m=0.04, bevel_m=0.02, smooth=True)
    turn = np.eye(4)
    turn[:3, :3] = np.stack([np.cross(aside, [0, 0, 1.0]), aside, [0, 0, 1.0]], axis=1)
    turn[:3, 3] = aside * reach + [0, 0, hip_z - height + 0.1]
    return (sack.moved(turn), "body"), (flap.at(0, 0, height * 0.51).moved(turn), "trim"), (strap, "trim")


def lanyard(body_m: Points, neck: Vec, pelvis: Vec) -> Made:
    """Return a band around the neck with a badge before the chest."""
    low_z = float(neck[2]) - 0.36
    front = (np.abs(body_m[:, 0]) < 0.05) & (np.abs(body_m[:, 2] - low_z + 0.05) < 0.09)
    y = _extent(body_m, 1, front, -1.0, -0.1) - 0.006
    bands = []
    for side in (1.0, -1.0):
        points = [np.array([side * 0.012, y, low_z])]
        for x, drop in ((0.032, 0.27), (0.05, 0.18), (0.064, 0.1), (0.07, 0.045)):
            z = float(neck[2]) - drop
            near = (np.abs(body_m[:, 0] - side * x) < 0.03) & (np.abs(body_m[:, 2] - z) < 0.035)
            points.append(np.array([side * x, _extent(body_m, 1, near, -1.0, y + 0.02) - STRAP_OVER_M, z]))
        for x, behind in ((0.075, 0.0), (0.06, 0.05), (0.03, 0.075)):
            near = (np.abs(body_m[:, 0] - side * x) < 0.025) & (np.abs(body_m[:, 1] - neck[1] - behind) < 0.03)
            near &= body_m[:, 2] < float(neck[2]) + 0.03
            z = _extent(body_m, 2, near, 1.0, float(neck[2]) - 0.01) + STRAP_OVER_M
            points.append(np.array([side * x, float(neck[1]) + behind, z]))
        path = np.array(points)
        out = path - np.array([0.0, float(neck[1]) + 0.03, float(neck[2]) - 0.12])
        bands.append(ribbon(path, out, 0.014, 0.002))
    badge = box(0.058, 0.004, 0.088).at(0, y - 0.002, low_z - 0.086)
    return (merged(bands), "trim"), (badge, "body")


def cap(head_m: Points, centre: Vec, pelvis: Vec) -> Made:
    """Return a cap with a visor over head and hair."""
    tilt = np.radians(12.0)
    up, front = np.array([0.0, np.sin(tilt), np.cos(tilt)]), np.array([0.0, -np.cos(tilt), np.sin(tilt)])
    left = np.array([1.0, 0.0, 0.0])
    around, down = np.arange(40) * (2 * np.pi / 40), np.radians(np.linspace(4, 84, 11))
    rays = np.cos(down)[:, None, None] * up + np.sin(down)[:, None, None] * (
        np.cos(around)[:, None] * front + np.sin(around)[:, None] * left
    )
    offset = head_m - centre
    far = np.linalg.norm(offset, axis=1)
    cosine = rays.reshape(-1, 3) @ (offset / far[:, None]).T
    ray, point = np.nonzero(cosine > np.cos(np.radians(9)))
    radius = np.zeros(len(cosine))
    np.maximum.at(radius, ray, far[point] * cosine[ray, point])
    radius = radius.reshape(rays.shape[:2])
    for _ in range(3):
        radius = np.maximum(radius, (np.roll(radius, 1, axis=1) + np.roll(radius, -1, axis=1)) / 2)
    grid = centre + rays * (radius + 0.006)[..., None]
    index = np.arange(11 * 40).reshape(11, 40)
    beside = np.roll(index, -1, axis=1)
    faces = np.stack([index[:-1], index[1:], beside[1:], beside[:-1]], axis=-1).reshape(-1, 4)
    top = np.array([[index[0, n], index[0, (n + 1) % 40], 440, 440] for n in range(40)])
    crown = Mesh(
        np.vstack([grid.reshape(-1, 3), grid[0].mean(axis=0) + up * 0.002]).astype(np.float32),
        np.concatenate([faces, top]).astype(np.int32), smooth=True,
    )  # fmt: skip
    return (crown, "body"), (_visor(grid[-1], around, front, up), "trim")


def _visor(rim: Points, around: Points, front: Vec, up: Vec) -> Mesh:
    angles = np.linspace(-52, 52, 15)
    turned, ring = np.append(around - np.pi, np.pi), np.roll(rim, 20, axis=0)
    at = [np.interp(np.radians(angles), turned, np.append(ring[:, k], ring[0, k])) for k in range(3)]
    edge = np.stack(at, axis=1)
    reach = 0.075 * np.sqrt(np.clip(1 - (angles / 56) ** 2, 0, 1))
    rows = [edge + front * (reach * out)[:, None] - up * (0.012 * out * out) for out in (-0.1, 0.35, 0.7, 1.0)]
    sheet = [*rows, *(row - up * 0.003 for row in rows[::-1])]
    count = len(angles)
    faces = []
    for here in range(len(sheet)):
        there = (here + 1) % len(sheet)
        faces += [
            [here * count + k, here * count + k + 1, there * count + k + 1, there * count + k] for k in range(count - 1)
        ]
    return Mesh(np.concatenate(sheet).astype(np.float32), np.array(faces, np.int32), smooth=False)


MAKERS: dict[str, Callable[[Points, Vec, Vec], Made]] = {
    "backpack": backpack, "shoulder_bag": shoulder_bag, "lanyard": lanyard, "cap": cap,
}  # fmt: skip
ON_BACK = ("backpack", "shoulder_bag")
BESIDE_LEGS = ("shoulder_bag",)  # the others keep away from the trunk alone: a sitter's thighs lie before the chest
