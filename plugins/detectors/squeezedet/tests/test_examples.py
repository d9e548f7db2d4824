# SPDX-License-Identifier: Apache-2.0
"""Examples: what is learnt from samples, and that boxes follow their pixels through every augmentation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.errors import DatasetError
from synthkit.interfaces import silent
from synthkit.letterbox import Letterbox
from synthkit.sample import Person, RotatedBox, Sample, evolve
from synthkit_squeezedet.augmentation import Ceiling, Example, Looks, Published, augmentation_of, warped
from synthkit_squeezedet.config import ObjectClass, SqueezeDetConfig
from synthkit_squeezedet.examples import ExampleSet, regions_of, truth_of
from synthkit_squeezedet.input_size import default_input_px
from synthkit_squeezedet.objects import Object

CLASSES = {"head": ObjectClass("head", "head"), "person": ObjectClass("person", "person")}
TURN = st.builds(
    Ceiling,
    flip=st.booleans(), rotate_degrees=st.floats(0, 180), drift=st.floats(0, 0.2), zoom=st.floats(1, 1.5),
)  # fmt: skip


class Samples(list):
    fingerprint = "samples"


def examples(samples, *targets, boxes="upright", input_px=(160, 128)):
    classes = [CLASSES.get(target, target) for target in targets]
    return ExampleSet(Samples(samples), classes, boxes, input_px, silent)


def corners(boxes):
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def ellipse_sample(centre, half, target):
    height, width = 120, 160
    y, x = np.mgrid[:height, :width] + 0.5
    mask = ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 < 1
    image = np.zeros((height, width, 3), np.uint8)
    image[mask] = 255
    box = (*(centre - half), *(centre + half))
    person = Person(head_box_xyxy_px=box, box_xyxy_px=box, instance=1)
    layers = {"instances": mask.astype(np.uint8)} if target == "person" else {}
    return Sample(key="a", image=image, people=(person,), layers=layers)


def filled(box, width=160, height=128):
    """Return the pixels whose middle lies in a rotated box."""
    y, x = np.mgrid[:height, :width] + 0.5
    angle = np.radians(box.degrees)
    across = (x - box.cx) * np.cos(angle) + (y - box.cy) * np.sin(angle)
    along = (y - box.cy) * np.cos(angle) - (x - box.cx) * np.sin(angle)
    return (np.abs(across) < box.w / 2) & (np.abs(along) < box.h / 2)


def bar_sample(box):
    """Return an image (160, 128) of a white rotated box, with its mask."""
    mask = filled(box).astype(np.uint8)
    person = Person(instance=1, box_xyxy_px=seen(mask[:, :, None] * 255), rotated_box=box)
    return Sample(key="a", image=np.dstack([mask * 255] * 3), people=(person,), layers={"instances": mask})


def seen(image):
    rows, columns = np.nonzero(image[:, :, 0] > 127)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


ellipse = st.builds(
    lambda seed, target: (
        ellipse_sample(
            np.random.default_rng(seed).uniform(30, [130, 90]), np.random.default_rng(seed).uniform(6, 24, 2), target
        ),
        target,
    ),
    st.integers(0, 2**32), st.sampled_from(["head", "person"]),
)  # fmt: skip
bars = st.builds(
    RotatedBox.normalized,
    st.floats(50, 110),
    st.floats(45, 85),
    st.floats(12, 20),
    st.floats(24, 40),
    st.floats(-90, 90),
)


@settings(max_examples=60, deadline=None)
@given(ellipse, TURN, st.integers(0, 2**32))
def test_boxes_follow_their_pixels(drawn, augmentation, seed):
    sample, target = drawn
    varied = augmentation.draw([examples([sample], target)[0]], np.random.default_rng(seed))
    boxes, labels = truth_of(varied, "upright")
    if len(boxes) == 0:
        assert (varied.image > 127).sum() < 0.3 * 1.5**2 * (sample.image > 127).sum()  # hardly anything is left
        return
    assert labels.tolist() == [0]
    assert corners(boxes)[0] == pytest.approx(seen(varied.image), abs=1.7)


@settings(max_examples=40, deadline=None)
@given(bars, TURN, st.integers(0, 2**32))
def test_rotated_boxes_follow_their_pixels(box, augmentation, seed):
    example = examples([bar_sample(box)], "person", boxes="rotated")[0]
    varied = augmentation.draw([example], np.random.default_rng(seed))
    boxes, _ = truth_of(varied, "rotated")
    if len(boxes) == 0:
        return
    white, named = varied.image[:, :, 0] > 127, filled(RotatedBox(*boxes[0]))
    assert (white & named).sum() >= 0.9 * white.sum()
    left, top, right, bottom = seen(varied.image)
    if left > 0 and top > 0 and right < 160 and bottom < 128:  # what is cut leaves corners of its box empty
        assert (white & named).sum() >= 0.9 * named.sum()


@settings(max_examples=40, deadline=None)
@given(ellipse, st.integers(0, 2**32))
def test_boxes_follow_their_pixels_as_published(drawn, seed):
    sample, target = drawn
    varied = Published().draw([examples([sample], target)[0]], np.random.default_rng(seed))
    boxes, _ = truth_of(varied, "upright")
    assert corners(boxes)[0] == pytest.approx(seen(varied.image), abs=1.7)
    assert corners(boxes).min() >= 0  # drift never cuts a box


def test_the_published_drift_by_hand():
    """The left edge moves outwards by the most, 12 % of the width: all is narrower, and farther right."""

    class Most:
        def uniform(self, low, high):
            return np.array([low[0], 0.0])

        def random(self):
            return 0.9

    example = Example(np.zeros((128, 160, 3), np.uint8), (Object(0, np.array([[40.0, 32], [80, 64]])),), (80, 64))
    (found,) = Published().draw([example], Most()).objects
    left = 150 / 1248 * 160
    assert found.outline == pytest.approx(np.array([[40 + left, 32], [80 + left, 64]]) * [160 / (160 + left), 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_boxes_follow_their_pixels_into_mosaics(seed):
    generator = np.random.default_rng(seed)
    drawn = [ellipse_sample(generator.uniform(30, [130, 90]), generator.uniform(8, 20, 2), "person") for _ in range(4)]
    parts = [examples([sample], "person")[0] for sample in drawn]
    augmentation = Ceiling(flip=True, rotate_degrees=180, mosaic=1.0)
    assert augmentation.others(generator) == 3
    varied = augmentation.draw(parts, generator)
    assert varied.image.shape == (128, 160, 3)
    unnamed = varied.image[:, :, 0] > 127
    for left, top, right, bottom in corners(truth_of(varied, "upright")[0]):
        ours = slice(max(round(top) - 1, 0), round(bottom) + 1), slice(max(round(left) - 1, 0), round(right) + 1)
        rows, columns = np.nonzero(unnamed[ours])
        assert [np.ptp(columns) + 1, np.ptp(rows) + 1] == pytest.approx([right - left, bottom - top], abs=2)
        unnamed[ours] = False
    assert unnamed.sum() < 0.3 * sum((part.image[:, :, 0] > 127).sum() for part in parts)  # of which too little is left


def test_what_is_cut_has_the_box_of_what_is_left():
    """A square on its corner, cut in half: its box ends where the image does, and is as high as the cut."""
    diamond = np.array([[-10.0, 20], [10, 0], [30, 20], [10, 40]])
    assert Object(0, diamond).inside((100, 100)).box_cxcywh == pytest.approx([15, 20, 30, 40])
    found = Object(0, diamond - [10, 0], np.array([0.0, 20, *[np.sqrt(800)] * 2, 45])).inside((100, 100))
    assert found.box_cxcywh == pytest.approx([10, 20, 20, 40])
    assert found.turned == pytest.approx([0, 20, *[np.sqrt(800)] * 2, 45])  # what is left still touches all its sides
    bar = Object(0, np.array([[-10.0, 5], [30, 5], [30, 15], [-10, 15]]), np.array([10.0, 10, 10, 40, 90]))
    assert bar.inside((100, 100)).turned[:4] == pytest.approx([15, 10, 10, 30])
    little = Object(0, diamond - [25, 0]).inside((100, 100))  # less than a quarter
    assert little.label is None
    assert little.box_cxcywh == pytest.approx([2.5, 20, 5, 10])
    assert Object(0, diamond - [29, 0]).inside((100, 100)) is None  # one pixel, of which nothing is seen
    assert Object(0, diamond - [30, 0]).inside((100, 100)) is None


@pytest.mark.parametrize("width", [0.0, 1.5])
def test_boxes_without_width_are_not_learned(width):
    person = Person(rotated_box=RotatedBox(80, 60, width, 40, 45))
    sample = Sample(key="a", image=np.zeros((120, 160, 3), np.uint8), people=(person,))
    with pytest.raises(DatasetError, match=r"every person box .* narrower than 2 pixels"):
        examples([sample], "person", boxes="rotated")


def test_mirroring_a_rotated_box():
    box = Object(0, np.zeros((3, 2)), np.array([10.0, 20, 4, 8, 30])).moved(np.diag([-1.0, 1]), np.array([100.0, 0]))
    assert box.turned == pytest.approx([90, 20, 4, 8, -30])


def test_augmentation_repeats_itself():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    example = examples([sample], "head")[0]
    augmentation = augmentation_of(SqueezeDetConfig())
    first, second = (augmentation.draw([example], np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.objects[0].outline, second.objects[0].outline)


def test_without_augmentation_nothing_changes():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    example = examples([sample], "head")[0]
    same = Ceiling().draw([example], np.random.default_rng(3))
    assert np.array_equal(same.image, example.image)
    assert truth_of(same, "upright")[0] == pytest.approx(truth_of(example, "upright")[0])


def test_looks_keep_black_black_and_places_where_they_are():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = (90, 120, 150)
    varied = [Looks(colour=0.5).draw(image, np.random.default_rng(n)) for n in range(20)]
    assert all(not one[:, :30].any() for one in varied)
    assert len({tuple(one[0, 40]) for one in varied}) == 20
    assert np.std([one[0, 40].mean() for one in varied]) > 10


def test_noise_grows_with_light():
    image = np.zeros((64, 200, 3), np.uint8)
    image[:, 100:] = 128
    spread = [
        [part.astype(float).std() for part in (one[:, :90], one[:, 110:])]
        for one in (Looks(noise=0.1).draw(image, np.random.default_rng(n)) for n in range(10))
    ]
    dark, light = np.mean(spread, axis=0)
    assert 0 < dark < 0.6 * light
    assert light < 0.1 * 255
    mean = np.mean([Looks(noise=0.1).draw(image, np.random.default_rng(n))[:, 110:].mean() for n in range(10)])
    assert mean == pytest.approx(128, abs=0.5)


def test_rotated_boxes_stand_for_people():
    person = Person(rotated_box=RotatedBox(80, 60, 20, 40, 90 - 180))
    sample = Sample(key="a", image=np.zeros((120, 160, 3), np.uint8), people=(person,))
    example = examples([sample], "person")[0]
    assert corners(truth_of(example, "upright")[0])[0] == pytest.approx([60, 54, 100, 74])  # padded by 4 on top
    assert truth_of(examples([sample], "person", boxes="rotated")[0], "rotated")[0][0] == pytest.approx(
        [80, 64, 20, 40, -90]
    )
    with pytest.raises(DatasetError, match="target=person"):
        examples([sample], "head")


def test_which_rotated_box_is_learned():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 30]), "person")
    (person,) = sample.people
    radial = evolve(sample, people=[evolve(person, radial_box=RotatedBox(80, 60, 22, 62, 12))])
    boxes = truth_of(examples([radial], "person", boxes="radial")[0], "radial")[0]
    assert boxes[0] == pytest.approx([80, 64, 22, 62, 12])
    # Without a rotated box it is the tightest around the mask, a head's is its own.
    boxes, labels = truth_of(examples([sample], "head", "person", boxes="rotated")[0], "rotated")
    assert labels.tolist() == [0, 1]
    assert boxes[0] == pytest.approx([80, 64, 20, 60, 0])
    assert boxes[1, :4] == pytest.approx([80, 64, 20, 60], abs=1.5)
    unmasked = evolve(sample, layers={})
    with pytest.raises(DatasetError, match=r"boxes: rotated: no person .* has a rotated box or mask"):
        examples([unmasked], "person", boxes="rotated")


def test_two_classes():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    example = examples([sample], "head", "person")[0]
    assert truth_of(example, "upright")[1].tolist() == [0, 1]


def test_classes_by_an_attribute():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    (person,) = sample.people
    people = [evolve(person, attributes={"posture": posture}) for posture in ("standing", "sitting", "lying")]
    sample = evolve(sample, people=[*people, evolve(person, attributes={"posture": "sitting", "iscrowd": True})])
    classes = SqueezeDetConfig(target="both", classes=("posture=sitting", "posture=standing")).object_classes
    assert [item.name for item in classes] == ["head", "posture=sitting", "posture=standing"]
    assert truth_of(examples([sample], *classes)[0], "upright")[1].tolist() == [0, 2, 0, 1, 0]
    (flying,) = SqueezeDetConfig(target="person", classes=("posture=flying",)).object_classes
    with pytest.raises(DatasetError, match=r"nobody .* is posture=flying; known of posture: lying, sitting, standing"):
        examples([sample], flying)
    (tall,) = SqueezeDetConfig(target="person", classes=("size=tall",)).object_classes
    with pytest.raises(DatasetError, match="nobody's size is known"):
        examples([sample], tall)


def test_who_need_not_be_found():
    """A crowd, and somebody of whom only an upright box is known where rotated ones are learned."""
    known = Person(rotated_box=RotatedBox(100, 60, 20, 40, 0))
    upright = Person(box_xyxy_px=(10, 20, 30, 60))
    crowd = Person(box_xyxy_px=(60, 10, 80, 30), attributes={"iscrowd": True})
    sample = Sample(key="a", image=np.zeros((120, 160, 3), np.uint8), people=(crowd, known, upright))
    example = examples([sample], "person", boxes="rotated")[0]
    assert truth_of(example, "rotated")[0] == pytest.approx(np.array([[100, 64, 20, 40, 0]]))
    assert regions_of(example) == pytest.approx(np.array([[70, 24, 20, 20], [20, 44, 20, 40]]))  # padded by 4 on top
    assert len(truth_of(examples([sample], "person")[0], "upright")[0]) == 2
    # They follow every change of the image, and what is cut to little joins them.
    shifted = warped(example, np.eye(2), np.array([-95.0, 0]), example.size_px)
    assert regions_of(shifted) == pytest.approx(np.zeros((0, 4)))
    shifted = warped(example, np.diag([-1.0, 1]), np.array([94.0, 0]), example.size_px)
    assert truth_of(shifted, "rotated")[0].shape == (0, 5)
    assert regions_of(shifted) == pytest.approx(np.array([[24, 24, 20, 20], [2, 64, 4, 40], [74, 44, 20, 40]]))
    heads = Person(head_box_xyxy_px=(40, 40, 60, 60))
    example = examples([evolve(sample, people=(crowd, heads))], "head")[0]
    assert regions_of(example) == pytest.approx(np.array([[70, 24, 20, 20]]))  # its heads are somewhere in it


def test_samples_nobody_knows_about_are_left_out():
    known = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    unknown = evolve(known, people=None)
    assert len(examples([unknown, known], "head")) == 1
    with pytest.raises(DatasetError, match="labelled"):
        examples([unknown], "head")
    with pytest.raises(DatasetError, match="nobody"):
        examples([evolve(known, people=())], "head")


@settings(deadline=None)
@given(st.integers(20, 300), st.integers(20, 300))
def test_letterbox_and_back(width, height):
    fit = Letterbox((width, height), (160, 128))
    assert fit.apply(np.zeros((height, width, 3), np.uint8)).shape == (128, 160, 3)
    box = np.array([[2.0, 3.0, width - 4.0, height - 5.0]])
    moved = fit.to_input(box.reshape(-1, 2)).reshape(-1, 4)
    assert (moved >= -1).all()
    assert (moved <= [161, 129, 161, 129]).all()
    assert fit.boxes_to_image(moved) == pytest.approx(box, abs=1e-6)


def test_default_inputs():
    assert default_input_px((448, 336), 16) == (448, 336)
    assert default_input_px((450, 330), 16) == (464, 336)
    assert default_input_px((2048, 1536), 16) == (640, 480)


def test_an_image_that_fits_is_not_scaled():
    fit = Letterbox((150, 120), (160, 128))
    assert fit.scale_xy == (1.0, 1.0)
    assert fit.offset_px == (5, 4)
    assert Letterbox((160, 128), (160, 128)).apply(np.full((128, 160, 3), 7, np.uint8)).min() == 7
