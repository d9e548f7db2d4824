# SPDX-License-Identifier: Apache-2.0
"""No seams, halos or rims where refined crops are put back, measured against a known truth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthkit import crops
from synthkit.sample import evolve

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MEAN, WORST = 3.0, 20.0
"""Grey levels from the truth that count as unseen, on average and for 99 of 100 pixels of a band."""


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("reinsertion", BENCHMARKS / "reinsertion.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["reinsertion"] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))
        sys.modules.pop("reinsertion", None)


@pytest.fixture(scope="module")
def stages(bench):
    return [bench.staged(seed) for seed in (0, 1)]


def refiners_of(bench):
    return [bench.planted(number) for number in range(4)]


def test_edges_change_with_the_coverage_and_nothing_is_seen_of_crops(bench, stages):
    for stage in stages:
        refiners = refiners_of(bench)
        for band, (mean, worst) in bench.errors(stage, bench.ours(stage.sample, refiners), refiners).items():
            assert mean < MEAN, band
            assert worst < WORST, band


def test_the_way_the_thesis_prints_is_seen_everywhere(bench, stages):
    for stage in stages:
        refiners = refiners_of(bench)
        for band, (mean, worst) in bench.errors(stage, bench.as_printed(stage.sample, refiners), refiners).items():
            assert mean > 2 * MEAN, band
            assert worst > 2 * WORST, band


def test_pixels_that_nobody_covers_keep_every_bit(bench, stages):
    for stage in stages:
        result = bench.ours(stage.sample, refiners_of(bench))
        nobody = stage.sample.layers["alpha"] == 0
        assert (result[nobody] == stage.sample.image[nobody]).all()


def test_without_alpha_nothing_outside_the_masks_changes(bench, stages):
    sample = evolve(stages[0].sample, layers={"instances": stages[0].sample.layers["instances"]})
    result = bench.ours(sample, refiners_of(bench))
    outside = sample.layers["instances"] == 0
    assert (result[outside] == sample.image[outside]).all()
    refiners = refiners_of(bench)
    for band, (mean, _) in bench.errors(stages[0], result, refiners).items():
        assert mean < 2 * MEAN, band


def test_people_whom_the_rim_of_the_image_cuts_change_up_to_it(bench, stages):
    for stage in stages:
        refiners = refiners_of(bench)
        rim = np.zeros(stage.sample.image.shape[:2], bool)
        rim[[0, -1]] = rim[:, [0, -1]] = True
        rim &= stage.shares[1:].max(axis=0) > 0.99
        assert rim.sum() > 20
        for layers in (("instances", "alpha"), ("instances",)):
            sample = evolve(stage.sample, layers={name: stage.sample.layers[name] for name in layers})
            off = np.abs(bench.ours(sample, refiners) - stage.refined(refiners)).max(axis=-1)
            assert off[rim].mean() < MEAN


def test_a_body_that_leaves_its_crop_changes_softly(bench, stages):
    """Plans of other people than ours may cut a body; the change then has no step (figure 5.15)."""
    for stage in stages:
        refiners = refiners_of(bench)
        sample = stage.sample
        pairs = [
            (plan, refiners[plan.person](crops.extract(sample.image, plan)))
            for plan in bench.fixed_crops(sample, bench.CROP_PX)
        ]
        inside = cv2.erode((sample.layers["instances"] == 1).astype(np.uint8), np.ones((3, 3))) > 0
        steps = {}
        for how, image in {
            "ours": crops.reinsert(sample, pairs),
            "printed": bench.as_printed(sample, refiners),
        }.items():
            change = image.astype(int) - sample.image
            down = np.abs(np.diff(change, axis=0)).max(axis=-1)[inside[1:] & inside[:-1]]
            across = np.abs(np.diff(change, axis=1)).max(axis=-1)[inside[:, 1:] & inside[:, :-1]]
            steps[how] = max(down.max(), across.max())
        assert steps["ours"] < 16
        assert steps["printed"] > 32
