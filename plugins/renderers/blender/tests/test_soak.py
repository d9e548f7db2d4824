# SPDX-License-Identifier: Apache-2.0
"""How deep things reach into each other, by hand and in scenes with real bodies (benchmarks/soak.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import Stage, populate
from synthkit_blender.crowd.chairs import fitted
from synthkit_blender.furniture import office_chair
from synthkit_blender.geometry import box, cylinder, merged
from synthkit_blender.people import PersonRanges, PersonSpec, sample_identity, sample_outfit, sample_pose
from synthkit_blender.placement import Floor, Pose2D, inside
from synthkit_blender.printed import Prints
from synthkit_blender.rooms import RoomPlan, WallStretch
from synthkit_blender.rooms.fittings import fittings
from synthkit_blender.rooms.walls import Walls
from synthkit_blender.scene import Thing
from synthkit_blender.surfaces import Decor, Surface

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"


@pytest.fixture(scope="module")
def penetration():
    sys.path.insert(0, str(BENCHMARKS))
    import penetration

    yield penetration
    sys.path.remove(str(BENCHMARKS))


def thing(mesh, x=0.0, y=0.0, z=0.0):
    return Thing(((mesh.at(x, y, z), Surface((0.5, 0.5, 0.5))),), np.eye(4), "furniture")


def test_points_and_boxes_reach_as_deep_as_by_hand(penetration):
    table = penetration.Body(thing(box(1.0, 0.6, 0.04), z=0.7))
    points = np.array([[0.48, 0.0, 0.72], [0.0, 0.0, 0.73], [0.6, 0.0, 0.72], [0.0, 0.0, 0.75]])
    assert table.depth(points) == pytest.approx(0.02, abs=1e-6)  # to the near side of the first
    assert table.depth(points[1:2]) == pytest.approx(0.01, abs=1e-6)  # below the top
    assert table.depth(points[2:]) == 0
    assert table.seat_m(0.4, 0.2, 1.0) == pytest.approx(0.74)
    assert table.seat_m(0.6, 0.2, 1.0) is None
    assert table.solids[0].sunk(points) == pytest.approx(0.02, abs=1e-6)
    post = penetration.Body(thing(box(0.1, 0.1, 1.0), 0.53))
    assert table.overlap(post) == pytest.approx(0.02, abs=1e-6)
    assert table.overlap(penetration.Body(thing(box(0.1, 0.1, 1.0), 0.56))) == 0


def test_what_hangs_together_is_one_solid(penetration):
    stool = thing(merged([box(0.4, 0.4, 0.05).at(0, 0, 0.4), *(cylinder(0.02, 0.4).at(x, 0) for x in (-0.15, 0.15))]))
    body = penetration.Body(stool)
    assert len(body.solids) == 3
    assert body.depth(np.array([[0.0, 0.0, 0.2]])) == 0, "between the legs"
    assert body.depth(np.array([[0.15, 0.0, 0.2]])) == pytest.approx(0.02, abs=2e-3)


def test_footprints_are_apart_as_by_hand(penetration):
    a = np.array([[x, y, 0.0] for x in (0, 1) for y in (0, 1)])
    b = a + np.array([1.25, 0, 0])
    assert penetration.hulls_apart_m(a, b) == pytest.approx(0.25)
    assert penetration.hulls_apart_m(a, b - (0.3, 0, 0)) == pytest.approx(-0.05)


def sitter(library, number, name="sit_upright", seat_m=None):
    seeds = Seeds(5).child("person", number)
    who = sample_identity(seeds, PersonRanges())
    pose = attrs.evolve(sample_pose(seeds, "sitting", PersonRanges()), name=name, seat_m=seat_m)
    return library.build(PersonSpec(who, sample_outfit(seeds, who, PersonRanges()), pose))


@pytest.mark.parametrize("seat_m", [0.42, 0.47])
def test_feet_stay_on_the_floor_whatever_the_seat(library, seat_m):
    body = sitter(library, 3, seat_m=seat_m)
    assert body.seat_height_m == seat_m
    assert abs(body.surface_vertices_m[:, 2].min()) < 0.005
    assert 0.07 < body.joints_m["pelvis"][2] - seat_m < 0.16


def test_legs_that_do_not_suit_a_seat_get_their_own(library):
    assert 0.3 < sitter(library, 3, seat_m=0.2).seat_height_m < 0.42


@pytest.mark.parametrize("number", range(6))
def test_legs_stay_out_of_the_chair(library, penetration, number):
    body = sitter(library, number, ("sit_upright", "sit_ankles_crossed", "sit_typing")[number % 3])
    chair = office_chair(Decor("modern", np.random.default_rng(0)), fitted(body, body.surface_vertices_m, arms=False))
    parts = penetration.Body(Thing(chair.parts, np.eye(4), "chairs"))
    seat_m = max(solid.top_m for solid in parts.solids if solid.top_m < body.seat_height_m + 0.01)
    for solid in parts.solids:
        if solid.top_m == seat_m:
            assert solid.sunk(body.surface_vertices_m.astype(float)) < 0.06
        else:
            assert solid.depth(body.surface_vertices_m.astype(float)) < 0.005


def test_what_is_on_walls_is_flat_where_people_lean():
    stretches = [WallStretch(Pose2D(0.0, 0.0), 3.0), WallStretch(Pose2D(9.0, 0.0), 0.7)]
    prints = Prints(Seeds(0))
    things = [thing for seed in range(9) for thing in fittings(stretches, prints, np.random.default_rng(seed))]
    points = np.concatenate([mesh.vertices_m for thing in things for mesh, _ in thing.piece.parts])
    assert points[:, 1].min() > -1e-6
    assert points[points[:, 2] < 1.88, 1].max() < 0.01
    on_first, on_second = np.abs(points[:, 0]) <= 1.5001, np.abs(points[:, 0] - 9) <= 0.3501
    assert (on_first | on_second).all()
    assert on_first.any()
    assert on_second.any()


def test_chairs_stand_in_rows_along_walls():
    floor = Floor(np.array([[-4, -3], [4, -3], [4, 3], [-4, 3.0]]))
    plan = RoomPlan(8.0, 6.0, 2.9, (0.0, 0.0), "modern", "meeting")
    walls = tuple(WallStretch(plan.at_wall(n, 0.0), 4.0) for n in range(4))
    decor = Decor("modern", np.random.default_rng(0))
    stage = Stage(floor, (), decor, False, lambda x, y: True, empty_chairs=True, free_walls=walls)
    nobody = structure(BlenderConfig, {"people": {"sitting": [0, 0], "standing": [0, 0]}}).people
    rows = [populate(stage, nobody, None, Seeds(seed), 0.0).chairs for seed in range(4)]
    assert any(len(row) > 2 for row in rows)
    for row in rows:
        for chair in row:
            assert inside(chair.outline_m, floor.area_m)
            back = chair.pose.outline(np.array([[0.0, 0.5]]))[0]
            assert not inside(back[None], floor.area_m, 0.05), "its back is to the wall"


def test_nobody_stands_in_a_window_sill():
    floor = Floor(np.array([[-4, -3], [4, -3], [4, 3], [-4, 3.0]]))
    plan = RoomPlan(8.0, 6.0, 2.9, (0.0, 0.0), "modern", "meeting")
    walls = Walls(plan, Decor("modern", np.random.default_rng(0)), floor, np.random.default_rng(1))
    walls.furnish()
    assert walls.windows
    for matrix, _, _ in walls.windows:
        x, y = (matrix @ np.array([0.0, 0.06, 0.0, 1.0]))[:2]
        assert not floor.fits(np.array([[x, y], [x + 1e-3, y], [x, y + 1e-3]]), 0.0)
