# SPDX-License-Identifier: Apache-2.0
"""Poses on bodies: hands take the shapes asked for, arms stay out of the body, joints within their range."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from synthkit.seeds import Seeds
from synthkit_blender.people import (
    POSTURES,
    BodyLibrary,
    GarmentSpec,
    PersonRanges,
    PersonSpec,
    pose_names,
    sample_identity,
    sample_outfit,
    sample_pose,
)
from synthkit_blender.people.clothing import with_pockets
from synthkit_blender.people.goals import HandGoal
from synthkit_blender.people.hands import FIST, FLAT, POINTING, RELAXED, RestHand
from synthkit_blender.people.limits import MOST_ELBOW_DEG, MOST_KNEE_DEG, WRIST_ASIDE_DEG, WRIST_BEND_DEG, within_wrist
from synthkit_blender.people.poses import pose_goals, pose_weights
from synthkit_blender.people.rotations import about, unit
from synthkit_blender.people.skeleton import SIDES, joint_cube_centres

RANGES = PersonRanges()
NAMES = [(posture, name) for posture in POSTURES for name in pose_names(posture)]
ALL_POSES = [pytest.param(*pose, marks=() if n % 3 == 0 else pytest.mark.slow) for n, pose in enumerate(NAMES)]


def person_in(posture: str, name: str, number: int = 0) -> PersonSpec:
    who = Seeds(8).child("person", number % 7)
    identity = sample_identity(who, RANGES)
    pose = sample_pose(Seeds(8).child("pose", number), posture, RANGES)
    return PersonSpec(identity, sample_outfit(who, identity, RANGES), attrs.evolve(pose, name=name))


def figure_of(library: BodyLibrary, spec: PersonSpec):
    goals = with_pockets(pose_goals(spec.pose), spec.outfit)
    return posed(library, spec, goals)


def posed(library: BodyLibrary, spec: PersonSpec, goals):
    return library.posed(library.shape(spec.identity), goals, spec.outfit)[0]


def angle_deg(a, b) -> float:
    return float(np.degrees(np.arccos(np.clip(unit(a) @ unit(b), -1, 1))))


def test_windings_count_the_inside_of_a_cube(windings):
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    assert np.abs(windings([[0.5, 0.4, 0.6], [2, 0, 0]], corners, faces)) == pytest.approx([1, 0], abs=1e-9)


@pytest.mark.parametrize(("posture", "name"), ALL_POSES)
def test_no_arm_reaches_into_the_body(library: BodyLibrary, windings, posture: str, name: str) -> None:
    figure = figure_of(library, person_in(posture, name, number=len(name)))
    at, goals = figure.posed.pivots, pose_goals(person_in(posture, name, number=len(name)).pose)
    points = []
    for side, goal in zip(SIDES, goals.hands, strict=True):
        elbow, wrist = at[f"lowerarm01.{side}"], at[f"wrist.{side}"]
        points += [elbow + share * (wrist - elbow) for share in (0.5,)]
        if goal.contact != "pocket":
            points += [at[f"{bone}.{side}"] for bone in ("wrist", "finger3-1", "finger3-3")]
    # A point within an arm is gone round once; one that is within trunk, leg or other arm as well, twice.
    rounds = windings(points, figure.vertices_m, library.sculptor.mesh.faces["body"])
    assert np.abs(rounds).max() < 1.5, f"{name}: {np.round(rounds, 1)}"


@pytest.mark.parametrize(("posture", "name"), ALL_POSES)
def test_joints_stay_within_their_range(library: BodyLibrary, posture: str, name: str) -> None:
    figure = figure_of(library, person_in(posture, name, number=len(name) + 3))
    at, turn = figure.posed.pivots, figure.posed.rotations
    joints = joint_cube_centres(library.sculptor.mesh, figure.shape_m)
    for side in SIDES:
        upper, fore = (
            at[f"lowerarm01.{side}"] - at[f"upperarm01.{side}"],
            at[f"wrist.{side}"] - at[f"lowerarm01.{side}"],
        )
        assert 4 < angle_deg(upper, fore) < MOST_ELBOW_DEG + 0.1
        thigh = at[f"lowerleg01.{side}"] - at[f"upperleg01.{side}"]
        shin = at[f"foot.{side}"] - at[f"lowerleg01.{side}"]
        assert 4 < angle_deg(thigh, shin) < MOST_KNEE_DEG + 0.1
        hand = RestHand.of(joints, side)
        _, radial, palmar = (turn[f"wrist.{side}"] @ hand.axes).T
        bend = np.degrees(np.arcsin(np.clip(-unit(fore) @ palmar, -1, 1)))
        aside = np.degrees(np.arcsin(np.clip(-unit(fore) @ radial, -1, 1)))
        assert WRIST_BEND_DEG[0] - 6 < bend < WRIST_BEND_DEG[1] + 6
        assert WRIST_ASIDE_DEG[0] - 8 < aside < WRIST_ASIDE_DEG[1] + 8
    head = turn["spine01"].T @ turn["head"]
    assert np.degrees(np.arccos((np.trace(head) - 1) / 2)) < 75


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [FLAT, RELAXED, FIST])
def test_fingers_bend_by_the_degrees_of_the_shape(library: BodyLibrary, side: str, shape) -> None:
    joints = joint_cube_centres(library.sculptor.mesh, library.sculptor.mesh.vertices_m)
    hand = RestHand.of(joints, side)
    turns = hand.finger_turns(shape)
    for digit, bends in enumerate(shape.bends, start=2):
        bones = [turns[f"finger{digit}-{n}"] @ hand.bones[f"finger{digit}-{n}"] for n in (1, 2, 3)]
        assert angle_deg(bones[0], bones[1]) == pytest.approx(bends[1], abs=4)
        assert angle_deg(bones[1], bones[2]) == pytest.approx(bends[2], abs=4)
        palmar = hand.axes[:, 2]
        assert np.degrees(np.arcsin(bones[0] @ palmar)) == pytest.approx(bends[0], abs=4)


def test_a_pointing_hand_points(library: BodyLibrary) -> None:
    hand = RestHand.of(joint_cube_centres(library.sculptor.mesh, library.sculptor.mesh.vertices_m), "l")
    turns = hand.finger_turns(POINTING)
    tips = {digit: turns[f"finger{digit}-3"] @ hand.bones[f"finger{digit}-3"] for digit in (2, 3)}
    assert angle_deg(tips[2], hand.axes[:, 0]) < 15
    assert angle_deg(tips[3], hand.axes[:, 0]) > 120


@pytest.mark.parametrize(("asked", "got"), [(50.0, 50.0), (110.0, 75.0), (-110.0, -65.0)])
def test_a_wrist_bends_no_further_than_it_can(asked: float, got: float) -> None:
    # Along x, the thumb's side y, out of the palm z: bending towards the palm turns x to z.
    swing, twist = within_wrist(about(np.array([0.0, -1.0, 0.0]), asked), np.array([1.0, 0.0, 0.0]), np.eye(3))
    assert swing @ twist == pytest.approx(about(np.array([0.0, -1.0, 0.0]), got), abs=1e-9)


def test_a_forearm_twists_no_further_than_it_can() -> None:
    axis = np.array([1.0, 0.0, 0.0])
    swing, twist = within_wrist(about(axis, 150.0), axis, np.eye(3))
    assert swing == pytest.approx(np.eye(3), abs=1e-9)
    assert twist == pytest.approx(about(axis, 88.0), abs=1e-9)


def test_a_hand_laid_on_the_hip_touches_it(library: BodyLibrary) -> None:
    for number in range(3):
        spec = person_in("standing", "stand_hands_on_hips", number)
        figure = figure_of(library, spec)
        for side in SIDES:
            trunk = figure.vertices_m[library.sculptor.trunk]
            bones = ("wrist", "finger3-1", "finger3-2", "finger1-3")
            gaps = [np.linalg.norm(trunk - figure.posed.pivots[f"{bone}.{side}"], axis=1).min() for bone in bones]
            assert min(gaps) < 0.065


def test_hands_go_into_pockets_where_there_are_pockets() -> None:
    spec = person_in("standing", "stand_hands_in_pockets")
    trousers, skirt = (
        attrs.evolve(spec.outfit, garments=(GarmentSpec(kind, (0, 0, 0), "black", 0.01),))
        for kind in ("trousers", "skirt")
    )
    goals = pose_goals(spec.pose)
    assert [hand.contact for hand in with_pockets(goals, trousers).hands] == ["pocket", "pocket"]
    assert [hand.contact for hand in with_pockets(goals, skirt).hands] == ["touch", "touch"]


def test_poses_are_met_by_their_weight() -> None:
    drawn = [sample_pose(Seeds(4).child(n), "walking", RANGES).name for n in range(1500)]
    weights = pose_weights("walking")
    for name, weight in weights.items():
        assert drawn.count(name) / 1500 == pytest.approx(weight / sum(weights.values()), abs=0.04)


def test_a_hand_deep_in_the_belly_is_led_out(library: BodyLibrary, windings) -> None:
    spec = person_in("standing", "stand_relaxed", 2)
    inwards = HandGoal("chest", (-0.3, -0.05, -0.6), (1.0, 0.0, 0.0), None)
    goals = attrs.evolve(pose_goals(spec.pose), hands=(inwards, inwards))
    figure = posed(library, spec, goals)
    wrists = [figure.posed.pivots[f"wrist.{side}"] for side in SIDES]
    assert np.abs(windings(wrists, figure.vertices_m, library.sculptor.mesh.faces["body"])).max() < 1.5
