# SPDX-License-Identifier: Apache-2.0
"""Surface coordinates: meshes know the base mesh's vertices, parts of the body are where they should be."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from synthkit.seeds import Seeds
from synthkit_blender.crowd import Figure
from synthkit_blender.cryptomatte import murmur3
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.people import PersonRanges, PersonSpec, sample_identity, sample_outfit, sample_pose
from synthkit_blender.people.keypoints import BODY_POINTS, below_skin_m
from synthkit_blender.people.surface import BODY_PARTS, body_parts, part_labels, skin_vertices
from synthkit_blender.placement import Pose2D
from synthkit_blender.raster import Footprint
from synthkit_blender.truth import annotate, skin_vertices_of

SKIN = 13_380
RANGES = PersonRanges()


def spec_of(seed: int, posture: str) -> PersonSpec:
    seeds = Seeds(seed)
    identity = sample_identity(seeds, RANGES)
    return PersonSpec(identity, sample_outfit(seeds, identity, RANGES), sample_pose(seeds, posture, RANGES))


def test_every_vertex_hangs_on_the_base_mesh_beneath_it(library):
    spec = spec_of(3, "standing")
    spec = attrs.evolve(spec, identity=attrs.evolve(spec.identity, hair_style="ponytail", beard="beard"))
    shape_m = library.shape(spec.identity)
    person = library.build(spec)
    assert {"hair_tail", "beard", "brows", "body", "shoes", "left_iris"} <= {part.name for part in person.parts}
    for part in person.parts:
        if part.base_vertices is None:  # what is carried has nothing to do with the body's surface
            continue
        assert part.base_vertices.shape == part.vertices_m.shape[:1]
        off_m = np.linalg.norm(part.rest_m - shape_m[part.base_vertices], axis=1)
        if part.name in ("body", "left_iris"):
            assert not off_m.any(), "the same vertices"
        elif part.name != "hair_tail":
            assert np.median(off_m) < 0.04, part.name
            assert off_m.max() < 0.12, part.name
    assert (skin_vertices()[:SKIN] == np.arange(SKIN)).all()
    assert skin_vertices().max() < SKIN


def test_parts_are_where_they_should_be(library):
    shape_m = library.shape(spec_of(3, "standing").identity)[:SKIN]
    parts = {name: shape_m[body_parts()[:SKIN] == number] for number, name in enumerate(BODY_PARTS)}
    middle = {name: points.mean(axis=0) for name, points in parts.items()}
    assert all(len(points) > 100 for points in parts.values())
    for part in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot"):
        left, right = middle[f"left_{part}"], middle[f"right_{part}"]
        assert left[0] > 0.05, "a person's left is +x"
        assert np.allclose(left * (-1, 1, 1), right, atol=0.02)
    for upper, lower in (("head", "neck"), ("neck", "chest"), ("chest", "abdomen"), ("abdomen", "pelvis"),
                         ("pelvis", "left_shin"), ("left_thigh", "left_shin"), ("left_shin", "left_foot")):  # fmt: skip
        assert middle[upper][2] > middle[lower][2]
    surface = np.array([[0, 1 + int(np.flatnonzero(body_parts() == 7)[0])]], np.uint16)
    assert part_labels(surface).tolist() == [[0, 8]]


@pytest.mark.parametrize("posture", ["standing", "sitting"])
def test_surface_coordinates_reproject_onto_their_own_vertices(library, posture):
    """The vertex in a pixel is projected into it, or no farther off than the face is long that was hit."""
    camera = ceiling_camera(480, 360, 180, 0.3, 2.7, 30.0)
    figure = Figure(1, "00", library.build(spec_of(5, posture)), Pose2D(1.1, 0.6, 2.0))
    footprint = Footprint.of(figure, camera)
    mask = footprint.laid(footprint.covered, 480, 360)
    ids, ranks = np.zeros((2, 6, 360, 480), np.float32)
    ids[0] = np.uint32(murmur3(b"person_001")).view(np.float32)
    ranks[0] = mask
    truth = annotate((figure,), camera, ids, ranks, 1)
    surface = truth.surface()
    assert not surface[truth.instances == 0].any()
    assert (surface > 0).sum() > 0.9 * (truth.instances > 0).sum(), "but for what is carried"
    skin = skin_vertices_of(figure)[:-1]
    pixels, _ = camera.project(figure.world(figure.body.surface_vertices_m))
    reach_px = longest_edges_px(figure, pixels)
    missed = 0
    rows, columns = np.nonzero(surface)
    for x, y in zip(columns, rows, strict=True):
        mine = np.flatnonzero(skin == surface[y, x] - 1)
        off_px = np.hypot(*(pixels[mine] - (x + 0.5, y + 0.5)).T)
        missed += not (off_px <= reach_px[mine] + 1e-6).any()
    assert len(rows) > 800
    assert missed < 0.01 * len(rows)


def longest_edges_px(figure: Figure, pixels: np.ndarray) -> np.ndarray:
    """Return (V,) the longest edge at each vertex."""
    longest, offset = np.zeros(len(pixels)), 0
    for part in figure.body.parts:
        faces = part.faces + offset
        for n in range(4):
            for m in range(n):
                length = np.hypot(*(pixels[faces[:, n]] - pixels[faces[:, m]]).T)
                np.maximum.at(longest, faces[:, n], length)
                np.maximum.at(longest, faces[:, m], length)
        offset += len(part.vertices_m)
    return longest


def test_key_points_lie_in_the_body(library):
    person = library.build(spec_of(3, "standing"))
    joints = person.joints_m
    assert len(joints) == 69
    assert set(BODY_POINTS) <= joints.keys()
    for name, point in joints.items():
        gap_m = float(np.linalg.norm(person.surface_vertices_m - point, axis=1).min())
        assert gap_m < below_skin_m(name) + 0.01, name
    for side in ("left", "right"):
        assert joints[f"{side}_heel"][1] > joints[f"{side}_big_toe"][1], "people face -y"
        hand = [joints[f"{side}_{name}"] for name in ("wrist", "forefinger1", "forefinger4")]
        lengths = [np.linalg.norm(tip - hand[0]) for tip in hand[1:]]
        assert 0.05 < lengths[0] < lengths[1] < 0.25
        toes = [joints[f"{side}_{toe}"] for toe in ("big_toe", "small_toe")]
        assert 0.03 < np.linalg.norm(toes[0] - toes[1]) < 0.15


def test_a_point_behind_the_body_is_hidden(library):
    """From above, and from behind, one does not see a nose; from the front one does."""
    camera = ceiling_camera(320, 240, 180, 0.3, 2.2, 0.0)
    spec = spec_of(3, "standing")
    spec = attrs.evolve(spec, outfit=attrs.evolve(spec.outfit, accessories=(), owned=()))  # no cap over the eyes
    body = library.build(attrs.evolve(spec, pose=attrs.evolve(spec.pose, name="stand_at_ease", amount=0.0)))
    seen = {}
    for name, yaw_rad in (("front", 0.0), ("behind", np.pi)):
        figure = Figure(1, "00", body, Pose2D(0.0, 2.5, yaw_rad))
        footprint = Footprint.of(figure, camera)
        ids, ranks = np.zeros((2, 6, 240, 320), np.float32)
        ids[0] = np.uint32(murmur3(b"person_001")).view(np.float32)
        ranks[0] = footprint.laid(footprint.covered, 320, 240)
        (person,) = annotate((figure,), camera, ids, ranks, 1, BODY_POINTS).people
        assert set(person.keypoints) == set(BODY_POINTS)
        seen[name] = {name for name, point in person.keypoints.items() if point.visible}
    face = {"nose", "left_eye", "right_eye"}
    assert face <= seen["front"]
    assert not face & seen["behind"]
