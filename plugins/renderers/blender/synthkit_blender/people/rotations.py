# SPDX-License-Identifier: Apache-2.0
"""Rotations as (3, 3) float64 matrices that act on column vectors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Vec = NDArray[np.float64]
Mat = NDArray[np.float64]

X, Y, Z = np.eye(3)
FORWARD = -Y


def length(vector: Vec) -> float:
    """Return the length of a vector (3,)."""
    return math.sqrt(vector @ vector)


def unit(vector: Vec) -> Vec:
    """Return the vector at length one."""
    return np.asarray(vector / math.sqrt(vector @ vector))


def within(value: float, low: float, high: float) -> float:
    """Return a number within bounds; NumPy's own takes many times as long for one."""
    return min(max(value, low), high)


def angle_rad(rotation: Mat) -> float:
    """Return how far a rotation turns."""
    x, y, z = rotation.diagonal().tolist()
    return float(np.arccos(within((x + y + z - 1) / 2, -1.0, 1.0)))


def cross(a: Vec, b: Vec) -> Vec:
    """Return a x b of two vectors (3,); NumPy's own takes twenty times as long for one."""
    ax, ay, az = a.tolist()
    bx, by, bz = b.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def about(axis: Vec, degrees: float) -> Mat:
    """Return the right-handed rotation about an axis (Rodrigues' formula)."""
    x, y, z = unit(axis).tolist()
    s, c = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    r = 1 - c
    return np.array(
        [
            [c + r * x * x, r * x * y - s * z, r * x * z + s * y],
            [r * x * y + s * z, c + r * y * y, r * y * z - s * x],
            [r * x * z - s * y, r * y * z + s * x, c + r * z * z],
        ]
    )


def lean(forward: float, left: float, turn_left: float) -> Mat:
    """Return the rotation that leans forward, tilts left and then turns left, in degrees, in the person frame."""
    return np.asarray(about(Z, turn_left) @ about(Y, left) @ about(X, forward))


def frame(axis: Vec, towards: Vec) -> Mat:
    """Return the orthonormal frame whose first column is `axis` and whose second is nearest `towards`."""
    first = unit(axis)
    second = unit(towards - first * (towards @ first))
    axes = np.empty((3, 3))
    axes[:, 0], axes[:, 1], axes[:, 2] = first, second, cross(first, second)
    return axes


def upright_axes(up: Vec, left: Vec) -> Mat | None:
    """Return the rotation to our axes (x left, z up) of a body at rest, from the axes nearest to its up and left.

    None where these are the same axis.
    """
    z, x = _nearest_axis(up), _nearest_axis(left)
    return None if abs(z @ x) > 0.5 else np.stack([x, cross(z, x), z])


def _nearest_axis(vector: Vec) -> Vec:
    axis = np.zeros(3)
    longest = int(np.abs(vector).argmax())
    axis[longest] = 1.0 if vector[longest] >= 0 else -1.0
    return axis


def turn_between(rest: Mat, posed: Mat) -> Mat:
    """Return the rotation that carries the frame `rest` onto the frame `posed`."""
    return np.asarray(posed @ rest.T)


def partial(rotation: Mat, share: float) -> Mat:
    """Return the rotation about the same axis by `share` of the angle."""
    angle = angle_rad(rotation)
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    if angle < 1e-6 or length(axis) < 1e-9:
        return np.eye(3)
    return about(axis, float(np.degrees(angle)) * share)


def shortest(start: Vec, end: Vec) -> Mat:
    """Return the smallest rotation that carries direction `start` onto `end`."""
    first, last = unit(start), unit(end)
    axis = cross(first, last)
    sine = length(axis)
    if sine < 1e-9:
        return np.eye(3)
    return about(axis, float(np.degrees(np.arctan2(sine, first @ last))))


def two_bone_reach(
    root: Vec, target: Vec, lengths: tuple[float, float], pole: Vec, most_bend_deg: float
) -> tuple[Vec, Vec]:
    """Place the middle and end joint of a two-bone limb (law of cosines).

    `pole` points to where the middle joint should bulge.  A target out of reach is approached along its line
    to 99.5 % of the limb's length, one too near as far as the middle joint bends, `most_bend_deg` from straight.
    """
    upper, lower = lengths
    line = target - root
    nearest = np.sqrt(upper**2 + lower**2 + 2 * upper * lower * np.cos(np.radians(most_bend_deg)))
    distance = within(length(line), float(nearest), (upper + lower) * 0.995)
    direction = unit(line)
    side = unit(pole - direction * (pole @ direction))
    along = (upper**2 - lower**2 + distance**2) / (2 * distance)
    middle = root + direction * along + side * np.sqrt(max(upper**2 - along**2, 0.0))
    return middle, root + direction * distance
