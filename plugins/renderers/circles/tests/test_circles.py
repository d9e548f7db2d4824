# SPDX-License-Identifier: Apache-2.0
"""The circles, through the same door as every renderer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from synthkit import crops
from synthkit.interfaces import ComponentSpec, Renderer, Runtime, sample_key
from synthkit.plugins import discover
from synthkit.seeds import Seeds

NAMES = [f"circles-{domain}{number}" for domain in "xy" for number in (1, 2, 3)]
GOLDEN = "b4f881b92d1188647f0943ce2ce3f8fc464817c76e9c208957a04ed3a923132d"


@pytest.fixture
def draw(tmp_path: Path):
    registry = discover()

    def draw(name, scenes=1, seed=7, **options):
        spec = ComponentSpec("renderer", name, options)
        with registry.build(spec, Runtime(Seeds(0), tmp_path)) as renderer:
            assert isinstance(renderer, Renderer)
            return [s for n in range(scenes) for s in renderer.render(n, Seeds(seed).child("scene", n))]

    return draw


def test_the_same_seeds_give_the_same_bytes_as_ever(draw):
    digest = hashlib.sha256()
    for name in NAMES:
        for sample in draw(name, scenes=2, circles=[1, 3], samples_per_scene=2):
            digest.update(sample.key.encode())
            for array in (sample.image, *(sample.layers[layer] for layer in sorted(sample.layers))):
                digest.update(array.tobytes())
    assert digest.hexdigest() == GOLDEN


def test_the_domains_differ_in_the_circles_colours_only(draw):
    for number in (1, 2, 3):
        for x, y in zip(draw(f"circles-x{number}", 5), draw(f"circles-y{number}", 5), strict=True):
            assert x.key == y.key
            assert all(np.array_equal(x.layers[name], y.layers[name]) for name in x.layers)
            outside = x.layers["alpha"] == 0
            assert np.abs(x.image[outside].astype(int) - y.image[outside]).max() <= 1  # half of an alpha's step
            full = x.layers["alpha"] == 255
            assert (y.image[full] == 255).all()
            assert (x.image[full] != 255).any(axis=1).all()


def test_the_data_sets_vary_as_the_thesis_says(draw):
    def spreads(name):
        samples = draw(name, 40)
        colours = [s.people[0].attributes["colour"] for s in samples]
        backgrounds = [s.layers["background"][0, 0] for s in samples]
        return np.std(colours, axis=0).sum(), np.std(backgrounds, axis=0).sum()

    foreground, background = zip(*(spreads(f"circles-x{n}") for n in (1, 2, 3)), strict=True)
    assert foreground[0] == 0 < foreground[1] < 0.5 * foreground[2]
    assert background[2] == 0 < min(background[:2])
    assert spreads("circles-y3") == (0, 0)


def test_pixels_are_covered_as_much_as_the_circle_covers_them(draw):
    (sample,) = draw("circles-y3", size_px=96, radius=[0.3, 0.3])
    (circle,) = sample.people
    radius = circle.attributes["radius_px"]
    assert radius == pytest.approx(0.3 * 96)
    assert sample.layers["alpha"].sum() / 255 == pytest.approx(np.pi * radius**2, rel=2e-3)
    assert np.count_nonzero(sample.layers["instances"]) == pytest.approx(np.pi * radius**2, rel=1e-2)
    assert 0 < np.mean((sample.layers["alpha"] > 0) & (sample.layers["alpha"] < 255)) < 0.05  # smooth edges, thin ones


def test_truth_agrees_with_the_layers(draw):
    for sample in draw("circles-x2", 20, circles=[0, 6], size_px=80):
        layer = sample.layers["instances"]
        assert set(np.unique(layer)) == {0, *(p.instance for p in sample.people)} | (
            {0} if not sample.people else set()
        )
        for person in sample.people:
            rows, columns = np.nonzero(layer == person.instance)
            left, top, right, bottom = person.box_xyxy_px
            assert (left, top, right, bottom) == (
                columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)  # fmt: skip
            assert person.rotated_box.w <= person.rotated_box.h
            whole = person.full_box_xyxy_px
            assert np.array(whole[2:]) + whole[:2] == pytest.approx(2 * np.array(person.head_px))
            assert 0 <= min(whole) <= max(whole) <= 80
            if person.visible_fraction < 1:
                assert person.occluder in {p.instance for p in sample.people} - {person.instance}
            else:
                assert person.occluder is None


def test_a_circle_upon_another_hides_part_of_it(draw):
    partly = 0
    for sample in draw("circles-x3", 20, circles=[3, 3], radius=[0.2, 0.3]):
        y, x = np.mgrid[:64, :64] + 0.5
        for person in sample.people:
            (cx, cy), radius = person.head_px, (person.full_box_xyxy_px[2] - person.full_box_xyxy_px[0]) / 2
            whole = np.count_nonzero(np.hypot(x - cx, y - cy) <= radius)
            visible = np.count_nonzero(sample.layers["instances"] == person.instance)
            assert person.visible_fraction == visible / whole
            partly += 0 < visible < whole
    assert partly > 10


def test_crops_put_circles_at_one_place(draw):
    for sample in draw("circles-y1", 5):
        (plan,) = crops.plan_crops(sample, (64, 64))
        assert plan.to_crop(sample.people[0].head_px) == pytest.approx((32, 16))
        assert (crops.extract(sample.image, plan)[16, 32] == 255).all()


def test_scenes_and_samples_are_independent(draw):
    first, second = draw("circles-x1", samples_per_scene=2)
    assert [first.key, second.key] == [sample_key(0, 0), sample_key(0, 1)]
    assert not np.array_equal(first.image, second.image)
    assert np.array_equal(draw("circles-x1", samples_per_scene=1)[0].image, first.image)
    assert not np.array_equal(draw("circles-x1", seed=8)[0].image, first.image)


def test_nobody_may_be_there(draw):
    (sample,) = draw("circles-x1", circles=[0, 0])
    assert sample.people == ()
    assert np.array_equal(sample.image, sample.layers["background"])
