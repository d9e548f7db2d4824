# SPDX-License-Identifier: Apache-2.0
"""Examples: what is learnt from samples, and that boxes follow their pixels through every augmentation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.errors import DatasetError
from synthkit.interfaces import silent
from synthkit.sample import Person, RotatedBox, Sample, evolve
from synthkit_squeezedet.examples import Augmentation, ExampleSet, boxes_cxcywh
from synthkit_squeezedet.letterbox import Letterbox, default_input_px


class Samples(list):
    fingerprint = "samples"


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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["head", "person"]), st.booleans(), st.floats(0, 180), st.floats(0, 0.2))
def test_boxes_follow_their_pixels(seed, target, flip, degrees, drift):
    generator = np.random.default_rng(seed)
    sample = ellipse_sample(generator.uniform(40, [120, 80]), generator.uniform(6, 16, 2), target)
    example = ExampleSet(Samples([sample]), (target,), (160, 128), silent)[0]
    varied = Augmentation(flip, degrees, drift).draw(example, generator)
    boxes, labels = boxes_cxcywh(varied)
    rows, columns = np.nonzero(varied.image[:, :, 0] > 127)
    if len(boxes) == 0:
        return  # its centre left the image
    assert labels.tolist() == [0]
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert corners(boxes)[0] == pytest.approx(seen, abs=1.6)


def test_augmentation_repeats_itself():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    example = ExampleSet(Samples([sample]), ("head",), (160, 128), silent)[0]
    first, second = (Augmentation(True, 180, 0.1).draw(example, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.outlines[0], second.outlines[0])


def test_without_augmentation_nothing_changes():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    example = ExampleSet(Samples([sample]), ("head",), (160, 128), silent)[0]
    same = Augmentation(False, 0.0, 0.0).draw(example, np.random.default_rng(3))
    assert np.array_equal(same.image, example.image)
    assert boxes_cxcywh(same)[0] == pytest.approx(boxes_cxcywh(example)[0])


def test_rotated_boxes_stand_for_people():
    person = Person(rotated_box=RotatedBox(80, 60, 20, 40, 90 - 180))
    sample = Sample(key="a", image=np.zeros((120, 160, 3), np.uint8), people=(person,))
    example = ExampleSet(Samples([sample]), ("person",), (160, 128), silent)[0]
    assert corners(boxes_cxcywh(example)[0])[0] == pytest.approx([60, 54, 100, 74])  # padded by 4 on top
    with pytest.raises(DatasetError, match="target=person"):
        ExampleSet(Samples([sample]), ("head",), (160, 128), silent)


def test_two_classes():
    sample = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    example = ExampleSet(Samples([sample]), ("head", "person"), (160, 128), silent)[0]
    assert boxes_cxcywh(example)[1].tolist() == [0, 1]


def test_samples_nobody_knows_about_are_left_out():
    known = ellipse_sample(np.array([80.0, 60]), np.array([10.0, 14]), "head")
    unknown = evolve(known, people=None)
    assert len(ExampleSet(Samples([unknown, known]), ("head",), (160, 128), silent)) == 1
    with pytest.raises(DatasetError, match="labelled"):
        ExampleSet(Samples([unknown]), ("head",), (160, 128), silent)
    with pytest.raises(DatasetError, match="nobody"):
        ExampleSet(Samples([evolve(known, people=())]), ("head",), (160, 128), silent)


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
    assert fit.scale == 1.0
    assert fit.offset_px == (5, 4)
    assert Letterbox((160, 128), (160, 128)).apply(np.full((128, 160, 3), 7, np.uint8)).min() == 7
