# SPDX-License-Identifier: Apache-2.0
"""Ranks and precisions: those of torchreid and of Market-1501's own code, and what must hold of any."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit_reid import distances
from synthkit_reid.intervals import interval
from synthkit_reid.ranking import STRANGER, Labels, Protocol, by_chance, score, score_distances

CASES = json.loads((Path(__file__).parent / "torchreid_cases.json").read_text())


def labels(case, side):
    return Labels([STRANGER if n == 0 else n for n in case[f"{side}_pids"]], case[f"{side}_camids"])


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_torchreids_evaluator(case):
    """Junk (-1) is left out before, as torchreid's data sets do; with ties its answer is the mean over all orders."""
    kept = np.array(case["g_pids"]) != -1
    gallery = Labels(labels(case, "g").identity[kept], labels(case, "g").view[kept])
    found = score_distances(np.array(case["distances"])[:, kept], labels(case, "q"), gallery, Protocol(most_rank=5))
    assert found.ap.mean() == pytest.approx(case["mAP"], abs=1e-8)
    assert found.cmc == pytest.approx(case["cmc"], abs=1e-6)  # torchreid's are float32
    assert len(found.query) == case["valid"]


@pytest.mark.parametrize("case", CASES["single_shot"], ids=lambda case: case["name"])
def test_torchreids_single_shot_over_all_draws(case):
    protocol = Protocol(shots="single", most_rank=3)
    found = score_distances(np.array(case["distances"]), labels(case, "q"), labels(case, "g"), protocol)
    assert found.cmc == pytest.approx(case["cmc"], abs=1e-6)
    assert found.ap.mean() == pytest.approx(case["mAP"], abs=1e-8)


def trapezoid(order, good, junk):
    """Return AP as compute_AP.m of Market-1501 does, step by step."""
    area, old_recall, old_precision, hits, seen = 0.0, 0.0, 1.0, 0, 0
    for item in order:
        if item in junk:
            continue
        hits += item in good
        recall, precision = hits / len(good), hits / (seen + 1)
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision, seen = recall, precision, seen + 1
        if hits == len(good):
            break
    return area


def small(seed, queries=3, pictures=14, values=None):
    generator = np.random.default_rng(seed)
    shape = (queries, pictures)
    found = generator.random(shape) if values is None else generator.integers(0, values, shape).astype(float)
    sides = [Labels(generator.integers(0, 4, n), generator.integers(0, 3, n)) for n in shape]
    return found, *sides


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_trapezoids_are_those_of_the_original_code(seed):
    found, query, gallery = small(seed)
    scores = score_distances(found, query, gallery)
    for n, value in zip(scores.query, scores.ap_trapezoid, strict=True):
        same = gallery.identity == query.identity[n]
        seen = gallery.view == query.view[n]
        sets = [set(np.flatnonzero(same & ~seen)), set(np.flatnonzero(same & seen))]
        assert value == pytest.approx(trapezoid(np.argsort(found[n]), *sets), abs=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=4, deadline=None)
def test_ties_are_the_mean_over_all_orders(seed):
    found, query, gallery = small(seed, queries=1, pictures=5, values=2)
    scores = score_distances(found, query, gallery, Protocol(most_rank=5))
    if not len(scores.query):
        return
    broken = []
    for order in itertools.permutations(range(5)):
        apart = found + 1e-3 * np.array(order)
        one = score_distances(apart, query, gallery, Protocol(most_rank=5))
        broken.append([one.ap[0], one.ap_trapezoid[0], *one.found[0]])
    assert [scores.ap[0], scores.ap_trapezoid[0], *scores.found[0]] == pytest.approx(np.mean(broken, axis=0), abs=1e-12)


@given(st.integers(0, 10_000), st.sampled_from([None, 3]), st.sampled_from(["own", "all"]),
       st.sampled_from(["all", "single"]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_gallerys_order_never_matters_and_values_are_shares(seed, values, removal, shots):
    found, query, gallery = small(seed, values=values)
    protocol = Protocol(removal, shots, most_rank=14)
    scores = score_distances(found, query, gallery, protocol)
    order = np.random.default_rng(seed).permutation(len(gallery))
    moved = score_distances(found[:, order], query, Labels(gallery.identity[order], gallery.view[order]), protocol)
    for name in ("query", "ap", "ap_trapezoid", "found", "right", "wrong"):
        assert getattr(moved, name) == pytest.approx(getattr(scores, name), abs=1e-12)
    assert (np.diff(scores.found, axis=1) >= -1e-12).all()
    assert ((scores.ap > 0) & (scores.ap <= 1) & (scores.ap_trapezoid <= scores.ap + 0.5)).all()
    assert scores.found[:, -1] == pytest.approx(1)  # somewhere in the gallery they are


def test_everything_equal_is_chance():
    gallery = Labels(np.repeat(np.arange(5), 3), np.arange(15))
    query = Labels(np.arange(5), np.full(5, 99))
    found = score_distances(np.zeros((5, 15)), query, gallery)
    assert found.found[:, 0] == pytest.approx(found.chance)
    assert found.chance == pytest.approx(np.full(5, 3 / 15))
    single = score_distances(np.zeros((5, 15)), query, gallery, Protocol(shots="single", most_rank=5))
    assert single.cmc == pytest.approx(np.arange(1, 6) / 5)
    assert single.chance == pytest.approx(np.full(5, 1 / 5))


@pytest.mark.parametrize("shots", ["all", "single"])
def test_chance_is_what_pictures_that_are_all_as_near_give(shots):
    found, query, gallery = small(2, queries=6, pictures=20)
    protocol = Protocol(shots=shots, most_rank=8)
    chance = by_chance(score_distances(found, query, gallery, protocol), protocol)
    equal = score_distances(np.zeros_like(found), query, gallery, protocol)
    for name in ("ap", "ap_trapezoid", "found"):
        assert getattr(chance, name) == pytest.approx(getattr(equal, name), abs=1e-9)
    alone = score_distances(np.zeros((1, 2)), Labels([1], [0]), Labels([1, 1], [1, 2]), protocol)
    assert by_chance(alone, protocol).ap == pytest.approx([1])  # nothing in the gallery is wrong


def test_a_perfect_embedding_finds_everybody():
    who = np.repeat(np.arange(6), 4)
    people = Labels(who, np.arange(24))
    found = score(distances.blocks(*[np.eye(6, dtype=np.float32)[who]] * 2, "cosine"), people, people, Protocol())
    assert found.ap == pytest.approx(np.ones(24))
    assert found.ap_trapezoid == pytest.approx(np.ones(24))
    assert found.cmc[0] == 1


def test_all_pictures_of_the_querys_view_can_be_taken_out():
    """A stranger of the query's camera who looks most like the query is not there for those who look elsewhere."""
    query, gallery = Labels([1], [7]), Labels([2, 1, 3], [7, 8, 8])
    found = np.array([[0.1, 0.2, 0.3]])
    assert score_distances(found, query, gallery).found[0, 0] == 0
    assert score_distances(found, query, gallery, Protocol("all")).found[0, 0] == 1
    assert score_distances(found, query, gallery, Protocol("all")).chance == pytest.approx([0.5])


@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
def test_ranks_are_those_of_exact_distances(kind, monkeypatch):
    """Single precision alone would order neighbours this close at random, and not tell equals."""
    generator = np.random.default_rng(3)
    base = generator.normal(size=64)
    vectors = (base + 3e-4 * generator.normal(size=(120, 64))).astype(np.float32)
    vectors[60:80] = vectors[:20]  # equals of other people
    who = Labels(generator.integers(0, 12, 120), np.arange(120))
    exact = vectors.astype(np.float64)
    if kind == "cosine":
        exact /= np.linalg.norm(exact, axis=1)[:, None]
    wanted = score_distances(((exact[:, None] - exact[None]) ** 2).sum(axis=2), who, who)
    coarse = score_distances(-(exact.astype(np.float32) @ exact.astype(np.float32).T), who, who)
    found = score(distances.blocks(vectors, vectors, kind), who, who, Protocol())
    assert np.mean(np.abs(found.ap - wanted.ap) < 1e-9) > 0.95  # the others have ties that are nearer than 2^-42
    assert np.mean(np.abs(coarse.ap - wanted.ap) < 1e-9) < 0.5
    monkeypatch.setattr(distances, "block_rows", lambda gallery: 7)
    parted = score(distances.blocks(vectors, vectors, kind), who, who, Protocol())
    assert parted.ap.tolist() == found.ap.tolist()


def test_nobody_and_wrong_shapes():
    with pytest.raises(ValueError, match="but there are 1 queries"):
        score_distances(np.zeros((2, 2)), Labels([1], [1]), Labels([1, 2], [1, 2]))
    with pytest.raises(ValueError, match="not all finite"):
        score_distances(np.full((1, 1), np.nan), Labels([1], [1]), Labels([1], [2]))
    assert len(score_distances(np.zeros((1, 1)), Labels([1], [1]), Labels([2], [1])).query) == 0
    assert len(score_distances(np.zeros((1, 1)), Labels([STRANGER], [1]), Labels([STRANGER], [2])).query) == 0


def test_intervals_take_people_as_one_observation_where_their_queries_agree():
    alone = interval(np.tile([1.0, 0.0], 50), np.arange(100))
    assert alone == pytest.approx((0.398, 0.602), abs=2e-3)  # Clopper and Pearson's of 50 in 100
    together = interval(np.repeat(np.tile([1.0, 0.0], 5), 10), np.repeat(np.arange(10), 10))
    assert together[0] < 0.22
    assert together[1] > 0.78
    assert interval(np.zeros(100), np.repeat(np.arange(10), 10)) == pytest.approx((0, 0.308), abs=1e-3)  # 0 in 10
    assert interval(np.ones(4), np.zeros(4, int)) is None
