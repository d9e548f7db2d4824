# SPDX-License-Identifier: Apache-2.0
"""Inception v3 as the Frechet Inception Distance knows it: the TensorFlow graph of 2015-12-05.

Szegedy et al. (Rethinking the Inception architecture for computer vision, CVPR 2016), with what that graph does
differently: averages leave padding out, the last block pools its maximum, and there are 1008 classes. The published
file's batch normalisations are folded into the convolutions when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

INPUT_PX = 299
FEATURES = 2048
CLASSES = 1008

_EPSILON = 0.001  # of the batch normalisations

# A convolution: its name in the file, its width, its kernel (height, width); 2 for the stride where it halves.
_Conv = tuple[str, int, tuple[int, int]]


def _block_a(pooled: int) -> list[list[_Conv]]:
    return [
        [("branch1x1", 64, (1, 1))],
        [("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5))],
        [("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)), ("branch3x3dbl_3", 96, (3, 3))],
        [("branch_pool", pooled, (1, 1))],
    ]


def _block_c(width: int) -> list[list[_Conv]]:
    return [
        [("branch1x1", 192, (1, 1))],
        [("branch7x7_1", width, (1, 1)), ("branch7x7_2", width, (1, 7)), ("branch7x7_3", 192, (7, 1))],
        [
            ("branch7x7dbl_1", width, (1, 1)), ("branch7x7dbl_2", width, (7, 1)), ("branch7x7dbl_3", width, (1, 7)),
            ("branch7x7dbl_4", width, (7, 1)), ("branch7x7dbl_5", 192, (1, 7)),
        ],
        [("branch_pool", 192, (1, 1))],
    ]  # fmt: skip


_BLOCK_B: list[list[_Conv]] = [
    [("branch3x3", 384, (3, 3))],
    [("branch3x3dbl_1", 64, (1, 1)), ("branch3x3dbl_2", 96, (3, 3)), ("branch3x3dbl_3", 96, (3, 3))],
]
_BLOCK_D: list[list[_Conv]] = [
    [("branch3x3_1", 192, (1, 1)), ("branch3x3_2", 320, (3, 3))],
    [
        ("branch7x7x3_1", 192, (1, 1)), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1)),
        ("branch7x7x3_4", 192, (3, 3)),
    ],
]  # fmt: skip
_STEM: list[tuple[str, int, int, int, int, int]] = [  # name, inputs, width, kernel, stride, padding
    ("Conv2d_1a_3x3", 3, 32, 3, 2, 0),
    ("Conv2d_2a_3x3", 32, 32, 3, 1, 0),
    ("Conv2d_2b_3x3", 32, 64, 3, 1, 1),
    ("Conv2d_3b_1x1", 64, 80, 1, 1, 0),
    ("Conv2d_4a_3x3", 80, 192, 3, 1, 0),
]


class InceptionV3(nn.Module):
    """The network up to its last pooling, and the classifier."""

    def __init__(self) -> None:
        super().__init__()
        for name, inputs, width, kernel, stride, padding in _STEM:
            self.add_module(name, nn.Conv2d(inputs, width, kernel, stride, padding))
        self.blocks = ["Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"]
        self.blocks += ["Mixed_7a", "Mixed_7b", "Mixed_7c"]
        made: list[nn.Module] = [_Even(192, _block_a(32)), _Even(256, _block_a(64)), _Even(288, _block_a(64))]
        made += [_Halving(288, _BLOCK_B), *(_Even(768, _block_c(width)) for width in (128, 160, 160, 192))]
        made += [_Halving(768, _BLOCK_D), _Wide(1280, pool_maximum=False), _Wide(2048, pool_maximum=True)]
        for name, block in zip(self.blocks, made, strict=True):
            self.add_module(name, block)
        self.fc = nn.Linear(FEATURES, CLASSES)
        self.eval().requires_grad_(False)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """Return (N, 2048) features of (N, 3, 299, 299) images whose values 0..255 became (x - 128) / 128."""
        for n, (name, *_) in enumerate(_STEM):
            flow = F.relu_(self.get_submodule(name)(flow))
            if n in (2, 4):
                flow = F.max_pool2d(flow, 3, 2)
        for name in self.blocks:
            flow = self.get_submodule(name)(flow)
        return flow.mean(dim=(2, 3))

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return (N, 1008) logits without the bias, as the Inception Score takes them."""
        return features @ self.fc.weight.T


def folded(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the published tensors with each batch normalisation made part of its convolution.

    Raises:
        KeyError: naming a tensor that is missing.
    """
    result = {"fc.weight": tensors["fc.weight"], "fc.bias": tensors["fc.bias"]}
    for key, weight in tensors.items():
        name, is_conv, _ = key.partition(".conv.weight")
        if is_conv:
            gamma, beta, mean, variance = (
                tensors[f"{name}.bn.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / torch.sqrt(variance + _EPSILON)
            result[f"{name}.weight"] = (weight.double() * scale[:, None, None, None]).float()
            result[f"{name}.bias"] = (beta - mean * scale).float()
    return result


class _Even(nn.Module):
    """Branches side by side at one resolution, the last of which pools its average."""

    def __init__(self, inputs: int, branches: Sequence[Sequence[_Conv]]) -> None:
        super().__init__()
        self.branches = [[name for name, *_ in branch] for branch in branches]
        for branch in branches:
            _add(self, inputs, branch)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        parts = [_run(self, branch, flow) for branch in self.branches[:-1]]
        return torch.cat([*parts, _pooled(self, flow)], dim=1)


class _Halving(nn.Module):
    """Branches side by side that end in half the resolution, and the maximum."""

    def __init__(self, inputs: int, branches: Sequence[Sequence[_Conv]]) -> None:
        super().__init__()
        self.branches = [[name for name, *_ in branch] for branch in branches]
        for branch in branches:
            _add(self, inputs, branch, halving=True)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        return torch.cat([*(_run(self, branch, flow) for branch in self.branches), F.max_pool2d(flow, 3, 2)], dim=1)


class _Wide(nn.Module):
    """The last blocks, where 3x3 filters are two side by side: 1x3 and 3x1."""

    def __init__(self, inputs: int, *, pool_maximum: bool) -> None:
        super().__init__()
        self.pool_maximum = pool_maximum
        _add(self, inputs, [("branch1x1", 320, (1, 1))])
        _add(self, inputs, [("branch3x3_1", 384, (1, 1))])
        _add(self, inputs, [("branch3x3dbl_1", 448, (1, 1)), ("branch3x3dbl_2", 384, (3, 3))])
        for stem in ("branch3x3_2", "branch3x3dbl_3"):
            _add(self, 384, [(f"{stem}a", 384, (1, 3))])
            _add(self, 384, [(f"{stem}b", 384, (3, 1))])
        _add(self, inputs, [("branch_pool", 192, (1, 1))])

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        single, double = _run(self, ["branch3x3_1"], flow), _run(self, ["branch3x3dbl_1", "branch3x3dbl_2"], flow)
        parts = [_run(self, ["branch1x1"], flow)]
        parts += [_run(self, [name], single) for name in ("branch3x3_2a", "branch3x3_2b")]
        parts += [_run(self, [name], double) for name in ("branch3x3dbl_3a", "branch3x3dbl_3b")]
        if self.pool_maximum:
            parts.append(_run(self, ["branch_pool"], F.max_pool2d(flow, 3, 1, padding=1)))
        else:
            parts.append(_pooled(self, flow))
        return torch.cat(parts, dim=1)


def _add(block: nn.Module, inputs: int, branch: Sequence[_Conv], *, halving: bool = False) -> None:
    """Add a branch's convolutions; where the block halves, its last has stride 2 and no padding."""
    widths = [inputs, *(width for _, width, _ in branch)]
    for n, ((before, after), (name, _, (high, wide))) in enumerate(zip(pairwise(widths), branch, strict=True)):
        last = halving and n == len(branch) - 1
        padding = (0, 0) if last else (high // 2, wide // 2)
        block.add_module(name, nn.Conv2d(before, after, (high, wide), 2 if last else 1, padding))


def _run(block: nn.Module, names: Sequence[str], flow: torch.Tensor) -> torch.Tensor:
    for name in names:
        flow = F.relu_(block.get_submodule(name)(flow))
    return flow


def _pooled(block: nn.Module, flow: torch.Tensor) -> torch.Tensor:
    """Return the branch that averages: after its 1x1 convolution, which gives the same and has fewer channels."""
    return F.relu_(F.avg_pool2d(block.get_submodule("branch_pool")(flow), 3, 1, 1, count_include_pad=False))
