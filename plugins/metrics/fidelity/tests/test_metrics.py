# SPDX-License-Identifier: Apache-2.0
"""The metrics on drawn images, with networks drawn at random: their numbers mean nothing, their path is real."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from synthkit import weights
from synthkit.config import structure
from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.interfaces import Explaining, Keeping, Metric, Runtime
from synthkit.report import plots
from synthkit.sample import Person, Sample
from synthkit.seeds import Seeds
from synthkit.training.perceptual import FeatureNet
from synthkit_fidelity import extractors
from synthkit_fidelity.config import FrechetConfig, KidConfig, PcaConfig, PrdcConfig
from synthkit_fidelity.metrics import FrechetMetric, KidMetric, PrdcMetric
from synthkit_fidelity.pca import PcaMetric, principal_components
from synthkit_fidelity.plugin import synthkit_components
from synthkit_fidelity.regions import regions

CLASSES = {FrechetMetric: FrechetConfig, KidMetric: KidConfig, PrdcMetric: PrdcConfig, PcaMetric: PcaConfig}
SKIN, GREEN = (200, 150, 100), (20, 250, 240)


def drawn(count, seed, colour, masks=False):
    generator = np.random.default_rng(seed)
    for n in range(count):
        image = generator.integers(0, 120, (96, 128, 3)).astype(np.uint8)
        left, top = generator.integers(10, 60, 2)
        image[top : top + 30, left : left + 30] = colour
        instances = np.zeros((96, 128), np.uint8)
        instances[top : top + 30, left : left + 30] = 1
        person = Person(box_xyxy_px=(left, top, left + 30, top + 30), head_px=(left + 15, top + 8), instance=1)
        layers = {"instances": instances} if masks else {}
        yield Sample(key=f"{seed}_{n}", image=image, people=(person,), layers=layers)


@pytest.fixture
def make(monkeypatch, tmp_path):
    def load(name, layers, path, progress):
        torch.manual_seed(0)
        return FeatureNet(name, layers), None

    monkeypatch.setattr(extractors, "load_features", load)

    def make(kind, **changes):
        values = {"extractor": "mobilenet_v2", "layer": "stride8", "input_px": 64, **changes}
        return kind(structure(CLASSES[kind], values), None, Runtime(Seeds(0), tmp_path))

    return make


def judged(metric, first, second):
    with metric:
        states = {"reference": metric.observe("reference", first), "candidate": metric.observe("candidate", second)}
        return metric.compute(states)


@pytest.mark.parametrize("region", ["image", "crops", "masked-crops"])
def test_the_distance_of_images(make, region):
    metric = make(FrechetMetric, region=region)
    assert isinstance(metric, Metric)
    assert isinstance(metric, Keeping)
    assert isinstance(metric, Explaining)
    near = judged(metric, drawn(8, 0, SKIN, masks=True), drawn(8, 1, SKIN, masks=True))[0]
    far = judged(metric, drawn(8, 0, SKIN, masks=True), drawn(8, 1, GREEN, masks=True))[0]
    assert 0 < near.value < far.value
    told = region if region == "image" else f"{region}, 128 px"
    assert near.name == f"frechet_distance[mobilenet_v2.features.6, 64 px, {told}]"
    assert near.extractor.sha256 == weights.entry("mobilenet_v2").sha256
    assert near.extractor.preprocessing.startswith("Pillow bicubic (antialiased) to 64 x 64")
    assert near.counts == {"reference": 8, "candidate": 8}
    assert "biased upwards" in near.cautions[0]
    assert "fid" not in near.name


def test_masks_hide_what_is_around_a_person(make):
    """The same people before another noise: the same crops once that is grey."""

    def over(seed):
        for sample in drawn(3, 0, SKIN, masks=True):
            noise = np.random.default_rng(seed).integers(0, 255, sample.image.shape).astype(np.uint8)
            image = np.where(sample.layers["instances"][..., None] > 0, sample.image, noise)
            yield Sample(key=sample.key, image=image, people=sample.people, layers=sample.layers)

    masked, plain = (judged(make(FrechetMetric, region=region), over(5), over(6))[0].value for region in
                     ("masked-crops", "crops"))  # fmt: skip
    assert masked < 1e-2 * plain
    with pytest.raises(DatasetError, match="0_0: has no layer 'instances'"):
        judged(make(FrechetMetric, region="masked-crops"), drawn(2, 0, SKIN), drawn(2, 1, SKIN))


def test_rooms_without_people_need_no_masks():
    empty = Sample(key="empty", image=np.zeros((96, 128, 3), np.uint8), people=())
    keys = [key for key, _ in regions([empty, *drawn(1, 0, SKIN, masks=True)], "masked-crops", 64)]
    assert keys == ["0_0#0"]


def test_batches_order_and_parts_do_not_matter(make):
    samples = list(drawn(9, 0, SKIN))
    plain, batched = make(FrechetMetric, batch=16), make(FrechetMetric, batch=2)
    with plain, batched:
        whole = plain.observe("reference", samples)
        parts = [batched.observe("reference", part) for part in (samples[5:][::-1], [], samples[:5])]
        merged = batched.merge(parts)
    assert np.array_equal(merged["keys"], whole["keys"])
    assert np.allclose(merged["features"], whole["features"], rtol=1e-4, atol=1e-6)


def test_metrics_of_one_space_observe_the_same(make):
    frechet, kid, other = make(FrechetMetric), make(KidMetric, subsets=5), make(KidMetric, input_px=96)
    assert frechet.observed("reference") == kid.observed("candidate") != other.observed("reference")


def test_most_images_are_an_even_draw(make):
    metric = make(FrechetMetric, max_items=4)
    with metric:
        forwards, backwards = (metric.observe("reference", items) for items in
                               (drawn(12, 0, SKIN), list(drawn(12, 0, SKIN))[::-1]))  # fmt: skip
    assert len(forwards["keys"]) == 4
    assert np.array_equal(forwards["keys"], backwards["keys"])
    assert set(forwards["keys"]) != {f"0_{n}" for n in range(4)}


def test_the_limit_is_told_with_its_chart(make):
    metric = make(FrechetMetric, layer="stride2", input_px=32)
    with metric:
        states = {"reference": metric.observe("reference", drawn(100, 0, SKIN)),
                  "candidate": metric.observe("candidate", drawn(100, 1, GREEN))}  # fmt: skip
        distance, limit = metric.compute(states)
        chart = metric.explain(states).charts[0]
    assert limit.name == distance.name.replace("distance", "distance_infinity")
    assert limit.value == pytest.approx(distance.value, rel=0.1)
    assert chart.series["random subsets"][-1] == (100, pytest.approx(distance.value, rel=1e-6))
    assert distance.cautions == ()
    assert limit.cautions == ()
    of_few = judged(make(FrechetMetric, input_px=32), drawn(100, 0, SKIN), drawn(100, 1, GREEN))
    assert of_few[0].cautions == ()
    assert "extrapolated from 100 items in 32 dimensions: rough below 128" in of_few[1].cautions[0]


def test_the_kernel_distance_and_its_subsets(make):
    metric = make(KidMetric, subset_size=6, subsets=20)
    near = judged(metric, drawn(12, 0, SKIN), drawn(12, 1, SKIN))[0]
    far = judged(metric, drawn(12, 0, SKIN), drawn(12, 1, GREEN))[0]
    assert near.value < far.value
    assert far.interval[0] < far.value < far.interval[1]
    assert far.interval_of == "subsets"
    assert far.cautions == ()
    assert far.name == "kernel_distance[mobilenet_v2.features.6, 64 px, image, subsets of 6]"
    fewer = judged(make(KidMetric), drawn(5, 0, SKIN), drawn(7, 1, SKIN))[0]
    assert fewer.name.endswith("subsets of 5]")
    assert "for want of 1000" in fewer.cautions[0]
    same_size = judged(make(KidMetric), drawn(5, 0, SKIN), drawn(5, 1, SKIN))[0]
    assert same_size.interval is None
    assert same_size.interval_of == ""
    assert len(same_size.cautions) == 1


def test_overlap_of_a_set_with_itself_and_with_another(make):
    metric = make(PrdcMetric, neighbours=3)
    same = judged(metric, drawn(12, 0, SKIN), drawn(12, 0, SKIN))
    assert [result.value for result in same if "density" not in result.name] == [1, 1, 1]
    assert same[0].name == "precision[mobilenet_v2.features.6, 64 px, image, k=3]"
    assert all("12 vectors are few" in result.cautions[0] for result in same)
    with pytest.raises(DatasetError, match="has 4 images, and this metric needs at least 5"):
        judged(metric, drawn(12, 0, SKIN), drawn(4, 0, SKIN))


def test_principal_components_against_numpy():
    generator = np.random.default_rng(0)
    sets = {"reference": generator.normal(0, 3, (20, 9000)), "candidate": generator.normal(0.5, 1, (20, 9000))}
    found = principal_components(sets)
    joint = np.concatenate(list(sets.values()))
    joint -= joint.mean(axis=0)
    _, values, directions = np.linalg.svd(joint, full_matrices=False)
    assert found.explained[:5] == pytest.approx((values**2 / (values**2).sum())[:5])
    scores = np.concatenate([found.scores[name] for name in sets])
    assert np.abs(scores[:, :2]) == pytest.approx(np.abs(joint @ directions[:2].T), abs=1e-6)
    means = [vectors.mean(axis=0) for vectors in sets.values()]
    spread = np.sqrt(((sets["reference"] - means[0]) ** 2).sum(axis=1).mean())
    assert found.distance("candidate", "reference") == pytest.approx(np.linalg.norm(means[0] - means[1]) / spread)


@pytest.mark.parametrize("other", [2, 1])
def test_a_reference_without_spread_gives_no_distance(other):
    found = principal_components({"reference": np.ones((3, 50)), "candidate": np.full((3, 50), other)})
    with pytest.raises(DatasetError, match="the reference's images are all the same"):
        found.distance("candidate", "reference")


def test_refined_images_between_synthetic_and_real(make, monkeypatch):
    monkeypatch.setattr("synthkit_fidelity.pca.Dataset.open", lambda _: list(drawn(8, 2, GREEN)))
    between = tuple((a + b) // 2 for a, b in zip(SKIN, GREEN, strict=True))
    metric = make(PcaMetric, source="synthetic", at_most=6)
    with metric:
        states = {"reference": metric.observe("reference", drawn(8, 0, SKIN)),
                  "candidate": metric.observe("candidate", drawn(9, 1, between))}  # fmt: skip
        results = metric.compute(states)
        chart = metric.explain(states).charts[0]
    values = {(result.name.rpartition(", ")[2], result.part): result.value for result in results}
    assert values["2 components]", ""] < values["2 components]", "before refinement"]
    assert values["all components]", ""] < values["all components]", "before refinement"]
    assert list(chart.series) == ["real", "synthetic", "refined"]
    assert len(chart.series["real"]) == 6
    assert chart.scattered
    assert all(name in plots.chart(chart) for name in ("real", "synthetic", "refined", "component 1"))
    assert "of the variance" in chart.x_label
    assert [result.part for result in results] == ["", "", "before refinement", "before refinement"]
    assert 0 < sum(results[0].definition["explained_variance"]) <= 1
    assert "place by place" in results[0].name


class Raising(nn.Module):
    def forward(self, images):
        raise ValueError("of no colour")


class Means(nn.Module):
    def forward(self, images):
        return images.mean(dim=(2, 3))


def saved(path, *nodes, constants=()):
    """Write a network from x, the images, to y."""
    texts = any(node.op_type == "Cast" for node in nodes)
    images = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    features = helper.make_tensor_value_info("y", TensorProto.STRING if texts else TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "network", [images], [features], list(constants))
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)]), path)


def test_an_extractor_of_ones_own(make, tmp_path):
    """Mean colours as features: their distance is known."""
    module = f"{__name__}:Means"
    sys.modules.setdefault(__name__, sys.modules[Means.__module__])
    settings = {"extractor": module, "layer": None, "normalise": "unit"}
    flat = [[Sample(key=f"{c}{n}", image=np.full((8, 8, 3), c + n, np.uint8)) for n in range(3)] for c in (10, 112)]
    result = judged(make(FrechetMetric, **settings), *flat)[0]
    assert result.value == pytest.approx(3 * (102 / 255) ** 2, rel=1e-4)
    assert result.name.startswith(f"frechet_distance[{module}, 64 px")

    path = tmp_path / "means.onnx"
    saved(path, helper.make_node("GlobalAveragePool", ["x"], ["y"]))
    same = judged(make(FrechetMetric, **settings | {"extractor": str(path)}), *flat)[0]
    assert same.value == pytest.approx(result.value, rel=1e-4)  # float32 means of 4,096 pixels
    assert same.name.startswith("frechet_distance[means.onnx, ")
    assert len(same.extractor.sha256) == 64


class Growing(nn.Module):
    """As many numbers as the first image of the batch has bright pixels."""

    def forward(self, images):
        return images.flatten(1)[:, : 1 + int((images[0] > 0.5).sum())]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Raising", r"Raising: fails on pictures \(1, 3, 64, 64\): of no colour"),
        ("Growing", "Growing: gives [0-9]+ numbers for some images and [0-9]+ for others"),
    ],
)
def test_classes_of_ones_own_that_fail_say_so(make, name, message):
    sys.modules.setdefault(__name__, sys.modules[Means.__module__])
    metric = make(PrdcMetric, extractor=f"{__name__}:{name}", layer=None, normalise="unit", batch=1)
    with pytest.raises(WeightsError, match=message):
        judged(metric, drawn(9, 0, SKIN), drawn(9, 1, SKIN))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer": "pool2"}, r"^metric: mobilenet_v2 has no layer 'pool2'; it has stride2"),
        ({"extractor": "inceptoin"}, r"^metric\.extractor: no extractor is called 'inceptoin'; did you mean 'incep"),
        ({"extractor": "inception", "input_px": 224}, "inception takes images of 299 px only"),
        ({"extractor": "dinov2_vits14", "input_px": 225}, "whole patches of 14 px"),
        ({"extractor": "clip", "layer": "pool2"}, "clip has one layer only"),
        ({"normalise": "unit"}, "decides nothing unless extractor is an .onnx file or a class"),
        ({"infinity_points": 2}, "no line goes through fewer than 3"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_told(changes, message):
    with pytest.raises(ConfigError, match=message):
        structure(FrechetConfig, changes, path="metric")


def test_extractors_that_are_not_there(make, tmp_path):
    for extractor, message in (("no.such:Thing", "cannot be made"), ("json:loads", "cannot be made"),
                               ("collections:OrderedDict", "no torch.nn.Module")):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            judged(make(FrechetMetric, extractor=extractor, layer=None), drawn(2, 0, SKIN), [])
    with pytest.raises(WeightsError, match="no such file"):
        judged(make(FrechetMetric, extractor=str(tmp_path / "gone.onnx"), layer=None), drawn(2, 0, SKIN), [])
    with pytest.raises(ConfigError, match="flat: clip gives one vector"):
        judged(make(PcaMetric, extractor="clip", layer=None, input_px=None), drawn(2, 0, SKIN), [])


HUGE = helper.make_tensor("shape", TensorProto.INT64, [4], [1 << 20, 1 << 20, 1, 1])
ELSEWHERE = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
ELSEWHERE.external_data.add(key="location", value="secret.bin")


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([helper.make_node("Add", ["x", "w"], ["y"])], [ELSEWHERE], "keeps weights in other files"),
        ([helper.make_node("Steal", ["x"], ["y"], domain="evil")], [], "evil:Steal, which is not of ONNX"),
        ([helper.make_node("Expand", ["x", "shape"], ["y"])], [HUGE], "cannot run it"),
        ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)], [], "its output 'y' is object"),
        ([helper.make_node("ReduceMean", ["x"], ["y"])], [], r"gives \(1, 1\) for 2 images"),
        ([helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)], [], r"gives \(1,\) for 2 images"),
        ([helper.make_node("Sub", ["x", "x"], ["z"]), helper.make_node("Div", ["x", "z"], ["y"])], [], "finite"),
    ],
)  # fmt: skip
def test_onnx_files_that_are_no_extractors(make, tmp_path, nodes, constants, message):
    path = tmp_path / "strange.onnx"
    saved(path, *nodes, constants=constants)
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    with pytest.raises(WeightsError, match=rf"strange\.onnx: .*{message}"):
        judged(make(PrdcMetric, extractor=str(path), layer=None), drawn(2, 0, SKIN), drawn(2, 1, SKIN))
    (tmp_path / "strange.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match=r"strange\.onnx: is no ONNX model"):
        judged(make(PrdcMetric, extractor=str(path), layer=None), drawn(2, 0, SKIN), drawn(2, 1, SKIN))


def test_too_few_people_is_an_error(make):
    empty = [Sample(key="a", image=np.zeros((64, 64, 3), np.uint8), people=())]
    with pytest.raises(DatasetError, match=r"the reference has 0 people.*metric\.region=image"):
        judged(make(FrechetMetric, region="crops"), empty, drawn(3, 0, SKIN))


@pytest.mark.parametrize("name", ["fid", "clean-fid", "fid-clip", "frechet", "kid", "inception-score", "prdc", "pca"])
def test_without_weights_every_metric_says_which_file_from_where(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "_in_package", lambda _: None)
    component = next(found for found in synthkit_components() if found.name == name)
    config = structure(component.config, dict(component.defaults))
    metric = component.load()(config, None, Runtime(Seeds(0), tmp_path))
    with metric, pytest.raises(WeightsError, match=r"Download https://\S+ .*put it .*SYNTHKIT_WEIGHTS"):
        metric.observe("candidate", drawn(1, 0, SKIN))
    with metric:
        assert len(metric.space.about.sha256) == 64
    wrong = structure(component.config, {**component.defaults, "weights": str(tmp_path / "wrong.pth")})
    (tmp_path / "wrong.pth").write_bytes(b"of something else")
    metric = component.load()(wrong, None, Runtime(Seeds(0), tmp_path))
    with metric, pytest.raises(WeightsError, match=r"has sha256 .* expected"):
        metric.observe("candidate", drawn(1, 0, SKIN))


def test_names_of_presets():
    """Only the published extractor behind the published preprocessing carries the published name."""
    told = {}
    for component in synthkit_components():
        if component.target.endswith((":FrechetMetric", ":KidMetric")):
            config = structure(component.config, dict(component.defaults))
            space = extractors.space_of(config)
            names = extractors_names(component.target, config, space)
            told[component.name] = names
    assert told == {
        "fid": "fid", "clean-fid": "clean_fid", "fid-clip": "fid_clip[squash]", "kid": "kid",
        "frechet": "frechet_distance[mobilenet_v2.features.18, 224 px, image]",
    }  # fmt: skip


def extractors_names(target, config, space):
    from synthkit_fidelity.metrics import _FID_NAMES, _KID_NAMES
    from synthkit_fidelity.observing import named

    if target.endswith(":KidMetric"):
        return named(_KID_NAMES, "kernel_distance", config, space)
    return named(_FID_NAMES, "frechet_distance", config, space)


def test_the_plugin_module_is_light():
    code = "import sys, synthkit_fidelity.plugin; assert not {'torch', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
