# SPDX-License-Identifier: Apache-2.0
"""The metrics on sets whose answers are known, and what they say where something is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import cv2
import made_people
import numpy as np
import pytest
from PIL import Image

from synthkit.errors import ConfigError, DatasetError, SynthkitError, WeightsError
from synthkit.interfaces import ComponentSpec, Pair, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, RotatedBox, Sample
from synthkit.seeds import Seeds
from synthkit_reid import metrics

ASSETS = Path(__file__).parents[5] / "shared" / "assets"


@pytest.fixture
def build(tmp_path):
    registry = discover()
    file = made_people.colours_file(tmp_path)

    def make(name, **options):
        spec = ComponentSpec("metric", name, {"embedder": str(file), **options})
        return registry.build(spec, Runtime(Seeds(0), tmp_path, threads=1))

    return make


def results(metric, *parts):
    with metric:
        (role,) = metric.roles
        state = metric.merge([metric.observe(role, part) for part in parts])
        return {(result.name.partition("[")[0], result.part): result for result in metric.compute({role: state})}


def pairs(originals, change):
    return [Pair(change(sample), sample) for sample in originals]


def test_people_are_found_by_their_clothes(build):
    found = results(build("reid", background="removed"), made_people.crowd())
    assert found["reid_rank_1", ""].value > 0.95
    assert found["reid_map", ""].value > 0.9
    assert found["reid_map_trapezoid", ""].value > 0.85
    told = found["reid_rank_1", ""]
    assert told.name == "reid_rank_1[colours, no background]"
    assert told.definition["view"].startswith("image: ")
    assert told.definition["by_chance"] == pytest.approx(3 / 31, abs=1e-6)
    assert told.counts == {"queries": 32, "gallery": 32, "people": 8}
    assert told.interval[0] > 0.6
    assert "only 8 people" in told.cautions[0]
    assert len(told.extractor.sha256) == 64


def test_how_it_is_parted_and_ordered_never_matters(build):
    samples = made_people.crowd(5, 3)
    whole = results(build("reid"), samples)
    assert results(build("reid"), samples[7:][::-1], samples[:7]) == whole


def test_a_static_background_finds_people_by_itself(build):
    """So an attack on masked people must not see it: with it they are found, without they are not, above chance."""
    static = pairs(made_people.crowd(static=True), made_people.masked)
    seen = results(build("leakage", background="kept"), static)["leakage_rank_1", ""]
    assert seen.value > 0.6
    assert seen.definition["rank_1_above_chance"]
    assert any("surroundings are in the pictures" in caution for caution in seen.cautions)
    alone = results(build("leakage"), static)
    attack, chance = alone["leakage_rank_1", ""], alone["leakage_rank_1", "chance"]
    assert not attack.definition["rank_1_above_chance"]
    assert attack.interval[0] <= chance.value <= attack.interval[1]
    assert chance.interval is None
    told = {name: alone[f"leakage_{name}", ""].definition["by_chance"] for name in ("map", "map_trapezoid", "rank_5")}
    assert {name: round(alone[f"leakage_{name}", "chance"].value, 6) for name in told} == told
    assert told["map"] > chance.value  # where a right one comes late, it still counts
    assert alone["leakage_rank_1", "originals"].value > 0.9  # the attack works where there is something to find


def test_what_anonymization_leaves_as_it_was_is_found_and_told(build):
    found = results(build("leakage"), pairs(made_people.crowd(), lambda sample: sample))
    assert found["leakage_rank_1", ""].value > 0.9
    assert found["leakage_rank_1", ""].definition["rank_1_above_chance"]
    assert "32 of 32 people look exactly as before" in found["leakage_rank_1", ""].cautions


def test_an_attack_that_finds_nobody_proves_nothing(build):
    alike = made_people.crowd(static=False)
    grey = [made_people.masked(sample, 90) for sample in alike]
    told = results(build("leakage"), pairs(grey, made_people.masked))["leakage_rank_1", ""]
    assert any("proves nothing" in caution for caution in told.cautions)


def recoloured(consistent):
    """Return a generator of new people: one look for an identity, or one for each picture."""

    def change(sample):
        who = sample.people[0].identity if consistent else sample.key
        colour = np.random.default_rng(list(who.encode())).integers(0, 256, 3)
        image = np.where(sample.layers["instances"][..., None] > 0, colour, sample.image).astype(np.uint8)
        return attrs.evolve(sample, image=image)

    return change


def test_consistency_is_told_beside_what_the_originals_have(build):
    samples = made_people.crowd()
    steady, changing = (results(build("consistency"), pairs(samples, recoloured(way))) for way in (True, False))
    assert steady["consistency_rank_1", ""].value > 0.9
    assert changing["consistency_rank_1", ""].value < 0.5
    assert changing["consistency_rank_1", "originals"].value > 0.9
    assert steady["consistency_map", ""].better == "higher"
    assert results(build("leakage"), pairs(samples, recoloured(True)))["leakage_rank_1", ""].value < 0.5


def market(name, colour, split="test"):
    person, camera = int(name.split("_")[0]), name.split("_")[1][:2]
    told = {-1: "junk", 0: "distractor"}.get(person)
    who = Person(identity=None if told else f"{person:04d}", attributes={"reid": told} if told else {})
    image = np.full((32, 16, 3), colour, np.uint8)
    return Sample(key=name, image=image, people=[who], meta={"camera": int(camera[1:]), "split": split})


def test_market_1501_junk_distractors_and_the_same_camera(build):
    """By hand: distances are those of the greys, the query is 100."""
    samples = [
        market("0001_c1s1_1_01", (100, 50, 50), "query"),
        market("0001_c1s1_2_01", (100, 50, 51)),  # the same camera: does not count
        market("-1_c2s1_3_01", (100, 50, 52)),  # junk: does not count
        market("0000_c2s1_4_01", (100, 50, 56)),  # a distractor: wrong, rank 1
        market("0001_c2s1_5_01", (100, 50, 60)),  # right, rank 2
        market("0002_c2s1_6_01", (100, 50, 70)),  # wrong, rank 3
        market("0001_c3s1_7_01", (100, 50, 90)),  # right, rank 4
        market("0001_c3s1_8_01", (100, 50, 50), "train"),  # not looked at
    ]
    found = results(build("reid", ranks=[1, 2]), samples)
    assert found["reid_map", ""].value == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found["reid_map_trapezoid", ""].value == pytest.approx(((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    assert (found["reid_rank_1", ""].value, found["reid_rank_2", ""].value) == (0, 1)
    told = found["reid_map", ""].definition
    assert told["view"].startswith("camera: pictures of the query's person")
    assert told["left_out"] == {"junk": 1, "unknown": 0, "unseen": 0}
    assert (told["queries"], told["gallery"]) == ("the split 'query'", "the split test, all pictures")
    assert found["reid_map", ""].interval is None  # one person tells nothing about others


def test_one_camera_is_enough(build):
    one = [attrs.evolve(sample, meta={"camera": 1}) for sample in made_people.crowd(4, 3)]
    assert results(build("reid"), one)["reid_rank_1", ""].definition["view"].startswith("image")
    with pytest.raises(DatasetError, match=r"another camera shows the same one; set metric\.view=image"):
        results(build("reid", view="camera"), one)
    clips = [attrs.evolve(sample, sequence=sample.key[:3]) for sample in made_people.crowd(4, 3)]
    assert results(build("reid"), clips)["reid_rank_1", ""].definition["view"].startswith("sequence")


@pytest.mark.parametrize("view", ["camera", "sequence"])
def test_views_that_nobody_tells_are_not_taken_for_images(build, view):
    bare = [attrs.evolve(sample, meta={}, sequence=None) for sample in made_people.crowd(4, 3)]
    with pytest.raises(DatasetError, match=rf"no sample tells which {view} it is of; set metric\.view=auto or image"):
        results(build("reid", view=view), bare)


def test_intervals_over_sequences(build):
    """Where sequences decide about everything, as many queries of few of them tell little."""
    clips = [attrs.evolve(sample, sequence=f"clip {n % 3}") for n, sample in enumerate(made_people.crowd(8, 6))]
    people, sequences = (
        results(build("reid", view="image", resample=by), clips)["reid_map", ""] for by in ("person", "sequence")
    )
    assert people.value == sequences.value
    assert people.interval != sequences.interval
    assert sequences.interval[0] < sequences.value < sequences.interval[1]
    assert sequences.definition["interval"] == "95 %, had there been other sequences (Korn and Graubard 1998)"
    assert "intervals rest on 3 sequences" in sequences.cautions
    with pytest.raises(DatasetError, match=r"tells which sequence it is of; set metric\.resample=person"):
        results(build("reid", resample="sequence"), made_people.crowd(4, 3))


def test_rank_lists_are_drawn(build, tmp_path):
    folder = tmp_path / "seen" / "ranks"
    for name in ("leakage", "consistency"):  # into one folder, as a setting for all metrics has them do
        results(build(name, pictures=str(folder), shown=4), pairs(made_people.crowd(), made_people.masked))
    sheets = ["consistency-originals.png", "consistency.png", "leakage-originals.png", "leakage.png"]
    assert sorted(file.name for file in folder.iterdir()) == sheets
    sheet = np.asarray(Image.open(folder / "leakage.png"))
    assert sheet.shape[0] > 4 * 128
    assert {(0, 114, 178), (213, 94, 0)} <= {tuple(colour) for colour in sheet.reshape(-1, 3)[::7].tolist()}


def test_reports_show_the_curves(build, monkeypatch):
    metric = build("leakage", ranks=[1, 3])
    ranked, score = [], metrics.score
    monkeypatch.setattr(metrics, "score", lambda *args: ranked.append(1) or score(*args))
    with metric:
        state = metric.observe("pairs", pairs(made_people.crowd(4, 3), made_people.masked))
        states = {"pairs": state}
        results_ = metric.compute(states)
        (chart,) = metric.explain(states).charts
    assert len(ranked) == 2  # the anonymized and the originals, once each
    told = {(result.name.partition("[")[0], result.part): result.value for result in results_}
    assert dict(chart.series["anonymized"])[3] == told["leakage_rank_3", ""]
    assert dict(chart.series["originals"])[1] == told["leakage_rank_1", "originals"]
    assert dict(chart.series["by chance"])[3] == pytest.approx(told["leakage_rank_3", "chance"], rel=1e-12)


def test_without_masks_backgrounds_cannot_go(build):
    bare = [attrs.evolve(sample, layers={}) for sample in made_people.crowd(2, 2)]
    with pytest.raises(DatasetError, match=r"no mask .* metric\.background=kept"):
        results(build("leakage"), pairs(bare, lambda sample: sample))
    smaller = lambda sample: attrs.evolve(sample, image=sample.image[::2, ::2].copy(), layers={})  # noqa: E731
    with pytest.raises(DatasetError, match="differ in size: 32 x 48 and 64 x 96"):
        results(build("consistency"), pairs(made_people.crowd(2, 2), smaller))
    nobody = [Sample(key="a", image=np.zeros((8, 8, 3), np.uint8))]
    with pytest.raises(DatasetError, match="nobody is there twice: there are 0 pictures"):
        results(build("reid"), nobody)


def test_backgrounds_are_gone_to_the_last_pixel(build):
    """Two sets that differ in what is around people alone have the same embeddings."""
    here, there = made_people.crowd(3, 2, static=True), []
    for sample in here:
        other = np.random.default_rng(5).integers(0, 256, sample.image.shape).astype(np.uint8)
        image = np.where(sample.layers["instances"][..., None] > 0, sample.image, other)
        there.append(attrs.evolve(sample, image=image))
    metric = build("reid", background="removed")
    with metric:
        one, two = (metric.observe("candidate", samples)["vectors"] for samples in (here, there))
    assert np.array_equal(one, two)


def test_rotated_boxes_stand_for_masks_where_there_are_none(build):
    box = RotatedBox(32, 48, 20, 40, 20)
    corners = np.round(box.corners_px() - 0.5).astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros((96, 64), np.uint8), corners, 1) > 0
    sets = []
    for seed in (0, 1):
        around, person = (np.random.default_rng(n).integers(0, 256, (96, 64, 3), dtype=np.uint8) for n in (seed, 2))
        image = np.where(inside[..., None], person, around)
        sets.append([Sample("a", image, people=[Person(identity="p", rotated_box=box)])])
    metric = build("reid", background="removed")
    with metric:
        one, two = (metric.observe("candidate", samples)["vectors"] for samples in sets)
    assert np.array_equal(one, two)


def test_weights_that_are_absent_or_wrong(tmp_path, monkeypatch):
    registry = discover()

    def observe(**options):
        spec = ComponentSpec("metric", "reid", options)
        with registry.build(spec, Runtime(Seeds(0), tmp_path)) as metric:
            return metric.observe("candidate", made_people.crowd(2, 2))

    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"osnet_x0_25_msmt17 are not on.*Download https://.*dddd73c8.*put it"):
        observe()
    (tmp_path / "osnet_x0_25_msmt17.onnx").write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"has sha256 d9298a10d1b0735837dc4bd8.*, expected dddd73c8"):
        observe(weights=str(tmp_path))
    (tmp_path / "none.toml").write_text(made_people.CARD)
    with pytest.raises(WeightsError, match="there is no such file"):
        observe(embedder=str(tmp_path / "none.onnx"))
    with pytest.raises(ConfigError, match=r"no embedder is called 'osnet'.* osnet_x0_25_msmt17"):
        observe(embedder="osnet")
    with pytest.raises(WeightsError, match=r"has no card beside it; write colours\.toml"):
        observe(embedder=str(made_people.colours_file(tmp_path / "bare", card="")))
    with pytest.raises(WeightsError, match=r"outputs are vector, pooled; its card must tell"):
        observe(embedder=str(made_people.colours_file(tmp_path / "two", outputs=2)))
    with pytest.raises(WeightsError, match=r"gives \(1, 3, 8, 4\)"):
        observe(embedder=str(made_people.colours_file(tmp_path / "map", outputs=2,
                                                      card=made_people.CARD + 'output = "pooled"')))  # fmt: skip
    with pytest.raises(WeightsError, match=r"its input 'pixels' is tensor\(float\) \[4, 3, 32, 16\]"):
        observe(embedder=str(made_people.colours_file(tmp_path / "many", batch=4)))
    with pytest.raises(ConfigError, match=r"colours\.toml.*size"):
        observe(embedder=str(made_people.colours_file(tmp_path / "card", card="size = [1, 2]")))
    with pytest.raises(
        WeightsError, match=r"colours\.onnx: its output 'vector' is object, expected an array of numbers"
    ):
        observe(embedder=str(made_people.colours_file(tmp_path / "texts", texts=True)))
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "net.onnx").write_bytes(b"MZ" * 99)
    (tmp_path / "evil" / "net.toml").write_text(made_people.CARD)
    with pytest.raises(SynthkitError, match=r"net\.onnx: is no ONNX model"):
        observe(embedder=str(tmp_path / "evil" / "net.onnx"))


def test_other_outputs_of_a_file_are_other_embeddings(build, tmp_path):
    """What is kept of one output is not taken for another's, and results tell which it was."""
    card = made_people.CARD
    both = {
        name: build(
            "reid", embedder=str(made_people.colours_file(tmp_path / name, outputs=2, card=f'{card}output = "{name}"'))
        )
        for name in ("vector", "pooled")
    }
    assert both["vector"].observed("candidate") != both["pooled"].observed("candidate")
    assert both["vector"].embedder.about.name == "colours.vector"
    tall = build("reid", embedder=str(made_people.colours_file(tmp_path / "tall", card=f'{card}layout = "NHWC"')))
    assert tall.embedder.about.preprocessing.endswith(", NHWC")


MODULE = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
    def forward(self, pixels):
        return torch.nn.functional.avg_pool2d(pixels, 4).flatten(1) * self.scale
class Raising(Net):
    def forward(self, pixels):
        raise KeyError("colour")
class Growing(Net):
    sizes = iter(range(5, 99))
    def forward(self, pixels):
        return pixels.flatten(1)[:, : next(self.sizes)]
"""


def test_a_torch_module_named_by_the_settings(build, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    (tmp_path / "my_reid_net.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"embedder": "my_reid_net:Net", "card": str(tmp_path / "colours.toml"), "background": "removed"}
    plain = results(build("reid", **own), made_people.crowd(4, 3))
    assert plain["reid_rank_1", ""].value == 1
    torch.save({"scale": torch.full((1,), 3.0)}, tmp_path / "scale.pth")
    filled = results(build("reid", **own, weights=str(tmp_path / "scale.pth")), made_people.crowd(4, 3))
    shas = [found["reid_rank_1", ""].extractor.sha256 for found in (plain, filled)]
    assert shas[0] != shas[1]
    torch.save({"other": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: are not of my_reid_net:Net"):
        results(build("reid", **own, weights=str(tmp_path / "other.pth")), made_people.crowd(2, 2))
    with pytest.raises(ConfigError, match="json:loads cannot be made"):
        results(build("reid", embedder="json:loads"), made_people.crowd(2, 2))
    own.pop("embedder")
    with pytest.raises(WeightsError, match=r"my_reid_net:Raising: fails on pictures \(1, 3, 32, 16\): 'colour'"):
        results(build("reid", embedder="my_reid_net:Raising", **own), made_people.crowd(2, 2))
    with pytest.raises(WeightsError, match="my_reid_net:Growing: gives 5 numbers for some pictures and 6 for others"):
        results(build("reid", embedder="my_reid_net:Growing", **own), made_people.crowd(2, 2))
    sys.modules.pop("my_reid_net")


@pytest.mark.assets
@pytest.mark.skipif(not (ASSETS / "weights/osnet_x0_25_msmt17.onnx").is_file(), reason="needs ../shared/assets")
def test_osnet_as_published(tmp_path):
    """A crop and itself, dimmed and shifted by a pixel, are nearer than any two of five different people."""
    registry, samples = discover(), []
    for path in sorted((ASSETS / "market_crops").glob("*.jpg")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        for n, image in enumerate((pixels, np.roll(pixels * 0.8, 1, axis=1).astype(np.uint8))):
            samples.append(Sample(key=f"{path.stem}-{n}", image=image, people=[Person(identity=path.stem[:4])]))
    spec = ComponentSpec("metric", "reid", {"weights": str(ASSETS / "weights")})
    found = results(registry.build(spec, Runtime(Seeds(0), tmp_path)), samples)
    assert found["reid_rank_1", ""].value == 1
    assert found["reid_map", ""].name == "reid_map[osnet_x0_25_msmt17]"
