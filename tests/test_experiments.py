# SPDX-License-Identifier: Apache-2.0
"""Experiments, with components that learn within milliseconds: reading, planning, running, being killed, comparing."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import attrs
import light_components
import numpy as np
import pytest
from PIL import Image

from synthkit import config, pipeline
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError
from synthkit.execution import Local
from synthkit.experiments import comparing, description, planning, tracking
from synthkit.experiments.history import History
from synthkit.experiments.steps import DONE_FILE, Done, done
from synthkit.experiments.tracking import Trackers, _Tail
from synthkit.hookspecs import hookimpl
from synthkit.interfaces import ComponentSpec
from synthkit.plugins import Origin, discover
from synthkit.report.experiment import distances, groups
from synthkit.report.experiment.findings import Findings
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings

ROOT = Path(__file__).resolve().parent.parent
CIRCLES = 'renderer = { name = "circles-NAME", size_px = 48, circles = [1, 3] }'
TEXT = f"""
title = "Light"
threads = 1
controls = ["tint"]

[data.rendered]
count = 12
{CIRCLES.replace("NAME", "x1")}
[data.real]
count = 8
{CIRCLES.replace("NAME", "y1")}
[data.validation]
count = 4
{CIRCLES.replace("NAME", "y1")}
[data.test]
count = 24
{CIRCLES.replace("NAME", "y1")}

[refiners.tint]
name = "light-tint"

[mixtures]
"real + 1 x tint" = ["real", "tint:1"]

[groups]
real = ["real", "real + 1 x tint"]
none = ["rendered", "tint"]

[sizes]
counts = [4]

[detectors.light-blobs]

[metric]
name = "detection,psnr"

[metric.detection]
target = "person"
coco = false
size_edges_px = []
distance_edges = []
"""
PLAIN = re.sub(r"\[mixtures\].*(?=\[detectors)", "", TEXT, flags=re.DOTALL).replace('controls = ["tint"]', "")
"""Without what is told of several rows."""

TABLES = ("results.json", "results.csv", "results.md")


@pytest.fixture(scope="module")
def registry():
    found = discover()
    found.add(light_components, Origin("light", "1.0", "light"))
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "light.toml").write_text(TEXT)
    (folder / "site").mkdir()
    return folder, light_components.installed(folder / "site")


def _read(registry, folder, *sets):
    return description.read(folder / "light.toml", registry, sets)


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


# -- reading


def test_all_mistakes_are_told_at_once(registry, lab):
    with pytest.raises(ConfigError) as caught:
        _read(
            registry, lab[0], "threds=3", "seeds=[1, 1]", "data.rest.path=x", "data.test.count=0",
            "refiners.tint.strenght=2", "refiner.steps=many", "detector.unheard_of=1",
            "mixtures.more=['reel','tint:2']", "groups.a=['tin']", "sizes.counts=[0]", "controls=['tinted']",
            "mixtures.least=['real:2','tint:0']", "data.real.path=elsewhere",
            "refiners.tint2.name='light-tint'", "refiners.tint2.vary={steps=[1,1]}", r'trackers=["a", "a"]',
            r'refiners."a\nb".name="light-tint"', r'mixtures={"a\tb"=["real", "tint"], " "=["real", "tint"]}',
            r'groups."\u001b[1m"=["tint"]', r'title="Which?\r"', "sizes.refiners=['tint', 'tint']",
            "detectors.light-blobs.seeds=[1]",
            "metric.psnr.source='@nowhere'", "baselines=['rendered','tinted']", "refiners.real.name='light-tint'",
        )  # fmt: skip
    told = "\n".join(caught.value.problems)
    for words in (
        "threds: unknown setting; did you mean 'threads'", "seeds: must name each at most once, got [1, 1]",
        "trackers: must name each at most once, got ['a', 'a']", "sizes.refiners: must name each at most once",
        r"refiners: 'a\nb' is empty, or has line breaks", r"mixtures: 'a\tb' is empty", "mixtures: ' ' is empty",
        r"groups: '\x1b[1m' is empty, or has line breaks", r"title: 'Which?\r' is empty, or has line breaks",
        "data.rest: unknown data set; did you mean 'test'", "data.test.count: must be at least 1",
        "refiners.tint.strenght: unknown setting; did you mean 'strength'",
        "refiners.tint.steps: expected a whole number",
        "detectors.light-blobs.seeds: are for refiners",
        "detector.unheard_of: no detector of this experiment has such a setting", "metric.psnr.source: unknown setting",
        "mixtures.more: no row is called 'reel'; did you mean 'real'", "baselines: no row is called 'tinted'",
        "refiners.real: is the name of a data set",
        "groups.a: no row is called 'tin'; did you mean 'tint'", "sizes.counts: must be at least 1",
        "controls: no refiner is called 'tinted'; did you mean 'tint'", "mixtures.least: the first is taken whole",
        "mixtures.least: tint:0 adds nothing",
        "refiners.tint2: there are two refiners called 'tint2, steps=1'", "data.real: needs either path or renderer",
    ):  # fmt: skip
        assert words in told, (words, told)


@pytest.mark.parametrize("name", ["rendered", "real", "validation", "test"])
def test_no_refiner_is_called_like_a_data_set(registry, lab, name):
    with pytest.raises(ConfigError, match=f"refiners.{name}: is the name of a data set"):
        _read(registry, lab[0], f"refiners.{name}={{name='light-tint'}}")


def test_counts_of_a_set_that_is_there_are_refused(registry, tmp_path):
    (tmp_path / "light.toml").write_text("[data]\nreal = 5\n[data.test]\npath = 'x'\ncount = 9\n")
    with pytest.raises(ConfigError) as caught:
        description.read(tmp_path / "light.toml", registry)
    told = "\n".join(caught.value.problems)
    assert "data.test: a set that is there has its samples: leave count and seed away" in told
    assert "data.real: expected a table" in told


def test_what_is_missing_is_told(registry, tmp_path):
    (tmp_path / "empty.toml").write_text("[data.test]\npath = 'x'\nrenderer = { name = 'circles-x1' }\n")
    with pytest.raises(ConfigError) as caught:
        description.read(tmp_path / "empty.toml", registry)
    told = "\n".join(caught.value.problems)
    for words in ("data.rendered: is required", "data.test: needs either path or renderer",
                  "data.test: is for detectors", "metric: is required"):  # fmt: skip
        assert words in told, told


def test_settings_are_varied_and_shared(registry, tmp_path):
    (tmp_path / "light.toml").write_text(PLAIN)
    sets = ("refiners.tint.vary={strength=[0.5, 2.0], steps=[1, 2]}", "refiner.pause_s=0.25")
    found = _read(registry, tmp_path, *sets)
    assert list(found.refiners) == [f"tint, strength={a}, steps={b}" for a in (0.5, 2.0) for b in (1, 2)]
    assert all(row.spec.options["pause_s"] == 0.25 for row in found.refiners.values())
    assert found.refiners["tint, strength=2.0, steps=1"].spec.options["strength"] == 2.0


def test_what_a_row_changes_in_a_table_of_settings_is_its_own(registry, tmp_path):
    text = TEXT + "[refiner]\ntarget_crops = { min_px = 5 }\n[refiners.aggan]\n[refiners.cyclegan-cp]\n"
    text += "target_crops = { min_px = 9 }\n[refiners.cut]\n"
    (tmp_path / "light.toml").write_text(text)
    rows = _read(registry, tmp_path).refiners
    chosen = [rows[name].spec.options["target_crops"]["min_px"] for name in ("aggan", "cyclegan-cp", "cut")]
    assert chosen == [5, 9, 5]


def test_a_mixture_has_the_seeds_that_its_refiners_have(registry, lab):
    found = _read(registry, lab[0], "seeds=[0, 1]", "refiners.tint.seeds=[1, 7]")
    assert found.seeds_of("real + 1 x tint") == (1, 7)
    assert found.seeds_of("real") == (0, 1)


@pytest.fixture
def users_folders(tmp_path, monkeypatch):
    """Small ones of what the experiments that ship find on their users' disks; photos have boxes and no masks."""
    for name in ("EMPTY_ROOM", "PAINTINGS", "makehuman", "cmu_bvh"):
        (tmp_path / name).mkdir()
    for level, (part, count) in enumerate({"train": 50, "val": 2, "test": 2}.items()):
        _photos(tmp_path / "real" / part, count, level)
    (tmp_path / "squeezenet.npz").write_bytes(b"")
    Image.new("RGB", (64, 48)).save(tmp_path / "EMPTY_ROOM" / "room.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _photos(folder, count, level):
    """Write photos with rotated boxes, as CEPDOF has them."""
    names = [f"Hall_{number:06d}" for number in range(1, count + 1)]
    images = [{"file_name": f"{name}.jpg", "id": name, "width": 48, "height": 48} for name in names]
    box = {"bbox": [20, 22, 10, 18, 30], "area": 180, "category_id": 1, "iscrowd": 0, "segmentation": []}
    for place in ("Hall", "annotations"):
        (folder / place).mkdir(parents=True)
    for name in names:
        Image.new("RGB", (48, 48), (level, level, level)).save(folder / "Hall" / f"{name}.jpg")
    table = {"images": images, "annotations": [{**box, "image_id": name} for name in names]}
    (folder / "annotations" / "Hall.json").write_text(json.dumps(table))


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("*.toml")), ids=lambda file: file.stem)
def test_experiments_that_ship_can_be_planned(registry, file, users_folders):
    found = description.read(file, registry)
    plan = _plan(registry, found)
    assert {row.label for row in plan.rows} == (set(found.rows) if found.detectors else set())
    assert plan.comparisons


CP, CF, IF, IP = ({"cyclic_pixel_weight": 10}, {"cyclic_feature_weight": 1e-5}, {"identity_feature_weight": 5e-6},
                  {"identity_pixel_weight": 10})  # fmt: skip
DF = {"discriminator_feature_weight": 1e-5}
TABLE_3_2 = {
    "C_CP": CP, "C_CPCF": CP | CF, "C_CPCFIF": CP | CF | IF, "C_CPCFIP": CP | CF | IP, "D": DF | IF,
    "M": {"mean_feature_weight": 5e-5, "perceptual_pools": (2, 5)} | IF, "A": {"cyclic_pixel_weight": 1e-5},
    "M^S": {"mean_feature_weight": 1e-5, "perceptual_pools": (2, 5)} | IF,
}  # fmt: skip


def test_the_rows_of_the_thesis_have_its_losses(registry, users_folders):
    found = description.read(ROOT / "experiments" / "thesis-000.toml", registry)
    for symbol in ("C_CP", "C_CPCF", "C_CPCFIF", "C_CPCFIP", "D", "M", "A"):
        for label, skip in ((symbol, False), (f"{symbol}^S", True)):
            settings = registry.configure(found.refiners[label].spec)
            expected = TABLE_3_2.get(label, TABLE_3_2[symbol])
            assert settings.skip == skip, label
            weights = {field.name for field in attrs.fields(type(settings)) if field.name.endswith("_weight")}
            for name in (weights - {"gradient_penalty_weight"}) | expected.keys():
                assert getattr(settings, name) == expected.get(name, 0), (label, name)
    assert [part.amount for part in found.mixtures["R_train + 7x"]] == [None, 7]


LADDER = {
    "Base": {"feature_maps": (3, 4, 5, 6), "co_modulation": False, "discriminator_sees": "mask", "channels": 32},
    "+ more FM resolutions": {"feature_maps": (0, 1, 2, 3, 4)},
    "+ co-modulation": {"co_modulation": True},
    "+ impr disc conditioning": {"discriminator_sees": "surface"},
    "+ larger model": {"channels": 64},
}
"""What each model of thesis 002, table 5.3, changes in the one before (section 5.3.4)."""


def test_the_models_of_the_second_thesis_are_its_ladder(registry):
    found = description.read(ROOT / "experiments" / "thesis-002.toml", registry)
    expected = {}
    for label, changes in LADDER.items():
        expected |= changes
        settings = registry.configure(found.refiners[label].spec)
        assert {name: getattr(settings, name) for name in expected} == expected, label
        assert settings.appearance
        assert (settings.images, settings.kl_weight) == (12_000_000, 0.01)
    assert not registry.configure(found.refiners["StyleGAN Baseline"].spec).appearance
    plan = _plan(registry, found)
    kinds = [step.kind for step in plan.steps.values()]
    assert (kinds.count("fit"), kinds.count("refine"), kinds.count("train")) == (9, 11, 0)
    measured = {(one.row, one.other) for one in plan.comparisons}
    assert {("rendered", "real"), ("Ours", "real"), ("Ours", "rendered"), ("masked", "rendered")} <= measured


# -- planning


def _plan(registry, described):
    return planning.plan(Session(registry, described.run), described)


def test_steps_are_shared_between_rows(registry, lab):
    plan = _plan(registry, _read(registry, lab[0], "seeds=[0, 1]", "refiners.tint.seeds=[0]"))
    kinds = [step.kind for step in plan.steps.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "render": 4, "subset": 1, "fit": 1, "refine": 1, "train": 8, "evaluate": 9
    }  # fmt: skip
    order = list(plan.steps)
    for place, step in enumerate(plan.steps.values()):
        assert all(order.index(need) < place for need in step.needs)


def test_refiners_are_trained_towards_parts_of_the_real_images(registry, lab):
    plan = _plan(registry, _read(registry, lab[0], "sizes={counts=[2, 4], refiners=['tint']}"))
    steps = list(plan.steps.values())
    assert [step.label for step in steps if step.kind == "fit"] == [
        "tint, seed 0", "tint, 2 images, seed 0", "tint, 4 images, seed 0"
    ]  # fmt: skip
    rows = {row.label: row.runs[0] for row in plan.rows}
    few, both = rows["tint, 2 images"], rows["real + tint, 2 images"]
    assert [source.step.title for source, _ in both.data] == ["subset 2 real images", "refine tint, 2 images, seed 0"]
    assert few.data[0][0] == both.data[1][0]
    with pytest.raises(ConfigError, match=r"sizes\.counts: 9 real images, and there are 8"):
        _plan(registry, _read(registry, lab[0], "sizes={counts=[9]}"))


def test_without_detectors_data_sets_alone_are_compared(registry, lab, tmp_path):
    text = (lab[0] / "light.toml").read_text()
    for table in ("data.validation", "data.test", "mixtures", "sizes", "detectors.light-blobs", "metric.detection"):
        text = re.sub(rf"\[{re.escape(table)}\]\n(?:[^\[\n].*\n|\n)*", "", text)
    (tmp_path / "light.toml").write_text(text.replace("detection,psnr", "psnr").replace(', "real + 1 x tint"', ""))
    plan = _plan(registry, _read(registry, tmp_path))
    assert not plan.rows
    assert [step.kind for step in plan.steps.values()] == ["render", "render", "fit", "refine", "evaluate"]
    with pytest.raises(ConfigError, match=r"data\.test: is for detectors, and there are none"):
        _read(registry, tmp_path, "data.test.path=x")
    with pytest.raises(ConfigError, match=r"metric\.pca: no data set is called 'test'"):
        _read(registry, tmp_path, "metric={name='pca', source='@test'}")
    with pytest.raises(ConfigError, match="detection judges detectors: add one"):
        _plan(registry, _read(registry, tmp_path, "metric={name='psnr,detection'}"))


def test_only_what_a_change_decides_about_is_done_again(registry, lab):
    before = set(_plan(registry, _read(registry, lab[0])).steps)
    stronger = _plan(registry, _read(registry, lab[0], "refiners.tint.strength=2.0"))
    new = sorted(step.title for key, step in stronger.steps.items() if key not in before)
    assert [title.split()[0] for title in new] == ["evaluate"] * 3 + ["fit", "refine", "train", "train"]
    slower = _plan(registry, _read(registry, lab[0], "refiners.tint.pause_s=2.0", "title='Other'"))
    assert set(slower.steps) == before
    assert not before & {key for key, step in _plan(registry, _read(registry, lab[0], "seed=5")).steps.items()
                         if step.kind == "render"}  # fmt: skip


def test_data_sets_of_one_renderer_show_different_scenes(registry, lab):
    plan = _plan(registry, _read(registry, lab[0]))
    seeds = {source.step.order["run"]["seed"] for source in plan.data.values()}
    assert len(seeds) == 4


def _other_data(**data):
    """Return the text of an experiment of one refiner with other data sets, by role."""
    text = PLAIN
    for role, told in data.items():
        text = re.sub(rf"\[data\.{role}\]\n.*\n.*\n", f"[data.{role}]\n{told}\n", text)
    return text


def _with_data(registry, folder, metrics, **data):
    """Return what plans an experiment with other data sets and metrics."""
    (folder / "other.toml").write_text(_other_data(**data).replace('"detection,psnr"', f'"detection,{metrics}"'))
    return lambda *sets: _plan(registry, description.read(folder / "other.toml", registry, sets))


def test_distances_between_masked_people_are_refused_where_photos_have_no_masks(registry, users_folders):
    plan = _with_data(registry, users_folders, "frechet,psnr", real="path = 'real/train'")
    masked = ("metric.frechet.region=masked-crops", "metric.psnr.region=masked-crops")
    with pytest.raises(ConfigError) as caught:
        plan(*masked)
    assert list(caught.value.problems) == [
        "metric.frechet: 'frechet' set up so needs instances, and samples of data.real carry only people.rotated_box"
    ]  # psnr is of pairs of rendered and refined ones, which have masks
    assert plan(*masked, "metric.frechet.region=crops").comparisons


def test_refiners_and_metrics_need_what_stored_samples_carry(registry, users_folders):
    data = {"rendered": "path = 'real/val'", "real": "path = 'real/train'"}
    plan = _with_data(registry, users_folders, "pca,surface-consistency", **data)
    with pytest.raises(ConfigError) as caught:
        plan("refiners.gan={name='aggan'}", "metric.pca={source='@test', region='masked-crops'}")
    told = "\n".join(caught.value.problems)
    for words in ("refiners.gan: 'aggan' set up so needs instances, and samples of data.rendered carry only",
                  "metric.pca: 'pca' set up so needs instances, and samples of data.real carry only",
                  "metric.surface-consistency: 'surface-consistency' set up so needs instances, surface"):  # fmt: skip
        assert words in told, told
    assert "samples of data.test" not in told


def test_layers_that_a_renderer_is_told_to_make_are_there(registry, users_folders):
    rendered = "renderer = { name = 'blender', layers = ['depth'] }"
    plan = _with_data(registry, users_folders, "surface-consistency", rendered=rendered)
    with pytest.raises(ConfigError, match=r"needs surface, and samples of data\.rendered carry only depth, instances"):
        plan()
    assert plan("data.rendered.renderer.layers=['surface']").comparisons


@pytest.mark.parametrize("role", ["real", "validation"])
def test_what_is_learned_from_gives_no_scores(registry, lab, tmp_path, role):
    told = f"data.test: is the same as data.{role}: scores need images that had no other part"
    alike = "{count=4, seed=7, renderer={name='circles-y1'}}"
    with pytest.raises(ConfigError, match=told):
        _plan(registry, _read(registry, lab[0], "sizes={}", f"data.test={alike}", f"data.{role}={alike}"))
    spec = ComponentSpec("renderer", "circles-y1", {"size_px": 48})
    place = pipeline.render(Session(registry, executor=Local(0)), spec, tmp_path / "r", 4).dataset.path
    (tmp_path / "light.toml").write_text(_other_data(**dict.fromkeys(("test", role), f'path = "{place}"')))
    with pytest.raises(ConfigError, match=told):
        _plan(registry, _read(registry, tmp_path))


def test_a_mixture_that_wants_more_than_there_is_is_refused_before_any_work(registry, lab):
    described = _read(registry, lab[0], "mixtures.large=['real', 'tint:2']")
    with pytest.raises(ConfigError) as caught:
        _plan(registry, described)
    told = "\n".join(caught.value.problems)
    assert "mixtures.large: tint:2 is 16 samples, 2 times the 8 of 'real', and it has 12" in told


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
    plan = _plan(registry, _read(registry, lab[0]))
    (tmp_path / "copy" / plan.rows[0].runs[0].judged.folder / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name} is damaged; remove the folder and run again"):
        comparing.compare(plan, tmp_path / "copy")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]", b'{"keys": ["x"]}', b'{"keys": 3, "units": 1}'])
def test_a_damaged_history_tells_nothing(registry, lab, tmp_path, content):
    (tmp_path / "durations.jsonl").write_bytes(content + b"\n")
    step = next(iter(_plan(registry, _read(registry, lab[0])).steps.values()))
    assert History(tmp_path / "durations.jsonl").cost(step) is None


@pytest.mark.parametrize("noted", [{}, {"result": 3, "seconds": 1, "peak_mb": 1, "bytes": 1}, {"result": {}}])
def test_a_step_whose_note_is_damaged_is_not_done(registry, lab, tmp_path, noted):
    step = next(iter(_plan(registry, _read(registry, lab[0])).steps.values()))
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
    plan = _plan(registry, _read(registry, lab[0]))
    real, test, other = (plan.data[role].step for role in ("real", "test", "rendered"))
    assert history.cost(real) is None
    history.note(real, Done({}, 6.0, 100.0, 1200))
    found = History(tmp_path / "durations.jsonl").cost(test)
    assert (found.seconds, found.bytes) == (pytest.approx(6.0 * 24 / 8), pytest.approx(1200 * 24 / 8))
    assert History(tmp_path / "durations.jsonl").cost(other) is None


def test_other_settings_of_the_same_component_give_rough_estimates(registry, lab, tmp_path):
    history = History(tmp_path / "durations.jsonl")
    fits = [step for sets in ((), ("refiners.tint.strength=3.0",)) for step in
            _plan(registry, _read(registry, lab[0], *sets)).steps.values() if step.kind == "fit"]  # fmt: skip
    history.note(fits[0], Done({}, 6.0, 100.0, 1200))
    assert [history.cost(step).like for step in fits] == [True, False]


# -- the report


def _found(registry, folder, *sets):
    plan = _plan(registry, _read(registry, folder, *sets))
    return Findings(plan, [attrs.evolve(_scored(0.5), row=row) for row in plan.rows], folder)


def test_groups_are_compared_with_the_first_also_where_that_is_not_judged(registry, lab):
    found = _found(registry, lab[0], "groups.more=['tint']")
    rows = [attrs.evolve(one, headline=None) if one.row.label == "real" else one for one in found.scored]
    table = groups.group_table(attrs.evolve(found, scored=rows))
    told = {row[0]: row[table.columns.index("against the first")] for row in table.rows}
    assert told == {"real": "–", "none": "–", "more": "–"}


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


# -- trackers


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
    plan, told = _plan(registry, _read(registry, lab[0], "trackers=['rude']")), []
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
    plan, told = _plan(registry, _read(registry, lab[0], "trackers=['hanging', 'good']")), []
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
    plan, told = _plan(registry, _read(registry, lab[0], "trackers=['hanging']")), []
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
        _read(registry, lab[0], "trackers=['god']")
    plan = _plan(registry, _read(registry, lab[0], "trackers=['bad', 'good']"))
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
