# SPDX-License-Identifier: Apache-2.0
"""What turns images into feature vectors: which network, with which weights, behind which preprocessing."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import Extractor, Progress
from synthkit.training.perceptual import load_features
from synthkit.training.taps import TAPS, tap
from synthkit_fidelity import resizing
from synthkit_fidelity.config import FeatureConfig, is_module, is_onnx
from synthkit_fidelity.networks import inception, torchscript
from synthkit_fidelity.networks.squeezenet import SqueezeNet
from synthkit_fidelity.networks.transformers import ClipVisual, DinoV2
from synthkit_fidelity.published import PUBLISHED

REVISION = 1
"""Raised when the same network and preprocessing give other vectors."""

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_SYMMETRIC = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_NORMALISATIONS = {"imagenet": _IMAGENET, "unit": _UNIT, "symmetric": _SYMMETRIC}
_TOLD = {
    _IMAGENET: "ImageNet's mean and deviation", _CLIP: "CLIP's mean and deviation", _UNIT: "values 0..1",
    _SYMMETRIC: "values -1..1",
}  # fmt: skip
_FLAT = " place by place"
_DINO = {"dinov2_vits14": (384, 12), "dinov2_vitb14": (768, 12), "dinov2_vitl14": (1024, 24)}


@attrs.frozen(eq=False)
class Space:
    """A feature space, before its network is read.

    Args:
        about: the network, its weights' sha256 and the preprocessing, as results tell them.
        prepare: (H, W, 3) uint8 to (3, h, w) float32, 0..255.
        load: returns the network from (N, 3, h, w) such planes to (N, d) vectors.
    """

    about: Extractor
    prepare: Callable[[resizing.Pixels], resizing.Planes]
    load: Callable[[Progress], nn.Module]

    def vectors(self, network: nn.Module, images: Sequence[resizing.Pixels], device: torch.device) -> Any:
        """Return (N, d) float32 of some images.

        Raises:
            WeightsError: when what comes out is none.
        """
        planes = torch.from_numpy(np.stack([self.prepare(image) for image in images])).to(device)
        with torch.inference_mode():
            found = network(planes).float().cpu().numpy()
        if found.ndim != 2 or len(found) != len(images) or not found.size or not np.isfinite(found).all():
            raise WeightsError(
                f"extractor {self.about.name}: gives {found.shape} for {len(images)} images, expected finite numbers"
                f" ({len(images)}, d)"
            )
        return np.asarray(found, dtype=np.float32)


def space_of(config: FeatureConfig, *, flat: bool = False) -> Space:
    """Return the space that settings name.

    Args:
        flat: whether activations of a layer stay place by place, rather than averaged over the image.

    Raises:
        ConfigError, WeightsError: when a file or class cannot be had.
    """
    name = config.extractor
    if is_onnx(name):
        return _of_onnx(config, flat=flat)
    if is_module(name):
        return _of_class(config, flat=flat)
    sha256 = PUBLISHED[name].sha256
    if name in TAPS:
        layer = config.layer or list(TAPS[name])[-1]
        told = f"{name}.features.{tap(name, layer).last}{_FLAT * flat}"
        return _space(config, told, sha256, _IMAGENET, lambda p: _Tapped(name, layer, config.weights, p, flat=flat))
    if name == "squeezenet1_1":
        told = f"{name}.features.12{_FLAT * flat}"
        return _space(config, told, sha256, _IMAGENET, lambda p: _behind(
            _IMAGENET, _Pooled(_loaded(name, SqueezeNet(), config, p), flat=flat)))  # fmt: skip
    if flat:
        raise ConfigError([f"flat: {name} gives one vector of an image, nothing place by place; set flat=false"])
    if name == "clip":
        return _space(config, PUBLISHED[name].name, sha256, _CLIP, lambda p: _behind(_CLIP, _clip(config, p)))
    if name == "inception":
        return _space(config, PUBLISHED[name].name, sha256, None, lambda p: load_inception(config.weights, p))
    return _space(
        config, name, sha256, _IMAGENET, lambda p: _behind(_IMAGENET, _loaded(name, DinoV2(*_DINO[name]), config, p))
    )


def load_inception(path: Path | None, progress: Progress) -> Inception:
    """Return the network of the Frechet Inception Distance with its weights.

    Raises:
        WeightsError: when these cannot be had.
    """
    network = inception.InceptionV3()
    tensors = weights.load(weights.resolve(PUBLISHED["inception"], path, progress))
    try:
        network.load_state_dict(inception.folded(tensors))
    except (KeyError, RuntimeError) as error:
        raise WeightsError(f"weights inception-2015-12-05: are not of this network: {_short(error)}") from None
    return Inception(network)


class Inception(nn.Module):
    """The network behind its own range of values."""

    def __init__(self, network: inception.InceptionV3) -> None:
        super().__init__()
        # In this order of channels its convolutions take two thirds of the time on a CPU.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """Return (N, 2048) of (N, 3, 299, 299) planes, 0..255."""
        features: torch.Tensor = self.network(((planes - 128) / 128).contiguous(memory_format=torch.channels_last))
        return features

    def logits(self, vectors: npt.NDArray[np.float32], device: torch.device) -> npt.NDArray[np.float32]:
        """Return (N, 1008) logits of (N, 2048) features."""
        with torch.inference_mode():
            return np.asarray(self.network.logits(torch.from_numpy(vectors).to(device)).cpu().numpy())


def _space(
    config: FeatureConfig,
    name: str,
    sha256: str | None,
    normalisation: tuple[Any, Any] | None,
    load: Callable[[Progress], nn.Module],
) -> Space:
    side = config.side_px
    resize, told = resizing.RESIZINGS[config.resizing]
    values = "(x - 128) / 128" if normalisation is None else _TOLD[normalisation]
    return Space(
        Extractor(name, sha256, f"{told.format(side)}, {values}"), lambda image: resize(image, side), load
    )  # fmt: skip


def _behind(normalisation: tuple[Any, Any], network: nn.Module) -> nn.Module:
    return nn.Sequential(_Normalised(*normalisation), network).eval()


def _of_class(config: FeatureConfig, *, flat: bool) -> Space:
    """Return the space of a class that the user's own settings name: without arguments it gives a module."""
    module, _, name = config.extractor.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)()
    except Exception as error:  # a stranger's code may raise anything
        raise ConfigError([f"extractor: {config.extractor} cannot be made: {_short(error)}"]) from None
    if not isinstance(made, nn.Module):
        raise ConfigError([f"extractor: {config.extractor} is no torch.nn.Module"])
    if config.weights is not None:
        _fill(made, weights.read(config.weights), str(config.weights))
    normalisation = _NORMALISATIONS[config.normalise]
    network = _behind(normalisation, _Pooled(made.eval().requires_grad_(False), flat=flat))
    return _space(config, f"{config.extractor}{_FLAT * flat}", _sha256(made), normalisation, lambda _: network)


def _of_onnx(config: FeatureConfig, *, flat: bool) -> Space:
    path = Path(config.extractor)
    if not path.is_file():
        raise WeightsError(f"extractor {path}: there is no such file")
    normalisation = _NORMALISATIONS[config.normalise]
    return _space(
        config, f"{path.name}{_FLAT * flat}", sha256_of(path), normalisation,
        lambda _: _behind(normalisation, _Pooled(_Onnx(path), flat=flat)),
    )  # fmt: skip


class _Normalised(nn.Module):
    """Planes of 0..255 to the values that a network was trained with."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = (planes / 255 - self.mean) / self.std
        return values


class _Pooled(nn.Module):
    """A network whose maps are averaged over the image, or laid out flat."""

    def __init__(self, network: nn.Module, flat: bool) -> None:
        super().__init__()
        self.network, self.flat = network, flat

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(images)
        if found.ndim < 2:
            return found  # what is no vector of each image is told by ``Space.vectors``
        return found.flatten(1) if self.flat or found.ndim != 4 else found.mean(dim=(2, 3))


class _Tapped(nn.Module):
    """A layer of a network of the training library, which takes off the mean by itself."""

    def __init__(self, name: str, layer: str, path: Path | None, progress: Progress, *, flat: bool) -> None:
        super().__init__()
        self.network, _ = load_features(name, [layer], path, progress)
        self.layer, self.flat = layer, flat

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(planes / 255)[self.layer]
        return found.flatten(1) if self.flat else found.mean(dim=(2, 3))


class _Onnx(nn.Module):
    """An ONNX file run by ONNX Runtime: its input takes the images, its first output is the features."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            from synthkit.deployment import sessions
            from synthkit.deployment.files import OnnxFile
        except ImportError:
            raise ConfigError([f"extractor: {path} needs ONNX Runtime: pip install 'synthkit-core[onnx]'"]) from None
        self.origin, self.run_session = f"extractor {path}", sessions.run_session
        data = OnnxFile.read(path, "an extractor").data
        self.session = sessions.open_session(data, self.origin, torch.get_num_threads())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        wanted, features = self.session.get_inputs()[0], self.session.get_outputs()[0].name
        pixels = images.cpu().numpy()
        batches = np.split(pixels, len(pixels)) if wanted.shape[:1] == [1] else [pixels]
        found = [self.run_session(self.session, wanted.name, batch, self.origin)[features] for batch in batches]
        return torch.from_numpy(np.concatenate([np.atleast_1d(part) for part in found]).astype(np.float32))


def _clip(config: FeatureConfig, progress: Progress) -> nn.Module:
    found = weights.resolve(PUBLISHED["clip"], config.weights, progress)
    tensors = torchscript.read(found.path) if torchscript.is_archive(found.path) else weights.load(found)
    visual = {key.removeprefix("visual."): value.float() for key, value in tensors.items() if key.startswith("visual.")}
    network = ClipVisual()
    _fill(network, visual, str(found.path))
    return network


def _loaded(name: str, network: nn.Module, config: FeatureConfig, progress: Progress) -> nn.Module:
    found = weights.resolve(PUBLISHED[name], config.weights, progress)
    _fill(network, weights.load(found), str(found.path))
    return network


def _fill(network: nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Give a network its tensors; a file may hold more, such as a classifier."""
    wanted = network.state_dict()
    missing = sorted(set(wanted) - set(tensors))
    if missing:
        raise WeightsError(f"weights {where}: are not of this network: {missing[0]} is missing")
    try:
        network.load_state_dict({name: tensors[name] for name in wanted})
    except RuntimeError as error:
        raise WeightsError(f"weights {where}: are not of this network: {_short(error)}") from None


def _sha256(network: nn.Module) -> str:
    """Return the identity of a network's tensors; its code is named by the extractor's name."""
    hasher = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        array: npt.NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
        hasher.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return hasher.hexdigest()


def _short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
