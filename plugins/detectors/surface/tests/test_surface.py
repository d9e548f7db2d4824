# SPDX-License-Identifier: Apache-2.0
"""The surface as a space for coordinates."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit_surface_finder.surface import Surface, base_surface

CROSS = Surface(
    ("head", "left_hand", "right_hand"),
    np.array([[0, 0, 2], [0, 0, 1.8], [1, 0, 1], [0.8, 0, 1], [-1, 0, 1], [-0.8, 0, 1]], np.float32),
    np.array([0, 0, 1, 1, 2, 2]),
)


def test_places_by_hand():
    assert CROSS.middle_m == pytest.approx(np.array([[0, 0, 1.9], [0.9, 0, 1], [-0.9, 0, 1]]))
    assert CROSS.reach_m == pytest.approx([0.1, 0.1, 0.1])
    assert CROSS.places(np.array([0, 3])) == pytest.approx(np.array([[0, 0, 1], [-1, 0, 0]]), abs=1e-5)


def test_the_nearest_vertex_is_one_of_the_part():
    place = np.array([[0, 0, 0.4], [0.2, 0, 0], [0.2, 0, 0]], np.float32)
    assert CROSS.nearest(np.array([0, 1, 2]), place).tolist() == [0, 2, 5]


def test_left_becomes_right_in_a_mirror():
    assert CROSS.mirrored.tolist() == [0, 2, 1]


def test_a_surface_from_strangers_is_checked():
    names, vertices = ("head", "trunk"), np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    assert Surface.checked(names, vertices, np.array([0, 0, 0, 1, 1, 1])).names == names
    with pytest.raises(ValueError, match="without vertices"):
        Surface.checked(names, vertices, np.array([0, 0, 0, 0, 0, 0]))
    with pytest.raises(ValueError, match="without names"):
        Surface.checked(names, vertices, np.array([0, 0, 1, 1, 2, 2]))
    with pytest.raises(ValueError, match="without extent"):
        Surface.checked(names, np.zeros((6, 3), np.float32), np.array([0, 0, 0, 1, 1, 1]))


@pytest.fixture(scope="module")
def body():
    """Return the surface of the base mesh."""
    pytest.importorskip("synthkit_blender", reason="needs the mesh of the blender renderer")
    return base_surface()


def test_every_vertex_is_found_at_its_own_place(body):
    vertices = np.random.default_rng(0).permutation(len(body.vertices_m))[:600]
    found = body.nearest(body.parts[vertices], body.places(vertices))
    off_m = np.linalg.norm(body.vertices_m[found] - body.vertices_m[vertices], axis=1)
    assert off_m.max() < 1e-3  # some vertices of the lips and lids lie on one another


def test_the_body_is_alike_on_both_sides(body):
    left, right = (body.names.index(f"{side}_thigh") for side in ("left", "right"))
    assert body.mirrored[left] == right
    assert body.middle_m[body.mirrored] == pytest.approx(body.middle_m * [-1, 1, 1], abs=0.005)
    assert body.reach_m[body.mirrored] == pytest.approx(body.reach_m, abs=0.01)
