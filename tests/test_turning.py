# SPDX-License-Identifier: Apache-2.0
"""Samples turned about their middle: everything known about them turns along."""

from __future__ import annotations

import numpy as np
import pytest

from synthkit.camera import FisheyeCamera, looking_down
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.errors import DatasetError
from synthkit.outlines import box_around, ellipse, moved_box, turn
from synthkit.resampling import Units, interval, unit_of
from synthkit.sample import Keypoint, Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit.turning import Turned, turned


def room(width=120, height=120, camera=None):
    """A sample with one bright person, an upright bar at the right of the middle, and all that can be known of it."""
    image, instances = np.full((height, width, 3), 40, np.uint8), np.zeros((height, width), np.uint8)
    left, top = width // 2 + 20, height // 2 - 15
    image[top : top + 30, left : left + 10] = 220
    instances[top : top + 30, left : left + 10] = 1
    normals = np.zeros((height, width, 3), np.uint8)
    normals[instances > 0] = (255, 128, 128)  # along x
    box = (left, top, left + 10, top + 30)
    person = Person(
        instance=1, head_px=(left + 5, top), head_box_xyxy_px=(left, top, left + 10, top + 10), box_xyxy_px=box,
        rotated_box=RotatedBox(left + 5, top + 15, 10, 30, 0), radial_box=RotatedBox(left + 5, top + 15, 10, 30, -90),
        full_box_xyxy_px=(left, top, left + 10, top + 40), visible_fraction=0.75,
        keypoints={"nose": Keypoint(left, top, True)},
    )  # fmt: skip
    layers = {"instances": instances, "amodal": instances.astype(np.uint64) << np.uint64(40), "normals": normals}
    return Sample(key="a", image=image, people=(person,), camera=camera, layers=layers, meta={"source": "x"})


def bounds(mask):
    y, x = np.nonzero(mask)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_a_quarter_turn_is_exact_to_the_pixel():
    before = room()
    after = turned(before, 90, "b")
    (person,) = after.people
    assert np.array_equal(after.image, np.rot90(before.image, -1))
    for name in ("instances", "amodal"):
        assert np.array_equal(after.layers[name], np.rot90(before.layers[name], -1))
    assert after.layers["normals"][after.layers["instances"] > 0].tolist() == [[128, 255, 128]] * 300
    assert person.box_xyxy_px == bounds(after.layers["instances"]) == (45, 80, 75, 90)
    assert person.rotated_box.as_tuple() == pytest.approx((60, 85, 10, 30, -90))
    assert person.radial_box.as_tuple() == pytest.approx((60, 85, 10, 30, 0))
    assert person.head_px == pytest.approx((75, 85))
    assert person.head_box_xyxy_px == pytest.approx((65, 80, 75, 90))
    assert person.full_box_xyxy_px == pytest.approx((35, 80, 75, 90))
    assert (person.keypoints["nose"].x_px, person.keypoints["nose"].y_px) == pytest.approx((75, 80))
    assert (after.key, after.meta) == ("b", {"source": "x", "turned": {"of": "a", "degrees": 90}})
    assert person.visible_fraction == 0.75


@pytest.mark.parametrize("degrees", [17.0, 123.4, 261.0, 359.0])
@pytest.mark.parametrize("size", [(120, 120), (160, 101), (101, 160)])
def test_boxes_follow_the_pixels(degrees, size):
    after = turned(room(*size), degrees, "b")
    (person,) = after.people
    mask = after.layers["instances"] > 0
    assert np.abs(np.array(person.box_xyxy_px) - bounds(mask)).max() < 1.0
    assert (after.image[mask] > 120).mean() > 0.97  # its borders are blended with what is around
    box, (y, x) = person.rotated_box, np.indices(mask.shape) + 0.5
    along = np.stack([x - box.cx, y - box.cy], axis=-1) @ turn(box.degrees)  # in the box's own axes
    assert np.array_equal((np.abs(along) < np.array([box.w, box.h]) / 2).all(axis=-1), mask)


def test_turning_back_gives_the_boxes_again():
    before = room()
    (person,), (again,) = before.people, turned(turned(before, 33, "b"), -33, "a").people
    assert again.rotated_box.as_tuple() == pytest.approx(person.rotated_box.as_tuple())
    assert again.head_px == pytest.approx(person.head_px)
    assert turned(before, 0, "b").people == before.people


def test_the_image_circle_is_never_cut():
    camera = FisheyeCamera.equidistant(160, 100, radius_px=50)
    assert turned(room(160, 100, camera), 30, "b").size_px == (160, 100)
    wide = FisheyeCamera.equidistant(160, 100, radius_px=80)
    assert turned(room(160, 100, wide), 30, "b").size_px == (160, 160)
    assert turned(room(160, 100), 90, "b").size_px == (160, 160)  # of a camera nothing is known
    assert turned(room(161, 101), 90, "b").size_px == (161, 161)
    whole = FisheyeCamera.equidistant(160, 100, radius_px=500)  # it fills the image to its corners
    filled = turned(room(160, 100, whole), 90, "b")
    assert filled.size_px == (190, 190)
    assert (filled.image > 0).all(axis=2).sum() == 160 * 100


def test_the_camera_turns_along():
    camera = FisheyeCamera.equidistant(
        120, 100, radius_px=45, world_from_camera=looking_down(height_m=3, tilt_degrees=9)
    )
    after = turned(room(120, 100, camera), 35, "b").camera
    points = np.array([[0.5, 0.2, 0.0], [-1.0, 0.7, 1.0], [0.0, -0.4, 1.8]])
    before, _ = camera.project(points)
    middle = np.array([60, 50])
    expected = (before - middle) @ turn(35).T + np.array([after.width_px, after.height_px]) / 2
    assert after.project(points)[0] == pytest.approx(expected, abs=1e-6)


def test_who_leaves_the_image_is_hidden_by_its_frame():
    corner = Person(box_xyxy_px=(150, 0, 160, 10), rotated_box=RotatedBox(155, 5, 10, 10, 0), visible_fraction=1.0)
    edge = Person(box_xyxy_px=(150, 40, 160, 50))
    sample = Sample(key="a", image=np.zeros((160, 160, 3), np.uint8), people=(corner, edge))
    gone, kept = turned(sample, 45, "b").people
    assert (gone.box_xyxy_px, gone.rotated_box, gone.visible_fraction, gone.occluder) == (None, None, 0.0, "frame")
    assert kept.box_xyxy_px is not None


def test_the_tightest_box_at_an_angle():
    square = np.array([[0.0, 0], [2, 0], [2, 4], [0, 4]])
    assert box_around(square, 0).as_tuple() == pytest.approx([1, 2, 2, 4, 0])
    assert box_around(square, 90).as_tuple() == pytest.approx([1, 2, 2, 4, 0])
    assert box_around(square, 45).as_tuple() == pytest.approx([1, 2, *[6 / np.sqrt(2)] * 2, 45])


def test_a_moved_box_has_the_moved_corners():
    box, linear, offset = RotatedBox(10, 20, 4, 8, 30), turn(50) * 1.5, np.array([3.0, -2])
    after = {tuple(corner) for corner in moved_box(box, linear, offset).corners_px().round(6)}
    assert after == {tuple(corner) for corner in (box.corners_px() @ linear.T + offset).round(6)}
    assert ellipse((2, 4, 12, 10)).max(axis=0) == pytest.approx([12, 10])


@pytest.fixture
def data(tmp_path):
    with DatasetWriter(tmp_path / "in", identity={}, scenes=3) as writer:
        for n in range(3):
            writer.spool.put(n, [Sample(key=f"s{n}", image=np.full((8, 8, 3), 50 * n, np.uint8), people=())])
            writer.finished(n)
        writer.finalise()
    return Dataset.open(tmp_path / "in")


def test_a_samples_turns_are_its_own_and_spread_over_the_circle(data):
    views = Turned(data, 4, Seeds(7))
    angles = np.array([sample.meta["turned"]["degrees"] for sample in views]).reshape(3, 4)
    assert (angles // 90 == [0, 1, 2, 3]).all()
    assert len(np.unique(angles)) == 12
    assert [s.meta["turned"]["degrees"] for s in (views[11], views[-12])] == [angles[2, 3], angles[0, 0]]
    assert views.by_key("s1-turn2").meta["turned"]["degrees"] == angles[1, 2]
    assert len(views) == len({sample.key for sample in views}) == 12
    others = [Turned(data, 4, Seeds(8)), Turned(data, 5, Seeds(7)), Turned(data, 4, Seeds(7))]
    assert [one.fingerprint == views.fingerprint for one in others] == [False, False, True]
    for key, named in (("s1", "s1"), ("s1-turn4", "s1-turn4"), ("s1-turnx", "s1-turnx"), ("s9-turn0", "s9")):
        with pytest.raises(DatasetError, match=f"has no .*sample '{named}'"):
            views.by_key(key)
    with pytest.raises(IndexError):
        views[12]


def test_turns_of_an_image_and_frames_of_a_sequence_are_resampled_together(data):
    names = [unit_of(sample, "image") for sample in Turned(data, 2, Seeds(7))]
    assert names == ["s0", "s0", "s1", "s1", "s2", "s2"]
    units = Units.of(names)
    draws = units.draws(Seeds(1).stream("bootstrap"), 500)
    assert (draws[:, ::2] == draws[:, 1::2]).all()
    assert (draws.sum(axis=1) == 6).all()
    assert draws.std() > 0.5
    again = Units.of(names[::-1]).draws(Seeds(1).stream("bootstrap"), 500)
    assert np.array_equal(again[:, ::-1], draws)
    values = np.arange(6.0)
    means = units.means(values, Seeds(1).stream("bootstrap"), 500)
    assert means == pytest.approx(draws @ values / 6)
    frame, alone = (Sample(key="f", image=np.zeros((2, 2, 3), np.uint8), sequence=of) for of in ("clip", None))
    assert (unit_of(frame, "sequence"), unit_of(alone, "sequence")) == ("sequence clip", "f")
    assert units.caution("image") == ("the intervals rest on 3 images, too few for them: they may be too narrow",)
    assert Units.of([str(n) for n in range(20)]).caution("image") == ()


def test_percentile_intervals_leave_out_what_is_undefined():
    assert interval(np.append(np.arange(101.0), np.nan)) == (2.5, 97.5)
    assert interval(np.array([np.nan])) is None
