# SPDX-License-Identifier: Apache-2.0
"""What training starts from: ImageNet's SqueezeNet 1.1, our own weights learned from renders, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import attrs
import torch

from synthkit import weights
from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.interfaces import Progress
from synthkit.training.checkpoints import load_tensors
from synthkit_squeezedet.network import SqueezeDet

SQUEEZENET: Final = "squeezenet1_1"
RENDERED: Final = "rendered"
RENDERED_FILE = "rendered.safetensors"
"""Ships with this package; ``train_backbone.py`` beside the package made it."""

Name = Literal["none", "squeezenet1_1", "rendered"]


@attrs.frozen(eq=False)
class Backbone:
    """Weights to start from.

    Args:
        name: which. tensors: torchvision's for ``squeezenet1_1``, our own for ``rendered``, empty for ``none``.
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
            network.load_squeezenet(self.tensors)
            network.conv1.requires_grad_(False)
        elif self.name == RENDERED:
            network.load_features(self.tensors)


def choose_backbone(
    wanted: Literal["auto", "none", "squeezenet1_1", "rendered"], before: Mapping[str, Any] | None, progress: Progress
) -> Backbone:
    """Return the weights to start from.

    Args:
        wanted: the setting; ``auto`` takes SqueezeNet where it can be had, else our own.
        before: the card of the choice made when this training began; it is kept, so that weights that appear
            later do not change a training that goes on.

    Raises:
        WeightsError: when the weights wanted cannot be had.
    """
    name = wanted if before is None else before["weights"]
    if name == "none":
        return Backbone("none")
    if name == RENDERED:
        return _rendered({} if before is None else before)
    try:
        return _squeezenet()
    except WeightsError as error:
        if name == SQUEEZENET:
            raise
        progress("backbone", 0, None, "SqueezeNet 1.1 cannot be had; starting from weights learned from renders")
        return _rendered({"instead_of": SQUEEZENET, "because": str(error)})


def _squeezenet() -> Backbone:
    found = weights.find(SQUEEZENET)
    entry = found.entry
    description = {"sha256": entry.sha256, "source": entry.source, "licence": entry.licence}
    return Backbone(SQUEEZENET, weights.load(found), description)


def _rendered(note: Mapping[str, Any]) -> Backbone:
    with resources.as_file(resources.files("synthkit_squeezedet") / "weights" / RENDERED_FILE) as path:
        checkpoint = Checkpoint.open(Path(path))
        checkpoint.require("backbone", RENDERED)
        tensors = {name: tensor.float() for name, tensor in load_tensors(checkpoint).items()}
    kept = {key: value for key, value in note.items() if key != "weights"}
    return Backbone(RENDERED, tensors, {**kept, "sha256": checkpoint.sha256, "licence": checkpoint.card["licence"]})
