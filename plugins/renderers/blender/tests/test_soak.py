# SPDX-License-Identifier: Apache-2.0
"""How deep things reach into each other, by hand and in scenes with real bodies (benchmarks/soak.py)."""

from __future__ import annotations

import itertools
import math
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest

from synthkit.config import structure
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import Stage, populate
from synthkit_blender.crowd.chairs import fitted, legs_hit
from synthkit_blender.furniture import TABLE_UNDER_M, ChairFit, meeting_chair, office_chair, plant
from synthkit_blender.furniture import table as make_table
from synthkit_blender.geometry import box, cylinder, merged
from synthkit_blender.people import PersonRanges, PersonSpec, sample_identity, sample_outfit, sample_pose
from synthkit_blender.placement import Floor, Placed, Pose2D, inside
from synthkit_blender.printed import Prints
from synthkit_blender.rooms import RoomPlan, WallStretch, furnish
from synthkit_blender.rooms.fittings import fittings
from synthkit_blender.rooms.lounge import SEAT_M, _bench
from synthkit_blender.rooms.walls import Walls
from synthkit_blender.surfaces import Decor, Surface
from synthkit_blender.things import Thing

POSES = ("sit_upright", "sit_ankles_crossed", "sit_typing")
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


STRETCHED = "sit_one_leg_stretched"


@pytest.mark.parametrize(
    ("number", "pose", "make"),
    [
        *((number, POSES[number % 3], office_chair) for number in range(6)),
        (8, STRETCHED, office_chair),
        (5, STRETCHED, meeting_chair),
        (11, STRETCHED, meeting_chair),
    ],
)
def test_legs_stay_out_of_the_chair(library, penetration, number, pose, make):
    body = sitter(library, number, pose)
    chair = make(Decor("modern", np.random.default_rng(0)), fitted(body, body.surface_vertices_m, arms=False))
    cushion_m, other_m = depths_m(penetration, chair.parts, np.eye(4), body.surface_vertices_m, body.seat_height_m)
    assert cushion_m < 0.06
    assert other_m < 0.005


@pytest.mark.parametrize("number", [2, 6, 10])
def test_who_is_too_short_for_the_least_seat_sits_away_from_its_back(library, penetration, number):
    body = sitter(library, number, STRETCHED)
    small = attrs.evolve(body, seat_height_m=0.8 * body.seat_height_m)
    points = 0.8 * body.surface_vertices_m
    chair = meeting_chair(Decor("modern", np.random.default_rng(0)), fitted(small, points, arms=False))
    cushion_m, _ = depths_m(penetration, chair.parts, np.eye(4), points, small.seat_height_m)
    assert cushion_m < 0.04  # 0.06 with their calves in its front


def depths_m(penetration, parts, matrix, points_m, height_m):
    """Return how deep points reach into a seat at a height, and how deep into the rest of what has it."""
    solids = penetration.Body(Thing(parts, matrix, "chairs")).solids
    seat_m = max(solid.top_m for solid in solids if solid.top_m < height_m + 0.015)
    points = np.asarray(points_m, float)
    seats = [solid.sunk(points) for solid in solids if abs(solid.top_m - seat_m) < 0.001]
    return max(seats), max(solid.depth(points) for solid in solids if abs(solid.top_m - seat_m) >= 0.001)


def test_sitters_on_sofas_keep_their_calves_before_the_cushion(library, penetration):
    room = furnish(RoomPlan(9.0, 7.0, 2.9, (0.0, 0.0), "modern", "lobby"), Seeds(5))
    config = structure(BlenderConfig, {"people": {"sitting": [4, 4], "standing": [0, 0]}}).people
    stage = Stage(room.floor, (), room.decor, False, lambda x, y: True, empty_chairs=False, free_chairs=False,
                  places=room.places, solids=room.solids, furniture_m=room.furniture_m)  # fmt: skip
    crowd = populate(stage, config, Casting(library, config, Seeds(1)), Seeds(5), 0.0)
    seated = [figure for figure in crowd.figures if figure.body.posture == "sitting"]
    assert len(seated) >= 2
    solid = [thing for thing in room.placed if len(thing.piece.solids_m)]
    sofas = [thing for thing in solid if abs(thing.piece.solids_m[-1][5] - SEAT_M) < 1e-9]
    assert sofas
    for figure, sofa in itertools.product(seated, sofas):
        points = figure.world(figure.body.surface_vertices_m)
        cushion_m, other_m = depths_m(penetration, sofa.piece.parts, sofa.pose.matrix, points, SEAT_M)
        assert cushion_m < 0.07
        assert other_m < 0.005


def test_no_leg_of_a_bench_is_below_its_sitters_and_sitters_keep_out_of_them():
    for seats in (2, 3):
        bench = _bench(seats, Decor("modern", np.random.default_rng(0)))
        assert len(bench.solids_m) == 2
        middles_m = (bench.solids_m[:, 0] + bench.solids_m[:, 3]) / 2
        assert np.abs(middles_m[:, None] - bench.places_m).min() > 0.25


def test_armrests_stay_below_the_table(library):
    for seat_m, fits in ((0.44, True), (0.5, False)):
        body = sitter(library, 3, seat_m=seat_m)
        trunk = body.surface_vertices_m[np.abs(body.surface_vertices_m[:, 0]) < 0.2]
        assert fitted(body, trunk, True).arms
        assert fitted(body, trunk, True, below_m=TABLE_UNDER_M).arms is fits


def test_a_swivel_chairs_feet_stay_out_of_a_tables_leg():
    decor = Decor("modern", np.random.default_rng(0))
    table = Placed(make_table(2.0, 0.8, decor, panel_legs=True, round_m=0.0), Pose2D(0.0, 0.0))
    chair = office_chair(decor, ChairFit(foot_rad=math.pi / 2))  # a foot straight back, to 0.32 m
    panel_x = float(table.piece.solids_m[2][0])
    aside = [Placed(chair, Pose2D(panel_x - away_m, 0.0, math.pi / 2)) for away_m in (0.5, 0.3)]
    assert [legs_hit(one, table) for one in aside] == [False, True]


def test_leaves_stay_within_a_plants_footprint():
    for seed in range(8):
        piece = plant(1.6, np.random.default_rng(seed))
        points = np.concatenate([mesh.vertices_m for mesh, _ in piece.parts])
        assert np.abs(points[:, 0]).max() < 0.265
        assert points[:, 1].min() > -0.005
        assert points[:, 1].max() < 0.525


def test_no_notice_hangs_behind_the_clock():
    clocks, notices = 0, 0
    for seed in range(60):
        things = fittings([WallStretch(Pose2D(0.0, 0.0), 1.2)], Prints(Seeds(0)), np.random.default_rng(seed))
        meshes = [[mesh.vertices_m for mesh, _ in thing.piece.parts] for thing in things]
        boxes = [(points.min(axis=0), points.max(axis=0)) for points in map(np.concatenate, meshes)]
        clock = [box for box, parts in zip(boxes, meshes, strict=True) if len(parts) == 2]
        sheets = [
            box for box, parts in zip(boxes, meshes, strict=True) if len(parts) == 1 and np.ptp(parts[0][:, 1]) == 0
        ]
        clocks += len(clock)
        notices += len(sheets)
        for (low, high), (their_low, their_high) in itertools.product(clock, sheets):
            assert (low[[0, 2]] >= their_high[[0, 2]]).any() or (high[[0, 2]] <= their_low[[0, 2]]).any()
    assert clocks > 10
    assert notices > 10


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
