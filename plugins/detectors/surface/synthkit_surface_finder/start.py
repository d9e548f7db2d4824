# SPDX-License-Identifier: Apache-2.0
"""What a training starts from: the layers of the detector of boxes that ships, another finder, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.interfaces import Progress
from synthkit.training.checkpoints import network_of
from synthkit_squeezedet.backbone import choose_backbone
from synthkit_squeezedet.config import SqueezeDetConfig
from synthkit_surface_finder.config import SurfaceFinderConfig
from synthkit_surface_finder.model import NAME, Design
from synthkit_surface_finder.network import BodyNet


@attrs.frozen(eq=False)
class Start:
    """Weights to start from.

    Args:
        card: where they come from, for the checkpoint's card. down: a SqueezeDet's, for the way down alone.
        whole: a finder's. In a training that goes on both are empty, as its state holds its weights.
    """

    card: Mapping[str, Any]
    down: Mapping[str, torch.Tensor] = attrs.field(factory=dict)
    whole: Mapping[str, torch.Tensor] = attrs.field(factory=dict)

    def give(self, network: BodyNet) -> None:
        """Put the weights into a network."""
        if self.down:
            network.load_features(self.down)
        if self.whole:
            network.load_state_dict(dict(self.whole))


def choose_start(config: SurfaceFinderConfig, design: Design, progress: Progress) -> Start:
    """Return the weights that settings ask for.

    Raises:
        WeightsError: when they cannot be had, or are of a network of another shape.
    """
    if config.start is None:
        backbone = choose_backbone(SqueezeDetConfig(backbone=config.backbone), progress)
        return Start(backbone.card(), down=backbone.tensors)
    checkpoint = Checkpoint.open(config.start)
    checkpoint.require("detector", NAME)
    network = network_of(checkpoint, design.build)
    about = {name: checkpoint.card.get(name) for name in ("licence", "steps", "steps_done", "identity")}
    return Start({"weights": "finder", "sha256": checkpoint.sha256, **about}, whole=network.state_dict())
