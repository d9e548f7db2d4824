# SPDX-License-Identifier: Apache-2.0
"""The perceptual network of a training: chosen, verified, calibrated, and noted so that the choice stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs

from synthkit.errors import WeightsError
from synthkit.interfaces import Progress
from synthkit.training import checkpoints, perceptual
from synthkit_cyclegan import calibration

SETTINGS = frozenset({"perceptual", "perceptual_layer"})
"""Settings that choose; what became of them stands in the card under ``perceptual``."""

_DEFAULT_LAYERS = {"vgg16": "pool2", "mobilenet_v2": "stride4"}


class Wanted(Protocol):
    """The settings that choose."""

    @property
    def perceptual(self) -> str:
        """The network's name, or ``auto``."""

    @property
    def perceptual_layer(self) -> str | None:
        """Its layer; None for its usual one."""

    @property
    def perceptual_weights(self) -> Path | None:
        """A file or folder of weights; None for wherever they are found."""


@attrs.frozen(eq=False)
class Perceptual:
    """The perceptual network of a training, and what the card says of it."""

    network: perceptual.FeatureNet
    layer: str
    scale: float
    card: Mapping[str, Any]


def load_perceptual(config: Wanted, folder: Path, progress: Progress) -> Perceptual:
    """Return the perceptual network of a configuration, verified and calibrated.

    Args:
        config: with ``auto``, VGG16 is preferred and MobileNetV2 the way out; the choice is reported.
        folder: where the choice is noted, so that training goes on with the same network even when
            other weights have come or gone since.
        progress: for downloads.

    Raises:
        WeightsError: when the weights cannot be had. ConfigError: when the network lacks the layer.
    """
    note = folder / "perceptual.txt"
    name = note.read_text().strip() if config.perceptual == "auto" and note.exists() else config.perceptual
    if name != "auto":
        return _perceptual(name, config, progress)
    try:
        seen = _perceptual("vgg16", config, progress)
    except WeightsError as error:
        seen = _perceptual("mobilenet_v2", config, progress)
        progress("perceptual network", 1, 1, f"mobilenet_v2, because {error}")
    checkpoints.write_atomic(note, f"{seen.network.name}\n".encode())
    return seen


def _perceptual(name: str, config: Wanted, progress: Progress) -> Perceptual:
    layer = config.perceptual_layer or _DEFAULT_LAYERS.get(name, "")
    network, found = perceptual.load_features(name, [layer], config.perceptual_weights, progress)
    scale = calibration.scale_of(network, layer)
    card = {
        "network": name,
        "layer": layer,
        "calibration": scale,
        "weights_file": found.entry.file,
        "weights_sha256": found.entry.sha256,
        "weights_licence": found.entry.licence,
        "weights_source": found.entry.source,
    }
    return Perceptual(network, layer, scale, card)
