# SPDX-License-Identifier: Apache-2.0
"""The Frechet distance against SciPy's matrix root, and features that merge to the same whatever the order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit_fidelity import gaussians
from synthkit_fidelity.extrapolation import extrapolate
from synthkit_fidelity.features import Features, drawn, from_state, gathered, joined, to_state
from synthkit_fidelity.gaussians import frechet_distance, moments, of_moments, of_vectors
from synthkit_fidelity.kernels import subset_distances


def reference_distance(first, second):
    covariances = [np.cov(vectors, rowvar=False) for vectors in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    shift = first.mean(axis=0) - second.mean(axis=0)
    return shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root.real)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_equals_the_matrix_root(seed, dimensions):
    generator = np.random.default_rng(seed)
    sets = [generator.normal(0, 1, (200, dimensions)) @ generator.normal(0, 1, (dimensions,) * 2) for _ in range(2)]
    wanted = reference_distance(*sets)
    assert frechet_distance(*map(of_vectors, sets)) == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_parts_of_products_are_put_together_right(monkeypatch):
    """Blocks and rows that divide nothing evenly, and the moments of single precision in double."""
    monkeypatch.setattr(gaussians, "_BLOCK", 5)
    monkeypatch.setattr(gaussians, "_ROWS", 7)
    generator = np.random.default_rng(4)
    sets = [(generator.normal(2, 1, (60, 13)) @ generator.normal(0, 1, (13, 13))).astype(np.float32) for _ in range(2)]
    for vectors in sets:
        wanted = np.cov(vectors.astype(np.float64), rowvar=False)
        assert of_vectors(vectors).matrix == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    exact = [vectors.astype(np.float64) for vectors in sets]
    assert frechet_distance(*map(of_vectors, sets)) == pytest.approx(reference_distance(*exact), rel=1e-9)


def test_known_gaussians():
    """Independent axes: the distance is the sum of (m1 - m2)^2 + (s1 - s2)^2."""
    first, second = (of_vectors(np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]]) * scale) for scale in (1.0, 3.0))
    deviation = np.sqrt(4 / 3)
    assert frechet_distance(first, second) == pytest.approx(2 * (2.0**2) + 2 * (2 * deviation) ** 2)


@pytest.mark.parametrize("count", [10, 64, 65, 500])
def test_a_set_is_at_no_distance_from_itself(count):
    vectors = np.random.default_rng(0).normal(3, 2, (count, 64))
    assert frechet_distance(of_vectors(vectors), of_vectors(vectors)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("counts", [(12, 20), (12, 200), (200, 12), (51, 50)])
def test_fewer_vectors_than_dimensions(counts):
    """Exact for thin covariances, through the vectors or their moments: the nuclear norm of the centred data."""
    generator = np.random.default_rng(1)
    data = [generator.normal(0, 1, (n, 50)) * scale for n, scale in zip(counts, (1.0, 2.0), strict=True)]
    centred = [(part - part.mean(axis=0)) / np.sqrt(len(part) - 1) for part in data]
    root = np.linalg.norm(centred[0] @ centred[1].T, "nuc")
    shift = data[0].mean(axis=0) - data[1].mean(axis=0)
    wanted = shift @ shift + sum((part**2).sum() for part in centred) - 2 * root
    assert frechet_distance(*map(of_vectors, data)) == pytest.approx(wanted, rel=1e-9)
    assert frechet_distance(*(of_moments(moments(part)) for part in data)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("spread", "exact"), [(1.0, False), (1e-9, True)])
def test_roots_of_squares_are_taken_where_they_are_good_enough(spread, exact, monkeypatch):
    generator = np.random.default_rng(5)
    scales = np.geomspace(1.0, spread, 40)
    sides = [np.linalg.qr(generator.normal(size=(40, 40)))[0] for _ in range(2)]
    matrix = torch.from_numpy(sides[0] * scales @ sides[1])
    whole = torch.linalg.svdvals
    asked = []
    monkeypatch.setattr(torch.linalg, "svdvals", lambda matrix: asked.append(matrix) or whole(matrix))

    assert gaussians._nuclear_norm(matrix, 40) == pytest.approx(scales.sum(), rel=1e-12)
    assert bool(asked) is exact


def test_a_feature_that_never_varies():
    vectors = np.random.default_rng(2).normal(0, 1, (100, 5))
    vectors[:, 3] = 0.0
    assert frechet_distance(of_vectors(vectors), of_vectors(vectors + 1)) == pytest.approx(5, rel=1e-9)


def test_moments_far_from_zero_add_up():
    vectors = np.random.default_rng(3).normal(0, 1, (90, 4)) + 1e6
    whole, parts = moments(vectors), [moments(part) for part in np.split(vectors, [7, 50])]
    added = parts[0] + parts[1] + parts[2]
    assert added.count == 90
    assert added.mean == pytest.approx(whole.mean, rel=1e-14)
    assert added.scatter == pytest.approx(whole.scatter, rel=1e-8)


VECTORS = np.random.default_rng(3).normal(0, 1, (60, 7)).astype(np.float32)
KEYS = [f"k{n}" for n in range(60)]


def of(start, stop, keep, step=10):
    batches = [(KEYS[n : min(n + step, stop)], VECTORS[n : min(n + step, stop)]) for n in range(start, stop, step)]
    return gathered(batches, keep)


@pytest.mark.parametrize("keep", [100, 20])
def test_merging_is_the_whole_in_any_order(keep):
    whole = of(0, 60, keep)
    parts = [of(0, 13, keep), of(13, 35, keep), of(35, 60, keep, step=1)]
    wanted = of_vectors(VECTORS)
    for order in permutations(parts):
        merged = joined(order, keep)
        assert merged.count == 60
        assert np.array_equal(merged.keys, whole.keys)
        assert np.array_equal(merged.vectors, whole.vectors)
        assert merged.gaussian().mean == pytest.approx(wanted.mean, rel=1e-9, abs=1e-12)
        assert merged.gaussian().matrix == pytest.approx(wanted.matrix, rel=1e-9, abs=1e-12)


def test_what_is_kept_is_an_even_draw():
    kept = [int(key[1:]) for key in gathered([([f"k{n}" for n in range(4000)], np.zeros((4000, 1)))], 400).keys]
    assert 1800 < np.mean(kept) < 2200
    assert len(set(kept)) == 400


def test_only_some_are_looked_at_however_many_there_are():
    looked = [key for key, _ in drawn(((f"k{n}", n) for n in range(4000)), 50)]
    kept = gathered([(looked, np.zeros((len(looked), 1), np.float32))], 50, only=True)
    everything = gathered([([f"k{n}" for n in range(4000)], np.zeros((4000, 1), np.float32))], 50, only=True)
    assert list(kept.keys) == list(everything.keys)
    assert kept.count == 50
    assert len(looked) < 50 * 8


def test_states_are_plain_arrays():
    state = to_state(of(0, 60, 20))
    assert all(array.dtype != object for array in state.values())
    again = from_state(state)
    assert again.count == 60
    assert np.array_equal(again.rest.scatter, of(0, 60, 20).rest.scatter)
    assert joined([from_state(to_state(gathered([], 5))), Features(*again_of(again))], 20).count == 60


def again_of(features):
    return features.keys, features.vectors, features.rest


@pytest.mark.parametrize("subsets", [3, 200])
def test_kernel_distances_by_hand(subsets):
    """Of a few subsets one by one, of many from one kernel of all: the same, by the estimator as it is written."""
    generator = np.random.default_rng(5)
    first, second = generator.normal(0, 1, (1100, 6)), generator.normal(0.2, 1, (60, 6))
    ours = np.stack([generator.choice(1100, 50, replace=False) for _ in range(subsets)])
    theirs = np.stack([generator.choice(60, 50, replace=False) for _ in range(subsets)])
    found = subset_distances(first, second, ours, theirs)
    for n in range(3):
        x, y = first[ours[n]], second[theirs[n]]
        xx, yy, xy = ((a @ b.T / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        apart = ~np.eye(50, dtype=bool)
        assert found[n] == pytest.approx(xx[apart].mean() + yy[apart].mean() - 2 * xy.mean(), rel=1e-9)


def test_the_limit_of_endlessly_many():
    """Two sets of one distribution: the distance of few is biased upwards, its extrapolation hardly."""
    generator = np.random.default_rng(4)
    reference, candidate = generator.normal(0, 1, (40_000, 10)), generator.normal(0, 1, (2000, 10))
    line = extrapolate(of_vectors(reference), candidate, 15, generator)
    biased = frechet_distance(of_vectors(reference), of_vectors(candidate[:200]))
    assert line.slope > 0
    assert abs(line.limit) < 0.1 * biased
    assert line.counts[0] == 200
    assert line.counts[-1] == 2000


@pytest.mark.parametrize(("each", "error"), [(4, 0.15), (10, 0.15)])
def test_the_limit_of_few_images_rests_on_subsets_where_the_line_is_straight(each, error):
    """Subsets of a tenth of these, fewer than dimensions, would pull it far below 0."""
    generator = np.random.default_rng(4)
    spread = np.arange(1, 33) ** -0.5
    reference, candidate = (spread * generator.normal(0, 1, (count, 32)) for count in (20_000, each * 32))
    line = extrapolate(of_vectors(reference), candidate, 15, generator)
    biased = frechet_distance(of_vectors(reference), of_vectors(candidate))
    assert abs(line.limit) < error * biased
    assert line.counts[0] == 64
