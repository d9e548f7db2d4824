# SPDX-License-Identifier: Apache-2.0
"""What metrics get, what is added to their results, what is kept of them; detectors that do not keep their promise."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from doubles import Counting, Double, registry_of
from safetensors.numpy import save_file

from synthkit import evaluation, observing
from synthkit.checkpoint import CARD_KEY, Checkpoint
from synthkit.dataset import Dataset, DatasetWriter
from synthkit.detectors import chosen
from synthkit.errors import ConfigError, DatasetError, PluginError, WeightsError
from synthkit.interfaces import Component, ComponentSpec, Evidence, Extractor, MetricResult, empty_detections
from synthkit.meaning import cautions_of, check_name, check_value
from synthkit.sample import Detections, Sample
from synthkit.session import Session
from synthkit.weights import Pretrained


class Odd(Double):
    """A detector that answers for the samples at some places, in that order."""

    class_names = ("person",)
    places: ClassVar = [0, 1]

    def detect(self, samples):
        keys = [sample.key for sample in samples]
        return (empty_detections(keys[place]) for place in self.places)


class Telling(Counting):
    """A metric that shows what stands behind its numbers."""

    def explain(self, states):
        return Evidence([], {"counted": {role: int(state["count"][0]) for role, state in states.items()}}, {})


class Judging(Counting):
    """A metric that counts detections, and tells the checkpoint it was built with."""

    roles: ClassVar = {"candidate": "detections"}

    def compute(self, states):
        return [
            MetricResult("count", int(states["candidate"]["count"][0]), "higher", 1, {"of": self.checkpoint.sha256})
        ]


class Finding(Judging):
    """The same without a checkpoint."""

    def compute(self, states):
        return [MetricResult("count", int(states["candidate"]["count"][0]), "higher", 1)]


class Comparing(Counting):
    """A metric that looks at pairs: at how much brighter the candidates are."""

    roles: ClassVar = {"both": "pairs"}

    def observe(self, role, items):
        brighter = [int(pair.candidate.image[0, 0, 0]) - int(pair.reference.image[0, 0, 0]) for pair in items]
        return {"brighter": np.array(brighter)}

    def compute(self, states):
        return [MetricResult("brighter", float(states["both"]["brighter"].mean()), "higher", 1)]


class Seeing(Counting):
    """A metric that looks at depth, and tells which layers it was given."""

    roles: ClassVar = {"candidate": "samples"}
    reads = ("depth",)

    def observe(self, role, items):
        return {"layers": np.array(sorted({name for sample in items for name in sample.layers}), dtype=np.str_)}

    def compute(self, states):
        return [MetricResult("layers", 1.0, "higher", 1, {"seen": states["candidate"]["layers"].tolist()})]


OBSERVED: list[str] = []


class Remembering(Counting):
    """A metric whose states are kept."""

    def observe(self, role, items):
        OBSERVED.append(role)
        return super().observe(role, items)

    def observed(self, role):
        return {"extractor": f"counts {self.config.level}"}


class Doubling(Remembering):
    """A metric that observes the same, and tells something else of it."""

    def compute(self, states):
        return [MetricResult("double", 2 * int(states["candidate"]["count"][0]), "higher", 1)]


def published(name):
    return Pretrained(name, f"{name}.pth", name * 64, "a net", "free", "https://a", f"https://a/{name}.pth")


class Needing(Remembering):
    """A metric that needs weights, which are nowhere."""

    needed: ClassVar = ["a", "b"]

    def weights(self):
        return [(published(name), None) for name in self.needed]


class NeedingMore(Needing):
    """One that needs another one as well."""

    needed: ClassVar = ["b", "c"]

    def observed(self, role):
        return {"extractor": "more"}


class Wanting(Counting):
    """A metric that wants more samples than there are."""

    def compute(self, states):
        raise DatasetError("the candidate has too few")


class Lost(Remembering):
    """A metric that loses its way while it looks."""

    def observe(self, role, items):
        super().observe(role, items)
        raise KeyError("nowhere")

    def observed(self, role):
        return {"extractor": "lost"}


class Mute(Counting):
    """A metric that cannot show what stands behind its numbers."""

    def explain(self, states):
        raise DatasetError("has nothing to show")


class Failing(Remembering):
    """A metric whose network cannot be made."""

    def observed(self, role):
        raise ConfigError(["extractor: cannot be made"])


METRICS = {
    "needing": Needing,
    "more": NeedingMore,
    "failing": Failing,
    "wanting": Wanting,
    "lost": Lost,
    "mute": Mute,
    "counting": Counting,
    "telling": Telling,
    "judging": Judging,
    "finding": Finding,
    "comparing": Comparing,
    "remembering": Remembering,
    "doubling": Doubling,
    "seeing": Seeing,
}


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_CACHE", str(tmp_path / "cache"))
    OBSERVED.clear()
    return Session(registry_of(metric=METRICS, detector={"odd": Odd}))


@pytest.fixture
def sets(tmp_path):
    """Sets of two and of three samples with the same keys, of which the second's are darker by 10."""
    for name, count, light in (("a", 2, 40), ("b", 3, 30)):
        with DatasetWriter(tmp_path / name, identity={}, scenes=1) as writer:
            images = [np.full((4, 4, 3), light + n, np.uint8) for n in range(count)]
            writer.spool.put(0, [Sample(key=f"s{n}", image=image) for n, image in enumerate(images)])
            writer.finished(0)
            writer.finalise()
    return tmp_path / "a", tmp_path / "b"


def metric(name, **options):
    return ComponentSpec("metric", name, options)


def test_a_metric_of_detections_is_built_with_the_detectors_checkpoint(session, sets, tmp_path):
    path = tmp_path / "x.safetensors"
    card = {"kind": "detector", "name": "odd", "config": {}}
    save_file({"w": np.zeros(1)}, path, {CARD_KEY: json.dumps(card)})
    (result,) = evaluation.evaluate(session, metric("judging"), sets[0], checkpoint=path)
    sha256 = Checkpoint.open(path).sha256
    assert (result.value, result.definition) == (2, {"of": sha256, "checkpoint_sha256": sha256})


def test_a_detector_that_ships_its_weights_is_judged_by_its_name(session, sets, tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    save_file({"w": np.zeros(1)}, path, {CARD_KEY: json.dumps({"kind": "detector", "name": "odd", "config": {}})})
    monkeypatch.setattr(Component, "shipped_checkpoint", lambda _: path)
    (judged,) = evaluation.judge(session, [metric("judging")], sets[0], detector=ComponentSpec("detector", "odd"))
    assert judged.results[0].definition["checkpoint_sha256"] == Checkpoint.open(path).sha256
    assert "detector_settings" not in judged.results[0].definition


def test_a_detector_set_up_otherwise_than_it_was_trained_is_told(session, sets, tmp_path):
    path = tmp_path / "x.safetensors"
    card = {"kind": "detector", "name": "odd", "config": {"level": 2}}
    save_file({"w": np.zeros(1)}, path, {CARD_KEY: json.dumps(card)})
    plan = evaluation.plan(session.registry, {"detector": {"level": 7}}, "judging", checkpoint=path)
    spec = plan.components["detector"]
    assert spec.options == {"level": 7}
    (judged,) = evaluation.judge(session, plan.metrics, sets[0], detector=spec)
    assert judged.results[0].definition["detector_settings"] == {"level": 7}
    with pytest.raises(ConfigError) as caught:
        evaluation.plan(session.registry, {"detector": {"levle": 7}, "seed": -1}, "judgin", checkpoint=path)
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError, match="detector: which one"):
        evaluation.plan(session.registry, {"detector": {"level": 7}}, "judging")
    with pytest.raises(ConfigError, match="leave --detector away"):
        evaluation.plan(session.registry, {}, "judging", "odd", path)


def test_a_setting_that_a_card_does_not_know_yet_is_as_in_the_training_where_it_is_the_default(session, sets, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"w": np.zeros(1)}, path, {CARD_KEY: json.dumps({"kind": "detector", "name": "odd", "config": {}})})
    spec = chosen(session.registry, None, {"level": 1}, path)
    (judged,) = evaluation.judge(session, [metric("judging")], sets[0], detector=spec)
    assert "detector_settings" not in judged.results[0].definition


def test_evidence_is_told_by_metrics_that_have_some_and_where_it_is_wanted(session, sets):
    told, counted = evaluation.judge(session, [metric("telling"), metric("counting")], *sets)
    assert told.evidence.counts == {"counted": {"reference": 3, "candidate": 2}}
    assert counted.evidence is None
    (unasked,) = evaluation.judge(session, [metric("telling")], *sets, explained=False)
    assert unasked.evidence is None


def test_results_say_what_was_measured_and_by_which_version(session, sets):
    (result,) = evaluation.evaluate(session, metric("counting"), *sets)
    assert result.definition == {"by": "hand", "candidate": 2, "reference": 3}
    candidate, reference = (Dataset.open(at).fingerprint for at in sets)
    assert result.data == {"candidate": candidate, "reference": reference}
    assert result.version == "test 1, revision 1"


def test_pairs_are_joined_by_key(session, sets):
    (result,) = evaluation.evaluate(session, metric("comparing"), *sets)
    assert result.value == 10
    with pytest.raises(DatasetError, match=r"1 of its 3 samples are not in .*a, such as s2: this metric compares"):
        evaluation.evaluate(session, metric("comparing"), *reversed(sets))
    with pytest.raises(ConfigError, match="'comparing' compares two sets: give the other one as well"):
        evaluation.evaluate(session, metric("comparing"), sets[0])


def test_a_detector_is_judged_at_turns_where_that_is_asked(session, sets, tmp_path):
    Odd.places = range(6)
    try:
        (judged,) = evaluation.judge(
            session, [metric("finding")], sets[0], detector=ComponentSpec("detector", "odd"), turns=3
        )
    finally:
        Odd.places = [0, 1]
    assert judged.results[0].value == 6
    assert judged.results[0].definition["turns"] == "3 random turns of each image, seed 0"
    assert judged.results[0].data["candidate"] == Dataset.open(sets[0]).fingerprint
    assert judged.data.by_key("s1-turn2").meta["turned"]["of"] == "s1"
    with pytest.raises(ConfigError, match="'counting': judges no detector: leave --turns away"):
        evaluation.judge(session, [metric("counting")], *sets, turns=2)


def test_several_metrics_look_at_each_set_in_one_pass(session, sets, monkeypatch):
    read = []
    monkeypatch.setattr(session.registry, "environment", lambda spec: {})
    monkeypatch.setattr(
        Session, "counted", lambda self, stage, samples: (read.append(sample.key) or sample for sample in samples)
    )
    names = ["counting", "remembering", "doubling", "comparing"]
    judged = evaluation.judge(session, [metric(name) for name in names], *sets)
    assert [judgement.results[0].value for judgement in judged] == [2, 2, 4, 10]
    assert sorted(read) == sorted(["s0", "s1", "s0", "s1", "s2", "s0", "s1"])  # candidate, reference, pairs
    assert OBSERVED == ["reference", "candidate"]  # one for two that observe the same


def test_what_one_metric_needs_the_others_may_do_without(session, sets):
    detector = ComponentSpec("detector", "odd")
    judged = evaluation.judge(session, [metric("counting"), metric("finding")], *sets, detector=detector)
    assert [judgement.results[0].value for judgement in judged] == [2, 2]
    with pytest.raises(ConfigError) as caught:
        evaluation.judge(session, [metric("counting"), metric("finding")], sets[0])
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="'finding': compares with nothing: leave the second data set away"):
        evaluation.judge(session, [metric("finding")], *sets, detector=detector)
    with pytest.raises(ConfigError, match="'counting': judges images, not a detector"):
        evaluation.judge(session, [metric("counting")], *sets, detector=detector)


def test_which_of_several_metrics_cannot_tell_anything_is_told_and_what_the_others_say_is_kept(session, sets):
    names = ["lost", "wanting", "counting", "mute"]
    with pytest.raises(evaluation.MetricsFailed) as caught:
        evaluation.judge(session, [metric(name) for name in names], *sets)
    assert caught.value.problems == [
        "lost: fails with KeyError: 'nowhere'",
        "wanting: the candidate has too few",
        "mute: has nothing to show",
    ]
    assert [(one.metric, one.results[0].value) for one in caught.value.judged] == [("counting", 2), ("mute", 2)]
    assert OBSERVED == ["reference"]  # of the lost one: it is not asked again
    with pytest.raises(DatasetError, match=r"^the candidate has too few$"):
        evaluation.judge(session, [metric("wanting")], *sets)


def test_what_is_wrong_with_the_data_is_told_once(session, sets):
    damaged = next((sets[0] / "shards").glob("*.tar"))
    damaged.write_bytes(damaged.read_bytes()[:600])
    with pytest.raises(DatasetError) as caught:
        evaluation.judge(session, [metric("counting"), metric("remembering"), metric("wanting")], *sets)
    assert str(damaged) in str(caught.value)


def test_results_that_may_mean_little_say_so(session, sets):
    (same,) = evaluation.evaluate(session, metric("counting"), sets[0], sets[0])
    assert same.cautions == ("a set is compared with itself",)
    assert evaluation.evaluate(session, metric("counting"), *sets)[0].cautions == ()
    assert cautions_of({"candidate": 10, "reference": 21}, {"candidate": "a", "reference": "b"}) == (
        "10 items are compared with 21: only numbers of sets of like sizes can be compared",
    )
    assert cautions_of({"candidate": 10, "reference": 20}, {}) == ()
    assert cautions_of({"query": 1, "gallery": 9}, {}) == ()


def test_published_names_are_not_borrowed():
    real, stand_in = Extractor("inception", "ab", ""), Extractor("small net", "cd", "", stand_in_for="inception")
    for name in ("fid", "FID", "clean-fid", "clean_kid", "lpips[alex]", "lpips_reconstruction[vgg]", "Inception Score"):
        check_name("mine", MetricResult(name, 1.0, "lower", 9, extractor=real))
        with pytest.raises(PluginError, match=r"'mine' calls a result .* small net only stands in for inception"):
            check_name("mine", MetricResult(name, 1.0, "lower", 9, extractor=stand_in))
        with pytest.raises(PluginError, match="does not tell by which weights"):
            check_name("mine", MetricResult(name, 1.0, "lower", 9))
    check_name("mine", MetricResult("frechet_distance[small net]", 1.0, "lower", 9, extractor=stand_in))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_results_that_are_no_numbers_are_not_told(value):
    check_value("mine", MetricResult("level", -1.5, "lower", 9))
    with pytest.raises(PluginError, match=r"'mine' gives (nan|inf) for 'level'"):
        check_value("mine", MetricResult("level", value, "lower", 9))


def test_states_that_are_kept_are_read_again_by_all_that_observe_the_same(session, sets):
    a, b = sets
    first = evaluation.evaluate(session, metric("remembering"), a, b)
    assert OBSERVED == ["reference", "candidate"]
    assert evaluation.evaluate(session, metric("remembering"), a, b) == first
    (doubled,) = evaluation.evaluate(session, metric("doubling"), b, a)  # the roles are of no matter here
    assert (len(OBSERVED), doubled.value) == (2, 6)
    evaluation.evaluate(session, metric("remembering", level=2), a, b)
    assert len(OBSERVED) == 4


def test_all_networks_that_cannot_be_had_are_told_at_once(session, sets, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    monkeypatch.setenv("SYNTHKIT_WEIGHTS", str(tmp_path))
    (tmp_path / "c.pth").write_bytes(b"of something else")
    with pytest.raises(WeightsError) as caught:
        evaluation.judge(session, [metric(name) for name in ("needing", "more", "failing", "counting")], *sets)
    first, *lines = str(caught.value).splitlines()
    assert first == "extractor: cannot be made"
    assert len(lines) == 3
    for name, line in zip("ab", lines, strict=False):
        assert f"weights {name} are not on this machine" in line
        assert f"Download https://a/{name}.pth (sha256 {name * 64}) and put it as {name}.pth into " in line
    assert lines[2].startswith(f"weights c: {tmp_path / 'c.pth'} has sha256 ")
    assert OBSERVED == []
    with pytest.raises(ConfigError, match=r"^extractor: cannot be made$"):
        evaluation.judge(session, [metric("failing"), metric("counting")], *sets)


def test_what_is_kept_needs_no_weights(session, sets, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    evaluation.evaluate(session, metric("remembering"), *sets)
    (result,) = evaluation.evaluate(session, metric("needing"), *sets)  # it observes the same
    assert (result.value, len(OBSERVED)) == (2, 2)


def test_states_that_cannot_be_kept_stop_nobody(session, sets, tmp_path, caplog):
    (tmp_path / "cache").write_bytes(b"in the way")
    assert evaluation.evaluate(session, metric("remembering"), *sets)[0].value == 2
    assert "is not kept for another time" in caplog.text


def test_only_layers_that_some_metric_looks_at_are_decoded(session, tmp_path):
    layers = {"depth": np.ones((4, 4), np.float32), "instances": np.ones((4, 4), np.uint8)}
    with DatasetWriter(tmp_path / "in", identity={}, scenes=1) as writer:
        writer.spool.put(0, [Sample(key="s0", image=np.zeros((4, 4, 3), np.uint8), layers=layers)])
        writer.finished(0)
        writer.finalise()
    (result,) = evaluation.evaluate(session, metric("seeing"), tmp_path / "in")
    assert result.definition["seen"] == ["depth"]
    (result,), _ = (
        judged.results
        for judged in evaluation.judge(
            session, [metric("seeing"), metric("counting")], tmp_path / "in", tmp_path / "in"
        )
    )
    assert result.definition["seen"] == ["depth", "instances"]  # of the other one nothing is said


def test_states_that_were_damaged_are_made_again(session, sets, tmp_path):
    first = evaluation.evaluate(session, metric("remembering"), *sets)
    kept = sorted((tmp_path / "cache" / "states").iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].write_bytes(b"")
    assert evaluation.evaluate(session, metric("remembering"), *sets) == first
    assert len(OBSERVED) == 4


def images(count):
    return [Sample(key=f"s{n}", image=np.zeros((4, 4, 3), np.uint8)) for n in range(count)]


def session_with(detector):
    registry = registry_of(detector={"odd": Odd})
    registry.build = lambda spec, runtime: detector(None, None, runtime)
    return Session(registry)


def scored_keys(places):
    detector = type("Placed", (Odd,), {"places": places})
    found = observing.scored(session_with(detector), ComponentSpec("detector", "odd"), images(3))
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
        list(observing.scored(session_with(Broken), ComponentSpec("detector", "odd"), images(1)))
