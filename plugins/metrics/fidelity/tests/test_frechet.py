# SPDX-License-Identifier: Apache-2.0
"""The Frechet distance against SciPy's matrix root, and the metric around it on drawn images."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synthkit import weights
from synthkit.config import structure
from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.interfaces import Metric, Runtime, silent
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds
from synthkit.training.perceptual import FeatureNet
from synthkit_fidelity import metric as module
from synthkit_fidelity.config import FrechetConfig
from synthkit_fidelity.metric import FrechetMetric
from synthkit_fidelity.moments import add_features, empty_state, frechet_distance, gaussian, merge_states


def moments(vectors):
    return gaussian(add_features(empty_state(vectors.shape[1]), vectors))


def reference_distance(first, second):
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
    shift = first.mean - second.mean
    return shift @ shift + np.trace(first.covariance + second.covariance - 2 * root.real)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12))
def test_equals_the_matrix_root(seed, dimensions):
    generator = np.random.default_rng(seed)
    sets = [
        moments(generator.normal(0, 1, (200, dimensions)) @ generator.normal(0, 1, (dimensions, dimensions)))
        for _ in range(2)
    ]
    assert frechet_distance(*sets) == pytest.approx(reference_distance(*sets), rel=1e-6, abs=1e-6)


def test_known_gaussians():
    """Independent axes: the distance is the sum of (m1 - m2)^2 + (s1 - s2)^2."""
    first, second = (moments(np.array([[0.0, 0], [2, 0], [0, 2], [2, 2]]) * scale) for scale in (1.0, 3.0))
    deviation = np.sqrt(4 / 3)
    assert frechet_distance(first, second) == pytest.approx(2 * (2.0**2) + 2 * (2 * deviation) ** 2)


@pytest.mark.parametrize("count", [10, 500])
def test_a_set_is_at_no_distance_from_itself(count):
    vectors = np.random.default_rng(0).normal(3, 2, (count, 64))
    assert frechet_distance(moments(vectors), moments(vectors)) == pytest.approx(0, abs=1e-9 * 64 * 4)


def test_fewer_vectors_than_dimensions():
    """Exact for thin covariances: the nuclear norm of the centred data, which needs no covariance at all."""
    generator = np.random.default_rng(1)
    data = [generator.normal(0, 1, (n, 50)) * scale for n, scale in ((12, 1.0), (20, 2.0))]
    centred = [(part - part.mean(axis=0)) / np.sqrt(len(part) - 1) for part in data]
    root = np.linalg.norm(centred[0] @ centred[1].T, "nuc")
    shift = data[0].mean(axis=0) - data[1].mean(axis=0)
    wanted = shift @ shift + sum((part**2).sum() for part in centred) - 2 * root
    assert frechet_distance(*map(moments, data)) == pytest.approx(wanted, rel=1e-9)


def test_a_feature_that_never_varies():
    vectors = np.random.default_rng(2).normal(0, 1, (100, 5))
    vectors[:, 3] = 0.0
    assert frechet_distance(moments(vectors), moments(vectors + 1)) == pytest.approx(5, rel=1e-9)


def test_merging_is_the_whole_in_any_order():
    vectors = np.random.default_rng(3).normal(0, 1, (60, 7)).astype(np.float32)
    whole = add_features(empty_state(7), vectors)
    parts = [add_features(empty_state(7), part) for part in np.split(vectors, [10, 35])]
    merged = [merge_states(order) for order in permutations(parts)]
    for name in whole:
        assert merged[0][name] == pytest.approx(whole[name], rel=1e-12)
        assert all(np.array_equal(other[name], merged[0][name]) for other in merged)


def drawn(count, seed, colour):
    generator = np.random.default_rng(seed)
    for n in range(count):
        image = generator.integers(0, 120, (96, 128, 3)).astype(np.uint8)
        left, top = generator.integers(10, 60, 2)
        image[top : top + 30, left : left + 30] = colour
        person = Person(box_xyxy_px=(left, top, left + 30, top + 30), head_px=(left + 15, top + 8))
        yield Sample(key=f"{seed}_{n}", image=image, people=(person,))


@pytest.fixture
def make_metric(monkeypatch, tmp_path):
    """Return a maker of metrics whose network is drawn at random: its numbers mean nothing, its path is real."""

    def load(name, layers, path, progress):
        torch.manual_seed(0)
        return FeatureNet(name, layers), None

    monkeypatch.setattr(module, "load_features", load)

    def make(**changes):
        values = {"layer": "stride8", "input_px": 64, **changes}
        return FrechetMetric(FrechetConfig(**values), None, Runtime(Seeds(0), tmp_path))

    return make


def value(metric, first, second):
    with metric:
        states = {"reference": metric.observe("reference", first), "candidate": metric.observe("candidate", second)}
        return metric.compute(states)[0]


@pytest.mark.parametrize("region", ["image", "crops"])
def test_the_metric_on_images(make_metric, region):
    metric = make_metric(region=region)
    assert isinstance(metric, Metric)
    near = value(metric, drawn(8, 0, (200, 150, 100)), drawn(8, 1, (200, 150, 100)))
    far = value(metric, drawn(8, 0, (200, 150, 100)), drawn(8, 1, (20, 250, 240)))
    assert 0 < near.value < far.value
    assert near.name == f"frechet_distance[mobilenet_v2.features.6, 64 px, {region}]"
    assert near.definition["weights_sha256"] == weights.entry("mobilenet_v2").sha256
    assert "fewer items" in near.definition["warning"]
    assert "fid" not in near.name.lower()


def test_batch_size_does_not_matter(make_metric):
    results = [
        value(make_metric(batch=batch), drawn(7, 0, (200, 150, 100)), drawn(7, 1, (20, 250, 240))).value
        for batch in (1, 3, 16)
    ]
    assert results == pytest.approx([results[0]] * 3, rel=1e-4)


def test_too_few_people_is_an_error(make_metric):
    empty = [Sample(key="a", image=np.zeros((64, 64, 3), np.uint8), people=())]
    with pytest.raises(DatasetError, match=r"the reference has 0 people.*metric\.region=image"):
        value(make_metric(region="crops"), empty, drawn(3, 0, 0))


def test_missing_weights_say_what_to_do(tmp_path):
    metric = FrechetMetric(FrechetConfig(weights=tmp_path), None, Runtime(Seeds(0), tmp_path))
    with metric, pytest.raises(WeightsError, match="mobilenet_v2"):
        metric.observe("reference", drawn(1, 0, 0))


def test_progress_of_a_download_is_told(tmp_path, monkeypatch):
    told = []
    runtime = Runtime(Seeds(0), tmp_path, progress=lambda *report: told.append(report))

    def load(name, layers, path, progress=silent):
        progress("fetch weights", 1, 2)
        raise WeightsError("far away")

    monkeypatch.setattr(module, "load_features", load)
    with FrechetMetric(FrechetConfig(), None, runtime) as metric, pytest.raises(WeightsError):
        metric.observe("reference", [])
    assert told == [("fetch weights", 1, 2)]


def test_a_layer_of_another_network_is_told_with_the_settings():
    with pytest.raises(ConfigError, match=r"^metric: mobilenet_v2 has no layer 'pool2'; it has stride2"):
        structure(FrechetConfig, {"layer": "pool2"}, path="metric")
    assert structure(FrechetConfig, {"layer": "pool2", "extractor": "vgg16"}).layer == "pool2"


def test_the_plugin_module_is_light():
    code = "import sys, synthkit_fidelity.plugin; assert not {'torch', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
