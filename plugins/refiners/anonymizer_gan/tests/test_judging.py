# SPDX-License-Identifier: Apache-2.0
"""What is compared when a generator is judged, and what comes of it."""

from __future__ import annotations

import json

import attrs
import made_people
import numpy as np
import pytest
import torch
from made_sets import written

from synthkit import evaluation
from synthkit.checkpoint import sha256_of
from synthkit.dataset import Dataset
from synthkit.errors import ConfigError, DatasetError, WeightsError
from synthkit.execution import Local
from synthkit.plugins import discover
from synthkit.seeds import Seeds
from synthkit.session import Session
from synthkit.settings import RunSettings
from synthkit.surfaces import MPFB
from synthkit.training.checkpoints import save_checkpoint
from synthkit_anonymizer_gan import crop_store, drawing, figures, judging, outliers
from synthkit_anonymizer_gan.config import GeneratingConfig
from synthkit_anonymizer_gan.making import Maker
from synthkit_anonymizer_gan.networks import Generator, Shape

CUT = {"alignment": "box", "surface": "mpfb", "margin": 0.05}


@pytest.fixture
def session() -> Session:
    return Session(discover(), RunSettings(seed=5), Local(0))


@pytest.fixture
def checkpoint(tmp_path):
    """Networks that have learned nothing, but do not ignore their latents."""

    def make(name="made", *, appearance=True):
        shape = Shape((32, 32), channels=2, latent=6, appearance=appearance, co_modulation=False)
        made = Generator(shape, places=MPFB.vertices, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            made.embedding.normal_(generator=torch.Generator().manual_seed(2))
            for layer in made.mapping.layers:
                layer.bias.normal_(0, 30, generator=torch.Generator().manual_seed(3))
        told = {**attrs.asdict(shape), "size": [32, 32], "cut": CUT}
        card = {"kind": "refiner", "name": "anonymizer-gan", "architecture": told}
        return save_checkpoint(tmp_path / name / "checkpoint.safetensors", made.state_dict(), card)

    return make


@pytest.fixture
def data(tmp_path, sample):
    names = [("anna", "ben"), ("ben", "cleo"), ("anna", "ben")]
    return written(tmp_path / "data", [sample(n, each) for n, each in enumerate(names)])


@pytest.fixture
def originals(session, data, checkpoint, tmp_path):
    return drawing.crops_of(session, data, checkpoint(), tmp_path / "originals")


def _images(data):
    return {sample.key: sample.image for sample in data}


def test_crops_tell_who_is_where(originals):
    assert [sample.key for sample in originals][:3] == ["s000_000", "s000_001", "s001_000"]
    assert sorted(sample.people[0].identity for sample in originals) == ["anna", "anna", "ben", "ben", "ben", "cleo"]
    for sample in originals:
        own = sample.layers["instances"] > 0
        assert sample.image.shape == (32, 32, 3)
        assert 0.1 < own.mean() < 0.8
        assert not (own & (sample.layers["others"] > 0)).any()
        assert not sample.layers["surface"][~own].any()
        assert sample.layers["surface"][own].all()
    assert any(sample.layers["others"].any() for sample in originals)


def test_each_kind_gets_the_latents_that_it_says(session, originals, checkpoint, tmp_path):
    made = checkpoint()
    maker = Maker(made, GeneratingConfig(), torch.device("cpu"))
    sets = {kind: drawing.draw(session, originals, made, kind, tmp_path / kind) for kind in drawing.Kind.__args__}
    by_key = {sample.key: sample for sample in originals}
    looks = {key: drawing.crop_in(sample, "mpfb", sample.image) for key, sample in by_key.items()}

    def of(kind, key, z):
        assert np.array_equal(_images(sets[kind])[key], drawing.completed(maker, by_key[key], z))

    for key in looks:
        of("reconstructed", key, maker.look_of(looks[key]))
        name = by_key[key].people[0].identity
        of("identities", key, maker.drawn(Seeds(5).child("refiner"), name))
    keys = {name: [key for key, one in by_key.items() if one.people[0].identity == name] for name in ("anna", "cleo")}
    assert set(_images(sets["other-view"])) == set(looks) - set(keys["cleo"])  # who is seen once
    of("other-view", keys["anna"][0], maker.look_of(looks[keys["anna"][1]]))
    for key in looks:
        assert (_images(sets["drawn"])[key] != _images(sets["drawn-again"])[key]).any()


def test_who_is_drawn_can_be_chosen(session, originals, checkpoint, tmp_path):
    sampling = judging.sampling_of(session.registry, {"truncation": 0, "truncate": "z"})
    first, again = (
        _images(drawing.draw(session, originals, checkpoint(), kind, tmp_path / kind, sampling))
        for kind in ("drawn", "drawn-again")
    )
    assert all(np.array_equal(first[key], again[key]) for key in first)
    with pytest.raises(DatasetError):  # the folder is of other settings
        drawing.draw(session, originals, checkpoint(), "drawn", tmp_path / "drawn")
    with pytest.raises(ConfigError, match=r"refiner.channels: is not for judging: take one of draws, truncation"):
        judging.sampling_of(session.registry, {"channels": 3})
    with pytest.raises(ConfigError, match=r"refiner.truncation"):
        judging.sampling_of(session.registry, {"truncation": 2})


def test_what_is_drawn_depends_on_the_seed_and_on_nobodys_pixels(session, originals, checkpoint, data, tmp_path):
    made = checkpoint()
    whole = [
        attrs.evolve(one, image=np.where(one.layers["instances"][..., None] > 0, 7, one.image))
        for one in Dataset.open(data)
    ]
    others = drawing.crops_of(session, written(tmp_path / "black", whole), made, tmp_path / "o")
    first, second = (
        _images(drawing.draw(session, crops, made, "drawn", tmp_path / f"drawn {n}"))
        for n, crops in enumerate((originals, others))
    )
    reseeded = _images(drawing.draw(session.reseeded(6), originals, made, "drawn", tmp_path / "reseeded"))
    for sample in originals:
        made_anew = drawing.making_of(drawing.crop_in(sample, "mpfb").whose, 2)
        assert np.array_equal(first[sample.key][made_anew], second[sample.key][made_anew])
        assert (first[sample.key] != reseeded[sample.key]).any()
        assert np.array_equal(first[sample.key][~made_anew], sample.image[~made_anew])
    with pytest.raises(DatasetError, match="holds a data set made with other settings"):
        drawing.draw(session, others, made, "drawn", tmp_path / "drawn 0")


def test_a_set_without_surfaces_is_refused(session, checkpoint, sample, tmp_path):
    bare = attrs.evolve(sample(1), layers={"instances": sample(1).layers["instances"]})
    with pytest.raises(DatasetError, match=r"sample s001: has no surface, which .* learned from"):
        drawing.crops_of(session, written(tmp_path / "bare", [bare]), checkpoint(), tmp_path / "out")


def test_backgrounds_and_postures_are_exchanged(originals):
    background, posture = (drawing.crop_in(originals[n], "mpfb") for n in (0, 3))
    emptied = figures.emptied(originals[0], background)
    mixed = figures.exchanged(emptied, posture)
    own = posture.whose == 1
    assert np.array_equal(mixed.whose == 1, own)
    assert np.array_equal(mixed.places, posture.places)
    assert np.array_equal(mixed.whose[~own] == 2, background.whose[~own] > 0)
    scene = np.full_like(background.image, 9)
    known = attrs.evolve(originals[0], layers={**originals[0].layers, "background": scene})
    mixed = figures.exchanged(figures.emptied(known, background), posture)
    assert np.array_equal(mixed.whose > 0, own)
    assert (mixed.image == 9).all()


@pytest.fixture
def perceptual(tmp_path, monkeypatch):
    """Settings of a perceptual distance whose weights are drawn: its numbers mean nothing."""
    from synthkit.training.perceptual import FeatureNet
    from synthkit_lpips import distance

    trunk = distance.TRUNKS["squeeze"]
    network = FeatureNet(trunk.features, trunk.layers)
    torch.save(network.state_dict(), tmp_path / "drawn.pth")
    heads = {f"lin{n}.model.1.weight": torch.rand(1, t.channels, 1, 1) for n, t in enumerate(network.taps.values())}
    torch.save(heads, tmp_path / "heads.pth")
    known = attrs.evolve(distance.HEADS["squeeze"], sha256=sha256_of(tmp_path / "heads.pth"))
    monkeypatch.setattr(distance, "HEADS", {**distance.HEADS, "squeeze": known})
    files = {"stand_in": str(tmp_path / "drawn.pth"), "heads": str(tmp_path / "heads.pth")}
    return {"metric": {"lpips": {"network": "squeeze", "bootstrap": 100, **files}}}


def test_scores_and_figures_are_written(session, data, checkpoint, perceptual, tmp_path, capsys):
    files = [str(checkpoint("ours").path), f"base={checkpoint('theirs', appearance=False).path.parent}"]
    made = judging.named(files)
    assert list(made) == ["ours", "base"]
    metrics = evaluation.plan(session.registry, perceptual, "lpips,ssim").metrics
    scores = judging.judge(session, data, made, metrics, tmp_path / "out", shown=3)
    found = {(score.checkpoint, score.of, score.result.name.partition("[")[0]): score.result for score in scores}
    both = {("drawn", "squeeze_feature_distance"), ("two draws", "squeeze_feature_distance"), ("drawn", "ssim")}
    looks = {
        ("reconstructed", "squeeze_feature_distance"),
        ("reconstructed from another view", "squeeze_feature_distance"),
    }
    assert set(found) == {("ours", *use) for use in both | looks} | {("base", *use) for use in both}
    assert found["ours", "two draws", "squeeze_feature_distance"].better == "higher"
    assert found["ours", "reconstructed from another view", "squeeze_feature_distance"].count == 5
    records = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [record["checkpoint"] for record in records] == [score.checkpoint for score in scores]
    lines = (tmp_path / "out" / "scores.md").read_text().splitlines()
    assert lines[0] == "|  | ours | base |"
    assert next(line for line in lines if line.startswith("| reconstructed: ")).endswith(" | - |")
    pictures = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert pictures == {
        *(f"ours/{name}.png" for name in ("pose", "background", "diversity", "interpolation", "reconstruction")),
        *(f"base/{name}.png" for name in ("pose", "background", "diversity", "interpolation")),
    }


def test_pictures_of_several_checkpoints_lie_apart(session, data, checkpoint, tmp_path):
    made = judging.named([f"{name}={checkpoint(name).path}" for name in ("ours", "theirs")])
    network = str(made_people.colours_file(tmp_path / "net"))
    given = {"metric": {"consistency": {"embedder": network, "pictures": str(tmp_path / "ranks")}}}
    metrics = evaluation.plan(session.registry, given, "consistency").metrics
    judging.judge(session, data, made, metrics, tmp_path / "out", shown=0)
    drawn = sorted(path.relative_to(tmp_path / "ranks").as_posix() for path in (tmp_path / "ranks").rglob("*.png"))
    assert {name.partition("/")[0] for name in drawn} == {"ours", "theirs"}
    assert [name.partition("/")[2] for name in drawn[: len(drawn) // 2]] == [
        name.partition("/")[2] for name in drawn[len(drawn) // 2 :]
    ]


def test_what_cannot_be_judged_is_told_before_anything_is_made(session, data, checkpoint, perceptual, tmp_path):
    def judged(metrics, given=None):
        chosen = evaluation.plan(session.registry, given or {}, metrics).metrics
        judging.judge(session, data, {"made": checkpoint()}, chosen, tmp_path / "out", shown=0)

    with pytest.raises(ConfigError, match="metric 'reid': compares no two sets of images"):
        judged("reid")
    with pytest.raises(ConfigError, match=r"metric\.measure: each is taken in its place"):
        judged("lpips", {"metric": {"lpips": {**perceptual["metric"]["lpips"], "measure": "diversity"}}})
    with pytest.raises(WeightsError, match="inception"):
        judged("fid")
    assert not (tmp_path / "out").exists()


def test_one_that_fails_leaves_the_others_scores(session, sample, checkpoint, tmp_path):
    alone = written(tmp_path / "alone", [sample(1, ("anna",))])
    metrics = evaluation.plan(session.registry, {}, "surface-consistency,ssim").metrics
    with pytest.raises(DatasetError, match="made, surface-consistency of identities: "):
        judging.judge(session, alone, {"made": checkpoint()}, metrics, tmp_path / "out", shown=0)
    assert [record["name"] for record in json.loads((tmp_path / "out" / "scores.json").read_text())] == ["ssim[image]"]


@pytest.mark.parametrize("files", [["a=x", "a=x"], ["=x"], ["../a=x"]])
def test_names_of_checkpoints_are_folders(files, checkpoint):
    made = checkpoint().path
    with pytest.raises(ConfigError, match="give each a name of its own"):
        judging.named([file.replace("=x", f"={made}") for file in files])


def test_who_is_made_again_worst_is_left_out(session, data, checkpoint, tiny, tmp_path):
    (metric,) = evaluation.plan(session.registry, {}, "psnr").metrics
    made = checkpoint()
    found = outliers.find(session, data, made, metric, 0.5, tmp_path / "out")
    assert len(found) == 3
    pairs = zip(*(Dataset.open(tmp_path / "out" / name) for name in ("originals", "reconstructed")), strict=True)
    errors = {drawing.told(a): float(np.square(a.image.astype(float) - b.image).mean()) for a, b in pairs}
    worst = sorted(errors, key=errors.get, reverse=True)[:3]
    assert [(one.sample, one.person) for one in found] == worst
    assert [one.distance for one in found] == sorted((one.distance for one in found), reverse=True)
    assert (tmp_path / "out" / "outliers.png").is_file()
    samples = Dataset.open(data)
    less = attrs.evolve(tiny, leave_out=tmp_path / "out" / outliers.FILE)
    stores = [crop_store.load(samples, config, tmp_path / "crops", lambda *_: None) for config in (tiny, less)]
    assert [len(store) for store in stores] == [6, 3]
    for broken in ("[]", '{"of": "x", "outliers": [{"sample": "s000", "person": 1e999}]}'):
        (tmp_path / "broken.json").write_text(broken)
        with pytest.raises(ConfigError, match=r"refiner\.leave_out: .*is no list of 'synthkit generator outliers'"):
            crop_store.load(samples, attrs.evolve(tiny, leave_out=tmp_path / "broken.json"), tmp_path / "crops", print)
    fewer = Dataset.open(written(tmp_path / "fewer", [samples[0]]))
    with pytest.raises(ConfigError, match=r"outliers\.json: is of another data set"):  # whose people have other places
        crop_store.load(fewer, less, tmp_path / "crops", print)
    (distance,) = evaluation.plan(session.registry, {}, "lpips").metrics
    with pytest.raises(WeightsError, match="alexnet"):  # before anything is made
        outliers.find(session, data, made, distance, 0.5, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(ConfigError, match="has no appearance mapper"):
        outliers.find(session, data, checkpoint("bare", appearance=False), metric, 0.5, tmp_path / "b")
