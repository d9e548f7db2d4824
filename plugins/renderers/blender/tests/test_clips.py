# SPDX-License-Identifier: Apache-2.0
"""Clips: people move on, the same people, and into nothing and nobody on the way."""

from __future__ import annotations

import itertools
import math

import attrs
import numpy as np
import pytest
from PIL import Image

from synthkit.config import structure
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_blender import polygons
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.crowd import Crowd, Figure, Stage, populate
from synthkit_blender.crowd.walks import Walk, walks
from synthkit_blender.people import BodyLibrary, PersonRanges
from synthkit_blender.people.idling import PERIOD_S, RATES_HZ
from synthkit_blender.placement import Floor, Pose2D, anywhere, hull, inside, overlap
from synthkit_blender.plates import Plates
from synthkit_blender.rooms import Room, RoomPlan, furnish
from synthkit_blender.scene import at_time, plate_space, sample_scene
from synthkit_blender.surfaces import Decor, of_person
from synthkit_blender.things import out_of_the_way

TIMES_S = (0.0, 1.3, 3.2)
DEEPEST_M = 0.002  # how far a body may reach into a thing between the times at which it was looked at
PLATE = """
floor_px = [[90, 90], [310, 90], [310, 310], [90, 310]]
camera = {height_m = 2.8, fov_degrees = 180, equisolid = 0.2}
[[furniture]]
kind = "table"
height_m = 0.74
outline_px = [[120, 180], [190, 180], [190, 215], [120, 215]]
[[furniture]]
kind = "seat"
height_m = 0.45
outline_px = [[145, 220], [165, 220], [165, 240], [145, 240]]
facing_px = [155, 190]
[[furniture]]
kind = "occluder"
height_m = 1.2
outline_px = [[240, 110], [270, 110], [270, 190], [240, 190]]
"""
PEOPLE = {"sitting": [2, 2], "standing": [3, 3], "walking_share": 0.7, "leaning_share": 0.4}


@attrs.frozen(eq=False)
class Clip:
    """A room, what stands in it during a clip, and its people at each time."""

    room: Room
    crowd: Crowd
    placed: tuple
    frames: list[tuple[Figure, ...]]


def clip_of(source, people, seed: int, times_s=TIMES_S) -> Clip:
    config = structure(BlenderConfig, {"people": people}).people
    room = furnish(RoomPlan(7.5, 6.0, 2.9, (0.2, -0.1), "modern", "meeting"), Seeds(seed))
    stage = Stage(room.floor, room.seats, room.decor, True, anywhere, empty_chairs=True, free_walls=room.free_walls)
    crowd = populate(stage, config, source, Seeds(seed), 0.0, times_s)
    frames = [tuple(figure.at(time_s, source) for figure in crowd.figures) for time_s in times_s]
    return Clip(room, crowd, out_of_the_way(room.placed, crowd.figures), frames)


def depth_m(thing, points_m) -> float:
    """Return how deep the deepest point lies in the solids of a thing."""
    local = thing.pose.local(points_m)
    depths = [np.minimum(local - solid[:3], solid[3:] - local).min(axis=1).max() for solid in thing.piece.solids_m]
    return float(max(depths, default=0.0))


@pytest.fixture(scope="module")
def casting(library: BodyLibrary):
    return Casting(library, structure(BlenderConfig, {"people": PEOPLE}).people, Seeds(1))


@pytest.fixture(scope="module")
def clips(casting):
    return [clip_of(casting, PEOPLE, seed) for seed in range(2)]


def assert_nobody_meets_anything(clip: Clip) -> None:
    for figures in clip.frames:
        outlines = [hull(figure.world(figure.body.surface_vertices_m)) for figure in figures]
        for one, other in itertools.combinations(outlines, 2):
            assert not overlap(one, other)
        assert all(inside(outline, clip.room.floor.area_m) for outline in outlines)
        for figure in figures:
            points = figure.world(figure.body.surface_vertices_m)
            for thing in (*clip.placed, *clip.crowd.chairs):
                if thing is not figure.chair:
                    assert depth_m(thing, points) < DEEPEST_M, (figure.body.attributes["pose"], thing.group)


def test_nobody_meets_anybody_or_anything_in_any_frame(clips) -> None:
    for clip in clips:
        assert_nobody_meets_anything(clip)


def test_over_a_plate_nobody_meets_its_furniture_in_any_frame(casting, tmp_path) -> None:
    Image.new("RGB", (400, 400), (90, 90, 90)).save(tmp_path / "room.png")
    (tmp_path / "plates.toml").write_text(PLATE)
    plate = Plates.open(tmp_path, 96, 96)[0]
    settings = {"people": {**PEOPLE, "sitting": [1, 1]}, "sequence": {"frames": 3, "fps": 0.6}}
    config = structure(BlenderConfig, settings)
    walked, seated = 0, 0
    for seed in range(2):
        drawn = sample_scene(config, casting, Seeds(seed), plate)
        space = plate_space(config, plate, drawn.camera)
        for time_s in config.sequence.times_s:
            bodies = [one.world(one.body.surface_vertices_m) for one in at_time(drawn, time_s, casting).figures]
            outlines = [hull(points) for points in bodies]
            assert all(polygons.holds(space.floor_m, outline).all() for outline in outlines)
            assert not any(overlap(*pair) for pair in itertools.combinations(outlines, 2))
            for solid in space.solids:
                if solid.kind != "seat":
                    core = attrs.evolve(solid, low_m=solid.low_m + DEEPEST_M, high_m=solid.high_m - DEEPEST_M)
                    assert not any(core.holds(points).any() for points in bodies)
        walked += sum(figure.walk.gone_m(3.0) > 0 for figure in drawn.figures)
        seated += sum(figure.body.posture == "sitting" for figure in drawn.figures)
    assert walked
    assert seated


def test_who_sways_far_is_kept_out_of_everything_in_all_frames(mannequins) -> None:
    class Swaying(type(mannequins)):
        def moved(self, body, time_s, walked_m, stood=0.0):
            angle = 2 * np.pi * time_s / PERIOD_S
            sway = np.array([0.04 * np.sin(angle), -0.06 * (1 - np.cos(angle)), 0], np.float32)
            return attrs.evolve(body, surface_vertices_m=body.surface_vertices_m + sway)

    for seed in range(3):
        clip = clip_of(Swaying(), {**PEOPLE, "leaning_share": 0.0}, seed, tuple(np.arange(26) / 2))
        assert_nobody_meets_anything(clip)
        seated = [figure for figure in clip.crowd.figures if figure.chair is not None]
        assert seated
        for figure in seated:  # the chair's back is behind all that the back ever does
            back = figure.chair.piece.solids_m[-1]
            high = (figure.reach_m[:, 2] > 0.7) & (figure.reach_m[:, 2] < 0.9) & (np.abs(figure.reach_m[:, 0]) < 0.2)
            assert figure.reach_m[high, 1].max() < back[4]


def test_what_is_reached_later_only_is_put_out_of_the_way_too(mannequins) -> None:
    room = furnish(RoomPlan(7.5, 6.0, 2.9, (0.2, -0.1), "modern", "meeting"), Seeds(0))
    clutter = [thing for thing in room.placed if thing.group == "clutter"]
    assert clutter
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figure = Figure(1, "00", body, Pose2D(9.0, 9.0))
    assert len(out_of_the_way(room.placed, (figure,))) == len(room.placed)
    solid = clutter[0].piece.solids_m[0]
    there = figure.pose.local(clutter[0].pose.points((solid[None, :3] + solid[None, 3:]) / 2))
    later = attrs.evolve(figure, reach_m=np.concatenate([body.surface_vertices_m, there.astype(np.float32)]))
    assert out_of_the_way(room.placed, (later,)) == tuple(thing for thing in room.placed if thing is not clutter[0])


def test_a_walk_ends_feet_abreast_without_a_jerk() -> None:
    for walk in walks(1.5, 0.3, 60.0)[1:]:
        times_s = np.linspace(0, 20, 4001)
        gone_m = np.array([walk.gone_m(time_s) for time_s in times_s])
        assert gone_m[0] == 0
        assert gone_m[-1] == pytest.approx(walk.length_m)
        assert (walk.length_m / 1.5 + 0.3) % 0.5 == pytest.approx(0.3)
        speed = np.diff(gone_m) / np.diff(times_s)
        assert (speed > -1e-9).all()
        assert (np.abs(np.diff(speed)) < 0.03).all()
        paces = np.array([walk.pace(time_s) for time_s in (times_s[1:] + times_s[:-1]) / 2])
        np.testing.assert_allclose(speed, paces * walk.speed_m_s, atol=0.01)
    assert [walk.length_m for walk in walks(1.5, 0.3, 2.0)][:2] == [math.inf, pytest.approx(1.5 * 1.5)]
    assert walks(1.5, 0.3, 2.0)[0].gone_m(2.0) == pytest.approx(1.5 * 0.9 * 2)


def test_walkers_go_ahead_by_as_much_as_their_feet(casting) -> None:
    body = casting.person(Seeds(5), "ab12", "walking", PersonRanges(), table=None)
    start = Figure(1, "ab12", body, Pose2D(0.3, 0.2, 1.0), walk=Walk(body.stride_m * 0.9))
    track = [start.at(n / 8, casting) for n in range(9)]
    # One foot is on the ground at any time, and where it is it stays.
    ankles = np.array([[f.world(f.body.joints_m[f"{side}_ankle"]) for side in ("left", "right")] for f in track])
    steps = np.linalg.norm(np.diff(ankles[:, :, :2], axis=0), axis=2)
    assert steps.max() > 0.15
    assert steps.min(axis=1).max() < 0.11


def test_walkers_stop_where_the_floor_ends_before_the_clip(casting) -> None:
    floor = Floor(np.array([[-2.0, -2.0], [2.0, -2.0], [2.0, 2.0], [-2.0, 2.0]]))
    config = structure(BlenderConfig, {"people": {"sitting": [0, 0], "standing": [1, 1], "walking_share": 1.0,
                                                  "leaning_share": 0.0}}).people  # fmt: skip
    stage = Stage(floor, (), Decor("modern", Seeds(0).stream("decor")), True, anywhere, empty_chairs=False)
    (walker,) = populate(stage, config, casting, Seeds(3), 0.01, (0.0, 60.0)).figures
    assert walker.body.posture == "walking"
    assert 0 < walker.walk.length_m < 5
    middle, late, last = (walker.at(time_s, casting) for time_s in (walker.walk.length_m / 3, 59.0, 60.0))
    for figure in (middle, late, last):
        assert inside(hull(figure.world(figure.body.surface_vertices_m)), floor.area_m)
    assert (late.pose, late.motion_m) == (last.pose, (0.0, 0.0, 0.0))
    assert math.hypot(last.pose.x_m - walker.pose.x_m, last.pose.y_m - walker.pose.y_m) == pytest.approx(
        walker.walk.length_m
    )
    left, right = (last.body.joints_m[f"{side}_ankle"] for side in ("left", "right"))
    assert abs(left - right)[1:] == pytest.approx([0, 0], abs=0.02), "feet side by side on the floor"


def test_the_last_step_slides_on_no_foot_and_ends_where_standing_begins(casting) -> None:
    body = casting.person(Seeds(5), "ab12", "walking", PersonRanges(), table=None)
    (*_, walk, _) = walks(body.stride_m, body.spec.pose.phase, 60.0)
    start = Figure(1, "ab12", body, Pose2D(0.3, 0.2, 1.0), walk=walk)
    ends_s = next(time_s for time_s in np.arange(400) / 100 if walk.gone_m(time_s) == pytest.approx(walk.length_m))
    assert [walk.stood(time_s) for time_s in (0.0, ends_s, 60.0)] == pytest.approx([0, 1, 1])
    track = [start.at(time_s, casting) for time_s in np.linspace(ends_s - 0.6, ends_s, 10)]
    ankles = np.array([[f.world(f.body.joints_m[f"{side}_ankle"]) for side in ("left", "right")] for f in track])
    gone = np.linalg.norm(ankles[-1] - ankles[0], axis=1)
    assert gone.min() < 0.04, "the foot on the ground stays"
    assert gone.max() > 0.15, "the other comes up to it"
    # From where it came to a stand the body stirs only.
    later = start.at(ends_s + 5.0, casting).body.joints_m
    assert all(np.linalg.norm(track[-1].body.joints_m[name] - point) < 0.09 for name, point in later.items())


def test_all_stirring_comes_again() -> None:
    assert np.array(RATES_HZ) * PERIOD_S == pytest.approx(np.rint(np.array(RATES_HZ) * PERIOD_S))


def test_who_stays_stirs_a_little_with_feet_where_they_were(clips) -> None:
    for clip in clips:
        for number, first in enumerate(clip.frames[0]):
            if first.body.posture == "walking":
                continue
            for figures in clip.frames[1:]:
                now = figures[number].body.joints_m
                for name, before in first.body.joints_m.items():
                    assert np.linalg.norm(now[name] - before) < 0.09, name
                for side in ("left", "right"):
                    assert np.linalg.norm(now[f"{side}_ankle"] - first.body.joints_m[f"{side}_ankle"]) < 0.02
            last = clip.frames[-1][number].body
            assert np.linalg.norm(last.joints_m["nose"] - first.body.joints_m["nose"]) > 1e-4


def test_people_keep_their_identity_and_looks(clips) -> None:
    for clip in clips:
        for figures in clip.frames[1:]:
            for figure, first in zip(figures, clip.frames[0], strict=True):
                assert (figure.identity, figure.number) == (first.identity, first.number)
                assert figure.body.attributes == first.body.attributes
                looks = [[of_person(part.material) for part in one.body.parts] for one in (figure, first)]
                assert looks[0] == looks[1]


def test_all_but_people_stays_and_the_first_frame_is_a_still(mannequins) -> None:
    config = structure(BlenderConfig, {"sequence": {"frames": 3}, "room": {"layout": "meeting"}, "people": PEOPLE})
    drawn = sample_scene(config, mannequins, Seeds(9))
    later = at_time(drawn, 1.25, mannequins)
    still = [[thing for thing in scene.things if thing.group != "people"] for scene in (drawn, later)]
    assert all(a is b for a, b in zip(*still, strict=True))
    assert at_time(drawn, 0.0, mannequins).figures == drawn.figures


def test_a_time_is_the_same_again(casting, clips) -> None:
    figure = clips[0].frames[0][0]
    one, other = (figure.at(1.25, casting).body for _ in range(2))
    assert one.surface_vertices_m.tobytes() == other.surface_vertices_m.tobytes()


@pytest.mark.slow
def test_a_clip_is_rendered_frame_by_frame(tiny_renderer) -> None:
    settings = {"sequence": {"frames": 3, "fps": 5.0}, "people": {"sitting": [1, 1], "standing": [1, 1]}}
    with tiny_renderer(**settings) as renderer:
        assert renderer.samples_per_scene == 3
        first = list(renderer.render(4, Seeds(4)))
        again = list(renderer.render(4, Seeds(4)))
    assert [sample.key for sample in first] == ["00000004_000", "00000004_001", "00000004_002"]
    assert all(isinstance(sample, Sample) for sample in first)
    assert [(s.sequence, s.frame, s.time_s) for s in first] == [("00000004", n, n / 5) for n in range(3)]
    assert len({tuple(sorted(p.identity for p in s.people)) for s in first}) == 1
    # Mannequins do not stir: what differs is the noise.
    assert not np.array_equal(first[0].image, first[1].image)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.image, other.image)


def test_stills_are_no_sequence() -> None:
    assert BlenderConfig().sequence.times_s == (0.0,)
    assert attrs.evolve(BlenderConfig().sequence, frames=3, fps=2.0).times_s == (0.0, 0.5, 1.0)
