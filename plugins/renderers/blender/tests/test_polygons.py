# SPDX-License-Identifier: Apache-2.0
"""Outlines as people draw them: cut into pieces, measured, and those that are none told."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit_blender import polygons


@st.composite
def outlines(draw):
    """Draw a simple outline, convex or not: corners at rising angles around the origin, at any distance."""
    count = draw(st.integers(3, 12))
    turns = np.cumsum([draw(st.floats(0.2, 1.0)) for _ in range(count)])
    radii = np.array([draw(st.floats(0.3, 3.0)) for _ in range(count)])
    angles = turns * (2 * math.pi / (turns[-1] + 0.2))
    return np.column_stack([np.cos(angles), np.sin(angles)]) * radii[:, None]


@settings(deadline=None)
@given(outlines(), st.booleans())
def test_outlines_are_cut_into_pieces_that_fill_them(outline, clockwise):
    if polygons.crossing(outline) is not None:
        return
    area = abs(polygons.signed_area(outline))
    given_outline = outline[::-1] if clockwise else outline
    pieces = polygons.convex_pieces(given_outline)
    assert all(polygons.is_convex(piece) and polygons.signed_area(piece) > 0 for piece in pieces)
    assert sum(polygons.signed_area(piece) for piece in pieces) == pytest.approx(area)
    hull_m, pockets = polygons.hull_and_pockets(given_outline)
    assert polygons.signed_area(hull_m) - sum(map(polygons.signed_area, pockets)) == pytest.approx(area, abs=1e-5)
    points = np.random.default_rng(0).uniform(-3, 3, (200, 2))
    within = polygons.holds(outline, points)
    contour = outline.astype(np.float32)
    expected = [cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y in points]
    assert all(a == (b > 0) for a, b in zip(within, expected, strict=True) if abs(b) > 1e-4)
    assert (np.sum([polygons.holds(piece, points) for piece in pieces], axis=0) >= 1).tolist() == within.tolist()


@pytest.mark.parametrize(
    "outline",
    [
        [[0, 0], [2, 2], [2, 0], [0, 2]],
        [[math.cos(0.8 * math.pi * n), math.sin(0.8 * math.pi * n)] for n in range(5)],
        [[0, 0], [4, 0], [2, 0], [2, 2]],
        [[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]],
    ],
)
def test_outlines_that_cross_themselves_are_told(outline):
    assert polygons.crossing(outline) is not None
    assert polygons.crossing([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]) is None


def test_edges_are_told_by_their_numbers():
    assert polygons.crossing([[0, 0], [2, 2], [2, 0], [0, 2]]) == (0, 2)
    assert polygons.crossing([[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]]) == (0, 2)
    assert polygons.crossing([[0, 0], [4, 0], [4, 4], [2, 3], [3, 1], [1, 3], [3, 3]]) == (2, 5)


def rectangle(width: float, height: float, turn: float) -> np.ndarray:
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return corners @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])


@pytest.mark.parametrize(
    ("outline", "width"),
    [
        (rectangle(4, 3, 0), 3),
        (rectangle(8, 0.5, 0.7), 0.5),
        ([[0, 0], [3, 0], [0, 4]], 2),
        ([[0, 0], [9, 0], [9, 1], [1, 1], [1, 7], [0, 7]], 2 * (2 - math.sqrt(2))),  # in the corner of the L
    ],
)
def test_how_wide_an_outline_is(outline, width):
    extent = float(np.ptp(np.array(outline), axis=0).max())
    assert polygons.widest(outline) == pytest.approx(width, abs=extent / 200)
