# SPDX-License-Identifier: Apache-2.0
"""Planted copies of real people are found, whatever was done to their looks; strangers are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthkit import weights
from synthkit.config import structure
from synthkit.errors import DatasetError, WeightsError
from synthkit.interfaces import Keeping, Metric, Runtime
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_fidelity.config import MemorisationConfig
from synthkit_fidelity.memorisation import MemorisationMetric
from synthkit_fidelity.nearest import limit, nearest, nearest_other


def metric(tmp_path, **options):
    config = structure(MemorisationConfig, {"space": "pixels", **options})
    return MemorisationMetric(config, None, Runtime(Seeds(0), tmp_path))


def person(name, seed, change=lambda image: image):
    """Return a sample with one person, of random colours, head up in the upper half of the image."""
    colours = np.random.default_rng(seed).uniform(20, 235, (12, 9, 3))
    image = cv2.resize(colours.astype(np.float32), (120, 160), interpolation=cv2.INTER_CUBIC)
    box = RotatedBox.normalized(60, 60, 40, 90, 0)
    known = Person(identity=name, head_px=(60, 30), rotated_box=box)
    return Sample(key=f"s{seed}", image=np.clip(change(image), 0, 255).astype(np.uint8), people=[known])


def altered(image):
    noise = np.random.default_rng(1).normal(0, 6, image.shape)
    return cv2.GaussianBlur(image * (0.7, 0.9, 1.1) + 12, (0, 0), 1.0) + noise


REAL = [person(f"p{n // 2}", n) for n in range(48)]
STRANGERS = [person(None, 100 + n) for n in range(30)]


def judged(checked, made, real=REAL):
    states = {"reference": checked.observe("reference", real), "candidate": checked.observe("candidate", made)}
    return checked.compute(states)


def test_follows_the_protocol(tmp_path):
    assert isinstance(metric(tmp_path), Metric)


def test_strangers_are_not_flagged(tmp_path):
    share, least = judged(metric(tmp_path), STRANGERS)
    assert (share.value, share.count, share.better) == (0, 30, "lower"), share.definition
    assert share.name == "memorised_share[coarse pixels 16x16]"
    assert least.value > 1


def test_planted_copies_are_found_and_shown(tmp_path):
    copies = [person(None, seed, altered) for seed in (3, 17, 40)]
    made = [*STRANGERS[:10], *copies, *STRANGERS[10:]]
    share, least = judged(metric(tmp_path, picture=str(tmp_path / "pairs.png"), shown=10), made)
    assert share.value == pytest.approx(3 / 33)
    assert least.value < 0.5
    low, high = share.interval
    assert low < 3 / 33 < high
    found = [(pair["candidate"], pair["reference"]) for pair in share.definition["nearest_pairs"][:3]]
    assert sorted(found) == [("s17#0", "s17#0"), ("s3#0", "s3#0"), ("s40#0", "s40#0")]
    assert Image.open(tmp_path / "pairs.png").size[0] > 8 * 128


def test_pictures_of_one_person_under_two_names_hide_no_copy(tmp_path):
    twins = [person(f"twin {n}", n, altered) for n in range(0, 12)]
    share, _ = judged(metric(tmp_path), [person(None, 30, altered), *STRANGERS], [*REAL, *twins])
    assert share.value == pytest.approx(1 / 31)


def test_people_of_two_names_throughout_tell_no_limit_rather_than_no_copies(tmp_path):
    """Frames of a video whose people are not said to be the same: not even a copy would be below the limit."""
    frames = [person(f"frame {n}", n % 12, lambda image, n=n: image + n) for n in range(36)]
    alone = [person(f"alone {n}", 200 + n) for n in range(6)]
    with pytest.raises(DatasetError, match="pictures of one person need one identity"):
        judged(metric(tmp_path), [person(None, 3), *STRANGERS], [*frames, *alone])


def test_the_order_and_the_parts_do_not_matter(tmp_path):
    checked = metric(tmp_path)
    whole = checked.merge([checked.observe("reference", REAL)])
    parts = [checked.observe("reference", part) for part in (REAL[30:], [], REAL[:30])]
    assert all(np.array_equal(checked.merge(parts)[name], whole[name]) for name in whole)


def test_too_few_people_are_an_error(tmp_path):
    with pytest.raises(DatasetError, match="the reference has 5 people"):
        judged(metric(tmp_path), STRANGERS, REAL[:5])
    with pytest.raises(DatasetError, match="the candidate has 0 people"):
        judged(metric(tmp_path), [])
    with pytest.raises(DatasetError, match="one person only"):
        judged(metric(tmp_path), STRANGERS, [person("one", n) for n in range(24)])


def test_without_weights_the_stand_in_is_taken_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_in_package", lambda _: None)
    checked = metric(tmp_path, space="auto")
    assert checked.weights() == []
    share, _ = judged(checked, STRANGERS)
    assert (share.extractor.name, share.extractor.sha256) == ("coarse pixels 16x16", None)
    assert share.cautions[0].startswith("people are compared by coarse colours, as the weights of mobilenet_v2 are not")
    assert judged(metric(tmp_path), STRANGERS)[0].cautions == ()
    asked = metric(tmp_path, space="mobilenet_v2")
    assert asked.weights() == [(weights.entry("mobilenet_v2"), None)]
    with pytest.raises(WeightsError, match="mobilenet_v2 are not on this machine"):
        judged(asked, STRANGERS)


def test_weights_that_are_damaged_are_an_error_and_no_reason_for_the_stand_in(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    monkeypatch.setenv("SYNTHKIT_WEIGHTS", str(tmp_path))
    (tmp_path / weights.entry("mobilenet_v2").file).write_bytes(b"half a file")
    for checked in (metric(tmp_path, space="auto"), metric(tmp_path, space="auto", weights=str(tmp_path))):
        with pytest.raises(WeightsError, match=r"has sha256 .* expected"):
            checked.observed("candidate")
        with pytest.raises(WeightsError, match=r"has sha256 .* expected"):
            judged(checked, STRANGERS)
    with pytest.raises(WeightsError, match="there is no file"):
        metric(tmp_path, space="auto", weights=str(tmp_path / "gone.pth")).observed("candidate")


def test_states_are_kept_by_what_decides_about_them(tmp_path):
    assert isinstance(metric(tmp_path), Keeping)
    plain, other, shown = (metric(tmp_path, **options).observed("reference") for options in
                           ({}, {"chance": 0.05}, {"picture": str(tmp_path / "a.png")}))  # fmt: skip
    assert plain == other != shown
    assert plain["people"]["name"] == "coarse pixels 16x16"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 20), st.integers(1, 6))
def test_nearest_by_hand(seed, count, people):
    generator = np.random.default_rng(seed)
    references = generator.normal(size=(count, 6, 2)).astype(np.float32)
    maps, shares = generator.normal(size=(5, 6, 2)).astype(np.float32), generator.uniform(0, 1, (5, 6))
    who = np.array([f"p{n % (people + 1)}" for n in range(count)])
    index, distance = nearest(maps, shares, references)
    every = np.array([[by_hand(one, r, weight) for r in references] for one, weight in zip(maps, shares, strict=True)])
    assert np.array_equal(index, every.argmin(axis=1))
    assert np.allclose(distance, every.min(axis=1), atol=1e-4)
    for n, found in enumerate(nearest_other(references, who, shares[:1])):
        others = [by_hand(references[n], references[m], shares[0]) for m in range(count) if who[m] != who[n]]
        assert found == pytest.approx(min(others, default=np.inf), abs=1e-4)


def by_hand(first, second, weight):
    units = []
    for one in (first, second):
        centred = (one - np.average(one, axis=0, weights=weight)) * np.sqrt(weight)[:, None]
        units.append(centred / np.linalg.norm(centred))
    return np.linalg.norm(units[0] - units[1])


def test_the_limit_is_the_upper_tail_mirrored():
    between = np.array([*np.linspace(0.9, 1.1, 101)])
    assert limit(between, 0.05) == pytest.approx(1 - 1.5 * 0.09)
    spoiled = np.concatenate([between, [0.01, 0.02]])
    assert limit(spoiled, 0.05) == pytest.approx(limit(between, 0.05), abs=0.01)
