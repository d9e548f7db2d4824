# SPDX-License-Identifier: Apache-2.0
"""A whole finder as its checkpoint keeps it: what fixes its shape, the network, and the surface it knows."""

from __future__ import annotations

import math
from typing import Any, Self

import attrs
import numpy as np
import torch

from synthkit.checkpoint import Checkpoint
from synthkit.errors import WeightsError
from synthkit.training.checkpoints import network_of
from synthkit_surface_finder.config import (
    LEAST_MARGIN,
    LEAST_SIDE_PX,
    MOST_MARGIN,
    MOST_SIDE_PX,
    MOST_WHOLE_PX,
    MOST_WIDTH,
    STRIDE,
    SurfaceFinderConfig,
)
from synthkit_surface_finder.network import BodyNet
from synthkit_surface_finder.surface import LEAST_VERTICES, MOST_PARTS, MOST_VERTICES, SPACE, Surface

NAME = "surface"


@attrs.frozen
class Design:
    """What fixes a finder's shape besides its weights; kept in the card of its checkpoint.

    Args:
        side_px, margin: of crops. width: filters of the network's first level. parts: names of the body's.
        vertices: how many the surface has. whole_px: longer side of an image that is looked at at once.
    """

    side_px: int
    margin: float
    width: int
    parts: tuple[str, ...]
    vertices: int
    whole_px: int

    @classmethod
    def of(cls, config: SurfaceFinderConfig, surface: Surface) -> Self:
        """Return the design that settings ask for."""
        return cls(config.side_px, config.margin, config.width, surface.names, len(surface.vertices_m), config.whole_px)

    @classmethod
    def from_card(cls, checkpoint: Checkpoint) -> Self:
        """Return the design in a checkpoint's card; each part is checked.

        Raises:
            WeightsError: when there is none or none that could be built, or it is of another space.
        """
        origin, card = checkpoint.path, checkpoint.card
        if card.get("space") != SPACE.name:
            raise WeightsError(f"checkpoint {origin}: its surface is of {card.get('space')!r}, expected {SPACE.name!r}")
        try:
            plan = card["design"]
            design = cls(
                plan["side_px"], plan["margin"], plan["width"], tuple(plan["parts"]), plan["vertices"], plan["whole_px"]
            )
        except (KeyError, TypeError):
            raise WeightsError(f"checkpoint {origin}: its card does not describe a finder of surfaces") from None
        if not design._is_sound():
            raise WeightsError(f"checkpoint {origin}: its card describes no finder that could be built")
        return design

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**attrs.asdict(self), "parts": list(self.parts)}

    def _is_sound(self) -> bool:
        return (
            type(self.side_px) is int
            and LEAST_SIDE_PX <= self.side_px <= MOST_SIDE_PX
            and not self.side_px % STRIDE
            and type(self.margin) in (int, float)
            and math.isfinite(self.margin)
            and LEAST_MARGIN <= self.margin <= MOST_MARGIN
            and type(self.width) is int
            and 0 < self.width <= MOST_WIDTH
            and 0 < len(self.parts) <= MOST_PARTS
            and all(type(name) is str for name in self.parts)
            and len(set(self.parts)) == len(self.parts)
            and type(self.whole_px) is int
            and STRIDE <= self.whole_px <= MOST_WHOLE_PX
            and type(self.vertices) is int
            and LEAST_VERTICES * len(self.parts) <= self.vertices <= MOST_VERTICES
        )

    def build(self) -> BodyNet:
        """Return the network, its weights not yet set."""
        return BodyNet(len(self.parts), self.width, self.vertices)


@attrs.frozen(eq=False)
class Finder:
    """What looks at crops: its design, its network on a device, and the surface."""

    design: Design
    network: BodyNet
    surface: Surface
    device: torch.device

    @classmethod
    def open(cls, checkpoint: Checkpoint, device: torch.device) -> Self:
        """Return what a checkpoint holds.

        Raises:
            WeightsError: when it is damaged, does not fit, or is something else.
        """
        checkpoint.require("detector", NAME)
        design = Design.from_card(checkpoint)
        network = network_of(checkpoint, design.build)
        try:
            parts = network.vertex_parts.numpy().astype(np.int64)
            surface = Surface.checked(design.parts, network.vertices_m.numpy(), parts)
        except ValueError as error:
            raise WeightsError(f"checkpoint {checkpoint.path}: {error}") from None
        return cls(design, ready(network, device).eval(), surface, device)


def ready(network: BodyNet, device: torch.device) -> BodyNet:
    """Return a network on a device, laid out as CPU and GPU kernels are fastest with."""
    network.to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
