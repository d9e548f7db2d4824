# SPDX-License-Identifier: Apache-2.0
"""What ``synthkit evaluate`` takes and tells: several metrics, their settings, a table, JSON."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from doubles import Counting, registry_of
from typer.testing import CliRunner

from synthkit import settings
from synthkit.cli.app import app
from synthkit.dataset import DatasetWriter
from synthkit.errors import ConfigError, DatasetError, SynthkitError
from synthkit.interfaces import Extractor, MetricResult
from synthkit.plugins import discover
from synthkit.sample import Sample


class Levels(Counting):
    """A metric that tells its setting, and that this means little."""

    roles: ClassVar = {"reference": "samples", "candidate": "samples"}

    def compute(self, states):
        extractor = Extractor("pixels", None, "as they are")
        return [
            MetricResult("level", float(self.config.level), "lower", 2, interval=(0.5, 12.25), extractor=extractor),
            MetricResult("level", 7.0, "lower", 2, {}, (6.0, 8.0), "subsets", "near", cautions=("there are few",)),
        ]


class Wanting(Counting):
    """A metric that wants more samples than there are."""

    def compute(self, states):
        raise DatasetError("there are too few samples")


class Broken(Counting):
    """A metric with a mistake in its code."""

    def observe(self, role, items):
        return {"count": np.array([len(items)])}  # of an iterator


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    registry = registry_of(metric={"counting": Counting, "levels": Levels, "wanting": Wanting, "broken": Broken})
    monkeypatch.setattr("synthkit.plugins.discover", lambda: registry)
    for name, count in (("a", 2), ("b", 3)):
        with DatasetWriter(tmp_path / name, identity={}, scenes=1) as writer:
            image = np.zeros((4, 4, 3), np.uint8)
            writer.spool.put(0, [Sample(key=f"s{n}", image=image) for n in range(count)])
            writer.finished(0)
            writer.finalise()

    def run(*words):
        return CliRunner().invoke(app, ["evaluate", *(str(tmp_path / w) if w in ("a", "b") else w for w in words)])

    return run


def test_several_metrics_are_told_in_one_table(evaluate):
    done = evaluate("a", "b", "--metrics", "counting, levels", "--set", "metric.levels.level=3")
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stdout.splitlines() == [
        "           value  95 % interval      n  better",
        "count          2                     1  higher",
        "level          3  [0.5, 12.25]       2  lower",
        "near:",
        "  level !      7  [6, 8] of subsets  2  lower",
    ]
    assert "caution: there are few (level)" in done.stderr


def test_json_tells_the_whole_records_and_leaves_the_table_to_the_terminal(evaluate):
    done = evaluate("a", "b", "--metrics", "levels,counting", "--set", "metric.level=4", "--json")
    first, part, count = json.loads(done.stdout)
    assert (first["name"], first["value"], first["interval"], first["better"]) == ("level", 4.0, [0.5, 12.25], "lower")
    assert first["extractor"]["preprocessing"] == "as they are"
    assert set(first["data"]) == {"candidate", "reference"}
    assert first["version"] == "test 1, revision 1"
    assert (part["part"], part["cautions"], count["value"]) == ("near", ["there are few"], 2)
    assert "[0.5, 12.25]" in done.stderr


def test_a_metric_that_fails_takes_no_others_results_with_it(evaluate, tmp_path):
    page = tmp_path / "page.html"
    done = evaluate("a", "b", "--metrics", "wanting,counting,broken,levels", "--json", "--report", str(page))
    assert [result["name"] for result in json.loads(done.stdout)] == ["count", "level", "level"]
    assert "higher" in done.stderr
    assert done.exit_code
    assert isinstance(done.exception, SynthkitError)
    assert str(done.exception).splitlines() == [
        "wanting: there are too few samples",
        "broken: fails with TypeError: object of type 'generator' has no len()",
    ]
    assert "wanting: there are too few samples" in page.read_text()


def test_where_all_metrics_fail_nothing_but_that_is_told(evaluate, tmp_path):
    page = tmp_path / "page.html"
    done = evaluate("a", "b", "--metrics", "wanting,broken", "--report", str(page))
    assert (done.stdout, page.exists()) == ("", False)
    assert len(str(done.exception).splitlines()) == 2


def test_wrong_metrics_are_told_at_once(evaluate):
    done = evaluate("a", "--metrics", "counting,levles,levels")
    assert done.exit_code
    assert "no metric is called 'levles'; did you mean 'levels'?" in str(done.exception)
    assert "which ones? give --metrics NAME" in str(evaluate("a").exception)
    done = evaluate("a", "--metrics", "counting,levels")
    assert str(done.exception).count("give the other one as well") == 2


def test_a_setting_is_for_all_metrics_that_have_it_or_for_one():
    def chosen(table, names="detection,memorisation"):
        return settings.plan(discover(), {"metric": table}, {"metric": names}).metrics

    first, second = chosen({"bootstrap": 5, "shown": 3, "memorisation": {"chance": 0.05}})
    assert (first.options, second.options) == ({"bootstrap": 5}, {"shown": 3, "chance": 0.05})
    (alone,) = chosen({"name": "detection", "iou": 0.3}, None)
    assert (alone.name, alone.options) == ("detection", {"iou": 0.3})
    with pytest.raises(ConfigError) as caught:
        chosen({"bootstrep": 5, "shown": 0, "detection": {"chance": 1}})
    problems = "\n".join(caught.value.problems)
    assert "metric.bootstrep: unknown setting; did you mean 'bootstrap'?" in problems
    assert "metric.memorisation.shown: " in problems
    assert "metric.detection.chance: unknown setting" in problems
