# SPDX-License-Identifier: Apache-2.0
"""Experiments: plugins that follow them."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import light_components
import pytest
from experiment_lab import planned, read

from synthkit.errors import ConfigError
from synthkit.experiments import tracking
from synthkit.experiments.steps import Done
from synthkit.experiments.tracking import Trackers, _Tail
from synthkit.hookspecs import hookimpl
from synthkit.plugins import Origin, discover

ROOT = Path(__file__).resolve().parent.parent


class Follower:
    """Notes what it hears, and fails when it is told to."""

    def __init__(self, fails=""):
        self.heard, self.fails = [], fails

    @hookimpl
    def synthkit_step_began(self, step):
        self.heard.append(("began", step.label))

    @hookimpl
    def synthkit_curves(self, step, line):
        self.heard.append(("line", step.label, line["step"]))
        if self.fails:
            raise RuntimeError(self.fails)

    @hookimpl
    def synthkit_step_ended(self, step, result, error):
        self.heard.append(("ended", step.label, result.get("seconds"), error))


class Rude:
    """Changes what it is told, and ends the process."""

    @hookimpl
    def synthkit_step_began(self, step):
        step.settings.clear()

    @hookimpl
    def synthkit_step_ended(self):
        raise SystemExit(3)


def test_what_followers_do_to_what_they_are_told_changes_no_step(registry, lab, tmp_path):
    registry = discover()
    registry.add(light_components, Origin("light", "1.0", "light"))
    registry.add(Rude(), Origin("rude", "1.0", "rude"))
    plan, told = planned(registry, read(registry, lab[0], "trackers=['rude']")), []
    step = plan.rows[0].runs[0].train
    trackers, before = Trackers(registry, plan, tmp_path, told.append), step.id
    trackers.step_began(step)
    assert step.id == before
    trackers.step_ended(step, Done({}, 4.0, 1.0, 1), "")
    trackers.close()
    assert told == ["tracker 'rude' is left out from now on: SystemExit: 3"]


class Hanging:
    """Never comes back."""

    @hookimpl
    def synthkit_step_began(self):
        threading.Event().wait()


def test_followers_that_hang_hold_up_nothing(registry, lab, tmp_path, monkeypatch):
    registry = discover()
    registry.add(light_components, Origin("light", "1.0", "light"))
    good = Follower()
    registry.add(Hanging(), Origin("hanging", "1.0", "hanging"))
    registry.add(good, Origin("good", "1.0", "good"))
    plan, told = planned(registry, read(registry, lab[0], "trackers=['hanging', 'good']")), []
    step = plan.rows[0].runs[0].train
    monkeypatch.setattr(tracking, "_LAST_WORDS_S", 2.0)
    trackers = Trackers(registry, plan, tmp_path, told.append)
    trackers.step_began(step)
    trackers.step_ended(step, Done({}, 4.0, 1.0, 1), "")
    trackers.experiment_ended({}, None)
    assert told == ["tracker 'hanging' is left out from now on: it does not come to an end"]
    assert good.heard == [("began", step.label), ("ended", step.label, 4.0, "")]


def test_followers_that_hang_do_not_gather_what_is_told_for_ever(registry, lab, tmp_path, monkeypatch):
    registry = discover()
    registry.add(light_components, Origin("light", "1.0", "light"))
    registry.add(Hanging(), Origin("hanging", "1.0", "hanging"))
    plan, told = planned(registry, read(registry, lab[0], "trackers=['hanging']")), []
    monkeypatch.setattr(tracking, "_MOST_WAITING", 5)
    trackers = Trackers(registry, plan, tmp_path, told.append)
    for _ in range(8):
        trackers.step_began(plan.rows[0].runs[0].train)
    assert told == ["tracker 'hanging' is left out from now on: 5 things wait for it to take them"]


def _line(step, name="loss"):
    return json.dumps({"step": step, name: 0.5}) + "\n"


@pytest.mark.parametrize("seen_short", [True, False])
@pytest.mark.parametrize("lines_differ", [True, False])
def test_lines_that_a_training_writes_again_are_told_once(tmp_path, seen_short, lines_differ):
    """It went on from its state after two steps; steps 3 and 4 were lost, and are done again."""
    path, kept = tmp_path / "curves.jsonl", _line(1) + _line(2)
    tail = _Tail(path)
    path.write_text(kept + _line(3) + _line(4) + _line(4, "val_f1"))
    told = [*tail.lines()]
    if seen_short:
        path.write_text(kept)
        told += tail.lines()
    again = (_line(3) + _line(4)).replace("0.5", "0.4375" if lines_differ else "0.5")
    path.write_text(kept + again + _line(4, "val_f1") + _line(5) + _line(6))
    told += tail.lines()
    assert [(row["step"], "val_f1" in row) for row in told] == [
        (1, False), (2, False), (3, False), (4, False), (4, True), (5, False), (6, False)
    ]  # fmt: skip


def test_those_who_follow_hear_of_steps_and_curves_and_cannot_stop_an_experiment(lab, tmp_path):
    registry = discover()
    registry.add(light_components, Origin("light", "1.0", "light"))
    good, bad = Follower(), Follower("no network")
    registry.add(good, Origin("good", "1.0", "good"))
    registry.add(bad, Origin("bad", "1.0", "bad"))
    assert not registry.broken
    with pytest.raises(ConfigError, match="no plugin that follows experiments is called 'god'; did you mean 'good'"):
        read(registry, lab[0], "trackers=['god']")
    plan = planned(registry, read(registry, lab[0], "trackers=['bad', 'good']"))
    step = plan.rows[0].runs[0].train
    curves = tmp_path / step.folder / "training" / "curves.jsonl"
    curves.parent.mkdir(parents=True)
    told = []
    trackers = Trackers(registry, plan, tmp_path, told.append)
    trackers.step_began(step)
    curves.write_text('{"step": 1, "loss": 2}\n{"step": 2, "lo')
    trackers.listen()
    curves.write_text('{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\nnot json\n{"loss": 1}\n{"step": 3}\n')
    trackers.step_ended(step, Done({}, 4.0, 1.0, 1), "")
    trackers.close()
    label = step.label
    assert good.heard == [("began", label), *(("line", label, n) for n in (1, 2, 3)), ("ended", label, 4.0, "")]
    assert bad.heard == [("began", label), ("line", label, 1)]
    assert told == ["tracker 'bad' is left out from now on: RuntimeError: no network"]
