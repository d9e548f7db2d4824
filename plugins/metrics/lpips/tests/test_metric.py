# SPDX-License-Identifier: Apache-2.0
"""The metrics on drawn people: what is compared, how results are called, and the whole way by the command."""

from __future__ import annotations

import subprocess
import sys

import attrs
import numpy as np
import pytest
import torch
from made_sets import written

from synthkit.checkpoint import sha256_of
from synthkit.config import structure
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.evaluation import evaluate
from synthkit.interfaces import ComponentSpec, Keeping, Metric, Pair, Runtime
from synthkit.plugins import discover
from synthkit.sample import Person, Sample, evolve
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.training.perceptual import FeatureNet
from synthkit_lpips import distance
from synthkit_lpips.config import LpipsConfig, PairConfig
from synthkit_lpips.metric import LpipsMetric, PsnrMetric, SsimMetric

METRICS = {"lpips": (LpipsMetric, LpipsConfig), "ssim": (SsimMetric, PairConfig), "psnr": (PsnrMetric, PairConfig)}


def originals(count=6):
    """Return images of 96 x 80 px with one person each, of a colour of its own, upon noise."""
    made = []
    for n in range(count):
        generator = np.random.default_rng(n)
        image = generator.integers(0, 200, (80, 96, 3)).astype(np.uint8)
        mask = np.zeros(image.shape[:2], np.uint8)
        left, top = generator.integers(10, 40, 2)
        mask[top : top + 30, left : left + 16] = 1
        image[mask > 0] = generator.integers(0, 256, 3)
        person = Person(instance=1, head_px=(left + 8, top + 5), box_xyxy_px=(left, top, left + 16, top + 30))
        made.append(Sample(key=f"s{n}", image=image, people=[person], layers={"instances": mask}))
    return made


def changed(sample, people=0.0, around=0.0):
    """Return a sample with noise on its people, and around them."""
    noise = np.random.default_rng(99).normal(0, 1, sample.image.shape)
    strength = np.where(sample.layers["instances"][..., None] > 0, people, around)
    image = np.clip(sample.image + strength * noise, 0, 255).astype(np.uint8)
    return Sample(key=sample.key, image=image)


def pairs(**changes):
    return [Pair(changed(sample, **changes), sample) for sample in originals()]


@pytest.fixture
def lpips_files(tmp_path, monkeypatch):
    """Return settings with a drawn network and drawn heads as files: numbers mean nothing, the path is real."""
    torch.manual_seed(0)
    trunk = distance.TRUNKS["squeeze"]
    network = FeatureNet(trunk.features, trunk.layers)
    torch.save(network.state_dict(), tmp_path / "drawn.pth")
    heads = {f"lin{n}.model.1.weight": torch.rand(1, t.channels, 1, 1) for n, t in enumerate(network.taps.values())}
    torch.save(heads, tmp_path / "heads.pth")
    known = attrs.evolve(distance.HEADS["squeeze"], sha256=sha256_of(tmp_path / "heads.pth"))
    monkeypatch.setattr(distance, "HEADS", {**distance.HEADS, "squeeze": known})
    return {"network": "squeeze", "stand_in": tmp_path / "drawn.pth", "heads": tmp_path / "heads.pth"}


@pytest.fixture
def make(tmp_path, lpips_files):
    def make(name, **options):
        target, config = METRICS[name]
        options = {**(lpips_files if name == "lpips" else {}), **options}
        return target(structure(config, {k: str(v) if k in ("stand_in", "heads") else v for k, v in options.items()}),
                      None, Runtime(Seeds(0), tmp_path))  # fmt: skip

    return make


def result(metric, items):
    with metric:
        (found,) = metric.compute({"pairs": metric.observe("pairs", items)})
    return found


@pytest.mark.parametrize("name", list(METRICS))
def test_more_change_is_worse(make, name):
    metric = make(name)
    assert isinstance(metric, Metric)
    assert isinstance(metric, Keeping)
    equal, little, much = (result(make(name), pairs(people=s, around=s)) for s in (0, 10, 40))
    worst_last = [equal.value, little.value, much.value]
    assert sorted(worst_last, reverse=little.better == "higher") == worst_last
    assert equal.value == pytest.approx({"lpips": 0, "ssim": 1, "psnr": 100}[name])
    assert little.interval[0] < little.value < little.interval[1]
    assert (little.count, little.definition["images"]) == (6, 6)
    assert "the intervals rest on 6 images, too few for them: they may be too narrow" in little.cautions
    without = result(make(name, bootstrap=0), pairs(people=10, around=10))
    assert (without.interval, without.cautions) == (None, ())


@pytest.mark.parametrize("region", ["masked-image", "masked-crops"])
@pytest.mark.parametrize("name", list(METRICS))
def test_people_alone(make, name, region):
    """What is changed around people changes nothing, and what is changed on them is seen as without the rest."""
    options = {"region": region} | ({"crop_px": 64} if region == "masked-crops" else {})
    around = result(make(name, **options), pairs(around=60))
    people = result(make(name, **options), pairs(people=60))
    both = result(make(name, **options), pairs(people=60, around=60))
    equal = result(make(name, **options), pairs())
    assert around.value == equal.value == {"lpips": 0, "psnr": 100}.get(name, equal.value)
    assert people.value == both.value != equal.value
    assert region in people.name


def test_uses_of_lpips(make):
    names = {measure: result(make("lpips", measure=measure), pairs(people=9)) for measure in
             ("original", "reconstruction", "diversity")}  # fmt: skip
    assert [found.better for found in names.values()] == ["lower", "lower", "higher"]
    assert len({found.value for found in names.values()}) == 1


def test_a_stand_in_is_not_called_lpips(make, lpips_files):
    found = result(make("lpips"), pairs(people=9))
    assert found.name == "squeeze_feature_distance[weights of drawn.pth, image]"
    assert found.extractor.stand_in_for == "LPIPS v0.1 squeeze"
    assert found.extractor.sha256 == sha256_of(lpips_files["stand_in"])


def test_the_real_ones_are(make, lpips_files, monkeypatch):
    """With what is taken for the published file."""
    known = attrs.evolve(distance.weights.entry("squeezenet1_1"), sha256=sha256_of(lpips_files["stand_in"]))
    monkeypatch.setattr(distance.weights, "REGISTRY", {"squeezenet1_1": known})
    options = {"stand_in": None, "backbone": str(lpips_files["stand_in"])}
    target, config = METRICS["lpips"]
    for measure, name in (("original", "lpips"), ("diversity", "lpips_diversity")):
        settings = structure(config, {**options, "network": "squeeze", "measure": measure,
                                      "heads": str(lpips_files["heads"])})  # fmt: skip
        found = result(target(settings, None, make("ssim")._runtime), pairs(people=9))
        assert found.name == f"{name}[v0.1 squeeze, image]"
        assert not found.extractor.stand_in_for


def test_without_weights_it_is_told_which(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SYNTHKIT_OFFLINE", "1")
    metric = LpipsMetric(LpipsConfig(backbone=tmp_path, heads=None), None, Runtime(Seeds(0), tmp_path))
    with metric, pytest.raises(WeightsError, match=r"lpips_alex|alexnet"):
        metric.observe("pairs", pairs())


def test_settings_that_contradict():
    with pytest.raises(ConfigError, match="stand_in takes the place of backbone"):
        structure(LpipsConfig, {"stand_in": "a", "backbone": "b"}, path="metric")


@pytest.mark.parametrize("name", list(METRICS))
def test_batches_order_and_parts_do_not_matter(make, name):
    items = pairs(people=20)
    options = [{"batch": 1}, {"batch": 4}] if name == "lpips" else [{}, {}]
    one, other = (make(name, region="crops", crop_px=48, **option) for option in options)
    with one, other:
        whole = one.compute({"pairs": one.observe("pairs", items)})[0]
        parts = [other.observe("pairs", part) for part in (items[3:], [], items[:3])]
        joined = other.compute({"pairs": other.merge(parts)})[0]
    assert joined.value == pytest.approx(whole.value, rel=1e-6)
    assert joined.interval == pytest.approx(whole.interval, rel=1e-6)


def test_the_interval_is_over_images_not_people(make):
    """Two people of one image say less than one each of two."""
    metric = make("psnr")
    values = np.array([20.0, 21.0, 30.0, 31.0, 25.0, 26.0])
    spread = {}
    for name, keys in (("images", "abcdef"), ("people", "aabbcc")):
        state = {"key": np.array(list(keys)), "person": np.arange(6), "value": values}
        low, high = metric.compute({"pairs": state})[0].interval
        spread[name] = high - low
    assert spread["people"] > spread["images"]


def test_the_interval_is_over_sequences_where_that_is_asked(make):
    frames = [
        Pair(evolve(pair.candidate, sequence=clip), pair.reference)
        for pair, clip in zip(pairs(around=20), "aaabbb", strict=True)
    ]
    metric = make("psnr", resample="sequence")
    state = metric.observe("pairs", frames)
    (found,) = metric.compute({"pairs": state})
    assert found.interval == pytest.approx(sorted(part.mean() for part in np.split(state["value"], 2)))
    with pytest.raises(DatasetError, match="resample: no sample tells which sequence it is of"):
        result(metric, pairs(around=20))


def test_what_cannot_be_compared_is_told(make):
    (sample, *_) = originals(1)
    smaller = Sample(key="s0", image=sample.image[:40])
    with pytest.raises(DatasetError, match="sample s0: is 96 x 40 px, and 96 x 80 px in the reference"):
        result(make("ssim"), [Pair(smaller, sample)])
    bare = evolve(sample, people=None, layers={})
    with pytest.raises(DatasetError, match=r"neither set says who is in it: set metric\.region=image"):
        result(make("ssim", region="crops"), [Pair(bare, bare)])
    with pytest.raises(DatasetError, match=r"neither set has the layer instances: set metric\.region=image"):
        result(make("ssim", region="masked-image"), [Pair(bare, bare)])
    tiny = Sample(key="s0", image=sample.image[:8, :8])
    for name, reason in (("ssim", "more than 10 px"), ("lpips", "at least 32 px")):
        with pytest.raises(DatasetError, match=f"sample s0: .*{reason}"):
            result(make(name), [Pair(tiny, tiny)])
    nobody = evolve(sample, people=(), layers={"instances": np.zeros((80, 96), np.uint8)})
    with pytest.raises(DatasetError, match="nothing to compare: no images"):
        result(make("ssim"), [])
    with pytest.raises(DatasetError, match="nothing to compare: no people who can be cropped"):
        result(make("psnr", region="crops"), [Pair(nobody, nobody)])


def test_the_whole_way(tmp_path):
    reference, candidate = (
        written(tmp_path / "a", originals()),
        written(tmp_path / "b", [noisy(sample) for sample in originals()]),
    )
    spec = ComponentSpec("metric", "ssim", {"region": "crops"})
    (found,) = evaluate(Session(discover()), spec, candidate, reference)
    assert 0 < found.value < 1
    fingerprints = {"candidate": Dataset.open(candidate).fingerprint, "reference": Dataset.open(reference).fingerprint}
    assert found.data == fingerprints


def noisy(sample):
    return evolve(sample, image=changed(sample, people=15, around=15).image)


def test_the_plugin_module_is_light():
    code = "import sys, synthkit_lpips.plugin; assert not {'torch', 'cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
