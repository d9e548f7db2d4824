# SPDX-License-Identifier: Apache-2.0
"""Where feature networks can be tapped: a light table, so that settings are checked without torch."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from synthkit.config import nearest
from synthkit.errors import ConfigError

MEAN_RGB = (0.485, 0.456, 0.406)
DEVIATION_RGB = (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in 0..1: what networks with torchvision's names expect to have been taken off."""


@attrs.frozen
class Tap:
    """A place in a network: index of its last module, channels there, and input pixels from cell to cell."""

    last: int
    channels: int
    stride: int


TAPS: Mapping[str, Mapping[str, Tap]] = {
    "vgg16": {
        "relu1_2": Tap(3, 64, 1),
        "pool1": Tap(4, 64, 2),
        "relu2_2": Tap(8, 128, 2),
        "pool2": Tap(9, 128, 4),
        "relu3_3": Tap(15, 256, 4),
        "pool3": Tap(16, 256, 8),
        "relu4_3": Tap(22, 512, 8),
        "pool4": Tap(23, 512, 16),
        "relu5_3": Tap(29, 512, 16),
        "pool5": Tap(30, 512, 32),
    },
    "mobilenet_v2": {
        "stride2": Tap(1, 16, 2),
        "stride4": Tap(3, 24, 4),
        "stride8": Tap(6, 32, 8),
        "stride16": Tap(13, 96, 16),
        "stride32": Tap(18, 1280, 32),
    },
    "alexnet": {
        "relu1": Tap(1, 64, 4),
        "relu2": Tap(4, 192, 8),
        "relu3": Tap(7, 384, 16),
        "relu4": Tap(9, 256, 16),
        "relu5": Tap(11, 256, 16),
    },
    "squeezenet1_1": {
        "relu1": Tap(1, 64, 2),
        "fire3": Tap(4, 128, 4),
        "fire5": Tap(7, 256, 8),
        "fire6": Tap(9, 384, 16),
        "fire7": Tap(10, 384, 16),
        "fire8": Tap(11, 512, 16),
        "fire9": Tap(12, 512, 16),
    },
}
"""Where each network can be tapped, the deepest place last."""


def check_layer(name: str, layer: str | None) -> None:
    """Check that a network of ``TAPS`` has a layer, or that none is named: a rule for config classes.

    Raises:
        ValueError: naming the layers it has.
    """
    if layer is not None and layer not in TAPS[name]:
        raise ValueError(f"{name} has no layer {layer!r}; it has {', '.join(TAPS[name])}")


def tap(name: str, layer: str) -> Tap:
    """Return what is known of a tap.

    Raises:
        ConfigError: naming the nearest network or the layers it has.
    """
    if name not in TAPS:
        raise ConfigError([f"no feature network is called {name!r}{nearest(name, TAPS)}"])
    try:
        check_layer(name, layer)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return TAPS[name][layer]
