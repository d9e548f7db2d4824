# SPDX-License-Identifier: Apache-2.0
"""What is printed in rooms, and the creases of cloth."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.seeds import Seeds
from synthkit_blender.people.assets.textures import sampled
from synthkit_blender.people.creases import SLACK_AT_REST, slackness
from synthkit_blender.printed import Prints

KINDS = ("pages", "pictures", "boards", "screens", "views")


@pytest.mark.parametrize("kind", KINDS)
def test_prints_are_drawn_by_the_seed_each_unlike_the_others(kind):
    first, again, other = (getattr(Prints(Seeds(seed)), kind) for seed in (1, 1, 2))
    assert first.texture == again.texture
    assert first.texture != other.texture
    cells = np.split(first.texture.pixels, first.cells, axis=1)
    assert all(cell.std() > 1 for cell in cells), "something is printed"
    assert not any(np.array_equal(cells[0], cell) for cell in cells[1:])


def test_kinds_of_prints_do_not_shift_each_other():
    prints, alone = Prints(Seeds(5)), Prints(Seeds(5)).screens
    assert prints.pages.cells == 8
    assert prints.screens.texture == alone.texture


def test_a_sheet_shows_its_own_picture_upright():
    pages = Prints(Seeds(0)).pages
    corners = [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (2.0, 1.0, 0.0), (0.0, 1.0, 0.0)]
    sheet = pages.sheet(pages.cells + 3, corners)
    assert np.array_equal(sheet.vertices_m, np.array(corners, np.float32))
    own = np.split(pages.texture.pixels, pages.cells, axis=1)[3]
    inwards = 1e-3 * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    shown = sampled(pages.texture.pixels, sheet.uv[0] + inwards)
    assert np.array_equal(shown, own[[-1, -1, 0, 0], [0, -1, -1, 0]])


def test_cloth_is_slack_where_it_is_pressed_together_and_taut_where_it_is_drawn():
    x, y = np.meshgrid(np.arange(31) * 0.01, np.arange(11) * 0.01)
    rest = np.column_stack([x.ravel(), y.ravel(), 0 * x.ravel()]).astype(np.float32)
    number = np.arange(31 * 11).reshape(11, 31)
    faces = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1).reshape(-1, 4)
    faces = np.concatenate([faces, [[0, 1, 31, 31]]]).astype(np.int32)  # a triangle too
    posed = rest.copy()
    posed[:, 0] = np.interp(rest[:, 0], [0, 0.1, 0.2, 0.3], [0, 0.1, 0.16, 0.29])  # kept, pressed, drawn
    slack = slackness(rest, posed, faces).reshape(11, 31)
    assert slack.dtype == np.float32
    assert slack[:, 2:8] == pytest.approx(SLACK_AT_REST, abs=1e-5)
    assert (slack[:, 12:18] > SLACK_AT_REST + 0.3).all()
    assert (slack[:, 22:] < SLACK_AT_REST - 0.2).all()
    turned = rest @ np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
    assert slackness(rest, turned, faces) == pytest.approx(SLACK_AT_REST, abs=1e-5)
