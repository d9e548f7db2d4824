# SPDX-License-Identifier: Apache-2.0
"""Experiments, with components that learn within milliseconds: running, being killed, comparing."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import numpy as np
import pytest
from experiment_lab import PLAIN, planned, read

from synthkit import config, pipeline
from synthkit.dataset import Dataset
from synthkit.errors import DatasetError
from synthkit.execution import Local
from synthkit.experiments import comparing, planning
from synthkit.experiments.history import History
from synthkit.experiments.steps import DONE_FILE, Done, done
from synthkit.experiments.whole import _allowed_mb
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import discover
from synthkit.report.experiment import distances, groups, scores, trainings
from synthkit.report.experiment.findings import Findings
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

ROOT = Path(__file__).resolve().parent.parent
TABLES = ("results.json", "results.csv", "results.md")


def _begin(lab, out, *more, file="light.toml"):
    folder, path = lab
    code = "from synthkit.cli import main; main()"
    command = [sys.executable, "-c", code, "experiment", str(folder / file), "--out", str(out), *more]
    environment = {**os.environ, "PYTHONPATH": path, "SYNTHKIT_CACHE": str(folder / "cache")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _run(lab, out, *more, file="light.toml"):
    process = _begin(lab, out, *more, file=file)
    told, errors = process.communicate(timeout=1500)
    return process.returncode, told, errors


@pytest.fixture(scope="module")
def whole(lab, tmp_path_factory):
    out = tmp_path_factory.mktemp("experiment") / "out"
    status, told, errors = _run(lab, out)
    assert status == 0, errors
    assert str(out / "report.html") in told
    return out


def _done(out):
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob(f"steps/*/{DONE_FILE}")}


# -- running


def test_a_whole_experiment_leaves_tables_figures_and_a_page(whole):
    numbers = json.loads((whole / "results.json").read_text())
    rows = {row["label"]: row for row in numbers["rows"]}
    assert list(rows) == ["rendered", "real", "tint", "real + 1 x tint", "real, 4 images"]
    assert rows["real, 4 images"]["samples"] == {"0": 4}
    assert rows["real"]["samples"] == {"0": 8}
    assert rows["real + 1 x tint"]["samples"] == {"0": 16}
    f1 = "f1[person, iou=0.50]"
    assert rows["real"]["headline"] == f1
    # White circles are found by who learned white, and not by who learned red: that is what all this is about.
    assert rows["real"]["numbers"][f1]["mean"] > 0.5 > rows["rendered"]["numbers"][f1]["mean"]
    low, high = rows["tint"]["differences"]["rendered"]["interval"]
    assert 0 < low < rows["tint"]["differences"]["rendered"]["mean"] < high
    with (whole / "results.csv").open() as file:
        flat = list(csv.DictReader(file))
    assert {(row["row"], row["seed"]) for row in flat} == {
        ("rendered", "0"),
        ("real", "0"),
        ("tint", "0"),
        ("real + 1 x tint", "0"),
        ("real, 4 images", "0"),
    }
    assert [row["measured against"] for row in flat if row["number"].startswith("psnr")] == ["rendered"]  # fmt: skip
    page = (whole / "report.html").read_text()
    for words in (
        "Trained on ", "against rendered", "drawn by lot", "What each row cost", "How it was measured",
        "Groups of rows", "How much real data it takes", "Test images with the worst finds of the detector of real",
        "Where the samples are", "Test images drawn by lot of the detector of tint",
    ):  # fmt: skip
        assert words in page, words
    assert page.count("<svg") >= 3
    assert not re.search(r'(src|href)="(?!data:|#)', page), "the page must stand alone"
    assert all(re.search(r'alt="[A-Z]\w* \w+', tag) for tag in re.findall(r"<img [^>]*>", page))
    tables = (whole / "results.md").read_text()
    mean = np.mean([rows[label]["numbers"][f1]["mean"] for label in ("rendered", "tint")])
    assert re.search(rf"\| none \| {mean:.3g} \[[^|]*\| -[^|]*\|.*\| rendered, tint \|", tables), tables
    assert list((whole / "figures").glob("*.svg"))
    assert list((whole / "figures").glob("*.png"))


def test_nothing_is_done_twice(lab, whole):
    before, tables = _done(whole), [(whole / name).read_bytes() for name in TABLES]
    status, _, errors = _run(lab, whole)
    assert status == 0, errors
    assert "0 to do" in errors
    assert _done(whole) == before
    assert [(whole / name).read_bytes() for name in TABLES] == tables


def test_rows_that_are_called_otherwise_cost_nothing(registry, lab, whole, tmp_path):
    text = (lab[0] / "light.toml").read_text()
    (tmp_path / "light.toml").write_text(re.sub(r"(?<!light-)\btint\b", "shade", text))
    plan = planned(registry, read(registry, tmp_path), whole)
    assert any(step.title == "refine shade, seed 0" for step in plan.steps.values())
    assert all(done(whole, step) for step in plan.steps.values())


def test_results_that_were_removed_are_made_again_and_no_others(lab, whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (refined,) = out.glob("steps/refine-tint-seed-0-*/set")
    shutil.rmtree(refined)
    (checkpoint,) = out.glob("steps/train-on-rendered-seed-0-*/training/checkpoint.safetensors")
    checkpoint.unlink()
    (judged,) = out.glob("steps/evaluate-detector-of-real-seed-0-*/results.json")
    judged.unlink()
    before = _done(out)
    assert "3 to do" in _run(lab, out, "--dry-run")[1]
    status, _, errors = _run(lab, out)
    assert status == 0, errors
    again = {name for name, when in _done(out).items() if when != before[name]}
    assert again == {refined.parent.name, checkpoint.parents[1].name, judged.parent.name}
    for name in TABLES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_raised_count_renders_the_new_samples_alone(lab, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("steps/render-rendered-*/set/**/*.*")}
    (few,) = {path.parents[1] for path in before if path.name == "dataset.json"}
    text = PLAIN.replace('[refiners.tint]\nname = "light-tint"', "").replace(",psnr", "")
    (lab[0] / "few.toml").write_text(text.replace("count = 12", "count = 15"))
    status, _, errors = _run(lab, tmp_path / "out", file="few.toml")
    assert status == 0, errors
    (many,) = set((tmp_path / "out").glob("steps/render-rendered-*")) - {few}
    log = [Dataset.open(folder / "set") for folder in (few, many)]
    assert [len(data) for data in log] == [12, 15]
    assert all((log[0][index].image == log[1][index].image).all() for index in range(12))
    assert all(path.read_bytes() == content for path, content in before.items())
    fresh = pipeline_render(tmp_path / "fresh", many)
    assert fresh == log[1].fingerprint


def pipeline_render(out, step):
    """Return the fingerprint of what a step's order gives when it begins from nothing."""
    order = json.loads((step / "step.json").read_text())
    found = discover()
    session = Session(found, config.structure(RunSettings, order["run"]), Local(0))
    return pipeline.render(session, ComponentSpec(**order["component"]), out, order["count"]).dataset.fingerprint


def test_killed_and_gone_on_with_it_ends_with_the_same_tables(lab, whole, tmp_path):
    out = tmp_path / "out"
    process = _begin(lab, out, "--set", "refiners.tint.pause_s=0.3", "--set", "detector.pause_s=0.3")
    _wait_for(lambda: len(_done(out)) >= 5 and list(out.glob("steps/*/training/curves.jsonl")), process)
    process.kill()
    process.communicate()
    before = _done(out)
    assert 5 <= len(before) < 18
    assert not (out / "report.html").exists()
    _wait_for(lambda: not _workers(out))
    status, _, errors = _run(lab, out)
    assert status == 0, errors
    assert {name: when for name, when in _done(out).items() if name in before} == before
    for name in TABLES:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


def test_interrupted_it_stops_its_steps_and_says_so(lab, tmp_path):
    out = tmp_path / "out"
    process = _begin(lab, out, "--set", "detector.pause_s=20")
    _wait_for(lambda: list(out.glob("steps/train-*/training/curves.jsonl")), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in errors
    assert not _workers(out)


def test_what_fails_stops_only_what_needs_it(lab, tmp_path):
    out = tmp_path / "out"
    sets = ("refiners.tint.goes_wrong=error", "refiners.dying.name=light-tint", "refiners.dying.goes_wrong=kill")
    status, _, errors = _run(lab, out, *(word for text in sets for word in ("--set", text)))
    assert status == 1
    assert "failed: fit tint, seed 0: it was told to fail" in errors
    assert "failed: fit dying, seed 0: its process ended with signal 9" in errors
    rows = {row["label"]: row for row in json.loads((out / "results.json").read_text())["rows"]}
    assert rows["tint"]["missing_seeds"] == [0]
    assert rows["real + 1 x tint"]["missing_seeds"] == [0]
    assert not rows["rendered"]["missing_seeds"]
    assert "3 trainings are not judged yet" in (out / "report.html").read_text()


def test_a_folder_with_something_else_is_left_alone(lab, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    status, _, errors = _run(lab, tmp_path)
    assert status == 2
    assert "holds something else" in errors


def test_the_plan_is_told_with_what_it_will_take(lab, whole, tmp_path):
    status, told, errors = _run(lab, tmp_path / "other", "--dry-run", "--set", "seeds=[0, 1]")
    assert status == 0, errors
    lines = told.splitlines()
    assert "31 steps, 31 to do; about" in told  # all but the renders and the four real images twice
    assert not (tmp_path / "other").exists()
    assert all(re.search(r"\d s, ", line) for line in lines[:31]), told
    assert "0 to do" in _run(lab, whole, "--dry-run")[1]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_smoke_experiment_killed_in_the_middle_ends_with_the_same_tables(tmp_path, capsys):
    command = [sys.executable, "-m", "synthkit", "experiment", str(ROOT / "experiments" / "smoke.toml"), "--out"]
    began = time.monotonic()
    subprocess.run([*command, str(tmp_path / "whole")], check=True, timeout=1200)
    with capsys.disabled():  # for those who read what continuous integration tells
        print(f"\nsmoke.toml, from nothing to the report: {time.monotonic() - began:.0f} s")
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, str(killed)])
    _wait_for(lambda: list(killed.glob(f"steps/refine-*/{DONE_FILE}")), process, seconds=900)
    process.kill()
    process.wait()
    _wait_for(lambda: not _workers(killed))
    subprocess.run([*command, str(killed)], check=True, timeout=1200)
    for name in TABLES:
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def _wait_for(holds, process=None, seconds=200):
    end = time.monotonic() + seconds
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def _workers(out):
    """Return the processes that work on steps in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"synthkit.experiments.worker" in words and str(out).encode() in words:
            found.append(path)
    return found


# -- comparing


def _scored(value, resampled=()):
    number = comparing.Number("f1", value, {0: value}, None, "higher")
    row = planning.Row("row", "detector", ())
    return comparing.Scored(row, {"f1": number}, "f1", {}, (), {}, {}, np.array(resampled))


def test_rows_are_compared_also_where_nothing_was_resampled():
    plain = comparing._Judged({"ap[x]": {0: 0.7}, "f1[x]": {0: 0.6}}, {}, {})
    assert comparing._headline(plain) == "f1[x]"
    found = comparing.between(_scored(0.6), _scored(0.5))
    assert (found.mean, found.interval, found.p) == (pytest.approx(0.1), None, None)


def test_a_difference_is_of_the_same_images_in_both_rows():
    images = np.random.default_rng(0).normal(0.5, 0.2, 2000)  # the images decide nearly all, and are the same in both
    better, worse = _scored(0.51, images + 0.01), _scored(0.5, images)
    found = comparing.between(better, worse)
    assert found.interval == pytest.approx((0.01, 0.01))
    assert found.p <= 1 / 2000
    assert comparing.between(worse, worse).p == 1


@pytest.mark.parametrize("name", ["results.json", "resampled.npz"])
@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x03\x04", b'{"results": 3}'])
def test_damaged_results_are_told(registry, lab, whole, tmp_path, name, content):
    shutil.copytree(whole, tmp_path / "copy", ignore=shutil.ignore_patterns("set", "training"))
    plan = planned(registry, read(registry, lab[0]))
    (tmp_path / "copy" / plan.rows[0].runs[0].judged.folder / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name} is damaged; remove the folder and run again"):
        comparing.compare(plan, tmp_path / "copy")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]", b'{"keys": ["x"]}', b'{"keys": 3, "units": 1}'])
def test_a_damaged_history_tells_nothing(registry, lab, tmp_path, content):
    (tmp_path / "durations.jsonl").write_bytes(content + b"\n")
    step = next(iter(planned(registry, read(registry, lab[0])).steps.values()))
    assert History(tmp_path / "durations.jsonl").cost(step) is None


@pytest.mark.parametrize("noted", [{}, {"result": 3, "seconds": 1, "peak_mb": 1, "bytes": 1}, {"result": {}}])
def test_a_step_whose_note_is_damaged_is_not_done(registry, lab, tmp_path, noted):
    step = next(iter(planned(registry, read(registry, lab[0])).steps.values()))
    (tmp_path / step.folder).mkdir(parents=True)
    (tmp_path / step.folder / DONE_FILE).write_text(json.dumps({"id": step.id, **noted}))
    assert done(tmp_path, step) is None


def test_trainings_add_as_much_variance_as_they_have():
    values = {seed: np.full(40_000, value) for seed, value in enumerate((0.5, 0.6, 0.9))}
    mean = comparing._mean(values, Seeds(0).child("x"), "row")
    spread = np.std([0.5, 0.6, 0.9], ddof=1) / np.sqrt(3)
    assert mean.std() == pytest.approx(spread, rel=0.02)
    assert mean.mean() == pytest.approx(2 / 3, abs=0.002)


def test_of_one_training_only_the_items_count():
    drawn = np.random.default_rng(0).normal(size=100)
    assert (comparing._mean({3: drawn}, Seeds(0), "row") == drawn).all()


def test_estimates_scale_with_what_there_is_to_do(registry, lab, tmp_path):
    history = History(tmp_path / "durations.jsonl")
    plan = planned(registry, read(registry, lab[0]))
    real, test, other = (plan.data[role].step for role in ("real", "test", "rendered"))
    assert history.cost(real) is None
    history.note(real, Done({}, 6.0, 100.0, 1200))
    found = History(tmp_path / "durations.jsonl").cost(test)
    assert (found.seconds, found.bytes) == (pytest.approx(6.0 * 24 / 8), pytest.approx(1200 * 24 / 8))
    assert History(tmp_path / "durations.jsonl").cost(other) is None


def test_other_settings_of_the_same_component_give_rough_estimates(registry, lab, tmp_path):
    history = History(tmp_path / "durations.jsonl")
    fits = [step for sets in ((), ("refiners.tint.strength=3.0",)) for step in
            planned(registry, read(registry, lab[0], *sets)).steps.values() if step.kind == "fit"]  # fmt: skip
    history.note(fits[0], Done({}, 6.0, 100.0, 1200))
    assert [history.cost(step).like for step in fits] == [True, False]


# -- the report


def _found(registry, folder, *sets):
    plan = planned(registry, read(registry, folder, *sets))
    return Findings(plan, [attrs.evolve(_scored(0.5), row=row) for row in plan.rows], folder)


def test_groups_are_compared_with_the_first_also_where_that_is_not_judged(registry, lab):
    found = _found(registry, lab[0], "groups.more=['tint']")
    rows = [attrs.evolve(one, headline=None) if one.row.label == "real" else one for one in found.scored]
    table = groups.group_table(attrs.evolve(found, scored=rows))
    told = {row[0]: row[table.columns.index("against the first")] for row in table.rows}
    assert told == {"real": "–", "none": "–", "more": "–"}


def test_the_distance_of_a_group_is_told_where_all_its_rows_have_one(registry, lab, monkeypatch):
    found = _found(registry, lab[0], "groups={both=['tint','rendered'], one=['tint']}")
    result = {"name": "psnr", "value": 1.0}
    monkeypatch.setattr(Findings, "distances", lambda self: iter([("tint", 0, "rendered", result)]))
    table = groups.group_table(found)
    told = {row[0]: row[table.columns.index("psnr to rendered")] for row in table.rows}
    assert (told["both"], told["one"]) == ("–", "1.00")


def test_a_row_whose_trainings_are_not_all_judged_is_told_as_such(registry, lab):
    found = _found(registry, lab[0], "seeds=[0, 1, 2]")
    rows = [attrs.evolve(one, missing=(1, 2)) if one.row.label == "tint" else one for one in found.scored]
    told = [row[0] for row in scores.score_table(attrs.evolve(found, scored=rows)).rows]
    assert told == ["rendered", "real", "tint (1 of 3 seeds)", "real + 1 x tint", "real, 4 images"]


def test_a_mixture_with_all_of_a_set_is_drawn_where_that_much_belongs(registry, lab):
    found = _found(registry, lab[0], "mixtures.all=['real','tint']")
    (points,) = scores._amounts(found.scored, found).values()
    assert [point.x for point in points] == [0.0, 1.0, 12 / 8]


def test_what_rows_cost_is_told_in_numbers_too(whole):
    with (whole / "costs.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    tint = {name: float(value or 0) for name, value in rows["tint"].items() if name != "row"}
    parts = [
        tint[f"{part}, s"] for part in ("data", "refiner's training", "refining", "detector's training", "judging")
    ]
    assert min(parts) > 0
    assert tint["together, s"] == pytest.approx(sum(parts), abs=0.01)
    assert rows["real"]["refining, s"] == ""


def test_rows_that_began_with_other_networks_are_told(registry, lab, monkeypatch):
    found = _found(registry, lab[0])
    rows = {one.row.label: one.row.runs[0].train.id for one in found.scored}
    cards = {rows[label]: {"backbone": {"weights": "squeezenet1_1"}} for label in ("rendered", "real")}
    monkeypatch.setattr(trainings, "_cards", lambda _: cards)
    assert list(trainings.networks(found)) == ["Detectors begin with squeezenet1_1."]
    cards[rows["tint"]] = {"backbone": {"weights": "rendered"}, "perceptual": None}
    (told,) = trainings.networks(found)
    assert told == "Caution: detectors begin with different networks: squeezenet1_1 (rendered, real); rendered (tint)."


def test_a_damaged_checkpoint_holds_no_report_up(registry, lab, whole, tmp_path):
    shutil.copytree(whole, tmp_path / "copy", ignore=shutil.ignore_patterns("set"))
    plan = planned(registry, read(registry, lab[0]), tmp_path / "copy")
    found = Findings(plan, comparing.compare(plan, tmp_path / "copy"), tmp_path / "copy")
    train = plan.rows[0].runs[0].train
    assert train.id in trainings._cards(found)
    (tmp_path / "copy" / train.product).write_bytes(b"torn")
    assert train.id not in trainings._cards(found)


def test_memory_is_what_control_groups_allow_at_most(tmp_path):
    own, groups = tmp_path / "own", tmp_path / "groups"
    (groups / "jobs" / "mine").mkdir(parents=True)
    own.write_text("0::/jobs/mine\n")
    assert _allowed_mb(own, groups) == math.inf
    (groups / "jobs" / "mine" / "memory.max").write_text("max\n")
    (groups / "jobs" / "memory.max").write_text("8000000000\n")
    assert _allowed_mb(own, groups) == 8000
    (groups / "memory").mkdir()
    (groups / "memory" / "memory.limit_in_bytes").write_text("2000000000\n")
    assert _allowed_mb(tmp_path / "nowhere", groups) == 2000


def test_scores_over_distances_are_of_one_detector(registry, lab, monkeypatch):
    found = _found(registry, lab[0], "detectors.other={name='light-blobs', steps=3}")
    result = {"name": "psnr", "value": 1.0}
    rows = ["tint", "real", "real + 1 x tint"]
    monkeypatch.setattr(Findings, "distances", lambda self: iter((row, 0, "rendered", result) for row in rows))
    assert [plot.alt for plot in distances._relations(found)] == [
        f"Scores of trainings of {name} over psnr to rendered" for name in ("light-blobs", "other")
    ]
    rows.pop()
    assert distances._relations(found) == [], "two trainings show no relation"
