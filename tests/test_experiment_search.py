# SPDX-License-Identifier: Apache-2.0
"""Looking for settings: on validation alone, to the same end whatever was interrupted."""

from __future__ import annotations

import json
import shlex
import sys

import pytest

from synthkit import config
from synthkit.errors import ConfigError
from synthkit.execution import Local
from synthkit.experiments import planning, search
from synthkit.experiments.steps import Done, note_done
from synthkit.report.experiment.searching import write_search
from synthkit.session import Session

FILE = """
seeds = [0, 1]

[data.rendered]
renderer = { name = "circles-x1" }
[data.real]
renderer = { name = "circles-y1" }
[data.validation]
renderer = { name = "circles-y1" }
[data.test]
renderer = { name = "circles-y1" }

[refiners.tint]
name = "light-tint"

[detectors.light-blobs]

[metric]
name = "detection"

[search]
row = "tint"
trials = 14

[search.ranges]
"refiners.tint.strength" = { low = 0.01, high = 100.0, log = true }
"detector.steps" = { low = 1, high = 9 }
"""
RANGES = ("refiners.tint.strength", "detector.steps")


@pytest.fixture
def file(tmp_path):
    (tmp_path / "light.toml").write_text(FILE)
    return tmp_path / "light.toml"


class Worker:
    """Does steps without doing them: a training scores the better the nearer its settings are to (2, 6)."""

    def __init__(self, fails=()):
        self.done, self.fails = [], fails

    def __call__(self, plan, steps, out):
        for step in steps.values():
            if (out / step.folder).exists():
                continue
            assert step.kind in ("render", "fit", "refine", "train"), "nothing is judged on the test set"
            assert "data.test" not in step.label
            self.done.append(step.title)
            (out / step.folder).mkdir(parents=True)
            if step.kind == "train":
                near = abs(step.identity["component"]["config"]["steps"] - 6)
                result = {"validation": {"loss": 1.0, "f1": 1 / (1 + near), "recall": 0.5}}
                if near in self.fails:
                    continue
                (out / step.product).parent.mkdir()
                (out / step.product).touch()
                note_done(out / step.folder, step.id, Done(result, 1.0, 1.0, 1))


def _found(registry, file, out, worker, sets=(), most=None):
    declared = search.declared(file, sets)
    trials = search.look(
        declared, registry, file, sets,
        lambda experiment: planning.plan(Session(registry, experiment.run, Local(0)), experiment, out),
        lambda plan, steps: worker(plan, steps, out), out,
    )  # fmt: skip
    return [trial for trial, _ in zip(trials, range(most or declared.trials), strict=False)]


def test_a_search_finds_what_is_good_and_is_the_same_when_it_was_stopped(registry, file, tmp_path):
    pytest.importorskip("optuna")
    whole = _found(registry, file, tmp_path / "a", Worker())
    assert len(whole) == 14
    assert search.best_of(whole).score == 1
    for trial in whole:
        assert 0.01 <= trial.values[RANGES[0]] <= 100
        assert trial.values[RANGES[1]] in range(1, 10)
    worker = Worker()
    assert _found(registry, file, tmp_path / "b", worker, most=5) == whole[:5]
    before = len(worker.done)
    again = Worker()
    assert _found(registry, file, tmp_path / "b", again) == whole
    assert before
    assert again.done
    assert not set(again.done) & {title for title in worker.done if title.startswith("render")}
    assert _found(registry, file, tmp_path / "c", Worker(), ["seed=5"], most=3) != whole[:3]


def test_by_lot_and_among_choices(registry, file, tmp_path):
    pytest.importorskip("optuna")
    sets = ["search.sampler=random", "search.score=recall", "search.trials=6",
            "search.ranges={'refiners.tint.goes_wrong'=['', 'error'], 'detector.steps'={low=1, high=9}}"]  # fmt: skip
    trials = _found(registry, file, tmp_path / "a", Worker(), sets)
    assert {trial.values["refiners.tint.goes_wrong"] for trial in trials} == {"", "error"}
    assert {trial.score for trial in trials} == {0.5}


def test_choices_are_taken_as_they_are_spelled():
    values = {"refiner.file": 'C:\\a "b" é', "refiner.steps": 3, "refiner.on": True, "refiner.rate": 1e-5}
    assert config.parse_sets(search.sets_of(values)) == {
        "refiner": {name.partition(".")[2]: value for name, value in values.items()}
    }


def test_the_shell_takes_them_as_they_are_spelled():
    values = {'refiners."1.5 x".textures': "it's $HOME `x`", "refiner.steps": 3}
    assert shlex.split(search.options_of(values)) == ["--set", search.sets_of(values)[0], "--set", "refiner.steps=3"]


def test_a_search_goes_on_after_settings_that_are_refused(registry, file, tmp_path):
    pytest.importorskip("optuna")
    sets = [
        "search.trials=8",
        "search.ranges={'refiners.tint.strength'=[2.0, 'much'], 'detector.steps'={low=1, high=9}}",
    ]
    trials = _found(registry, file, tmp_path / "a", Worker(), sets)
    assert len(trials) == 8
    assert {trial.values["refiners.tint.strength"] for trial in trials} == {2.0, "much"}
    for trial in trials:
        assert (trial.score is None) == (trial.values["refiners.tint.strength"] == "much")
        assert not trial.failed or trial.failed.startswith("refiners.tint.strength: expected a number, got 'much'")
    page = write_search(search.declared(file, sets), trials, tmp_path / "a").read_text()
    assert "failed: refiners.tint.strength: expected a number" in page


def test_trials_that_fail_have_no_score(registry, file, tmp_path):
    pytest.importorskip("optuna")
    trials = _found(registry, file, tmp_path / "a", Worker(fails=range(1, 9)))
    assert {(trial.score, trial.failed) for trial in trials} <= {(1.0, ""), (None, "not every training was done")}
    page = write_search(search.declared(file, ()), trials, tmp_path / "a")
    told = json.loads((tmp_path / "a" / "search.json").read_text())
    assert [trial["score"] for trial in told["trials"]] == [trial.score for trial in trials]
    assert "the test set had no part" in page.read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("search.row=tin", "search.row: no row is called 'tin'; did you mean 'tint'"),
        ("search.score=f2", "trainings tell no 'f2'; known: f1, loss, recall"),
        ("search.ranges={'refiners.tint.strenght'={low=1.0, high=2.0}}", "refiners.tint.strenght: unknown setting"),
        ("search.ranges={'seed'={low=2, high=1}}", "search.ranges.seed: expected two choices at least"),
        ("search.ranges={'seed'={low=0, high=1, log=true}}", "only where low is above 0"),
        ("search.ranges=3", "search.ranges: expected settings"),
        ("search.trials=0", "search.trials: must be at least 1"),
    ],
)
def test_mistakes_are_told(registry, file, tmp_path, change, words):
    pytest.importorskip("optuna")
    with pytest.raises(ConfigError) as caught:
        _found(registry, file, tmp_path / "a", Worker(), [change])
    assert any(words in problem for problem in caught.value.problems), caught.value.problems


def test_what_is_missing_is_told(registry, file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"optuna is missing: pip install 'synthkit-core\[search\]'"):
        _found(registry, file, tmp_path / "a", Worker())
    file.write_text(FILE.partition("[search]")[0])
    with pytest.raises(ConfigError, match="declares no search"):
        search.declared(file, ())
