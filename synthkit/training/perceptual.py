# SPDX-License-Identifier: Apache-2.0
"""Feature spaces of classification networks, in plain torch: VGG16, MobileNetV2, AlexNet and SqueezeNet 1.1.

The networks are those of Simonyan and Zisserman (2014, configuration D), Sandler et al. (2018), Krizhevsky (One weird
trick for parallelizing convolutional neural networks, 2014) and Iandola et al. (2016, release 1.1), with torchvision's
parameter names, so that its published weights fit; torchvision itself is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from synthkit import weights
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress, silent
from synthkit.training import caffe
from synthkit.training.taps import DEVIATION_RGB, MEAN_RGB, tap

# Convolutions per width, a max pooling after each group.
_VGG16 = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# Expansion, width, blocks, stride of the first block (Sandler et al., table 2).
_MOBILENET_V2 = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
)  # fmt: skip


class FeatureNet(nn.Module):
    """A frozen network, run only as far as its last tap.

    Args:
        name: a key of ``TAPS``. layers: the taps wanted.

    Raises:
        ConfigError: when there is no such network or tap.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, name: str, layers: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.taps = {layer: tap(name, layer) for layer in layers}
        modules = _MODULES[name]()
        self.features = nn.Sequential(*modules[: max(t.last for t in self.taps.values()) + 1])
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(DEVIATION_RGB).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the activations by tap.

        Args:
            images: (N, 3, H, W) RGB in 0..1; ImageNet's mean and deviation are taken off here.
        """
        wanted = {tap.last: layer for layer, tap in self.taps.items()}
        found = {}
        flow = (images - self.mean) / self.std
        for index, module in enumerate(self.features):
            flow = module(flow)
            if index in wanted:
                found[wanted[index]] = flow
        return found


def load_features(
    name: str, layers: Sequence[str], path: Path | None = None, progress: Progress = silent
) -> tuple[FeatureNet, weights.Found]:
    """Return a network with its published ImageNet weights, and where these were found.

    Raises:
        ConfigError: for an unknown network or tap. WeightsError: when the weights cannot be had.
    """
    network = FeatureNet(name, layers)
    found = weights.find(name, path, progress)
    _fill(network, weights.load(found), found.path)
    return network, found


def stand_in_features(name: str, layers: Sequence[str], path: Path) -> FeatureNet:
    """Return a network with weights of a file that nobody vouches for: what is computed with it is to say so.

    Args:
        path: tensors with torchvision's names, or Caffe's of SqueezeNet 1.1 (see ``caffe.py``).

    Raises:
        ConfigError: for an unknown network or tap. WeightsError: when the file cannot be read, or is another network's.
    """
    network = FeatureNet(name, layers)
    tensors = weights.read(path)
    if name == "squeezenet1_1" and caffe.is_squeezenet(tensors):
        try:
            tensors = caffe.squeezenet(tensors)
        except KeyError as error:
            raise WeightsError(f"weights {path}: are not of {name}: {error.args[0]} is missing") from None
    _fill(network, tensors, path)
    return network


def _fill(network: FeatureNet, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    wanted = network.state_dict()
    for key, tensor in wanted.items():
        if key not in tensors:
            raise WeightsError(f"weights {path}: are not of {network.name}: {key} is missing")
        if tensors[key].shape != tensor.shape:
            found, right = tuple(tensors[key].shape), tuple(tensor.shape)
            raise WeightsError(f"weights {path}: are not of {network.name}: {key} is {found}, expected {right}")
    network.load_state_dict({key: tensors[key] for key in wanted})


def _vgg16() -> list[nn.Module]:
    modules: list[nn.Module] = []
    channels = 3
    for count, width in _VGG16:
        for _ in range(count):
            modules += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        modules.append(nn.MaxPool2d(2))
    return modules


def _mobilenet_v2() -> list[nn.Module]:
    modules: list[nn.Module] = [_conv_norm(3, 32, 3, stride=2)]
    channels = 32
    for expansion, width, count, stride in _MOBILENET_V2:
        for n in range(count):
            modules.append(_InvertedResidual(channels, width, stride if n == 0 else 1, expansion))
            channels = width
    modules.append(_conv_norm(channels, 1280, 1))
    return modules


def _alexnet() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
    ]  # fmt: skip


def _squeezenet1_1() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        _Fire(64, 16, 64), _Fire(128, 16, 64), nn.MaxPool2d(3, 2, ceil_mode=True),
        _Fire(128, 32, 128), _Fire(256, 32, 128), nn.MaxPool2d(3, 2, ceil_mode=True),
        _Fire(256, 48, 192), _Fire(384, 48, 192), _Fire(384, 64, 256), _Fire(512, 64, 256),
    ]  # fmt: skip


_MODULES: Mapping[str, Callable[[], list[nn.Module]]] = {
    "vgg16": _vgg16,
    "mobilenet_v2": _mobilenet_v2,
    "alexnet": _alexnet,
    "squeezenet1_1": _squeezenet1_1,
}


class _Fire(nn.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions side by side, each with a ReLU."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        squeezed = torch.relu(self.squeeze(flow))
        return torch.relu(torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], dim=1))


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class _InvertedResidual(nn.Module):
    """Expand, filter each channel, project linearly; added to the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *([_conv_norm(inputs, hidden, 1)] if expansion != 1 else []),
            _conv_norm(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv(flow)
        return flow + result if self.residual else result
