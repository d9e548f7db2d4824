# SPDX-License-Identifier: Apache-2.0
"""Scenes without Blender: nothing overlaps, everybody is in view, and the same seeds give the same scene."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.config import structure
from synthkit.errors import ConfigError
from synthkit.seeds import Seeds
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import Stage, populate
from synthkit_blender.lamps import panels
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.placement import Floor, Pose2D, hull, inside, overlap
from synthkit_blender.plugin import synthkit_components
from synthkit_blender.polygons import holds
from synthkit_blender.request import ROOM, Quality, render_request
from synthkit_blender.rooms import SIZES_M, Room, RoomPlan, furnish
from synthkit_blender.scene import sample_scene

LAYOUTS = tuple(SIZES_M)
TABLES = ("meeting", "office", "seminar")
STYLES = ("modern", "warm", "institutional")
coordinates = st.floats(-3, 3, allow_nan=False)
outlines = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8, unique=True)


def outline_of(points):
    return hull(np.array(points))


@settings(deadline=None)
@given(outlines, outlines)
def test_overlap_agrees_with_points_in_both_outlines(first, second):
    a, b = outline_of(first), outline_of(second)
    if min(len(a), len(b)) < 3:
        return
    corners_meet = any(inside(point[None], b) for point in a) or any(inside(point[None], a) for point in b)
    if corners_meet:
        assert overlap(a, b)
    assert overlap(a, b) == overlap(b, a)
    assert not overlap(a, b + np.array([20.0, 0.0]))
    assert overlap(a, a)


def near(x_m: float, y_m: float) -> bool:
    return bool(np.hypot(x_m, y_m) < 4)


def plan(seed: int, layout: str) -> RoomPlan:
    (length, _), (width, _) = SIZES_M[layout]
    return RoomPlan(length + 1.0, width + 0.5, 2.9, (0.4, -0.3), STYLES[seed % 3], layout)


def stage_of(room: Room) -> Stage:
    return Stage(
        room.floor, room.seats, room.decor, room.office_chairs, near, empty_chairs=True, free_chairs=room.free_chairs,
        places=room.places, solids=room.solids, furniture_m=room.furniture_m,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), layout=st.sampled_from(LAYOUTS))
def test_nobody_and_nothing_overlaps(mannequins, seed, layout):
    seeds = Seeds(seed)
    room = furnish(plan(seed, layout), seeds)
    furniture = [thing for thing in room.placed if len(thing.piece.solids_m) and thing.group == "furniture"]
    stage = stage_of(room)
    people = structure(BlenderConfig, {"people": {"sitting": [3, 5], "standing": [2, 4]}}).people
    crowd = populate(stage, people, mannequins, seeds, 0.02)
    bodies = [figure.world(figure.body.surface_vertices_m) for figure in crowd.figures]
    for thing, other in itertools.combinations(furniture, 2):
        assert not overlap(thing.outline_m, other.outline_m, -1e-6)
    for body in bodies:
        assert inside(hull(body), room.floor.area_m)
        assert not any(thing.holds(body) for thing in furniture)
    for one, other in itertools.combinations(bodies, 2):
        assert not overlap(hull(one), hull(other))
    for one, other in itertools.combinations(crowd.chairs, 2):
        assert not overlap(one.outline_m, other.outline_m)
    for figure in crowd.figures:
        if figure.body.posture == "sitting" and figure.chair is not None:
            seat = figure.chair.piece.solids_m[0][5]
            assert abs(seat - figure.body.seat_height_m) < 0.02
        elif figure.body.posture == "sitting":
            on = [place for place in room.places if place.height_m == figure.body.seat_height_m]
            assert any(np.hypot(p.pose.x_m - figure.pose.x_m, p.pose.y_m - figure.pose.y_m) < 0.11 for p in on)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_people_sit_where_there_are_seats_and_stand_elsewhere(mannequins, layout):
    config = structure(BlenderConfig, {"people": {"sitting": [4, 4], "standing": [0, 0]}, "room": {"layout": layout}})
    scenes = [sample_scene(config, mannequins, Seeds(8).child("scene", n)) for n in range(6)]
    figures = [figure for scene in scenes for figure in scene.figures]
    sitting = [figure for figure in figures if figure.body.posture == "sitting"]
    on_chairs = [figure for figure in sitting if figure.chair is not None]
    if layout in TABLES:
        assert sitting == figures
        assert on_chairs == sitting
    elif layout == "shop":
        assert not sitting
        assert figures
    else:
        assert sitting
        assert not on_chairs, "sofas and benches are there"
    sizes = {tuple(part.vertices_m.shape for thing in scene.things for part, _ in thing.parts) for scene in scenes}
    assert len(sizes) == len(scenes), "no two rooms are alike"


def test_sizes_of_rooms_can_be_given(mannequins):
    given = {"layout": "corridor", "length_m": [6, 6], "width_m": [3, 3]}
    scene = sample_scene(structure(BlenderConfig, {"room": given}), mannequins, Seeds(2))
    (floor, _), *_ = scene.things[0].parts
    assert sorted(np.ptp(floor.vertices_m, axis=0)[:2].round(3).tolist()) == [3, 6]


def test_a_crowd_too_large_for_the_floor_is_smaller(mannequins):
    floor = Floor(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]]))
    room = furnish(plan(1, "meeting"), Seeds(1))
    stage = Stage(floor, (), room.decor, True, near, empty_chairs=False)
    config = structure(BlenderConfig, {"people": {"sitting": [20, 20], "standing": [20, 20]}}).people
    crowd = populate(stage, config, mannequins, Seeds(3), 0.0)
    assert 1 <= len(crowd.figures) < 40


@pytest.mark.parametrize("scene", range(6))
def test_heads_lie_within_the_image_circle(scene, mannequins):
    drawn = sample_scene(BlenderConfig(), mannequins, Seeds(5).child("scene", scene))
    for figure in drawn.figures:
        _, valid = drawn.camera.project(figure.world(figure.body.head_vertices_m))
        assert valid.all()


def test_equal_seeds_give_equal_requests(mannequins):
    quality = Quality(4, True, 1, 9)
    first, second = (
        render_request(sample_scene(BlenderConfig(), mannequins, Seeds(5).child(3)), (ROOM,), quality) for _ in range(2)
    )
    assert first[0] == second[0]
    assert all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    other, _ = render_request(sample_scene(BlenderConfig(), mannequins, Seeds(5).child(4)), (ROOM,), quality)
    assert other["camera"] != first[0]["camera"]


def test_counts_follow_the_settings(mannequins):
    people = {"sitting": [2, 2], "standing": [0, 0]}
    config = structure(BlenderConfig, {"people": people, "room": {"layout": "meeting"}})
    drawn = [sample_scene(config, mannequins, Seeds(s)) for s in range(5)]
    assert {figure.body.posture for scene in drawn for figure in scene.figures} == {"sitting"}
    assert max(len(scene.figures) for scene in drawn) == 2


def test_lamps_hang_over_the_floor_of_a_plate():
    floor = np.array([[-3, -3], [3, -3], [3, 0], [0, 0], [0, 3], [-3, 3.0]])
    lamps = panels(RoomPlan(6.0, 6.0, 2.9, (0.0, 0.0), "", ""), 4000.0, 100.0, np.random.default_rng(2), floor)
    assert lamps
    assert all(holds(floor, lamp.matrix[:2, 3]) for lamp in lamps)


def test_motion_too_small_to_show_is_not_rendered(mannequins):
    quality = Quality(4, True, 1, 9)
    for posture, shutter_s, moves in (("sitting", 0.03, False), ("walking", 0.03, True), ("walking", 0.001, False)):
        people = {"sitting": [1, 1], "standing": [0, 0]}
        if posture == "walking":
            people = {"sitting": [0, 0], "standing": [1, 1], "walking_share": 1.0}
        config = structure(BlenderConfig, {"people": people, "sensor": {"shutter_s": [shutter_s, shutter_s]}})
        header, _ = render_request(sample_scene(config, mannequins, Seeds(2)), (ROOM,), quality)
        assert [any(owner["motion_m"]) for owner in header["owners"]] == [moves]
        assert header["settings"]["motion_blur"] is moves


def test_dusk_is_dim_and_warm(mannequins):
    (dusk,) = (component for component in synthkit_components() if component.name == "blender-dusk")
    config = structure(dusk.config, dusk.defaults)
    for seed in range(3):
        day, evening = (sample_scene(one, mannequins, Seeds(seed)) for one in (BlenderConfig(), config))
        assert evening.meta["room_style"] == "warm"
        assert evening.meta["light_kelvin"] <= 3400
        assert evening.sky.strength <= 0.25 * 4
        assert evening.sky.color[2] < evening.sky.color[0]
        assert day.camera.world_from_camera.tolist() == evening.camera.world_from_camera.tolist()


@settings(deadline=None)
@given(st.floats(60, 200), st.floats(0, 1))
def test_the_lens_fills_its_circle(fov_degrees, equisolid):
    camera = ceiling_camera(448, 336, fov_degrees, equisolid, 2.7, 30.0)
    assert abs(camera.max_radius_px - 168) < 1e-6
    below, valid = camera.project(np.array([0.0, 0.0, 0.0]))
    assert valid
    assert np.allclose(below, (224, 168))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.6, 0.6), st.floats(-np.pi, np.pi))
def test_where_a_moving_point_meets_a_table_is_where_the_table_holds_it(seed, aside, turn):
    rng = np.random.default_rng(seed)
    room = furnish(plan(seed, LAYOUTS[seed % 3]), Seeds(seed % 7))
    points = rng.uniform((-0.5, -0.6, 0.4), (0.5, 0.6, 1.2), (40, 3))
    for seat in room.seats[:2]:
        local = [seat.table.pose.local(seat.sitter(out, aside, turn).points(points)) for out in (0.0, 1.0)]
        inside = seat.table.piece.stretches(local[0], (local[1] - local[0])[0])
        for gap in rng.uniform(-0.2, 1.2, 12):
            met = int(((inside[:, 0] < gap) & (gap < inside[:, 1])).any())
            assert met == min(1, seat.table.holds(seat.sitter(float(gap), aside, turn).points(points)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.3))
def test_the_floor_is_free_where_no_outline_is_too_close(seed, gap):
    rng = np.random.default_rng(seed)
    floor = Floor(np.array([[-5, -5], [5, -5], [5, 5], [-5, 5.0]]))
    taken = [floor.take(hull(rng.normal(rng.uniform(-3, 3, 2), 0.4, (12, 2)))) for _ in range(8)]
    for _ in range(20):
        outline = hull(rng.normal(rng.uniform(-3, 3, 2), 0.3, (9, 2)))
        free = inside(outline, floor.area_m, gap) and not any(overlap(outline, other, gap) for other in taken)
        assert floor.fits(outline, gap) == free


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(4, 20), st.floats(4, 20), st.floats(-0.14, 0.14), st.floats(-0.14, 0.14))
def test_no_lamp_hangs_right_beside_the_camera(seed, length, width, x, y):
    plan = RoomPlan(length, width, 2.9, (x * length, y * width), "", "")
    lamps = panels(plan, 4000.0, 100.0, np.random.default_rng(seed))
    assert sum(lamp.watts for lamp in lamps) == pytest.approx(100.0)
    assert min(float(np.hypot(*lamp.matrix[:2, 3])) for lamp in lamps) > 0.9


def test_poses_turn_counter_clockwise():
    pose = Pose2D(1.0, 2.0, np.pi / 2)
    assert np.allclose(pose.outline(np.array([[1.0, 0.0]])), [[1.0, 3.0]])
    assert np.allclose(pose.local(pose.points(np.array([[1.0, 2.0, 3.0]]))), [[1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"samples": 0}, "renderer.samples"),
        ({"people": {"sitting": [3, 1]}}, "renderer.people.sitting"),
        ({"people": {"identities": 8}}, "renderer.people.*at least as many"),
        ({"sensor": {"noise": [0.1, 0.0]}}, "renderer.sensor.noise"),
        ({"room": {"style": "gothic"}}, "renderer.room.style"),
        ({"layers": ["depht"]}, "renderer.layers"),
        ({"layers": ["alpha", "alpha"]}, "renderer.layers"),
        ({"camera": {"height_m": [1.0, 2.0]}}, "renderer.camera.height_m"),
        ({"widht_px": 3}, "renderer.widht_px"),
    ],
)
def test_wrong_settings_are_named(options, path):
    with pytest.raises(ConfigError, match=path):
        structure(BlenderConfig, options, path="renderer")


@pytest.mark.parametrize(
    ("options", "paths"),
    [({}, 7), ({"width_px": 96, "height_px": 72}, 7), ({"width_px": 640, "height_px": 480}, 5),
     ({"width_px": 1024, "height_px": 1024}, 4), ({"width_px": 4096, "height_px": 4096}, 4), ({"samples": 3}, 3)],
)  # fmt: skip
def test_large_images_need_fewer_light_paths_a_pixel(options, paths):
    assert structure(BlenderConfig, options).light_paths == paths
