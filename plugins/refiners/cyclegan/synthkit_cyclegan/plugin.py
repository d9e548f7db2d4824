# SPDX-License-Identifier: Apache-2.0
"""What this plugin brings; light, so that listing it imports no torch."""

from __future__ import annotations

from synthkit.hookspecs import hookimpl
from synthkit.interfaces import Component
from synthkit_cyclegan.config import CycleGANConfig

_TARGET = "synthkit_cyclegan.refiner:CycleGANRefiner"
_NEEDS = frozenset({"instances"})

SMALL = {
    "steps": 300,
    "generator_filters": 16,
    "discriminator_filters": 16,
    "perceptual": "mobilenet_v2",
    "picture_every": 100,
}
"""A sixteenth of the published networks' weights and a few hundred steps: what two cores show in minutes."""


@hookimpl
def synthkit_components() -> list[Component]:
    """Return the CycleGAN presets, named after the losses they train with (thesis 000, table 3.2)."""
    return [
        Component(
            kind="refiner",
            name="cyclegan-dfm",
            summary="CycleGAN with discriminator-feature cycles and a skip connection (D^S of thesis 000)",
            config=CycleGANConfig,
            target=_TARGET,
            revision=2,
            needs=_NEEDS,
            trainable=True,
            demo_checkpoint="synthkit_cyclegan:weights/demo-dfm.safetensors",
            demo={"settings": SMALL},
        ),
        Component(
            kind="refiner",
            name="cyclegan-dfm-noskip",
            summary="the same without the skip connection (D of thesis 000)",
            config=CycleGANConfig,
            target=_TARGET,
            revision=2,
            defaults={"skip": False},
            needs=_NEEDS,
            trainable=True,
        ),
    ]
