# SPDX-License-Identifier: Apache-2.0
"""Head-aligned crops: heads land where they should, everybody fits, and reinsertion touches people only."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit import crops
from synthkit.camera import FisheyeCamera, looking_down
from synthkit.errors import DatasetError
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds

SIZE = 160


def inside(box: RotatedBox, size: int = SIZE) -> np.ndarray:
    """Return the mask of a rotated box."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    angle = math.radians(box.degrees)
    u = (columns - box.cx) * math.cos(angle) + (rows - box.cy) * math.sin(angle)
    v = -(columns - box.cx) * math.sin(angle) + (rows - box.cy) * math.cos(angle)
    return (np.abs(u) <= box.w / 2) & (np.abs(v) <= box.h / 2)


def person_at(radius: float, bearing: float, length: float = 40, width: float = 16) -> Person:
    """Return a person on a ray from the centre (bearing in radians), head outward, with everything known."""
    out = np.array([math.cos(bearing), math.sin(bearing)])
    centre = SIZE / 2 + out * radius
    head = centre + out * (length / 2 - width / 4)
    box = RotatedBox.normalized(*centre, width, length, math.degrees(bearing) - 90)
    return Person(instance=1, head_px=tuple(head), rotated_box=box)


def sample_of(*people: Person, camera: FisheyeCamera | None = None) -> Sample:
    stream = Seeds(1).stream("pixels")
    image = stream.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    instances = np.zeros((SIZE, SIZE), np.uint8)
    for person in people:
        if person.instance and person.rotated_box:
            instances[inside(person.rotated_box)] = person.instance
    return Sample(key="s", image=image, people=people, layers={"instances": instances}, camera=camera)


bearings = st.floats(-math.pi, math.pi)
radii = st.floats(5, 60)


@settings(deadline=None)
@given(radii, bearings, st.sampled_from([(128, 128), (64, 128), (96, 48)]))
def test_the_head_is_always_at_the_same_place_and_outward_is_up(radius, bearing, size):
    person = person_at(radius, bearing)
    (plan,) = crops.plan_crops(sample_of(person), size)
    place = np.array(size) * crops.HEAD_AT
    assert plan.to_crop(person.head_px) == pytest.approx(place, abs=1e-6)
    below = plan.to_crop(np.array(person.head_px) - 5 * np.array([math.cos(bearing), math.sin(bearing)]))
    if math.dist(person.head_px, (SIZE / 2, SIZE / 2)) > 1:
        assert below == pytest.approx(place + np.array([0, 5 * plan.scale]), abs=1e-5)


@settings(deadline=None)
@given(radii, bearings, st.floats(14, 60), st.floats(8, 30))
def test_the_whole_person_fits(radius, bearing, length, width):
    person = person_at(radius, bearing, length, width)
    (plan,) = crops.plan_crops(sample_of(person), (128, 128))
    corners = plan.to_crop(person.rotated_box.corners_px())
    assert corners.min() > 0
    assert corners.max() < 128


@settings(deadline=None)
@given(radii, bearings)
def test_plans_go_both_ways(radius, bearing):
    (plan,) = crops.plan_crops(sample_of(person_at(radius, bearing)), (64, 64))
    points = np.array([[0.0, 0.0], [12.5, 63.0], [40.0, 7.0]])
    assert plan.to_crop(plan.to_image(points)) == pytest.approx(points, abs=1e-6)


@settings(deadline=None)
@given(radii.filter(lambda r: r > 10), bearings)
def test_without_a_head_the_far_end_of_the_box_stands_for_it(radius, bearing):
    known = person_at(radius, bearing)
    boxed = Person(rotated_box=known.rotated_box)
    headed = Person(head_px=known.head_px, rotated_box=known.rotated_box)
    (with_head,) = crops.plan_crops(sample_of(headed), (128, 128))
    (without,) = crops.plan_crops(sample_of(boxed), (128, 128))
    assert without.instance is None
    assert without.crop_from_image == pytest.approx(with_head.crop_from_image, abs=1e-4)


def test_an_upright_box_and_a_mask_alone_serve_too():
    box_only = Person(box_xyxy_px=(70, 8, 90, 60))
    mask_only = Person(instance=1)
    known = person_at(45, -math.pi / 2, 50, 20)
    mask_sample = sample_of(known)
    mask_sample = Sample("m", mask_sample.image, (mask_only,), layers=mask_sample.layers)
    for sample in (sample_of(box_only), mask_sample):
        (plan,) = crops.plan_crops(sample, (64, 64))
        assert plan.crop_from_image[0, 1] == pytest.approx(0, abs=0.05)  # upright already: no turn
        assert plan.crop_from_image[0, 0] > 0


def test_a_camera_says_where_the_nadir_is():
    tilted = looking_down(2.5) @ _pitched(0.3)
    camera = FisheyeCamera.equidistant(SIZE, SIZE, 180, world_from_camera=tilted)
    nadir = crops.nadir_px(sample_of(camera=camera))
    below, _ = camera.project((0.0, 0.0, 0.0))
    assert nadir == pytest.approx(below, abs=1e-6)
    assert abs(nadir[1] - SIZE / 2) > 10
    unposed = FisheyeCamera.equidistant(SIZE, SIZE, 180)
    assert crops.nadir_px(sample_of(camera=unposed)) == pytest.approx([SIZE / 2, SIZE / 2])


def test_people_under_a_leaning_camera_stand_upright_in_their_crops():
    camera = FisheyeCamera.equidistant(
        SIZE, SIZE, 180, world_from_camera=looking_down(2.7, yaw_degrees=20, tilt_degrees=18, roll_degrees=-9)
    )
    turns, plain = [], []
    for x, y in np.random.default_rng(0).uniform(-2.5, 2.5, (40, 2)):
        (feet, middle, head), valid = camera.project([[x, y, 0.0], [x, y, 1.2], [x, y, 1.6]])
        if not valid.all() or math.dist(feet, head) < 12:
            continue
        angle = math.degrees(math.atan2(*(head - feet)[::-1])) + 90
        box = RotatedBox.normalized(*((feet + head) / 2), 8.0, math.dist(feet, head), angle)
        (plan,) = crops.plan_crops(sample_of(Person(head_px=tuple(head), rotated_box=box), camera=camera))
        up = plan.to_crop(head) - plan.to_crop(middle)
        turns.append(abs(math.degrees(math.atan2(up[0], -up[1]))))
        away, tall = head - crops.camera_nadir_px(camera), head - middle
        plain.append(abs(math.degrees(math.asin(float(np.cross(away, tall)) / np.hypot(*away) / np.hypot(*tall)))))
    assert len(turns) > 20
    assert max(turns) < 1.5
    assert max(plain) > 4, "the nadir's own direction would lean them"


def _pitched(radians: float) -> np.ndarray:
    c, s = math.cos(radians), math.sin(radians)
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])


def test_hidden_unknown_and_tiny_people_are_left_out():
    hidden = Person(instance=7, head_px=(20, 20), rotated_box=RotatedBox(20, 20, 10, 30, 0))
    tiny = Person(rotated_box=RotatedBox(120, 120, 4, 6, 0))
    seen = person_at(50, 0.3)
    sample = sample_of(seen)
    sample = Sample("s", sample.image, (hidden, Person(), tiny, seen), layers=sample.layers)
    assert [plan.person for plan in crops.plan_crops(sample)] == [3]
    assert crops.plan_crops(Sample("n", sample.image)) == []


def test_a_person_at_the_nadir_has_a_crop_all_the_same():
    person = Person(rotated_box=RotatedBox(SIZE / 2, SIZE / 2, 20, 40, 30))
    first, second = (crops.plan_crops(sample_of(person))[0] for _ in range(2))
    assert (first.crop_from_image == second.crop_from_image).all()


@settings(deadline=None, max_examples=40)
@given(radii, bearings, st.sampled_from([(128, 128), (32, 32), (48, 96)]))
def test_the_round_trip_is_the_identity(radius, bearing, size):
    sample = sample_of(person_at(radius, bearing))
    pairs = [(plan, crops.extract(sample.image, plan)) for plan in crops.plan_crops(sample, size)]
    assert (crops.reinsert(sample, pairs) == sample.image).all()
    as_floats = [(plan, crop.astype(np.float32) + 0.4) for plan, crop in pairs]
    difference = crops.reinsert(sample, as_floats).astype(int) - sample.image
    assert np.abs(difference).max() <= 1


@settings(deadline=None, max_examples=40)
@given(radii, bearings, st.integers(0, 2**32), st.sampled_from([0.0, 1.5, 6.0]))
def test_the_background_never_changes(radius, bearing, seed, feather):
    sample = sample_of(person_at(radius, bearing))
    noise = Seeds(seed).stream("noise")
    pairs = [(plan, noise.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for plan in crops.plan_crops(sample, (64, 64))]
    result = crops.reinsert(sample, pairs, feather_px=feather)
    outside = sample.layers["instances"] == 0
    assert (result[outside] == sample.image[outside]).all()
    assert (result != sample.image).any()


def test_what_is_painted_in_the_crop_appears_at_its_place():
    sample = sample_of(person_at(45, 0.7, 60, 30))
    flat = Sample("f", np.full((SIZE, SIZE, 3), 100, np.uint8), sample.people, layers=sample.layers)
    (plan,) = crops.plan_crops(flat, (128, 128))
    crop = crops.extract(flat.image, plan)
    place = plan.to_crop((flat.people[0].rotated_box.cx, flat.people[0].rotated_box.cy))
    x, y = np.round(place).astype(int)
    crop[y - 12 : y + 12, x - 12 : x + 12] = 200
    result = crops.reinsert(flat, [(plan, crop)]).astype(float)
    rows, columns = np.nonzero(result[..., 0] > 150)
    box = flat.people[0].rotated_box
    assert columns.mean() + 0.5 == pytest.approx(box.cx, abs=1)
    assert rows.mean() + 0.5 == pytest.approx(box.cy, abs=1)
    assert result.max() == 200


def test_the_change_sets_in_softly_inside_the_edge():
    sample = sample_of(person_at(45, 0.0, 60, 30))
    flat = Sample("f", np.full((SIZE, SIZE, 3), 100, np.uint8), sample.people, layers=sample.layers)
    (plan,) = crops.plan_crops(flat, (128, 128))
    brighter = crops.extract(flat.image, plan) + np.uint8(90)
    row = int(flat.people[0].rotated_box.cy)
    hard = crops.reinsert(flat, [(plan, brighter)], feather_px=0)[row, :, 0]
    soft = crops.reinsert(flat, [(plan, brighter)], feather_px=3)[row, :, 0]
    assert set(hard) == {100, 190}
    first = int(np.flatnonzero(hard > 100)[0])
    assert list(soft[first - 1 : first + 4]) == [100, 122, 145, 168, 190]


def test_overlapping_people_keep_to_their_own_pixels():
    near, far = RotatedBox(90, 80, 20, 50, 0), RotatedBox(104, 80, 20, 50, 0)
    people = (Person(instance=1, rotated_box=near), Person(instance=2, rotated_box=far))
    instances = np.zeros((SIZE, SIZE), np.uint8)
    instances[inside(far)] = 2
    instances[inside(near)] = 1  # the nearer hides the farther
    sample = Sample("o", np.full((SIZE, SIZE, 3), 100, np.uint8), people, layers={"instances": instances})
    first, second = crops.plan_crops(sample)
    dark, bright = np.full((128, 128, 3), 20, np.uint8), np.full((128, 128, 3), 220, np.uint8)
    one = crops.reinsert(sample, [(first, dark), (second, bright)])
    other = crops.reinsert(sample, [(second, bright), (first, dark)])
    assert (one == other).all()
    assert (one[instances == 1] <= 100).all()
    assert (one[instances == 2] >= 100).all()


def test_a_mask_is_cut_like_the_image():
    sample = sample_of(person_at(40, 2.0))
    (plan,) = crops.plan_crops(sample)
    mask = crops.extract_mask(sample.layers["instances"], plan)
    box = plan.to_crop(sample.people[0].rotated_box.corners_px())
    assert mask.dtype == bool
    assert mask.sum() == pytest.approx(np.prod(np.ptp(box, axis=0)), rel=0.05)


def test_shrinking_does_not_alias():
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    person = Person(rotated_box=RotatedBox(512, 400, 200, 480, 0))
    (plan,) = crops.plan_crops(Sample("a", stripes, (person,)), (64, 64))
    crop = crops.extract(stripes, plan)[8:-8, 8:-8].astype(int)
    assert np.abs(crop - 127).max() < 12


def test_masks_and_sound_crops_are_needed_to_put_crops_back():
    sample = sample_of(person_at(40, 2.0))
    (plan,) = crops.plan_crops(sample)
    bare = Sample("bare", sample.image, sample.people)
    with pytest.raises(DatasetError, match=r"bare.*'instances'"):
        crops.reinsert(bare, [(plan, crops.extract(sample.image, plan))])
    with pytest.raises(ValueError, match="a crop must be"):
        crops.reinsert(sample, [(plan, np.zeros((5, 5, 3), np.uint8))])
    with pytest.raises(ValueError, match="person 0 holds values that are not finite"):
        crops.reinsert(sample, [(plan, np.full((128, 128, 3), np.nan, np.float32))])
