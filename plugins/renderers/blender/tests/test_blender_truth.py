# SPDX-License-Identifier: Apache-2.0
"""Truth from coverage: ids, boxes, silhouettes."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.camera import FisheyeCamera, looking_down
from synthkit.seeds import Seeds
from synthkit_blender.boxes import radial_box, rotated_box, upright_box
from synthkit_blender.crowd import Figure
from synthkit_blender.cryptomatte import asset_coverage, murmur3
from synthkit_blender.light import image_circle
from synthkit_blender.optics import ceiling_camera
from synthkit_blender.placement import Pose2D
from synthkit_blender.raster import Footprint, hits
from synthkit_blender.truth import annotate, plain_normals


def test_murmur3_agrees_with_published_vectors():
    assert murmur3(b"") == 0
    assert murmur3(b"hello") == 0x248BFA47
    assert murmur3(b"hello, world") == 0x149BBB7F
    assert murmur3(b"The quick brown fox jumps over the lazy dog") == 0x2E4FF723


@settings(deadline=None)
@given(st.integers(20, 60), st.integers(20, 60), st.integers(4, 14), st.integers(15, 30), st.floats(-90, 89.9))
def test_rotated_boxes_fit_drawn_rectangles(cx, cy, width, height, degrees):
    mask = np.zeros((80, 80), np.uint8)
    corners = cv2.boxPoints(((float(cx), float(cy)), (float(width), float(height)), degrees))
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    box = rotated_box(mask.astype(bool))
    assert abs(box.cx - cx - 0.5) < 1.5
    assert abs(box.cy - cy - 0.5) < 1.5
    y, x = np.nonzero(mask)
    low, high = box.corners_px().min(axis=0), box.corners_px().max(axis=0)
    assert low[0] - 1e-3 <= x.min()
    assert x.max() + 1 <= high[0] + 1e-3
    assert low[1] - 1e-3 <= y.min()
    assert y.max() + 1 <= high[1] + 1e-3


def test_boxes_of_a_single_pixel():
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    assert upright_box(mask) == (3.0, 2.0, 4.0, 3.0)
    box = rotated_box(mask)
    assert (box.cx, box.cy, box.w, box.h) == (3.5, 2.5, 1.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(-10, 60)] * 6), min_size=1, max_size=6))
def test_triangles_hit_the_centres_inside_them(corners):
    triangles = np.array(corners).reshape(-1, 3, 2)
    mask = np.zeros((40, 50), bool)
    found = hits(triangles, 50, 40)
    mask[found.y, found.x] = True
    centres = (triangles[found.triangle] * found.weights[..., None]).sum(axis=1)
    a, b = (triangles[found.triangle, n] - triangles[found.triangle, 0] for n in (1, 2))
    wide = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) > 1e-3
    assert np.abs(centres - np.column_stack([found.x, found.y]) - 0.5)[wide].max(initial=0) < 1e-6
    y, x = np.mgrid[0:40, 0:50] + 0.5
    expected = np.zeros_like(mask)
    for a, b, c in triangles:
        sides = [(q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))]
        hit = (np.minimum.reduce(sides) >= 0) | (np.maximum.reduce(sides) <= 0)
        # A triangle without area holds no centre off its own extent.
        hit &= (x >= min(a[0], b[0], c[0])) & (x <= max(a[0], b[0], c[0]))
        hit &= (y >= min(a[1], b[1], c[1])) & (y <= max(a[1], b[1], c[1]))
        expected |= hit
    assert np.array_equal(mask, expected)


def test_coverage_is_summed_over_ranks():
    ids = np.zeros((4, 2, 2), np.float32)
    first, second = (np.uint32(murmur3(name)).view(np.float32) for name in (b"person_001", b"person_002"))
    ids[2, 0, 0] = ids[0, 0, 0] = ids[3, 1, 1] = first
    ids[1, 0, 0] = second
    ranks = np.full((4, 2, 2), 0.25, np.float32)
    ranks[3] = 0
    one, other = asset_coverage(["person_001", "person_002"], ids, ranks)
    assert one.tolist() == [[0.5, 0], [0, 0]]
    assert other.tolist() == [[0.25, 0], [0, 0]]


def test_a_frame_without_people_has_empty_truth():
    camera = ceiling_camera(32, 24, 180, 0, 2.7, 0)
    zero = np.zeros((6, 24, 32), np.float32)
    truth = annotate((), camera, zero, zero, 1)
    assert truth.people == ()
    assert not truth.instances.any()
    assert not truth.amodal().any()
    assert not truth.surface().any()


@settings(deadline=None)
@given(st.integers(15, 65), st.integers(15, 65), st.integers(3, 14), st.integers(15, 30), st.floats(-90, 89.9))
def test_radial_boxes_point_at_the_nadir(cx, cy, width, height, degrees):
    nadir = np.array((40.0, 40.0))
    mask = np.zeros((80, 80), np.uint8)
    corners = cv2.boxPoints(((float(cx), float(cy)), (float(width), float(height)), degrees))
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1)
    box = radial_box(mask.astype(bool), nadir)
    assert -90 <= box.degrees < 90
    assert box.w <= box.h
    angle = np.radians(box.degrees)
    across, along = np.array((np.cos(angle), np.sin(angle))), np.array((-np.sin(angle), np.cos(angle)))
    y, x = np.nonzero(mask)
    for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
        off = np.column_stack([x + dx - box.cx, y + dy - box.cy])
        assert np.abs(off @ across).max() <= box.w / 2 + 1e-3
        assert np.abs(off @ along).max() <= box.h / 2 + 1e-3
    if np.hypot(box.cx - 40, box.cy - 40) > 25:  # nearer the nadir lies within the box
        centre = np.array((box.cx, box.cy)) - nadir
        assert min(abs(centre @ across), abs(centre @ along)) < 0.1
        assert box.w * box.h >= (1 - 1e-3) * rotated_box(mask.astype(bool)).w * rotated_box(mask.astype(bool)).h


def coverage_of(masks):
    """Return Cryptomatte's ids and coverages (6, H, W) of people's masks (N, H, W), which do not meet."""
    ids, ranks = np.zeros((2, 6, *masks[0].shape), np.float32)
    for number, mask in enumerate(masks, 1):
        ids[0][mask] = np.uint32(murmur3(f"person_{number:03d}".encode())).view(np.float32)
        ranks[0] += mask
    return ids, ranks


def alone(figure, camera):
    footprint = Footprint.of(figure, camera)
    return footprint.laid(footprint.covered, camera.width_px, camera.height_px)


def test_hidden_parts_have_boxes_masks_and_occluders(mannequins):
    camera = ceiling_camera(128, 96, 180, 0.2, 2.7, 0)
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figures = [Figure(1, "00", body, Pose2D(1.2, 0.0)), Figure(2, "01", body, Pose2D(1.6, 0.1, 1.0)),
               Figure(3, "02", body, Pose2D(-1.2, 0.6)), Figure(4, "03", body, Pose2D(0.0, -1.5))]  # fmt: skip
    near, behind, beside, shut = (alone(figure, camera) for figure in figures)
    assert (near & behind).sum() > 4, "one hides the other"
    x = np.nonzero(beside)[1]
    at_table = beside & (np.arange(128) < (x.min() + x.max()) / 2)
    masks = [near, behind & ~near, at_table, shut & False]
    truth = annotate(figures, camera, *coverage_of(masks), 1)
    assert [person.instance for person in truth.people] == [1, 2, 3, None]
    assert [person.occluder for person in truth.people] == [None, 1, "furniture", "furniture"]
    planes = truth.amodal()
    assert planes.dtype == np.uint8
    for person, whole, mask in zip(truth.people, (near, behind, beside, shut), masks, strict=True):
        assert person.full_box_xyxy_px == upright_box(whole)
        assert person.visible_fraction == round(mask.sum() / whole.sum(), 4)
        assert person.floor_m[2] == 0
        if person.instance:
            assert np.array_equal(planes >> (person.instance - 1) & 1 == 1, whole)
    assert truth.people[1].floor_m == (1.6, 0.1, 0.0)
    assert truth.people[3].radial_box is truth.people[3].box_xyxy_px is None


def test_nothing_hides_those_who_are_seen_whole(mannequins):
    """A mask is a little wider than what pixels' centres show: it may make up for a few that another one hides."""
    camera = ceiling_camera(128, 96, 180, 0.2, 2.7, 0)
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figures = [Figure(1, "00", body, Pose2D(1.2, 0.0)), Figure(2, "01", body, Pose2D(1.6, 0.2))]
    near, beside = (alone(figure, camera) for figure in figures)
    overlap = near & beside
    assert 0 < overlap.sum() < 0.3 * beside.sum()
    wider = cv2.dilate(beside.astype(np.uint8), np.ones((3, 3))) > 0
    person = annotate(figures, camera, *coverage_of([near, wider & ~near]), 1).people[1]
    assert (person.visible_fraction, person.occluder) == (1.0, None)
    person = annotate(figures, camera, *coverage_of([near, beside & ~near]), 1).people[1]
    assert person.visible_fraction == round(1 - overlap.sum() / beside.sum(), 4)
    assert person.occluder == 1


def test_whole_masks_have_bits_for_all(mannequins):
    camera = ceiling_camera(64, 48, 180, 0.2, 2.7, 0)
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figures = [Figure(n, f"{n}", body, Pose2D(0.5 + 0.1 * n, 0.0)) for n in range(1, 21)]
    masks = np.zeros((20, 48, 64), bool)
    for n in range(20):
        masks[n, 14 + n, 32] = True
    planes = annotate(figures, camera, *coverage_of(masks), 1).amodal()
    assert planes.dtype == np.uint32
    assert planes[33, 32] >> 19 == 1


def test_those_cut_off_by_the_rim_are_seen_in_part(mannequins):
    """What the rim cuts off counts as hidden; a wider image of the same lens shows how much it is."""
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figure = Figure(1, "00", body, Pose2D(2.0, 0.0))
    pose = looking_down(2.7)
    wide = FisheyeCamera.equidistant(200, 200, 150, radius_px=80, world_from_camera=pose)
    narrow = FisheyeCamera.equidistant(96, 96, 90, radius_px=48, world_from_camera=pose)
    whole = alone(figure, wide)
    y, x = np.nonzero(whole)
    within = np.hypot(x - 99.5, y - 99.5) <= 48
    assert 0.2 < within.mean() < 0.8
    mask = np.zeros((96, 96), bool)
    mask[y[within] - 52, x[within] - 52] = True
    (person,) = annotate((figure,), narrow, *coverage_of([mask]), 1).people
    assert abs(person.visible_fraction - within.mean()) < 0.01
    assert person.occluder == "frame"
    left, top, right, bottom = upright_box(whole)
    assert np.abs(np.subtract(person.full_box_xyxy_px, (left - 52, top - 52, right - 52, bottom - 52))).max() <= 1


def test_normals_are_those_of_camera_axes():
    camera = ceiling_camera(64, 48, 180, 0, 2.7, 90.0)
    up = np.zeros((48, 64, 3), np.float32)
    up[..., 2] = 2.0
    up[20, 30] = 0
    there = np.ones((48, 64), bool)
    there[0, 0] = False
    found = plain_normals(up, there, camera)
    assert found[24, 32].tolist() == [128, 128, 1], "towards the camera, which looks along +z"
    assert not found[20, 30].any()
    assert not found[0, 0].any()
    right = np.zeros((48, 64, 3), np.float32) + camera.world_from_camera[:3, 0]
    assert plain_normals(right, there, camera)[24, 32].tolist() == [255, 128, 128]


def test_people_end_where_the_image_circle_does(mannequins):
    camera = ceiling_camera(96, 72, 90, 0, 2.7, 0)
    circle, _ = image_circle(camera)
    body = mannequins.person(Seeds(1), "00", "standing", None, table=None)
    figure = Figure(1, "00", body, Pose2D(2.2, 0.0))
    on_rim = alone(figure, camera)
    assert (on_rim & circle).any(), "the person stands across the rim"
    assert not camera.project(figure.world(body.surface_vertices_m))[1].all()
    wider = cv2.dilate(on_rim.astype(np.uint8), np.ones((25, 25))) > 0
    assert (wider & ~circle).any(), "more is rendered than the image shows"
    truth = annotate((figure,), camera, *coverage_of([wider]), 1)
    assert np.array_equal(truth.instances > 0, wider & circle)
    assert not truth.coverage[~circle].any()
    assert truth.people[0].box_xyxy_px == upright_box(wider & circle)
    assert np.array_equal(truth.amodal() == 1, (wider | on_rim) & circle)
