# SPDX-License-Identifier: Apache-2.0
"""Detectors that do not keep their promise are named, not believed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from synthkit import evaluation
from synthkit.checkpoint import Checkpoint
from synthkit.errors import PluginError
from synthkit.interfaces import ComponentSpec, Evidence, MetricResult, empty_detections
from synthkit.sample import Detections, Sample
from synthkit.session import Session


class Odd:
    """A detector that answers for the samples at some places, in that order."""

    class_names = ("person",)

    def __init__(self, places):
        self.places = places

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def detect(self, samples):
        keys = [sample.key for sample in samples]
        return (empty_detections(keys[place]) for place in self.places)


class Installed:
    """A registry in which there is one component alone."""

    def __init__(self, component):
        self.component = component

    def build(self, spec, runtime):
        return self.component


class Counting:
    """A metric that counts, and knows nothing of where samples come from."""

    roles: ClassVar = {"reference": "samples", "candidate": "samples"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def observe(self, role, items):
        return {"count": np.array([len(list(items))])}

    def merge(self, states):
        raise NotImplementedError

    def compute(self, states):
        counts = {role: int(state["count"][0]) for role, state in states.items()}
        return [MetricResult("count", counts["candidate"], "higher", 1, {"by": "hand", **counts})]


class Telling(Counting):
    """A metric that shows what stands behind its numbers."""

    def explain(self, states):
        return Evidence([], {"counted": {role: int(state["count"][0]) for role, state in states.items()}}, {})


class Judging(Counting):
    """A metric that counts detections."""

    roles: ClassVar = {"candidate": "detections"}


class Images(list):
    def __init__(self, count, fingerprint):
        super().__init__(Sample(key=f"s{n}", image=np.zeros((4, 4, 3), np.uint8)) for n in range(count))
        self.fingerprint = fingerprint


def test_a_metric_of_detections_is_built_with_the_detectors_checkpoint(monkeypatch):
    monkeypatch.setattr(evaluation.Dataset, "open", lambda name: Images(1, "sha"))
    monkeypatch.setattr(evaluation, "detector_spec", lambda path: ComponentSpec("detector", "odd"))
    monkeypatch.setattr(evaluation.Checkpoint, "open", lambda path: Checkpoint(path, "sha-c", {}))
    built = {}

    class Registry:
        def build(self, spec, runtime):
            built[spec.kind] = spec.checkpoint
            return Odd([0]) if spec.kind == "detector" else Judging()

    spec = ComponentSpec("metric", "judging")
    (result,) = evaluation.evaluate(Session(Registry()), spec, "a", checkpoint=Path("x.safetensors"))
    assert built == {"metric": "x.safetensors", "detector": None}
    assert (result.value, result.definition["checkpoint_sha256"]) == (1, "sha-c")


def test_evidence_is_told_by_metrics_that_have_some_and_where_it_is_wanted(monkeypatch):
    sets = {"a": Images(2, "sha-a"), "b": Images(3, "sha-b")}
    monkeypatch.setattr(evaluation.Dataset, "open", lambda name: sets[name])
    spec = ComponentSpec("metric", "counting")
    judged = evaluation.judge(Session(Installed(Telling())), spec, "a", "b")
    assert judged.evidence.counts == {"counted": {"reference": 3, "candidate": 2}}
    assert judged.results[0].definition["data_fingerprint"] == "sha-a"
    assert evaluation.judge(Session(Installed(Telling())), spec, "a", "b", explained=False).evidence is None
    assert evaluation.judge(Session(Installed(Counting())), spec, "a", "b").evidence is None


def test_definitions_say_what_was_measured(monkeypatch):
    sets = {"a": Images(2, "sha-a"), "b": Images(3, "sha-b")}
    monkeypatch.setattr(evaluation.Dataset, "open", lambda name: sets[name])
    session = Session(Installed(Counting()))
    (result,) = evaluation.evaluate(session, ComponentSpec("metric", "counting"), "a", "b")
    assert result.definition == {
        "by": "hand",
        "candidate": 2,
        "reference": 3,
        "data_fingerprint": "sha-a",
        "reference_fingerprint": "sha-b",
    }


def scored_keys(places):
    samples = [Sample(key=f"s{n}", image=np.zeros((4, 4, 3), np.uint8)) for n in range(3)]
    session = Session(Installed(Odd(places)))
    found = evaluation.scored(session, ComponentSpec("detector", "odd"), samples)
    return [(item.sample.key, item.detections.key) for item in found]


def test_samples_meet_their_own_detections():
    assert scored_keys([0, 1, 2]) == [("s0", "s0"), ("s1", "s1"), ("s2", "s2")]


@pytest.mark.parametrize(("places", "key"), [([0, 2, 1], "s2"), ([0, 1], "s2"), ([0, 1, 2, 2], "s2"), ([], "s0")])
def test_answers_that_are_missing_or_out_of_turn_are_an_error(places, key):
    with pytest.raises(PluginError, match=f"'odd' .*{key}"):
        scored_keys(places)


@pytest.mark.parametrize("name", ["scores", "boxes_xyxy_px", "rotated_boxes", "points_px"])
def test_numbers_that_are_not_finite_are_named(name):
    numbers = {"scores": np.ones(2), "boxes_xyxy_px": np.ones((2, 4)), "rotated_boxes": np.ones((2, 5))}
    numbers |= {"points_px": np.ones((2, 2)), "labels": np.zeros(2, int)}
    numbers[name][-1] = np.nan

    class Broken(Odd):
        def detect(self, samples):
            return (Detections(key=sample.key, **numbers) for sample in samples)

    with pytest.raises(PluginError, match=r"'odd' answered for s0 with numbers not finite"):
        list(evaluation.scored(Session(Installed(Broken([]))), ComponentSpec("detector", "odd"), Images(1, "sha")))
