# SPDX-License-Identifier: Apache-2.0
"""Published files are read as they are published, and nothing in them is executed."""

from __future__ import annotations

import pickle
import zipfile

import attrs
import numpy as np
import pytest
import torch
from torch import nn

from synthkit.checkpoint import sha256_of
from synthkit.config import structure
from synthkit.errors import WeightsError
from synthkit.interfaces import silent
from synthkit_fidelity import extractors
from synthkit_fidelity.config import FrechetConfig
from synthkit_fidelity.networks import torchscript
from synthkit_fidelity.networks.transformers import ClipVisual


class Whole(nn.Module):
    """What OpenAI's archive is like: the image side is one part of it."""

    def __init__(self, visual):
        super().__init__()
        self.visual = visual
        self.logit_scale = nn.Parameter(torch.ones([]))
        self.register_buffer("sizes", torch.arange(6).view(2, 3).T)

    def forward(self, images):
        return self.visual(images) * self.logit_scale


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    torch.manual_seed(0)
    network = ClipVisual(64, 1, 32, 64, 8)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    path = tmp_path_factory.mktemp("clip") / "ViT-B-32.pt"
    whole = Whole(network.half().float())
    traced = torch.jit.trace(whole, torch.zeros(1, 3, 64, 64))
    torch.jit.save(traced, path)
    return path, whole


def test_tensors_of_an_archive_are_those_of_its_modules(archive):
    path, whole = archive
    assert torchscript.is_archive(path)
    found = torchscript.read(path)
    wanted = whole.state_dict()
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_clip_is_read_from_its_archive(archive, monkeypatch):
    path, whole = archive
    entry = attrs.evolve(extractors.PUBLISHED["clip"], sha256=sha256_of(path))
    monkeypatch.setattr(extractors, "PUBLISHED", {"clip": entry})
    monkeypatch.setattr(extractors, "ClipVisual", lambda: ClipVisual(64, 1, 32, 64, 8))
    space = extractors.space_of(structure(FrechetConfig, {"extractor": "clip", "weights": str(path)}))
    planes = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, 64, 64)).astype(np.float32))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in extractors._CLIP)
    with torch.inference_mode():
        assert torch.allclose(space.load(silent)(planes), whole.visual((planes / 255 - mean) / std), atol=1e-5)


class Harm:
    def __reduce__(self):
        return getattr, ("executed", "upper")


@pytest.mark.parametrize("harm", [Harm(), {"tensor": Harm()}, getattr])
def test_what_would_run_is_refused(archive, tmp_path, harm, capsys):
    path, _ = archive
    evil = tmp_path / "evil.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(evil, "w") as target:
        for name in source.namelist():
            target.writestr(name, pickle.dumps(harm) if name.endswith("/data.pkl") else source.read(name))
    with pytest.raises(WeightsError, match=r"it asks for builtins\.getattr"):
        torchscript.read(evil)
    assert "executed" not in capsys.readouterr().out


def test_damaged_archives_are_told(archive, tmp_path):
    path, _ = archive
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    storage = max((name for name in members if "/data/" in name), key=lambda name: len(members[name]))
    pickled = next(name for name in members if name.endswith("/data.pkl"))
    for name, data in ((storage, b""), (storage, members[storage][:4]), (pickled, b""), (pickled, b"garbage")):
        damaged = tmp_path / "damaged.pt"
        with zipfile.ZipFile(damaged, "w") as target:
            for other, content in members.items():
                target.writestr(other, data if other == name else content)
        with pytest.raises(WeightsError, match="cannot be read as a TorchScript archive"):
            torchscript.read(damaged)
    (tmp_path / "plain.pth").write_bytes(b"no zip")
    assert not torchscript.is_archive(tmp_path / "plain.pth")
