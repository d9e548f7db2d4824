# SPDX-License-Identifier: Apache-2.0
"""The networks SqueezeDet and SqueezeDet+: SqueezeNet's fire modules, two more of them, a convolutional detector.

Source: Wu et al., SqueezeDet (arXiv 1612.01051) and the released ``nets/squeezeDet.py`` and ``squeezeDetPlus.py``;
thesis 000, section 2.9. Every convolution pads as TensorFlow's SAME does (the released SqueezeDet+ pads nothing in
its first layer and its poolings, which loses cells at the border) and is followed by a ReLU, but for the last. Images
enter as RGB, scaled to 0..1 and normalised by ImageNet's mean and deviation, where the released network
subtracted a BGR mean from 0..255: the same functions, as the first layer is linear, in the convention of
the ImageNet weights to be had today.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthkit.training.caffe import TORCHVISION_FIRES
from synthkit.training.taps import DEVIATION_RGB, MEAN_RGB
from synthkit_squeezedet.config import NetworkName


@attrs.frozen
class Architecture:
    """What tells the two networks apart.

    Args:
        filters, kernel_px: of the first convolution, which has stride 2.
        fires: (squeeze, expand) of fire2 to fire11. pools: fire modules before which a pooling stands.
    """

    filters: int
    kernel_px: int
    fires: tuple[tuple[int, int], ...]
    pools: frozenset[str]


ARCHITECTURES: Mapping[NetworkName, Architecture] = {
    "squeezedet": Architecture(
        filters=64,
        kernel_px=3,
        fires=((16, 64),) * 2 + ((32, 128),) * 2 + ((48, 192),) * 2 + ((64, 256),) * 2 + ((96, 384),) * 2,
        pools=frozenset({"fire2", "fire4", "fire6"}),
    ),
    "squeezedet-plus": Architecture(
        filters=96,
        kernel_px=7,
        fires=((96, 64),) * 2 + ((192, 128),) * 2 + ((288, 192),) * 2 + ((384, 256),) * 4,
        pools=frozenset({"fire2", "fire5", "fire9"}),
    ),
}

_DETECTOR_DEVIATION = 1e-4  # the released initialisation of the last layer: confidence starts at one half


class Fire(nn.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 expansions side by side: (N, C, H, W) to (N, 2 * expand, H, W)."""

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the activations of the module."""
        narrow = functional.relu(self.squeeze(features))
        wide = torch.cat([self.expand1x1(narrow), self.expand3x3(narrow)], dim=1)
        return functional.relu(wide)


class SqueezeDet(nn.Module):
    """Convolutions: (N, 3, H, W) normalised float32 to (N, H / 16 * W / 16 * anchors, C + 1 + numbers).

    H and W must be multiples of 16. Rows run over cell rows, cell columns and anchors; columns are C class
    logits, the confidence logit and the numbers of a box, (dx, dy, dw, dh) and for rotated boxes two more, as in the
    released code.

    Args:
        classes: C >= 1. anchors: boxes predicted in each cell. numbers: that tell a box, see ``decoding``.
        name: which network.
    """

    def __init__(self, classes: int, anchors: int = 9, *, numbers: int = 4, name: NetworkName = "squeezedet") -> None:
        super().__init__()
        plan = ARCHITECTURES[name]
        self.columns = classes + 1 + numbers
        self._pools = plan.pools
        self.conv1 = nn.Conv2d(3, plan.filters, plan.kernel_px, stride=2)
        channels = plan.filters
        fires: dict[str, nn.Module] = {}
        for number, (squeeze, expand) in enumerate(plan.fires, start=2):
            fires[f"fire{number}"] = Fire(channels, squeeze, expand)
            channels = 2 * expand
        self.fires = nn.ModuleDict(fires)
        self.conv12 = nn.Conv2d(channels, anchors * self.columns, 3, padding=1)

    def initialize(self, generator: torch.Generator) -> None:
        """Draw all weights.

        The released code draws fire modules from a normal of deviation 0.01, which passes too little signal
        to learn from scratch through 22 layers; it always started from ImageNet's weights. Here layers before
        a ReLU are drawn after He et al. (2015), and the last layer as released.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(_bias(module))
        nn.init.normal_(self.conv12.weight, std=_DETECTOR_DEVIATION, generator=generator)

    def load_squeezenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take conv1 and fire2 to fire9 from torchvision's SqueezeNet 1.1 (``features.*``).

        Raises:
            KeyError, ValueError: when a tensor is missing or of another shape.
        """
        pairs = {"conv1": "features.0"}
        for name, index in TORCHVISION_FIRES.items():
            for part in ("squeeze", "expand1x1", "expand3x3"):
                pairs[f"fires.{name}.{part}"] = f"features.{index}.{part}"
        own = dict(self.named_parameters())
        with torch.no_grad():
            for ours, theirs in pairs.items():
                for kind in ("weight", "bias"):
                    source, target = weights[f"{theirs}.{kind}"], own[f"{ours}.{kind}"]
                    if source.shape != target.shape:
                        raise ValueError(f"{theirs}.{kind} is {tuple(source.shape)}, not {tuple(target.shape)}")
                    target.copy_(source)

    def load_features(self, weights: Mapping[str, Tensor]) -> None:
        """Take all layers but the last from another SqueezeDet, by its own names.

        Raises:
            KeyError, RuntimeError: when a tensor is missing or of another shape.
        """
        own = {f"conv12.{name}": tensor for name, tensor in self.conv12.state_dict().items()}
        self.load_state_dict({**weights, **own}, strict=True)

    def features(self, images: Tensor) -> Tensor:
        """Return fire11's activations, (N, C, H / 16, W / 16)."""
        # SAME with stride 2 on even sizes pads by two less than the kernel, the odd one at the bottom and at the right.
        before, odd = divmod(self.conv1.kernel_size[0] - 2, 2)
        padding = (before, before + odd) * 2
        result = functional.relu(self.conv1(functional.pad(images, padding)))
        for name, fire in self.fires.items():
            if name in self._pools:
                result = functional.max_pool2d(result, 3, 2, ceil_mode=True)
            result = fire(result)
        return result

    def forward(self, images: Tensor) -> Tensor:
        """Return the raw predictions."""
        return self.predictions(self.features(images))

    def predictions(self, features: Tensor) -> Tensor:
        """Return the raw predictions of ``features``."""
        raw = self.conv12(features)
        rows: Tensor = raw.permute(0, 2, 3, 1).reshape(raw.shape[0], -1, self.columns)
        return rows


def normalize(images: Tensor) -> Tensor:
    """Return (N, H, W, 3) uint8 sRGB as (N, 3, H, W) float32 (channels last in memory), normalised."""
    mean = torch.tensor(MEAN_RGB, device=images.device) * 255.0
    deviation = torch.tensor(DEVIATION_RGB, device=images.device) * 255.0
    return ((images.float() - mean) / deviation).permute(0, 3, 1, 2)


def _bias(module: nn.Conv2d) -> Tensor:
    if module.bias is None:
        raise ValueError("every convolution of SqueezeDet has a bias")
    return module.bias
