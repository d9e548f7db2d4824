# SPDX-License-Identifier: Apache-2.0
"""The perceptual network of a training: chosen, verified, calibrated, and noted so that the choice stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
import torch

from synthkit.errors import WeightsError
from synthkit.interfaces import Progress
from synthkit.training import checkpoints, perceptual
from synthkit.training.taps import TAPS
from synthkit_cyclegan import calibration
from synthkit_cyclegan.losses import Distance, FeatureSpace

SETTINGS = frozenset({"perceptual", "perceptual_pools", "perceptual_scale"})
"""Settings that choose; what became of them stands in the card under ``perceptual``."""


class Wanted(Protocol):
    """The settings that choose."""

    @property
    def perceptual(self) -> str:
        """The network's name, or ``auto``."""

    @property
    def perceptual_pools(self) -> tuple[int, ...]:
        """Its layers, as VGG16's max poolings."""

    @property
    def perceptual_scale(self) -> float | None:
        """The factor on its squared distances; None for what ``calibration`` finds."""

    @property
    def perceptual_weights(self) -> Path | None:
        """A file or folder of weights; None for wherever they are found."""


@attrs.frozen(eq=False)
class Perceptual:
    """The perceptual network of a training, and what the card says of it."""

    network: perceptual.FeatureNet
    scales: Mapping[str, float]
    card: Mapping[str, Any]

    def space(self, distance: Distance, device: torch.device) -> FeatureSpace:
        """Return the space of its features on a device."""
        return FeatureSpace(self.network.to(device), self.scales, distance)


def load_perceptual(config: Wanted, folder: Path, progress: Progress) -> Perceptual:
    """Return the perceptual network of a configuration, verified and calibrated.

    Args:
        config: with ``auto``, VGG16 is preferred and MobileNetV2 the way out; the choice is reported.
        folder: where the choice is noted, so that training goes on with the same network even when
            other weights have come or gone since.
        progress: for downloads.

    Raises:
        WeightsError: when the weights cannot be had.
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


def layer_at(name: str, pool: int) -> str:
    """Return a network's layer with the resolution of VGG16's max pooling of that number, 1 to 5."""
    return next(layer for layer, place in TAPS[name].items() if place.stride == 2**pool)


def _perceptual(name: str, config: Wanted, progress: Progress) -> Perceptual:
    layers = [layer_at(name, pool) for pool in sorted(config.perceptual_pools)]
    network, found = perceptual.load_features(name, layers, config.perceptual_weights, progress)
    given = config.perceptual_scale
    scales = {layer: calibration.scale_of(network, layer) if given is None else given for layer in layers}
    card = {
        "network": name,
        "scales": scales,
        "weights_file": found.entry.file,
        "weights_sha256": found.entry.sha256,
        "weights_licence": found.entry.licence,
        "weights_source": found.entry.source,
    }
    return Perceptual(network, scales, card)
