# SPDX-License-Identifier: Apache-2.0
"""The same numbers as torch-fidelity, clean-fid, torchmetrics, dgm-eval, CLIP and DINOv2, with weights drawn at random.

What these answer is frozen in ``parity.npz``. Where they are installed they are asked again; so is the file made:

    python plugins/metrics/fidelity/tests/test_parity.py

They must be importable: torch-fidelity 0.4.0, clean-fid 0.1.35, torchmetrics 1.9.0, torchvision, scikit-learn; and of
three repositories ``clip_model`` (openai/CLIP's clip/model.py), ``dgm_prdc`` (dgm-eval's metrics/prdc.py), ``dinov2``.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from importlib.metadata import version
from pathlib import Path

import attrs
import numpy as np
import pytest
import torch

from synthkit.checkpoint import sha256_of
from synthkit.config import structure
from synthkit.interfaces import Runtime
from synthkit.sample import Sample
from synthkit.seeds import Seeds
from synthkit_fidelity import extractors, resizing
from synthkit_fidelity.config import FrechetConfig, InceptionScoreConfig, KidConfig
from synthkit_fidelity.entropy import inception_scores
from synthkit_fidelity.extractors import Inception
from synthkit_fidelity.gaussians import frechet_distance, of_vectors
from synthkit_fidelity.kernels import subset_distances
from synthkit_fidelity.manifolds import overlap
from synthkit_fidelity.metrics import FrechetMetric, InceptionScoreMetric, KidMetric
from synthkit_fidelity.networks import inception
from synthkit_fidelity.networks.squeezenet import SqueezeNet
from synthkit_fidelity.networks.transformers import ClipVisual, DinoV2
from synthkit_fidelity.published import INCEPTION

FROZEN = Path(__file__).with_name("parity.npz")
_KID_SEED, _KID_SUBSETS, _KID_SIZE = 2020, 10, 40


def image(height, width):
    """Return pixels that are rough and smooth, so that each way of resizing shows."""
    generator = Seeds(1).stream("image", height, width)
    rough = generator.integers(0, 256, (height, width, 3))
    ramp = np.linspace(0, 255, width)[None, :, None]
    return np.where(rough > 128, ramp, rough).astype(np.uint8)


def filled(shapes, name):
    """Return tensors of some shapes, drawn so that a signal neither dies nor explodes on its way."""
    generator = Seeds(2).stream(name)
    found = {}
    for key, shape in sorted(shapes.items()):
        if key.endswith("running_var"):
            values = generator.uniform(0.5, 1.5, shape)
        elif key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(0)
            continue
        elif len(shape) > 1:
            values = generator.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            scale = key.endswith(("weight", "gamma"))
            values = generator.uniform(0.8, 1.2, shape) if scale else generator.normal(0, 0.1, shape)
        found[key] = torch.from_numpy(values.astype(np.float32))
    return found


def published_shapes():
    """Return the shapes of the published Inception file, whose batch normalisations stand beside convolutions."""
    shapes = {}
    for key, tensor in inception.InceptionV3().state_dict().items():
        name, _, kind = key.rpartition(".")
        if name == "fc":
            shapes[key] = tuple(tensor.shape)
        elif kind == "weight":
            shapes[f"{name}.conv.weight"] = tuple(tensor.shape)
            parts = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"{name}.bn.{part}": (len(tensor),) for part in parts}
            shapes[f"{name}.bn.num_batches_tracked"] = ()
    return shapes


def vectors(count, dimensions, seed, shift=0.0):
    generator = np.random.default_rng(seed)
    return np.abs(generator.normal(shift, 1, (count, dimensions)) * np.linspace(0.2, 2, dimensions)).astype(np.float32)


SETS = {"many": (vectors(300, 24, 0), vectors(260, 24, 1, 0.3)), "few": (vectors(40, 64, 2), vectors(50, 64, 3, 0.3))}
TALL = image(48, 27)
CLIP_SIZE = {"width": 128, "depth": 2, "patch_px": 32, "side_px": 64, "features": 32}
NORMAL = torch.from_numpy(Seeds(3).stream("input").normal(0, 1, (2, 3, 70, 70)).astype(np.float32))


def ours():
    """Return our answers."""
    found = {
        "tf1 up": resizing.tf1(image(11, 17), 29),
        "tf1 down": resizing.tf1(image(61, 47), 29),
        "clean up": resizing.clean(image(11, 17), 29),
        "clean down": resizing.clean(image(61, 47), 29),
        "squash": resizing.squash(TALL, 24),
        "centre-crop": resizing.centre_crop(TALL, 24),
    }
    network = inception.InceptionV3()
    network.load_state_dict(inception.folded(filled(published_shapes(), "inception")))
    whole = Inception(network)
    with torch.inference_mode():
        planes = torch.from_numpy(np.stack([resizing.tf1(image(40, 53), 299), resizing.tf1(image(40, 54), 299)]))
        found["inception"] = whole(planes).numpy()
        found["inception logits"] = whole.logits(found["inception"], torch.device("cpu"))
        for name, made, flow in (
            ("clip", ClipVisual(**CLIP_SIZE), NORMAL[..., :64, :64]),
            ("dinov2", DinoV2(128, 2, trained_px=98), NORMAL),
            ("squeezenet", SqueezeNet(), NORMAL),
        ):
            made.load_state_dict(filled({key: tuple(t.shape) for key, t in made.state_dict().items()}, name))
            found[name] = made(flow).numpy()
    for name, pair in SETS.items():
        found[f"fid {name}"] = frechet_distance(*map(of_vectors, pair))
    many = SETS["many"]
    draws = np.random.RandomState(_KID_SEED)
    pairs = [[draws.choice(count, _KID_SIZE, replace=False) for count in (300, 260)] for _ in range(_KID_SUBSETS)]
    distances = subset_distances(*many, *np.array(pairs).transpose(1, 0, 2))
    found["kid"] = np.array([distances.mean(), distances.std()])
    scores = inception_scores(many[0], 7)
    found["inception score"] = np.array([scores.mean(), scores.std()])
    shares = overlap(*many, 5)
    found["prdc"] = np.array([shares.precision, shares.recall, shares.density, shares.coverage])
    return {name: np.asarray(value) for name, value in found.items()}


def theirs():
    """Return the peers' answers; see the module for what must be importable."""
    return {**_their_resizing(), **_their_networks(), **_their_distances()}


def _their_resizing():
    import torchvision.transforms as transforms
    from cleanfid.resize import make_resizer
    from PIL import Image
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    def tf1(pixels):
        planes = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float()[None]
        return interpolate_bilinear_2d_like_tensorflow1x(planes, size=(29, 29), align_corners=False)[0].numpy()

    clean = make_resizer("PIL", False, "bicubic", (29, 29))
    bicubic = transforms.InterpolationMode.BICUBIC
    cropped = transforms.Compose([transforms.Resize(24, interpolation=bicubic), transforms.CenterCrop(24)])
    squashed = transforms.Resize((24, 24), interpolation=bicubic, antialias=False)
    return {
        "tf1 up": tf1(image(11, 17)), "tf1 down": tf1(image(61, 47)),
        "clean up": clean(image(11, 17)).transpose(2, 0, 1), "clean down": clean(image(61, 47)).transpose(2, 0, 1),
        "squash": squashed(torch.from_numpy(TALL.transpose(2, 0, 1).copy()).float()).numpy(),
        "centre-crop": np.asarray(cropped(Image.fromarray(TALL))).transpose(2, 0, 1),
    }  # fmt: skip


def _their_networks():
    import torchvision
    from clip_model import VisionTransformer
    from dinov2.models.vision_transformer import DinoVisionTransformer
    from torch_fidelity import feature_extractor_inceptionv3 as module

    def load(*_, **__):
        return filled(published_shapes(), "inception")

    module.load_state_dict_from_url = load
    whole = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"])
    dino = DinoVisionTransformer(
        img_size=98, patch_size=14, embed_dim=128, depth=2, num_heads=2, init_values=1.0, block_chunks=0
    )
    clip, squeeze = VisionTransformer(64, 32, 128, 2, 2, 32), torchvision.models.squeezenet1_1()
    found = {}
    with torch.inference_mode():
        pixels = [torch.from_numpy(image(40, width).transpose(2, 0, 1).copy())[None] for width in (53, 54)]
        parts = [whole(part) for part in pixels]
        found["inception"], found["inception logits"] = (torch.cat([part[n] for part in parts]).numpy() for n in (0, 1))
        for name, network, flow in (("clip", clip, NORMAL[..., :64, :64]), ("dinov2", dino, NORMAL)):
            wanted = {k: tuple(t.shape) for k, t in network.state_dict().items() if k != "mask_token"}
            network.load_state_dict(filled(wanted, name), strict=False)
            found[name] = network.eval()(flow).numpy()
        wanted = {k: tuple(t.shape) for k, t in squeeze.state_dict().items() if k.startswith("features")}
        squeeze.load_state_dict(filled(wanted, "squeezenet"), strict=False)
        found["squeezenet"] = squeeze.eval().features(NORMAL).numpy()
    return found


def _their_distances():
    from cleanfid.fid import frechet_distance as cleans
    from dgm_prdc import compute_prdc
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.fid import _compute_fid

    many = [torch.from_numpy(part) for part in SETS["many"]]
    moments = [(part.mean(axis=0), np.cov(part, rowvar=False)) for part in SETS["many"]]
    found = {}
    # Of fewer vectors than dimensions theirs drift; the exact distance needs no matrix root.
    for name, pair in SETS.items():
        found[f"fid {name}"] = _exact(*pair)
    stats = [fid_features_to_statistics(part) for part in many]
    found["fid torch-fidelity"] = fid_statistics_to_metric(*stats, False)["frechet_inception_distance"]
    found["fid clean-fid"] = cleans(*moments[0], *moments[1])
    found["fid torchmetrics"] = float(_compute_fid(*(torch.from_numpy(np.asarray(v, np.float64)) for p in moments
                                                    for v in p)))  # fmt: skip
    kid = kid_features_to_metric(
        *(part.double() for part in many), kid_subsets=_KID_SUBSETS, kid_subset_size=_KID_SIZE, rng_seed=_KID_SEED,
        verbose=False,
    )  # fmt: skip
    found["kid"] = np.array(list(kid.values()))
    found["inception score"] = np.array(list(isc_features_to_metric(many[0], splits=7, shuffle=False).values()))
    with contextlib.redirect_stderr(io.StringIO()):
        shares = compute_prdc(*(part.double().numpy() for part in many), 5)
    found["prdc"] = np.array([float(shares[name]) for name in ("precision", "recall", "density", "coverage")])
    return found


def _exact(first, second):
    """Return the distance in float64 through singular values of the centred data alone."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    rows = [(part - part.mean(axis=0)) / np.sqrt(len(part) - 1) for part in (first, second)]
    shift = first.mean(axis=0) - second.mean(axis=0)
    root = np.linalg.svd(rows[0] @ rows[1].T, compute_uv=False).sum()
    return shift @ shift + sum((part**2).sum() for part in rows) - 2 * root


def _import_torchvision():
    """Import torchvision beside a CPU build of torch, which lacks the operators that its own has."""
    os.environ["XFORMERS_DISABLED"] = "1"
    real = torch.library.register_fake

    def tolerant(operator, *args, **settings):
        def register(function):
            with contextlib.suppress(RuntimeError):
                return real(operator, *args, **settings)(function)
            return function

        return register

    torch.library.register_fake = tolerant
    try:
        import torchvision
    finally:
        torch.library.register_fake = real
    return torchvision


TOLERANCES = {"inception": 1e-5, "inception logits": 1e-5, "clip": 1e-5, "dinov2": 1e-5, "squeezenet": 1e-5,
              "tf1 up": 1e-6, "tf1 down": 1e-6, "clean up": 1e-6, "clean down": 1e-6, "squash": 1e-6}  # fmt: skip
"""Of the largest value; all else within 1e-6 of itself."""


@pytest.fixture(scope="module")
def answers():
    return ours()


def compare(answers, wanted):
    for name, value in answers.items():
        tolerance = TOLERANCES.get(name)
        if tolerance is None:
            assert value == pytest.approx(wanted[name], rel=1e-6), name
        else:
            assert np.abs(value - wanted[name]).max() <= tolerance * np.abs(wanted[name]).max(), name
    for peer in ("torch-fidelity", "clean-fid", "torchmetrics"):
        assert answers["fid many"] == pytest.approx(float(wanted[f"fid {peer}"]), rel=1e-6), peer


def test_the_same_as_the_frozen_answers(answers):
    with np.load(FROZEN, allow_pickle=False) as wanted:
        assert "torch-fidelity 0.4.0" in str(wanted["peers"])
        compare(answers, wanted)


def test_published_names_stand_for_the_published_file_alone(tmp_path, monkeypatch):
    """The metrics from a file to their results, which look at one set of features; the file is ours, so its hash is."""
    path = tmp_path / INCEPTION.file
    torch.save(filled(published_shapes(), "inception"), path)
    entry = attrs.evolve(INCEPTION, sha256=sha256_of(path))
    monkeypatch.setattr(extractors, "PUBLISHED", {"inception": entry})
    runtime = Runtime(Seeds(0), tmp_path)
    sets = [[Sample(key=f"{n}", image=image(20, width + n)) for n in range(3)] for width in (21, 31)]
    options = {"weights": str(path), "batch": 3}
    fid = FrechetMetric(structure(FrechetConfig, {**options, "extractor": "inception"}), None, runtime)
    kid = KidMetric(structure(KidConfig, {**options, "extractor": "inception", "subsets": 4}), None, runtime)
    score = InceptionScoreMetric(structure(InceptionScoreConfig, {**options, "splits": 1}), None, runtime)
    with fid, kid, score:
        assert fid.observed("candidate") == kid.observed("candidate") == score.observed("candidate")
        roles = zip(("reference", "candidate"), sets, strict=True)
        states = {role: fid.observe(role, samples) for role, samples in roles}
        results = [*fid.compute(states), *kid.compute(states), *score.compute({"candidate": states["candidate"]})]
    assert [result.name for result in results] == ["fid", "kid[subsets of 3]", "inception_score[1 parts]"]
    assert {result.extractor.sha256 for result in results} == {entry.sha256}
    wanted = frechet_distance(*(of_vectors(states[role]["features"]) for role in ("reference", "candidate")))
    assert results[0].value == pytest.approx(wanted)
    every = np.arange(3)[None]
    wanted = subset_distances(*(states[role]["features"] for role in states), every, every)[0]
    assert results[1].value == pytest.approx(wanted)
    assert results[2].value >= 1
    assert "parts of 3 images for 1008 classes" in results[2].cautions[0]


@pytest.mark.slow
def test_the_same_as_the_peers(answers):
    with contextlib.suppress(ImportError):
        _import_torchvision()
    for module in ("torch_fidelity", "cleanfid", "torchmetrics", "clip_model", "dgm_prdc", "dinov2"):
        pytest.importorskip(module, exc_type=ImportError)
    compare(answers, theirs())


if __name__ == "__main__":
    _import_torchvision()
    names = ("torch-fidelity", "clean-fid", "torchmetrics", "torchvision", "scikit-learn", "torch")
    peers = ", ".join([*(f"{name} {version(name)}" for name in names), *sys.argv[1:]])
    np.savez_compressed(FROZEN, peers=peers, **theirs())
