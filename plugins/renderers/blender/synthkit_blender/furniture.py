# SPDX-License-Identifier: Apache-2.0
"""Tables, chairs and what stands or hangs about a room, each with the solids that nothing may enter.

Local frames: metres, z up, on the floor. Tables lie centred with their length along x. A chair's sitter faces -y,
the pelvis over the origin. What stands at a wall has its back at y = 0 and reaches into the room along +y.
"""

from __future__ import annotations

import math

import attrs
import numpy as np
from numpy.typing import NDArray

from synthkit_blender import surfaces
from synthkit_blender.geometry import Mesh, box, cylinder, ellipsoid, merged, slab, tube, turned_x, turned_z
from synthkit_blender.printed import Printed
from synthkit_blender.surfaces import Decor, Surface

Floats = NDArray[np.float64]

TABLE_TOP_M, TABLE_UNDER_M = 0.735, 0.705
SEAT_M = 0.45
SEAT_DEPTH_M = 0.48
VIEW_GLOW = 1.3  # radiance of what is white in a view, over the window's
SWIVEL_FEET, SWIVEL_REACH_M = 5, 0.29
POST_M = 0.013
POSTS_BEHIND_M = 0.035 - POST_M  # the foot of a back's cushion


@attrs.frozen(eq=False)
class Piece:
    """A thing in its own frame.

    Args:
        parts: meshes and what they are made of.
        solids_m: (N, 6) boxes (low corner, high corner) that hold its matter.
        outline_m: (M, 2) convex outline of its footprint, counter-clockwise.
    """

    parts: tuple[tuple[Mesh, Surface], ...]
    solids_m: Floats
    outline_m: Floats

    def holds(self, points_m: Floats) -> int:
        """Return how many points (N, 3) of its frame lie within its solids."""
        inside = np.zeros(len(points_m), bool)
        x, y, z = np.ascontiguousarray(points_m.T)
        for x0, y0, z0, x1, y1, z1 in self.solids_m:
            inside |= (x > x0) & (x < x1) & (y > y0) & (y < y1) & (z > z0) & (z < z1)
        return int(inside.sum())

    def stretches(self, points_m: Floats, along: Floats) -> Floats:
        """Return when points (N, 3) of its frame that move by ``along`` (3,) a step are within its solids.

        Returns:
            (M, 2) the step at which one enters a solid and the one at which it leaves; points that never do are
            left out.
        """
        found = [np.zeros((0, 2))]
        for solid in self.solids_m:
            low, high = solid[:3], solid[3:]
            still = np.abs(along) < 1e-9  # along these axes a point is within the solid always or never
            near = points_m[((points_m[:, still] > low[still]) & (points_m[:, still] < high[still])).all(axis=1)]
            to_low, to_high = ((face - near)[:, ~still] / along[~still] for face in (low, high))
            enter, leave = np.minimum(to_low, to_high).max(axis=1), np.maximum(to_low, to_high).min(axis=1)
            found.append(np.column_stack([enter, leave])[enter < leave])
        return np.concatenate(found)


def rectangle(size_x_m: float, size_y_m: float, x: float = 0.0, y: float = 0.0) -> Floats:
    """Return the corners of a rectangle about (x, y), counter-clockwise."""
    a, b = size_x_m / 2, size_y_m / 2
    return np.array([[x - a, y - b], [x + a, y - b], [x + a, y + b], [x - a, y + b]])


def _block(size_x_m: float, size_y_m: float, low_m: float, high_m: float, x: float = 0.0, y: float = 0.0) -> Floats:
    return np.array([x - size_x_m / 2, y - size_y_m / 2, low_m, x + size_x_m / 2, y + size_y_m / 2, high_m])


def table(length_m: float, width_m: float, decor: Decor, *, panel_legs: bool, round_m: float) -> Piece:
    """Return a table with four legs, or two panels."""
    under = TABLE_UNDER_M
    top = slab(length_m, width_m, TABLE_TOP_M - under, corner_m=round_m, bevel_m=0.004).at(0, 0, under)
    solids = [_block(length_m, width_m, under, TABLE_TOP_M)]
    legs: list[Mesh] = []
    inset_x, inset_y = length_m / 2 - 0.07 - round_m * 0.4, width_m / 2 - 0.07 - round_m * 0.4
    if panel_legs:
        for x in (-inset_x, inset_x):
            legs.append(box(0.03, width_m * 0.75, under).at(x, 0))
            solids.append(_block(0.03, width_m * 0.75, 0, under, x))
    else:
        for x in (-inset_x, inset_x):
            for y in (-inset_y, inset_y):
                legs.append(cylinder(0.025, under).at(x, y))
                solids.append(_block(0.05, 0.05, 0, under, x, y))
    parts = ((top, decor.table), (merged(legs), decor.table if panel_legs else decor.frame))
    return Piece(parts, np.array(solids), rectangle(length_m, width_m))


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
    return np.array([_block(0.06, 0.28, fit.seat_m, top, x, fit.seat_y_m + 0.02) for x in (-0.29, 0.29)])


def _chair_outline(fit: ChairFit, width_m: float, front_m: float) -> Floats:
    """Return the footprint of a chair that reaches ``front_m`` ahead of the middle of its seat."""
    front, rear = fit.seat_y_m - front_m, fit.back_y_m + 0.07 + math.sin(fit.lean_rad) * 0.5
    rear = max(rear, fit.seat_y_m + 0.32)
    return rectangle(max(width_m, 0.64 if fit.arms else 0.0), rear - front, 0, (front + rear) / 2)


def _chair_solids(fit: ChairFit, seat_y: float, width_m: float) -> Floats:
    behind = fit.back_y_m + 0.05 + math.sin(fit.lean_rad) * 0.5
    return np.array(
        [
            _block(width_m, fit.depth_m - 0.02, 0.0, fit.seat_m, 0, seat_y),
            [-width_m / 2, fit.back_y_m, fit.seat_m, width_m / 2, behind, fit.seat_m + 0.65],
        ]
    )


def cabinet(length_m: float, depth_m: float, height_m: float, decor: Decor, doors: int) -> Piece:
    """Return a cupboard with doors and handles."""
    body = box(length_m, depth_m, height_m).at(0, depth_m / 2)
    width = length_m / doors
    fronts, handles = [], []
    for n in range(doors):
        x = -length_m / 2 + (n + 0.5) * width
        fronts.append(box(width - 0.012, 0.014, height_m - 0.1).at(x, depth_m + 0.007, 0.07))
        handles.append(box(0.015, 0.02, 0.14).at(x + (width / 2 - 0.05) * (-1) ** n, depth_m + 0.022, height_m * 0.6))
    parts = ((body, decor.cabinet), (merged(fronts), decor.cabinet), (merged(handles), decor.frame))
    return _standing(parts, length_m, depth_m + 0.03, height_m)


def bookcase(length_m: float, height_m: float, decor: Decor, rng: np.random.Generator) -> Piece:
    """Return open shelves with rows of books."""
    depth = 0.3
    boards = [box(length_m, 0.02, height_m).at(0, 0.01)]
    boards += [box(0.025, depth, height_m).at(x, depth / 2) for x in (-length_m / 2, length_m / 2)]
    levels = np.linspace(0.06, height_m - 0.025, max(3, round(height_m / 0.38)))
    boards += [box(length_m, depth, 0.025).at(0, depth / 2, float(z)) for z in levels]
    books: list[tuple[Mesh, Surface]] = []
    for z in levels[:-1]:
        books += _books(length_m, float(z) + 0.026, rng)
    return _standing(((merged(boards), decor.cabinet), *books), length_m, depth, height_m)


BOOK_COLORS = ("7c2d2d", "2d4a6b", "3c5a3f", "c7a14a", "d8d2c4", "4a3c5a", "222222", "a85a32", "5a8a8f")


def _books(length_m: float, z_m: float, rng: np.random.Generator) -> list[tuple[Mesh, Surface]]:
    found = []
    x = -length_m / 2 + 0.04
    while x < length_m / 2 - 0.2:
        width = float(rng.uniform(0.08, 0.22))  # several volumes alike
        if rng.random() < 0.75:
            height, color = float(rng.uniform(0.2, 0.29)), BOOK_COLORS[int(rng.integers(len(BOOK_COLORS)))]
            book = box(width - 0.005, 0.2, height).at(x + width / 2, 0.14, z_m)
            found.append((book, Surface(surfaces.linear(color), roughness=0.6)))
        x += width
    return found


def plant(height_m: float, rng: np.random.Generator) -> Piece:
    """Return a potted plant with long leaves."""
    pot, reach = cylinder(0.13, 0.28, 14, top_radius_m=0.17).at(0, 0.2), 0.26
    leaves = []
    for n in range(16):
        a, tilt = 2.4 * n, float(rng.uniform(0.25, 1.0))
        length = height_m * float(rng.uniform(0.28, 0.4))
        tilt = min(tilt, math.asin(min(0.92 * min(reach, 0.2 / max(math.cos(a), 1e-6)) / length, 1.0)))
        leaf = ellipsoid((0.05, 0.008, length / 2), 8, 5).at(0, 0, length / 2)
        rise = 0.28 + (height_m - 0.28 - length) * float(rng.uniform(0.1, 1.0))
        leaves.append(leaf.moved(turned_x(tilt)).moved(turned_z(a, 0, 0.2, rise)))
    stem = tube([(0, 0.2, 0.25), (0, 0.2, height_m * 0.75)], 0.014)
    parts = ((pot, surfaces.POT), (merged([*leaves, stem]), surfaces.LEAF))
    return Piece(parts, np.array([_block(2 * reach, 2 * reach, 0, height_m, 0, 0.2)]), rectangle(0.52, 0.52, 0, 0.26))


def bin_() -> Piece:
    """Return a waste-paper bin."""
    body = cylinder(0.11, 0.32, 16, top_radius_m=0.14).at(0, 0.15)
    return _standing(((body, surfaces.BLACK_PLASTIC),), 0.3, 0.3, 0.32)


def _standing(parts: tuple[tuple[Mesh, Surface], ...], length_m: float, depth_m: float, height_m: float) -> Piece:
    solid = np.array([_block(length_m, depth_m, 0, height_m, 0, depth_m / 2)])
    return Piece(parts, solid, rectangle(length_m, depth_m, 0, depth_m / 2))


def laptop(rng: np.random.Generator, screens: Printed, number: int) -> Piece:
    """Return an open laptop on z = 0 whose user sits towards +y; it shows one of the screens."""
    base = slab(0.32, 0.22, 0.018, corner_m=0.015, bevel_m=0.004)
    keys = slab(0.28, 0.11, 0.002, corner_m=0.005, bevel_m=0.001).at(0, -0.03, 0.0185)
    lean = float(rng.uniform(0.15, 0.45))
    lid = slab(0.32, 0.21, 0.01, corner_m=0.012, bevel_m=0.003).at(0, 0.105, 0)
    glass = screens.sheet(number, [(x, y, 0.0108) for x, y in ((0.145, 0), (-0.145, 0), (-0.145, 0.18), (0.145, 0.18))])
    glass = glass.at(0, 0.015)
    stand = turned_x(math.pi / 2 + lean)
    lid, glass = (m.moved(stand).at(0, -0.11, 0.012) for m in (lid, glass))
    shell = surfaces.GREY_METAL if rng.random() < 0.6 else surfaces.BLACK_PLASTIC
    glow = surfaces.of_print(screens, roughness=0.2, emission=float(rng.uniform(0.1, 0.5)))
    parts = ((merged([base, lid]), shell), (keys, surfaces.BLACK_PLASTIC), (glass, glow))
    solids = np.array([_block(0.32, 0.22, 0, 0.02), _block(0.32, 0.12, 0.0, 0.22, 0, -0.16)])
    return Piece(parts, solids, rectangle(0.32, 0.33, 0, -0.055))


def papers(rng: np.random.Generator, pages: Printed, number: int) -> Piece:
    """Return a few sheets, a little askew, from a page on."""
    sheets, printed = [], []
    for n in range(int(rng.integers(1, 5))):
        x, y = rng.normal(0, 0.05, 2)
        place = turned_z(float(rng.normal(0, 0.3)), x, y, 0.001 + n * 0.0018)
        sheets.append(box(0.21, 0.297, 0.0016).moved(place))
        corners = [(x, y, 0.0017) for x, y in rectangle(0.205, 0.292)]
        printed.append(pages.sheet(number + n, corners).moved(place))
    parts = ((merged(sheets), surfaces.PAPER), (merged(printed), surfaces.of_print(pages)))
    return Piece(parts, np.array([_block(0.2, 0.2, 0, 0.01)]), rectangle(0.34, 0.4))


def mug(rng: np.random.Generator) -> Piece:
    """Return a mug."""
    color = BOOK_COLORS[int(rng.integers(len(BOOK_COLORS)))]
    body = cylinder(0.04, 0.095, 14)
    coffee = cylinder(0.034, 0.001, 14).at(0, 0, 0.0955)
    parts = ((body, Surface(surfaces.linear(color), roughness=0.3)), (coffee, Surface(surfaces.linear("3a2415"))))
    return Piece(parts, np.array([_block(0.08, 0.08, 0, 0.1)]), rectangle(0.09, 0.09))


def bottle(rng: np.random.Generator) -> Piece:
    """Return a bottle of water, or of something else."""
    drink = ("a9c4d4", "c9d6dc", "7a4a22", "5f8f4e")[int(rng.integers(4))]
    body = merged([cylinder(0.033, 0.16, 14), cylinder(0.033, 0.04, 14, top_radius_m=0.014).at(0, 0, 0.16)])
    label = cylinder(0.0335, 0.06, 14).at(0, 0, 0.06)
    cap = cylinder(0.015, 0.025, 10).at(0, 0, 0.2)
    color = surfaces.linear(BOOK_COLORS[int(rng.integers(len(BOOK_COLORS)))])
    parts = (
        (body, Surface(surfaces.linear(drink), roughness=0.1, specular=0.6)),
        (merged([label, cap]), Surface(color, roughness=0.4)),
    )
    return Piece(parts, np.array([_block(0.068, 0.068, 0, 0.225)]), rectangle(0.07, 0.07))


def notebook(rng: np.random.Generator) -> Piece:
    """Return a book or a folder that lies askew."""
    width, height, thick = ((0.15, 0.21, 0.012), (0.21, 0.3, 0.015), (0.25, 0.32, 0.03))[int(rng.integers(3))]
    turn = turned_z(float(rng.uniform(-0.5, 0.5)))
    color = surfaces.varied(surfaces.linear(BOOK_COLORS[int(rng.integers(len(BOOK_COLORS)))]), rng)
    pages = box(width - 0.006, height - 0.006, thick - 0.004).at(0.004, 0, 0.002).moved(turn)
    covers = merged([box(width, height, 0.002).at(0, 0, z).moved(turn) for z in (0.0, thick - 0.002)])
    side = math.hypot(width, height) * 0.9
    parts = ((pages, surfaces.PAPER), (covers, Surface(color, roughness=0.5)))
    return Piece(parts, np.array([_block(width, height, 0, thick)]), rectangle(side, side))


def monitor(screens: Printed, number: int) -> Piece:
    """Return a desktop monitor, which shows one of the screens, and keyboard; its user sits towards +y."""
    foot = slab(0.24, 0.18, 0.012, corner_m=0.03, bevel_m=0.004)
    neck = box(0.04, 0.03, 0.2).at(0, -0.03, 0.01)
    frame = box(0.56, 0.03, 0.34).at(0, 0, 0.12)
    glass = screens.sheet(number, _upright(0.53, 0.31, 0.0155, 0.135))
    keys = slab(0.43, 0.13, 0.016, corner_m=0.012, bevel_m=0.004).at(0, 0.28)
    glow = surfaces.of_print(screens, roughness=0.2, emission=0.5)
    parts = ((merged([foot, neck, frame, keys]), surfaces.BLACK_PLASTIC), (glass, glow))
    solids = np.array([_block(0.56, 0.1, 0, 0.48), _block(0.43, 0.13, 0, 0.02, 0, 0.28)])
    return Piece(parts, solids, rectangle(0.56, 0.4, 0, 0.14))


def window(width_m: float, height_m: float, sill_m: float, decor: Decor, glow: float, number: int) -> Piece:
    """Return a window: bright panes, with one of the views, in a frame with a cross bar."""
    pane = surfaces.of_print(decor.prints.views, roughness=0.2, emission=VIEW_GLOW * glow)
    glass = decor.prints.views.sheet(number, _upright(width_m, height_m, 0.015, sill_m))
    bars = [box(width_m + 0.12, 0.05, 0.06).at(0, 0.025, z) for z in (sill_m - 0.06, sill_m + height_m)]
    bars += [box(0.06, 0.05, height_m).at(x, 0.025, sill_m) for x in (-width_m / 2 - 0.03, 0.0, width_m / 2 + 0.03)]
    bars.append(box(width_m + 0.2, 0.16, 0.03).at(0, 0.08, sill_m - 0.09))
    return _hanging(((glass, pane), (merged(bars), decor.trim)))


def radiator(width_m: float) -> Piece:
    """Return a flat radiator under a window."""
    ribs = [box(0.028, 0.06, 0.5).at(float(x), 0.06, 0.12) for x in np.arange(-width_m / 2, width_m / 2, 0.05)]
    return _hanging(((merged([*ribs, box(width_m, 0.03, 0.46).at(0, 0.05, 0.14)]), surfaces.ENAMEL),))


def whiteboard(width_m: float, boards: Printed) -> Piece:
    """Return a whiteboard in a thin frame with its tray, and what is left on it."""
    sheet = boards.sheet(0, _upright(width_m, 1.1, 0.022, 0.9))
    frame = [box(width_m + 0.04, 0.024, 1.14).at(0, 0.012, 0.88).at(0, -0.008)]
    frame.append(box(width_m * 0.6, 0.07, 0.02).at(0, 0.045, 0.86))
    return _hanging(((sheet, surfaces.of_print(boards, roughness=0.25)), (merged(frame), surfaces.GREY_METAL)))


def screen() -> Piece:
    """Return a wall screen, switched off."""
    return _hanging(((box(1.45, 0.06, 0.84).at(0, 0.04, 1.05), surfaces.SCREEN_OFF),))


def picture(decor: Decor, rng: np.random.Generator, number: int) -> Piece:
    """Return one of the pictures in a frame."""
    width, height = (float(v) for v in rng.uniform(0.4, 1.0, 2))
    pictures = decor.prints.pictures
    frame = box(width + 0.06, 0.025, height + 0.06).at(0, 0.0125, 1.2)
    canvas = pictures.sheet(number, _upright(width, height, 0.027, 1.23))
    return _hanging(((frame, decor.frame), (canvas, surfaces.of_print(pictures, roughness=0.6))))


def door(decor: Decor) -> Piece:
    """Return a closed door in its frame, with a handle."""
    leaf = box(0.92, 0.04, 2.04).at(0, 0.02, 0.005)
    frame = [box(0.08, 0.06, 2.05).at(x, 0.03) for x in (-0.5, 0.5)] + [box(1.08, 0.06, 0.08).at(0, 0.03, 2.05)]
    handle = box(0.13, 0.03, 0.02).at(0.36, 0.065, 1.02)
    return _hanging(((leaf, decor.door), (merged(frame), decor.trim), (handle, surfaces.GREY_METAL)))


def _upright(width_m: float, height_m: float, y_m: float, low_m: float) -> list[tuple[float, float, float]]:
    """Return the corners of a sheet for those who look towards -y: lower left, lower right and so on."""
    half, high_m = width_m / 2, low_m + height_m
    return [(half, y_m, low_m), (-half, y_m, low_m), (-half, y_m, high_m), (half, y_m, high_m)]


def _hanging(parts: tuple[tuple[Mesh, Surface], ...]) -> Piece:
    return Piece(parts, np.zeros((0, 6)), np.zeros((0, 2)))
