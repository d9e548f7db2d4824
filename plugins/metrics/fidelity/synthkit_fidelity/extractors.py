# SPDX-License-Identifier: Apache-2.0
"""What turns images into feature vectors: which network, with which weights, behind which preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from synthkit import own_networks, weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import ConfigError, WeightsError
from synthkit.interfaces import Extractor, Progress
from synthkit.training.perceptual import load_features
from synthkit.training.taps import TAPS, tap
from synthkit_fidelity import resizing
from synthkit_fidelity.config import FeatureConfig
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
    if own_networks.is_onnx(name):
        return _of_onnx(config, flat=flat)
    if own_networks.is_module(name):
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
        raise WeightsError(
            f"weights inception-2015-12-05: are not of this network: {own_networks.short(error)}"
        ) from None
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


def weights_of(config: FeatureConfig) -> Sequence[weights.Wanted]:
    """Return the published weights that a space needs; files and classes of the user's own have none."""
    known = PUBLISHED.get(config.extractor)
    return [] if known is None else [(known, config.weights)]


def _of_class(config: FeatureConfig, *, flat: bool) -> Space:
    name, normalisation = config.extractor, _NORMALISATIONS[config.normalise]
    made = own_networks.made(name, "extractor", config.weights)
    network = _behind(normalisation, _Pooled(_Own(made, f"extractor {name}"), flat=flat))
    return _space(config, f"{name}{_FLAT * flat}", own_networks.sha256_of(name, made), normalisation, lambda _: network)


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


class _Own(nn.Module):
    """A class of the user's own, whose mistakes are told."""

    def __init__(self, network: nn.Module, origin: str) -> None:
        super().__init__()
        self.network, self.origin = network, origin

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return own_networks.run(self.network, images, self.origin)


class _Onnx(nn.Module):
    """An ONNX file run by ONNX Runtime: its input takes the images, its first output is the features."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.network = own_networks.OnnxNetwork.open(path, "extractor", torch.get_num_threads())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.cpu().numpy()
        batches = np.split(pixels, len(pixels)) if self.network.one_by_one else [pixels]
        found = [np.atleast_1d(self.network.run(batch, self.network.outputs[0])) for batch in batches]
        shapes = sorted({part.shape for part in found})
        if len(shapes) > 1:
            raise WeightsError(f"{self.network.origin}: gives {shapes[0]} for one image and {shapes[1]} for another")
        return torch.from_numpy(np.concatenate(found))


def _clip(config: FeatureConfig, progress: Progress) -> nn.Module:
    found = weights.resolve(PUBLISHED["clip"], config.weights, progress)
    tensors = torchscript.read(found.path) if torchscript.is_archive(found.path) else weights.load(found)
    visual = {key.removeprefix("visual."): value.float() for key, value in tensors.items() if key.startswith("visual.")}
    network = ClipVisual()
    own_networks.fill(network, visual, f"weights {found.path}: are not of CLIP ViT-B/32")
    return network


def _loaded(name: str, network: nn.Module, config: FeatureConfig, progress: Progress) -> nn.Module:
    found = weights.resolve(PUBLISHED[name], config.weights, progress)
    own_networks.fill(network, weights.load(found), f"weights {found.path}: are not of {name}")
    return network
