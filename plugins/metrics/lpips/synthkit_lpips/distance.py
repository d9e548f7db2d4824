# SPDX-License-Identifier: Apache-2.0
"""LPIPS v0.1: the distance of two images in the features of a network, weighted by what people take for alike.

Zhang, Isola, Efros, Shechtman and Wang, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric (CVPR
2018), equation 1; thesis 002, figure 2.21. Weights, taps and scaling are those of the package ``lpips``, version 0.1 of
the heads. Its scaling of images in -1..1 is ImageNet's mean and deviation of images in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import torch
from torch import nn
from torch.nn import functional

from synthkit import weights
from synthkit.checkpoint import sha256_of
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress, silent
from synthkit.training.perceptual import FeatureNet, load_features, stand_in_features
from synthkit_lpips.config import LpipsConfig, Network

VERSION = "0.1"

_LAYOUT = torch.channels_last  # in which the CPU convolves in little more than half the time
_EPSILON = 1e-10  # as released: keeps features that are all zero what they are


@attrs.frozen
class Trunk:
    """A network of ``synthkit.training.taps``, and where LPIPS taps it."""

    features: str
    layers: tuple[str, ...]


TRUNKS: Mapping[Network, Trunk] = {
    "alex": Trunk("alexnet", ("relu1", "relu2", "relu3", "relu4", "relu5")),
    "vgg": Trunk("vgg16", ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")),
    "squeeze": Trunk("squeezenet1_1", ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")),
}


def _heads(network: Network, sha256: str) -> weights.Pretrained:
    return weights.Pretrained(
        name=f"lpips_{network}",
        file=f"lpips-v{VERSION}-{network}.pth",
        sha256=sha256,
        architecture=f"LPIPS v{VERSION}: linear heads for {TRUNKS[network].features}",
        licence="BSD-2-Clause",
        source="https://github.com/richzhang/PerceptualSimilarity",
        url=f"https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v{VERSION}/{network}.pth",
        wheel=weights.Wheel("lpips==0.1.4", "lpips", f"weights/v{VERSION}/{network}.pth"),
    )


HEADS: Mapping[Network, weights.Pretrained] = {
    "alex": _heads("alex", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    "vgg": _heads("vgg", "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    "squeeze": _heads("squeeze", "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76"),
}
"""The linear heads, by network; the package ``lpips`` carries them, and is looked into without being imported."""


class PerceptualDistance(nn.Module):
    """A network with a linear head at each of its taps.

    Args:
        network: tapped where ``TRUNKS`` says. heads: (channels,) weights of each tap, >= 0, in its order.
    """

    def __init__(self, network: FeatureNet, heads: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.network = network.to(memory_format=_LAYOUT)
        self.count = len(heads)
        for number, head in enumerate(heads):
            self.register_buffer(f"head{number}", head.reshape(1, -1, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, first: torch.Tensor, second: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return the distances, (N,).

        Args:
            first, second: (N, 3, H, W) RGB in 0..1.
            mask: (N, 1, H, W) in 0..1, not all zero: how much each place counts, averaged onto the cells of each tap.
                None counts all places alike, which is LPIPS.
        """
        taps = self.network(torch.cat([first, second]).contiguous(memory_format=_LAYOUT))
        total = first.new_zeros(len(first))
        for number, tap in enumerate(taps.values()):
            one, other = _unit(tap).chunk(2)
            apart = functional.conv2d((one - other).square_(), self.get_buffer(f"head{number}"))
            if mask is None:
                total += apart.mean(dim=(1, 2, 3))
            else:
                share = functional.adaptive_avg_pool2d(mask, (apart.shape[2], apart.shape[3]))
                total += (apart * share).sum(dim=(1, 2, 3)) / share.sum(dim=(1, 2, 3))
        return total


def load_distance(
    network: Network,
    backbone: Path | None = None,
    heads: Path | None = None,
    stand_in: Path | None = None,
    progress: Progress = silent,
) -> PerceptualDistance:
    """Return LPIPS with its published weights, or, with a ``stand_in`` for the network's, something like it.

    Args:
        backbone, heads, stand_in: files, see ``LpipsConfig``. progress: told of downloads.

    Raises:
        WeightsError: when weights cannot be had, or are not those that they should be.
    """
    trunk = TRUNKS[network]
    head_tensors = read_heads(network, weights.resolve(HEADS[network], heads, progress).path)
    if stand_in is not None:
        return PerceptualDistance(stand_in_features(trunk.features, trunk.layers, stand_in), head_tensors)
    loaded, _ = load_features(trunk.features, trunk.layers, backbone, progress)
    return PerceptualDistance(loaded, head_tensors)


def read_heads(network: Network, path: Path) -> list[torch.Tensor]:
    """Return the heads of a network from a file with the published names, (channels,) each.

    Raises:
        WeightsError: when it holds others.
    """
    tensors = weights.read(path)
    names = [f"lin{number}.model.1.weight" for number in range(len(TRUNKS[network].layers))]
    if sorted(tensors) != sorted(names):
        raise WeightsError(f"weights {path}: are not LPIPS's heads for {network}: expected {names[0]} to {names[-1]}")
    return [tensors[name].flatten() for name in names]


def weights_of(config: LpipsConfig) -> list[weights.Wanted]:
    """Return the published weights that a metric needs."""
    backbone = weights.entry(TRUNKS[config.network].features), config.backbone
    heads = HEADS[config.network], config.heads
    return [heads] if config.stand_in is not None else [backbone, heads]


def backbone_sha256(network: Network, stand_in: Path | None) -> str:
    """Return the sha256 of the network's weights: the published, or those of a stand-in.

    Raises:
        WeightsError: when the stand-in cannot be read.
    """
    if stand_in is None:
        return weights.entry(TRUNKS[network].features).sha256
    try:
        return sha256_of(stand_in)
    except OSError as error:
        raise WeightsError(f"stand_in {stand_in}: cannot be read: {error.strerror}") from None


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Scale the features of each place to length 1."""
    return features / torch.linalg.vector_norm(features, dim=1, keepdim=True).add_(_EPSILON)
