# SPDX-License-Identifier: Apache-2.0
"""Where crops lie, and that what is put back lies where it was cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthkit.crops import extract
from synthkit.sample import RotatedBox
from synthkit_surface_finder.finding import sampled
from synthkit_surface_finder.windows import box_mask, centres, covered, cut_nearest, plan_window

NADIR = np.array([50.0, 50.0])


def test_a_crop_by_hand():
    """To the right of the nadir, up in the crop is right in the image, and right in the crop is down in the image."""
    plan = plan_window(RotatedBox(90.0, 50.0, 10.0, 20.0, 0.0), NADIR, 60, 1.5)
    assert plan.scale == pytest.approx(2.0)  # 60 pixels for 1.5 times 20
    assert plan.to_crop([90.0, 50.0]) == pytest.approx([30.0, 30.0])
    assert plan.to_crop([100.0, 50.0]) == pytest.approx([30.0, 10.0])
    assert plan.to_crop([90.0, 55.0]) == pytest.approx([40.0, 30.0])
    assert plan.to_image([0.0, 0.0]) == pytest.approx([105.0, 35.0])


def test_a_crop_is_turned_besides():
    plan = plan_window(RotatedBox(50.0, 20.0, 10.0, 20.0, 0.0), NADIR, 60, 1.5, turn_degrees=90.0)
    assert plan.to_crop([60.0, 20.0]) == pytest.approx([30.0, 10.0])  # up was up, and is right now


@pytest.mark.parametrize("centre", [(50.0, 50.0), (50.2, 49.9)])
def test_at_the_nadir_up_is_up(centre):
    plan = plan_window(RotatedBox(*centre, 10.0, 20.0, 30.0), NADIR, 64, 1.5)
    assert plan.to_crop([centre[0], centre[1] - 1]) == pytest.approx([32.0, 32.0 - plan.scale])


def test_the_angle_of_a_box_moves_no_crop():
    plans = [plan_window(RotatedBox(70.0, 30.0, 10.0, 20.0, angle), NADIR, 64, 1.5) for angle in (-80.0, 5.0)]
    assert np.array_equal(plans[0].crop_from_image, plans[1].crop_from_image)
    masks = [box_mask(RotatedBox(70.0, 30.0, 10.0, 20.0, angle), plans[0]) for angle in (-80.0, 5.0)]
    assert (masks[0] != masks[1]).any()


def test_the_box_in_a_crop_has_its_area():
    box = RotatedBox(70.0, 30.0, 12.0, 24.0, 33.0)
    plan = plan_window(box, NADIR, 96, 1.5)
    assert box_mask(box, plan).sum() == pytest.approx(12.0 * 24.0 * plan.scale**2, rel=0.02)
    upright = RotatedBox(50.0, 20.0, 10.0, 20.0, 0.0)
    mask = box_mask(upright, plan_window(upright, NADIR, 60, 1.5))
    assert (np.flatnonzero(mask.any(axis=0))[[0, -1]] == [20, 39]).all()
    assert (np.flatnonzero(mask.any(axis=1))[[0, -1]] == [10, 49]).all()


def test_labels_are_those_under_the_centres():
    layer = np.arange(100 * 100, dtype=np.uint16).reshape(100, 100)
    plan = plan_window(RotatedBox(50.0, 20.0, 10.0, 20.0, 0.0), NADIR, 30, 1.5)  # scale 1, not turned
    assert np.array_equal(cut_nearest(layer, plan), layer[5:35, 35:65])
    beyond = cut_nearest(layer + 1, plan_window(RotatedBox(50.0, 0.0, 10.0, 20.0, 0.0), NADIR, 30, 1.5))
    assert not beyond[:15].any()
    assert (beyond[15:] > 0).all()


def test_what_was_cut_is_found_again_where_it_was():
    """A picture whose colours are its coordinates, cut and sampled back, tells every point where it is."""
    x, y = np.meshgrid(np.arange(100), np.arange(100))
    image = np.stack([2 * x + 1, 2 * y + 1, np.zeros_like(x)], axis=-1).astype(np.uint8)  # twice the pixel's centre
    random = np.random.default_rng(0)
    for _ in range(10):
        cx, cy, w, h, degrees = random.uniform([35, 35, 8, 12, -90], [65, 65, 12, 24, 90])
        plan = plan_window(RotatedBox.normalized(cx, cy, w, h, degrees), NADIR, 64, 1.2)
        maps = torch.from_numpy(extract(image, plan)).permute(2, 0, 1).float()
        points = random.uniform([cx - 4, cy - 4], [cx + 4, cy + 4], (50, 2))
        assert sampled(maps, plan, points)[:, :2] == pytest.approx(2 * points, abs=0.7)  # colours are whole numbers


def test_a_crop_covers_the_pixels_whose_centres_lie_in_it():
    random = np.random.default_rng(1)
    for _ in range(20):
        cx, cy, w, h = random.uniform([-10, -10, 5, 5], [110, 90, 30, 60])
        plan = plan_window(RotatedBox.normalized(cx, cy, w, h, 0.0), NADIR, 64, 1.5)
        inside = ((plan.to_crop(centres((100, 80))) >= 0) & (plan.to_crop(centres((100, 80))) <= 64)).all(axis=-1)
        window = np.zeros((80, 100), bool)
        window[covered(plan, (100, 80))] = True
        assert not (inside & ~window).any()
