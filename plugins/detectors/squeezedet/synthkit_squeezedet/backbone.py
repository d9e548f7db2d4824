# SPDX-License-Identifier: Apache-2.0
"""What training starts from: ImageNet's SqueezeNet 1.1, the layers of our own detector, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import torch

from synthkit import weights
from synthkit.checkpoint import Checkpoint, sha256_of
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress
from synthkit.training import caffe
from synthkit.training.checkpoints import load_tensors
from synthkit_squeezedet.config import SHIPPED, SqueezeDetConfig
from synthkit_squeezedet.network import SqueezeDet

SQUEEZENET: Final = "squeezenet1_1"
RENDERED: Final = "rendered"

Name = Literal["none", "squeezenet1_1", "rendered"]


@attrs.frozen(eq=False)
class Backbone:
    """Weights to start from.

    Args:
        name: which. tensors: torchvision's for ``squeezenet1_1``, our own for ``rendered``; empty for ``none``,
            and in a training that goes on, whose state holds its weights.
        description: where they come from, for the card; why none or others were taken.
    """

    name: Name
    tensors: Mapping[str, torch.Tensor] = attrs.field(factory=dict)
    description: Mapping[str, Any] = attrs.field(factory=dict)

    def card(self) -> dict[str, Any]:
        """Return what the checkpoint's card says of it."""
        return {"weights": self.name, **self.description}

    def start(self, network: SqueezeDet) -> None:
        """Put the weights into a network; the first layer of SqueezeNet stays fixed from then on, as released."""
        if self.name == SQUEEZENET:
            network.conv1.requires_grad_(False)
        if not self.tensors:
            return
        if self.name == SQUEEZENET:
            network.load_squeezenet(self.tensors)
        else:
            network.load_features(self.tensors)


def chosen_before(card: Mapping[str, Any]) -> Backbone:
    """Return what a training that goes on had started from, by its card.

    Weights that have come or gone since then change nothing: those in the training's state take their place.
    """
    return Backbone(card["weights"], {}, {key: value for key, value in card.items() if key != "weights"})


def choose_backbone(config: SqueezeDetConfig, progress: Progress) -> Backbone:
    """Return the weights to start from; ``auto`` takes SqueezeNet where it can be had, else our own.

    Raises:
        WeightsError: when the weights wanted cannot be had.
    """
    if config.backbone == "none" or config.network == "squeezedet-plus":
        return Backbone("none")
    if config.backbone_file is not None:
        return _squeezenet_of(config.backbone_file)
    if config.backbone == RENDERED:
        return _rendered({})
    try:
        return _squeezenet(progress)
    except WeightsError as error:
        if config.backbone == SQUEEZENET:
            raise
        progress("backbone", 0, None, "SqueezeNet 1.1 cannot be had; starting from weights learned from renders")
        return _rendered({"instead_of": SQUEEZENET, "because": str(error)})


def _squeezenet(progress: Progress) -> Backbone:
    found = weights.find(SQUEEZENET, progress=progress)
    entry = found.entry
    description = {"sha256": entry.sha256, "source": entry.source, "licence": entry.licence}
    return Backbone(SQUEEZENET, weights.load(found), description)


def _squeezenet_of(path: Path) -> Backbone:
    """Return SqueezeNet 1.1 from a file of the user's.

    Raises:
        WeightsError: when it cannot be read or is another network.
    """
    tensors = weights.read(path)
    try:
        if caffe.is_squeezenet(tensors):
            tensors = caffe.squeezenet(tensors)
        SqueezeDet(1, 1).load_squeezenet(tensors)
    except (KeyError, ValueError) as error:
        reason = f"has no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"backbone_file {path}: is no SqueezeNet 1.1: {reason}") from None
    return Backbone(SQUEEZENET, tensors, {"sha256": sha256_of(path), "source": path.name})


def _rendered(why: Mapping[str, Any]) -> Backbone:
    package, _, file = SHIPPED.partition(":")
    with resources.as_file(resources.files(package) / file) as path:
        checkpoint = Checkpoint.open(Path(path))
        checkpoint.require("detector", "squeezedet")
        tensors = {
            name: tensor.float() for name, tensor in load_tensors(checkpoint).items() if not name.startswith("conv12.")
        }
    return Backbone(RENDERED, tensors, {**why, "sha256": checkpoint.sha256, "licence": checkpoint.card["licence"]})
