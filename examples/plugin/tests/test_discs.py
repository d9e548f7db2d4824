# SPDX-License-Identifier: Apache-2.0
"""The example plugin, through the same door as every plugin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synthkit.interfaces import ComponentSpec, Refiner, Renderer, Runtime, sample_key
from synthkit.plugins import discover
from synthkit.seeds import Seeds


@pytest.fixture
def build(tmp_path: Path):
    registry = discover()

    def make(kind, name, **options):
        return registry.build(ComponentSpec(kind, name, options), Runtime(Seeds(0), tmp_path))

    return make


@pytest.fixture
def scene(build):
    with build("renderer", "discs", size_px=160, people=[3, 3]) as renderer:
        return list(renderer.render(4, Seeds(7).child("scene", 4)))


def test_follows_the_protocols(build):
    assert isinstance(build("renderer", "discs"), Renderer)
    assert isinstance(build("refiner", "tint"), Refiner)


def test_keys_and_count(scene):
    assert [sample.key for sample in scene] == [sample_key(4, 0), sample_key(4, 1)]


def test_same_seeds_same_pixels(build, scene):
    with build("renderer", "discs", size_px=160, people=[3, 3]) as renderer:
        again = list(renderer.render(4, Seeds(7).child("scene", 4)))
        other = next(renderer.render(4, Seeds(8).child("scene", 4)))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(scene, again, strict=True))
    assert not np.array_equal(other.image, again[0].image)


def test_truth_agrees_with_the_instance_layer(scene):
    for sample in scene:
        layer = sample.layers["instances"]
        assert set(np.unique(layer)) == {0, *(person.instance for person in sample.people)}
        for person in sample.people:
            rows, columns = np.nonzero(layer == person.instance)
            left, top, right, bottom = person.box_xyxy_px
            assert (left, top, right, bottom) == (
                columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)  # fmt: skip
            assert 0 < person.visible_fraction <= 1
            _assert_inside(person.rotated_box, columns + 0.5, rows + 0.5)


def _assert_inside(box, x, y):
    angle = np.radians(box.degrees)
    across = (x - box.cx) * np.cos(angle) + (y - box.cy) * np.sin(angle)
    along = -(x - box.cx) * np.sin(angle) + (y - box.cy) * np.cos(angle)
    assert np.abs(across).max() <= box.w / 2 + 1e-6
    assert np.abs(along).max() <= box.h / 2 + 1e-6


def test_heads_lie_farther_out_than_bodies(build):
    with build("renderer", "discs", size_px=256, people=[1, 1], samples_per_scene=20) as renderer:
        samples = list(renderer.render(0, Seeds(1)))
    for sample in samples:
        (person,) = sample.people
        centre = np.array([sample.camera.cx_px, sample.camera.cy_px])
        box = person.rotated_box
        assert np.hypot(*(person.head_px - centre)) >= np.hypot(box.cx - centre[0], box.cy - centre[1]) - 1


def test_an_empty_room_has_no_people(build):
    with build("renderer", "discs", people=[0, 0]) as renderer:
        sample = next(renderer.render(0, Seeds(0)))
    assert sample.people == ()
    assert np.array_equal(sample.image, sample.layers["background"])


def test_tint_changes_people_only(build, scene):
    with build("refiner", "tint", strength=1.0, colour=[120, 120, 120]) as refiner:
        (refined,) = refiner.refine(scene[:1])
    mask = scene[0].layers["instances"] > 0
    assert np.array_equal(refined.image[~mask], scene[0].image[~mask])
    assert np.abs(refined.image[mask].mean(axis=0) - 120).max() < 10
    assert refined.key == scene[0].key
    assert refined.people == scene[0].people


def test_strength_zero_is_the_identity(build, scene):
    with build("refiner", "tint", strength=0.0) as refiner:
        (refined,) = refiner.refine(scene[:1])
    assert np.array_equal(refined.image, scene[0].image)
