# SPDX-License-Identifier: Apache-2.0
"""Clips: people move on, the same people, and into nothing and nobody on the way."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest

from synthkit.config import structure
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_blender.casting import Casting
from synthkit_blender.config import BlenderConfig
from synthkit_blender.people import BodyLibrary
from synthkit_blender.placement import hull, inside, overlap
from synthkit_blender.scene import at_time, sample_scene
from synthkit_blender.surfaces import of_person

CLIP = {
    "sequence": {"frames": 7, "fps": 4.0},
    "room": {"layout": "meeting"},
    "people": {"sitting": [2, 2], "standing": [3, 3], "walking_share": 0.7},
}


@pytest.fixture(scope="module")
def casting(tmp_path_factory: pytest.TempPathFactory):
    config = structure(BlenderConfig, CLIP)
    return Casting(BodyLibrary(tmp_path_factory.mktemp("people")), config.people, Seeds(1))


@pytest.fixture(scope="module")
def clips(casting):
    """Return some clips, each a list of its scenes frame by frame."""
    config = structure(BlenderConfig, CLIP)
    found = []
    for seed in range(3):
        drawn = sample_scene(config, casting, Seeds(seed))
        found.append([at_time(drawn, time_s, casting) for time_s in config.sequence.times_s])
    return found


def test_nobody_meets_anybody_or_anything_in_any_frame(clips) -> None:
    for scenes in clips:
        for scene in scenes:
            outlines = [hull(figure.world(figure.body.surface_vertices_m)) for figure in scene.figures]
            for one, other in itertools.combinations(outlines, 2):
                assert not overlap(one, other)
            floor = scene.things[0].parts[0][0].vertices_m
            corners = hull(floor)
            assert all(inside(outline, corners, -0.001) for outline in outlines)


def test_walkers_go_ahead_by_as_much_as_their_feet(clips) -> None:
    walkers = 0
    for scenes in clips:
        for number, first in enumerate(scenes[0].figures):
            track = [scene.figures[number] for scene in scenes]
            gone = [np.hypot(f.pose.x_m - first.pose.x_m, f.pose.y_m - first.pose.y_m) for f in track]
            if first.body.posture != "walking":
                assert max(gone) == 0
                continue
            walkers += 1
            assert np.diff(gone) == pytest.approx(np.full(6, first.walk_m_s / 4.0), abs=1e-6)
            # One foot is on the ground at any time, and where it is it stays.
            ankles = np.array(
                [[f.world(f.body.joints_m[f"{side}_ankle"]) for side in ("left", "right")] for f in track]
            )
            steps = np.linalg.norm(np.diff(ankles[:, :, :2], axis=0), axis=2)
            assert steps.min(axis=1).max() < max(0.12, 0.7 * first.walk_m_s / 4.0)
    assert walkers >= 2


def test_who_stays_stirs_a_little_with_feet_where_they_were(clips) -> None:
    for scenes in clips:
        for number, first in enumerate(scenes[0].figures):
            if first.body.posture == "walking":
                continue
            for scene in scenes[1:]:
                now = scene.figures[number].body.joints_m
                for name, before in first.body.joints_m.items():
                    assert np.linalg.norm(now[name] - before) < 0.09, name
                for side in ("left", "right"):
                    assert np.linalg.norm(now[f"{side}_ankle"] - first.body.joints_m[f"{side}_ankle"]) < 0.02
            last = scenes[-1].figures[number].body
            assert np.linalg.norm(last.joints_m["nose"] - first.body.joints_m["nose"]) > 1e-4


def test_people_keep_their_identity_and_looks(clips) -> None:
    for scenes in clips:
        for scene in scenes[1:]:
            for figure, first in zip(scene.figures, scenes[0].figures, strict=True):
                assert (figure.identity, figure.number) == (first.identity, first.number)
                assert figure.body.attributes == first.body.attributes
                looks = [[of_person(part.material) for part in one.body.parts] for one in (figure, first)]
                assert looks[0] == looks[1]


def test_all_but_people_stays(clips) -> None:
    for scenes in clips:
        still = [[thing for thing in scene.things if thing.group != "people"] for scene in scenes]
        assert all(len(things) == len(still[0]) for things in still)
        assert all(a is b for things in still for a, b in zip(things, still[0], strict=True))


def test_the_first_frame_is_a_still_and_all_frames_are_the_same_again(casting) -> None:
    config = structure(BlenderConfig, {**CLIP, "people": {**CLIP["people"], "sitting": [0, 0], "standing": [1, 1]}})
    drawn = [sample_scene(config, casting, Seeds(9)) for _ in range(2)]
    first, second = (at_time(scene, 1.25, casting) for scene in drawn)
    for one, other in zip(first.figures, second.figures, strict=True):
        assert one.body.surface_vertices_m.tobytes() == other.body.surface_vertices_m.tobytes()
    assert at_time(drawn[0], 0.0, casting).figures == drawn[0].figures


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
