# SPDX-License-Identifier: Apache-2.0
"""The parts of ``synthkit tune``: settings as points, distances, statistics, labels, the search, the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit.camera import FisheyeCamera
from synthkit.errors import ConfigError
from synthkit.interfaces import Tunable
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.tuning import labels
from synthkit.tuning.distance import compared, energy_distance
from synthkit.tuning.features import NAMES, Eye, group_of, statistics, view
from synthkit.tuning.plan import LEAST_SCENES, Budget, Dials
from synthkit.tuning.search import minimise
from synthkit.tuning.space import Dial, Space

DIALS = (
    Dial(Tunable("value", -2.0, 2.0, fits="value"), 0.5),
    Dial(Tunable("log", 0.001, 1.0, fits="range", log=True), [0.01, 0.05]),
    Dial(Tunable("centre", 0.0, 1.0), [0.2, 0.4]),
)


def test_the_start_goes_to_the_cube_and_back():
    assert Space(DIALS).values(Space(DIALS).start) == {"value": 0.5, "log": [0.01, 0.05], "centre": [0.2, 0.4]}


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_every_point_is_settings_within_their_limits(point):
    values = Space(DIALS).values(np.array(point))
    for dial in DIALS:
        found = values[dial.setting]
        ends = found if isinstance(found, list) else [found]
        assert ends == sorted(ends)
        assert all(dial.tunable.low <= end <= dial.tunable.high for end in ends)


def test_a_centre_moves_with_its_width_and_a_start_outside_is_moved_inside():
    dial = Dial(Tunable("x", 0.0, 10.0), [1.0, 3.0])
    assert dial.decode([0.5]) == [4.0, 6.0]
    assert Dial(Tunable("x", 1.0, 2.0, log=True), [0.0, 8.0]).decode([0.5]) == [1.0, 2.0]


def test_the_energy_distance_of_a_case_by_hand():
    # 2 * mean(1, 3, 1, 1) - 2 - 2
    assert energy_distance(np.array([[0.0], [2.0]]), np.array([[1.0], [3.0]])) == pytest.approx(-1.0)


def test_the_distance_of_equal_distributions_is_nothing_however_few_they_are():
    rng = np.random.default_rng(0)
    few = [energy_distance(rng.normal(size=(3, 5)), rng.normal(size=(4, 5))) for _ in range(3000)]
    assert abs(np.mean(few)) < 3 * np.std(few) / math.sqrt(len(few))
    far = [energy_distance(rng.normal(size=(3, 5)), 1 + rng.normal(size=(4, 5))) for _ in range(3000)]
    many = energy_distance(rng.normal(size=(1500, 5)), 1 + rng.normal(size=(1500, 5)))
    assert np.mean(far) == pytest.approx(many, rel=0.08)


def test_errors_are_those_that_repeating_shows():
    rng = np.random.default_rng(1)
    gains, errors, alone = [], [], []
    for _ in range(150):
        scenes = rng.normal(size=(12, 1, 3))  # two images of each, alike, and the same in both candidates
        first, second = (shift + (scenes + 0.2 * rng.normal(size=(12, 2, 3))).reshape(24, 3) for shift in (1.5, 1.0))
        owner = np.repeat(np.arange(12), 2)
        (before, _), gain = compared(rng.normal(size=(15, 3)), [first, second], [owner, owner])
        gains.append(gain.value)
        errors.append(gain.error)
        alone.append(before.error)
    assert 0.8 < np.median(errors) / np.std(gains) < 1.3
    assert np.median(errors) < np.median(alone), "scenes that are shared make a difference surer"


def picture(noise=0.0, shade=128.0, colour=(0, 0, 0), side=96):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:side, :side]
    base = shade + 30 * np.sin(x / 9) * np.cos(y / 7)
    values = base[..., None] + np.array(colour) + noise * rng.normal(size=(side, side, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def changed(first, second, least):
    """Return the groups of which a statistic differs by more than that."""
    difference = np.abs(statistics(first) - statistics(second))
    return {group_of(name) for name, value in zip(NAMES, difference, strict=True) if value > least}


def test_statistics_tell_what_changed():
    assert changed(picture(), picture(shade=150), 2.0) == {"colour"}
    names = dict(zip(NAMES, statistics(picture(noise=6)) - statistics(picture()), strict=True))
    assert all(value > 0.5 for name, value in names.items() if "noise in" in name or name == "noise of red-green")
    assert abs(names["lightness, ring 1"]) < 0.3
    orange = dict(zip(NAMES, statistics(picture(colour=(20, 0, -20))) - statistics(picture()), strict=True))
    assert all(orange[f"yellow-blue, ring {ring}"] > 5 for ring in (1, 2, 3))


def test_nothing_outside_the_circle_is_looked_at():
    first, second = picture(noise=3), picture(noise=3)
    y, x = np.mgrid[:96, :96] - 47.5
    second[np.hypot(x, y) > 47.9] = 0
    assert np.array_equal(statistics(first), statistics(second))


def test_the_view_is_the_square_around_the_circle():
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, 20:80] = 200
    assert (view(Sample("a", image), 60) == 200).all()
    camera = FisheyeCamera.equidistant(100, 60, radius_px=50)
    wide = view(Sample("b", image, camera=camera), 100)
    assert (wide[:20] == 0).all()
    assert (wide[20:80, 20:80] == 200).all()


def test_looking_does_not_depend_on_threads():
    views = [picture(noise=n) for n in range(5)]
    first, second = (Eye(96, threads=n).look(views)["statistics"] for n in (1, 4))
    assert np.array_equal(first, second)


def crowd(scale=1.0, images=8, people=6, seed=0, labelled=True):
    rng = np.random.default_rng(seed)
    samples = []
    for n in range(images):
        found = []
        for _ in range(people + n % 2):
            angle, radius = rng.uniform(0, 7), rng.uniform(0.1, 0.85)
            size = scale * 20 * (1.2 - radius) * rng.uniform(0.8, 1.2)
            x, y = 100 + 100 * radius * np.array([np.cos(angle), np.sin(angle)])
            found.append(Person(rotated_box=RotatedBox(x, y, size, 2 * size, 0)))
        image = np.zeros((200, 200, 3), np.uint8)
        samples.append(Sample(f"s{n}", image, people=found if labelled else None))
    return samples


def test_people_are_counted_and_shared_among_settings():
    assert labels.people_counts(crowd()) == (6, 7)
    assert labels.people_counts(crowd(labelled=False)) is None
    two = [Dial(Tunable(name, 0, 20, fits="people"), start) for name, start in (("a", [1, 5]), ("b", [0, 4]))]
    assert labels.shared((6, 7), two) == {"a": [4, 4], "b": [2, 3]}
    assert labels.shared((0, 60), two) == {"a": [0, 20], "b": [0, 20]}, "no more than a setting takes"


def test_sizes_are_compared_ring_by_ring_with_an_error():
    ratio, error = labels.size_ratio(labels.sizes(crowd(1.4, 20)), labels.sizes(crowd(1.0, 20, seed=1)))
    assert abs(ratio - math.log(1.4)) < 3 * error < 0.3
    assert labels.sizes(crowd(images=1)) is None
    assert labels.sizes(crowd(labelled=False)) is None


def test_the_search_ends_in_time_near_the_least_and_repeats_itself():
    asked = []

    def evaluate(n, vector):
        asked.append(n)
        return float(((vector - np.array([0.2, 0.9, 0.5])) ** 2).sum())

    found = minimise(evaluate, np.full(3, 0.5), evaluations=120, spread=0.2, seed=1)
    assert asked == list(range(120))
    assert found.value < 1e-3
    again = minimise(evaluate, np.full(3, 0.5), evaluations=120, spread=0.2, seed=1)
    assert np.array_equal(found.vector, again.vector)
    assert found.values[0] == pytest.approx(0.25)


def test_the_start_is_kept_where_nothing_is_better_or_nothing_is_searched():
    start = np.array([0.5])
    assert minimise(lambda n, v: float(n), start, evaluations=9, spread=0.2, seed=1).vector is start
    assert minimise(lambda n, v: 1.0, np.zeros(0), evaluations=9, spread=0.2, seed=1).values == (1.0,)


@settings(max_examples=60, deadline=None)
@given(st.integers(LEAST_SCENES, 3000), st.integers(1, 3), st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_no_more_is_rendered_than_was_said(scenes, per_scene, sized, rendered, finishing):
    dials = Dials(Space(DIALS[:1] * rendered), Space(DIALS[:1] * finishing), (), ())
    budget = Budget.of(scenes * per_scene, per_scene, dials, sized)
    assert budget.images(per_scene) <= scenes * per_scene
    assert budget.scenes >= 2
    assert budget.held_out >= 4


def test_too_few_renders_are_refused():
    with pytest.raises(ConfigError, match="at least 48 are needed"):
        Budget.of(40, 2, Dials(Space(DIALS), Space(()), (), ()), sized=False)
