# SPDX-License-Identifier: Apache-2.0
"""Feature spaces of classification networks, in plain torch: VGG16's pools and MobileNetV2's stages.

The networks are those of Simonyan and Zisserman (2014, configuration D) and Sandler et al. (2018), with
torchvision's parameter names, so that its published weights fit; torchvision itself is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from synthkit import weights
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress, silent
from synthkit.training.taps import tap

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
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
        modules = _vgg16() if name == "vgg16" else _mobilenet_v2()
        self.features = nn.Sequential(*modules[: max(t.last for t in self.taps.values()) + 1])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
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
    tensors = weights.load(found)
    missing = sorted(set(network.state_dict()) - set(tensors))
    if missing:
        raise WeightsError(f"weights {found.path}: are not of {name}: {missing[0]} is missing")
    network.load_state_dict({key: tensors[key] for key in network.state_dict()})
    return network, found


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
