# SPDX-License-Identifier: Apache-2.0
"""Experiments: reading what is asked for, and planning the steps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs
import pytest
from experiment_lab import PLAIN, TEXT, planned, read
from PIL import Image

from synthkit import pipeline
from synthkit.errors import ConfigError
from synthkit.execution import Local
from synthkit.experiments import description
from synthkit.interfaces import ComponentSpec
from synthkit.session import Session

ROOT = Path(__file__).resolve().parent.parent


# -- reading


def test_all_mistakes_are_told_at_once(registry, lab):
    with pytest.raises(ConfigError) as caught:
        read(
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
        read(registry, lab[0], f"refiners.{name}={{name='light-tint'}}")


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
    found = read(registry, tmp_path, *sets)
    assert list(found.refiners) == [f"tint, strength={a}, steps={b}" for a in (0.5, 2.0) for b in (1, 2)]
    assert all(row.spec.options["pause_s"] == 0.25 for row in found.refiners.values())
    assert found.refiners["tint, strength=2.0, steps=1"].spec.options["strength"] == 2.0


def test_what_a_row_changes_in_a_table_of_settings_is_its_own(registry, tmp_path):
    text = TEXT + "[refiner]\ntarget_crops = { min_px = 5 }\n[refiners.aggan]\n[refiners.cyclegan-cp]\n"
    text += "target_crops = { min_px = 9 }\n[refiners.cut]\n"
    (tmp_path / "light.toml").write_text(text)
    rows = read(registry, tmp_path).refiners
    chosen = [rows[name].spec.options["target_crops"]["min_px"] for name in ("aggan", "cyclegan-cp", "cut")]
    assert chosen == [5, 9, 5]


def test_shared_settings_are_left_out_of_rows_for_which_they_decide_nothing(registry, tmp_path):
    text = TEXT + "[refiner]\nmatch_colours = true\n[refiners.cyclegan-cp]\n[refiners.cyclegan-cp-noskip]\n"
    (tmp_path / "light.toml").write_text(text)
    rows = read(registry, tmp_path).refiners
    assert [rows[name].spec.options for name in list(rows)[-2:]] == [{"match_colours": True}, {}]
    with pytest.raises(ConfigError, match=r"match_colours: no refiner .* or it decides nothing"):
        read(registry, tmp_path, "refiners.cyclegan-cp.skip=false")
    with pytest.raises(ConfigError, match=r"refiners.cyclegan-cp-noskip.match_colours: decides nothing unless"):
        read(registry, tmp_path, "refiners.cyclegan-cp-noskip.match_colours=true")


def test_a_mixture_has_the_seeds_that_its_refiners_have(registry, lab):
    found = read(registry, lab[0], "seeds=[0, 1]", "refiners.tint.seeds=[1, 7]")
    assert found.seeds_of("real + 1 x tint") == (1, 7)
    assert found.seeds_of("real") == (0, 1)


@pytest.fixture
def users_folders(tmp_path, monkeypatch):
    """Small ones of what the experiments that ship find on their users' disks; photos have boxes and no masks."""
    for name in ("EMPTY_ROOM", "PAINTINGS", "makehuman", "cmu_bvh", "plates"):
        (tmp_path / name).mkdir()
    for level, (part, count) in enumerate({"train": 50, "val": 2, "test": 2}.items()):
        _photos(tmp_path / "real" / part, count, level)
    (tmp_path / "squeezenet.npz").write_bytes(b"")
    Image.new("RGB", (64, 48)).save(tmp_path / "EMPTY_ROOM" / "room.png")
    Image.new("RGB", (48, 48)).save(tmp_path / "plates" / "room.png")
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
    plan = planned(registry, found)
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
    plan = planned(registry, found)
    kinds = [step.kind for step in plan.steps.values()]
    assert (kinds.count("fit"), kinds.count("refine"), kinds.count("train")) == (11, 13, 0)
    weights = [registry.configure(found.refiners[f"KL, kl_weight={weight}"].spec).kl_weight for weight in (0.001, 0.1)]
    assert weights == [0.001, 0.1]
    measured = {(one.row, one.other) for one in plan.comparisons}
    assert {("rendered", "real"), ("Ours", "real"), ("Ours", "rendered"), ("masked", "rendered")} <= measured


# -- planning


def test_steps_are_shared_between_rows(registry, lab):
    plan = planned(registry, read(registry, lab[0], "seeds=[0, 1]", "refiners.tint.seeds=[0]"))
    kinds = [step.kind for step in plan.steps.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "render": 4, "subset": 1, "fit": 1, "refine": 1, "train": 8, "evaluate": 9
    }  # fmt: skip
    order = list(plan.steps)
    for place, step in enumerate(plan.steps.values()):
        assert all(order.index(need) < place for need in step.needs)


def test_refiners_are_trained_towards_parts_of_the_real_images(registry, lab):
    plan = planned(registry, read(registry, lab[0], "sizes={counts=[2, 4], refiners=['tint']}"))
    steps = list(plan.steps.values())
    assert [step.label for step in steps if step.kind == "fit"] == [
        "tint, seed 0", "tint, 2 images, seed 0", "tint, 4 images, seed 0"
    ]  # fmt: skip
    rows = {row.label: row.runs[0] for row in plan.rows}
    few, both = rows["tint, 2 images"], rows["real + tint, 2 images"]
    assert [source.step.title for source, _ in both.data] == ["subset 2 real images", "refine tint, 2 images, seed 0"]
    assert few.data[0][0] == both.data[1][0]
    with pytest.raises(ConfigError, match=r"sizes\.counts: 9 real images, and there are 8"):
        planned(registry, read(registry, lab[0], "sizes={counts=[9]}"))


def test_without_detectors_data_sets_alone_are_compared(registry, lab, tmp_path):
    text = (lab[0] / "light.toml").read_text()
    for table in ("data.validation", "data.test", "mixtures", "sizes", "detectors.light-blobs", "metric.detection"):
        text = re.sub(rf"\[{re.escape(table)}\]\n(?:[^\[\n].*\n|\n)*", "", text)
    (tmp_path / "light.toml").write_text(text.replace("detection,psnr", "psnr").replace(', "real + 1 x tint"', ""))
    plan = planned(registry, read(registry, tmp_path))
    assert not plan.rows
    assert [step.kind for step in plan.steps.values()] == ["render", "render", "fit", "refine", "evaluate"]
    with pytest.raises(ConfigError, match=r"data\.test: is for detectors, and there are none"):
        read(registry, tmp_path, "data.test.path=x")
    with pytest.raises(ConfigError, match=r"metric\.pca: no data set is called 'test'"):
        read(registry, tmp_path, "metric={name='pca', source='@test'}")
    with pytest.raises(ConfigError, match="detection judges detectors: add one"):
        planned(registry, read(registry, tmp_path, "metric={name='psnr,detection'}"))


def test_only_what_a_change_decides_about_is_done_again(registry, lab):
    before = set(planned(registry, read(registry, lab[0])).steps)
    stronger = planned(registry, read(registry, lab[0], "refiners.tint.strength=2.0"))
    new = sorted(step.title for key, step in stronger.steps.items() if key not in before)
    assert [title.split()[0] for title in new] == ["evaluate"] * 3 + ["fit", "refine", "train", "train"]
    slower = planned(registry, read(registry, lab[0], "refiners.tint.pause_s=2.0", "title='Other'"))
    assert set(slower.steps) == before
    assert not before & {key for key, step in planned(registry, read(registry, lab[0], "seed=5")).steps.items()
                         if step.kind == "render"}  # fmt: skip


def test_data_sets_of_one_renderer_show_different_scenes(registry, lab):
    plan = planned(registry, read(registry, lab[0]))
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
    return lambda *sets: planned(registry, description.read(folder / "other.toml", registry, sets))


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
    told = f"data.test: shows the scenes of data.{role}: scores need images that had no other part"
    fewer, more = (f"{{count={count}, seed=7, renderer={{name='circles-y1'}}}}" for count in (4, 6))
    for other in (fewer, more):
        with pytest.raises(ConfigError, match=told):
            planned(registry, read(registry, lab[0], "sizes={}", f"data.test={more}", f"data.{role}={other}"))
    spec = ComponentSpec("renderer", "circles-y1", {"size_px": 48})
    place = pipeline.render(Session(registry, executor=Local(0)), spec, tmp_path / "r", 4).dataset.path
    (tmp_path / "light.toml").write_text(_other_data(**dict.fromkeys(("test", role), f'path = "{place}"')))
    with pytest.raises(ConfigError, match=told):
        planned(registry, read(registry, tmp_path))


def test_a_mixture_that_wants_more_than_there_is_is_refused_before_any_work(registry, lab):
    described = read(registry, lab[0], "mixtures.large=['real', 'tint:2']")
    with pytest.raises(ConfigError) as caught:
        planned(registry, described)
    told = "\n".join(caught.value.problems)
    assert "mixtures.large: tint:2 is 16 samples, 2 times the 8 of 'real', and it has 12" in told
