# SPDX-License-Identifier: Apache-2.0
"""Chairs that are made for their sitters, who face -y, the pelvis over the origin."""

from __future__ import annotations

import math

import attrs
import numpy as np

from synthkit_blender import surfaces
from synthkit_blender.furniture.piece import Floats, Piece, block, rectangle
from synthkit_blender.geometry import Mesh, cylinder, ellipsoid, merged, slab, tube, turned_x, turned_z
from synthkit_blender.surfaces import Decor

SEAT_M = 0.45
SEAT_DEPTH_M = 0.48
SWIVEL_FEET, SWIVEL_REACH_M = 5, 0.29
POST_M = 0.013
POSTS_BEHIND_M = 0.035 - POST_M  # the foot of a back's cushion


@attrs.frozen
class ChairFit:
    """How a chair meets its sitter: seat height, where the back's front stands, and its lean.

    ``back_y_m`` is measured at the lower end of the backrest; ``lean_rad`` tips it backwards. ``depth_m`` is the
    seat's, from there to its front edge, ``foot_rad`` the turn of a swivel chair's feet, and ``leg_x_m`` how far from
    the middle another's legs are, the front ones ``leg_inset_m`` behind the front edge. Without
    ``swivels`` there is no room for a swivel chair's feet.
    """

    seat_m: float = SEAT_M
    back_y_m: float = 0.2
    lean_rad: float = 0.12
    arms: bool = False
    depth_m: float = SEAT_DEPTH_M
    foot_rad: float = 0.3
    leg_x_m: float = 0.2
    leg_inset_m: float = 0.06
    swivels: bool = True

    @property
    def seat_y_m(self) -> float:
        """Where the middle of the seat is."""
        return self.back_y_m - self.depth_m / 2

    @property
    def arms_m(self) -> tuple[float, float]:
        """From where to where armrests are high."""
        return self.seat_m + 0.2, self.seat_m + 0.225


def meeting_chair(decor: Decor, fit: ChairFit) -> Piece:
    """Return a chair on four tube legs with an upholstered seat and back."""
    seat_y = fit.seat_y_m
    seat = slab(0.46, fit.depth_m - 0.04, 0.06, corner_m=0.07, bevel_m=0.02, smooth=True).at(
        0, seat_y, fit.seat_m - 0.06
    )
    back, posts = _backrest(fit, 0.44, 0.36, 0.16)
    metal = [*(tube([top, foot], 0.011) for top, foot in leg_lines(fit)), posts]
    metal += _armrests(fit, seat_y) if fit.arms else []
    parts = ((seat, decor.seat), (back, decor.seat), (merged(metal), decor.frame))
    return Piece(parts, _chair_solids(fit, seat_y, 0.5), _chair_outline(fit, 0.52, 0.25))


def leg_lines(fit: ChairFit) -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Return where the legs of a meeting chair are: the middle of their upper ends, and of their feet."""
    front, rear, top = fit.seat_y_m - fit.depth_m / 2 + fit.leg_inset_m, fit.seat_y_m + 0.18, fit.seat_m - 0.05
    ends = [(x, y, splay) for x in (-fit.leg_x_m, fit.leg_x_m) for y, splay in ((front, -0.03), (rear, 0.05))]
    return [((x, y, top), (x * 1.08, y + splay, 0.0)) for x, y, splay in ends]


def office_chair(decor: Decor, fit: ChairFit) -> Piece:
    """Return a swivel chair: five feet on castors, a gas spring, a deep cushion, a tall back."""
    seat_y = fit.seat_y_m
    seat = slab(0.5, fit.depth_m - 0.02, 0.09, corner_m=0.12, bevel_m=0.03, smooth=True).at(
        0, seat_y, fit.seat_m - 0.09
    )
    back, posts = _backrest(fit, 0.46, 0.5, 0.14)
    feet = []
    for n in range(SWIVEL_FEET):
        a = 2 * math.pi * n / SWIVEL_FEET + fit.foot_rad
        tip = (SWIVEL_REACH_M * math.cos(a), seat_y + SWIVEL_REACH_M * math.sin(a))
        feet.append(tube([(0, seat_y, 0.1), (*tip, 0.07)], 0.018))
        feet.append(ellipsoid((0.028, 0.028, 0.03)).at(*tip, 0.03))
    spring = cylinder(0.028, fit.seat_m - 0.16).at(0, seat_y, 0.08)
    arms = _armrests(fit, seat_y) if fit.arms else []
    frame = merged([*feet, spring, posts, *arms])
    parts = ((seat, decor.seat), (back, decor.seat), (frame, surfaces.BLACK_PLASTIC))
    return Piece(parts, _chair_solids(fit, seat_y, 0.56), _chair_outline(fit, 0.64, 0.32))


def _backrest(fit: ChairFit, width_m: float, height_m: float, above_seat_m: float) -> tuple[Mesh, Mesh]:
    """Return the cushion whose front passes the fitted line, and the posts that hold it."""
    cushion = slab(width_m, height_m, 0.05, corner_m=0.08, bevel_m=0.018, smooth=True)
    # The plate's lower face becomes the front: stand it up, then tip it backwards about its lower edge.
    upright = cushion.at(0, height_m / 2, 0).moved(turned_x(math.pi / 2)).moved(turned_z(math.pi))
    foot = fit.seat_m + above_seat_m
    tipped = upright.moved(turned_x(-fit.lean_rad)).at(0, fit.back_y_m, foot)
    y, low = fit.back_y_m + POSTS_BEHIND_M + POST_M, fit.seat_m - 0.05
    posts = []
    for x in (-0.13, 0.13):  # backwards below the seat, then up behind the sitter
        posts += [tube([(x, y - 0.1, low), (x, y, low)], POST_M), tube([(x, y, low), (x, y, foot + 0.03)], POST_M)]
    return tipped, merged(posts)


def _armrests(fit: ChairFit, seat_y: float) -> list[Mesh]:
    z, _ = fit.arms_m
    pads = [slab(0.05, 0.26, 0.025, corner_m=0.02, bevel_m=0.008).at(x, seat_y + 0.02, z) for x in (-0.29, 0.29)]
    y = seat_y + 0.05
    stems = [tube([(x * 0.8, y, fit.seat_m - 0.04), (x, y, fit.seat_m), (x, y, z)], 0.012) for x in (-0.29, 0.29)]
    return [*pads, *stems]


def arm_solids(fit: ChairFit) -> Floats:
    """Return the boxes that armrests would fill."""
    _, top = fit.arms_m
    return np.array([block(0.06, 0.28, fit.seat_m, top, x, fit.seat_y_m + 0.02) for x in (-0.29, 0.29)])


def _chair_outline(fit: ChairFit, width_m: float, front_m: float) -> Floats:
    """Return the footprint of a chair that reaches ``front_m`` ahead of the middle of its seat."""
    front, rear = fit.seat_y_m - front_m, fit.back_y_m + 0.07 + math.sin(fit.lean_rad) * 0.5
    rear = max(rear, fit.seat_y_m + 0.32)
    return rectangle(max(width_m, 0.64 if fit.arms else 0.0), rear - front, 0, (front + rear) / 2)


def _chair_solids(fit: ChairFit, seat_y: float, width_m: float) -> Floats:
    behind = fit.back_y_m + 0.05 + math.sin(fit.lean_rad) * 0.5
    return np.array(
        [
            block(width_m, fit.depth_m - 0.02, 0.0, fit.seat_m, 0, seat_y),
            [-width_m / 2, fit.back_y_m, fit.seat_m, width_m / 2, behind, fit.seat_m + 0.65],
        ]
    )
