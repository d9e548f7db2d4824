# SPDX-License-Identifier: Apache-2.0
"""SqueezeNet 1.1 as its authors published it for Caffe (forresti/SqueezeNet), under torchvision's names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from synthkit.training.taps import DEVIATION_RGB, MEAN_RGB

TORCHVISION_FIRES = {
    "fire2": 3,
    "fire3": 4,
    "fire4": 6,
    "fire5": 7,
    "fire6": 9,
    "fire7": 10,
    "fire8": 11,
    "fire9": 12,
}
"""Where torchvision's SqueezeNet 1.1 keeps each fire module."""

_CAFFE_MEAN_RGB = torch.tensor([123.0, 117.0, 104.0], dtype=torch.float64)
_PARTS = {"w": "weight", "b": "bias"}


def is_squeezenet(names: Collection[str]) -> bool:
    """Return whether tensors have the names that Caffe's SqueezeNet gives them."""
    return "conv1.w" in names


def squeezenet(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return Caffe's weights under torchvision's names, for normalised RGB, float32.

    Caffe's network sees BGR from 0 to 255 less a mean: the first layer is linear, so it takes over the difference.

    Args:
        tensors: ``conv1.w``, ``fire2__squeeze1x1.b`` and so on.

    Raises:
        KeyError: when the first layer is missing.
    """
    result = {}
    for name, tensor in tensors.items():
        layer, _, part = name.rpartition(".")
        fire, _, kind = layer.partition("__")
        if fire in TORCHVISION_FIRES and kind:
            place = f"features.{TORCHVISION_FIRES[fire]}.{kind.replace('squeeze1x1', 'squeeze')}"
            result[f"{place}.{_PARTS.get(part, part)}"] = tensor.float()
    kernel, bias = tensors["conv1.w"].double().flip(1), tensors["conv1.b"].double()
    mean, deviation = (torch.tensor(values, dtype=torch.float64) * 255.0 for values in (MEAN_RGB, DEVIATION_RGB))
    result["features.0.weight"] = (kernel * deviation[:, None, None]).float()
    result["features.0.bias"] = (bias + (kernel.sum(dim=(2, 3)) @ (mean - _CAFFE_MEAN_RGB))).float()
    return result
